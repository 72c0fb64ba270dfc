import { patched } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { etcdSecurity, type ClusterSpec } from '../../cluster/spec.js';
import type { Change } from '../../hosts/items.js';
import { quick, waiting } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { withPrincipal } from './principal.js';
import { restarted, type Deployment, type Stage } from './stage.js';

const { announceNodes, ensureFramework, ensureKeeper, etcdTransition } = growingActivities<Activities>(quick);
const { awaitNodes } = growingActivities<Activities>(waiting);

export const framework = {
  name: 'framework',
  title: 'Launch a Mesos task for every node',
  async run(deployment) {
    const { spec } = deployment;
    const { name: host, nodes } = spec;
    const changes: Change[] = [];
    const announced = await announceNodes.executeWithOptions({ summary: 'notify the keeper of more nodes' }, [
      { spec },
    ]);
    if (announced.changed) changes.push({ host, what: `notified the keeper of ${nodes.count} nodes` });
    if (announced.restarted === true) changes.push({ host, what: restarted('keeper') });
    const first = await firstSpec(deployment);
    changes.push(...(await withPrincipal(deployment, () => handOver(deployment, first))));
    if (first !== spec) {
      await allNodesRun(deployment, first);
      changes.push({
        host,
        what: 'replaced each node, so that members of etcd reach each other with and without TLS',
      });
      await handOver(deployment, spec);
    }
    await allNodesRun(deployment, spec);
    return changes;
  },
} as const satisfies Stage;

/** What the nodes are brought to before they are brought to the spec: the spec itself, unless etcd changes its doors. */
async function firstSpec(deployment: Deployment): Promise<ClusterSpec> {
  const { spec, identity } = deployment;
  const transition =
    patched('etcd-security') &&
    (await etcdTransition.executeWithOptions({ summary: 'compare how members of etcd reach each other' }, [
      { spec },
    ]));
  if (!transition) return spec;
  deployment.note('each node is replaced twice, so that etcd never stops');
  const between: ClusterSpec = { ...spec, etcd: { ...spec.etcd, security: 'transition' } };
  // A keeper that speaks TLS alone would lose the members that speak none any more.
  if (etcdSecurity(spec) === 'open') {
    await ensureKeeper.executeWithOptions({ summary: 'the keeper speaks with and without TLS' }, [
      { spec: between, ...(identity && { identity }) },
    ]);
  }
  return between;
}

async function handOver({ identity, leaving }: Deployment, spec: ClusterSpec): Promise<readonly Change[]> {
  const result = await ensureFramework.executeWithOptions({ summary: 'hand over the spec' }, [
    {
      spec,
      ...(identity && { identity }),
      ...(leaving.length > 0 && { leaving: leaving.map((each) => each.host) }),
    },
  ]);
  const host = spec.name;
  switch (result) {
    case 'started':
      return [{ host, what: 'started the framework' }];
    case 'restarted':
      return [{ host, what: restarted('framework') }];
    case 'changed':
      return [{ host, what: 'handed the spec to the framework' }];
    default:
      return [];
  }
}

/** What is missing may change often, for days; after this many notes only the framework's details show it. */
const mostNotes = 100;

async function allNodesRun(deployment: Deployment, spec: ClusterSpec): Promise<void> {
  deployment.note(`waiting for ${spec.nodes.count} nodes`);
  let reported: string | null = null;
  for (let notes = 0; ; notes += 1) {
    const known = notes < mostNotes ? { told: reported } : {};
    const { missing }: { readonly missing: string | null } = await awaitNodes.executeWithOptions(
      { summary: 'all nodes are running' },
      [{ spec, ...known }],
    );
    if (missing === null) return;
    reported = missing;
    deployment.note(`waiting: ${missing}`);
  }
}
