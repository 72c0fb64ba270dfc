import type { Activities } from '../../activities/index.js';
import type { Change } from '../../hosts/items.js';
import { quick, waiting } from '../../temporal/options.js';
import { growingActivities } from '../growing.js';
import { withPrincipal } from './principal.js';
import { restarted, type Deployment, type Stage } from './stage.js';

const { announceNodes, ensureFramework } = growingActivities<Activities>(quick);
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
    changes.push(...(await withPrincipal(deployment, () => handOver(deployment))));
    await allNodesRun(deployment);
    return changes;
  },
} as const satisfies Stage;

async function handOver({ spec, identity, leaving }: Deployment): Promise<readonly Change[]> {
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

async function allNodesRun(deployment: Deployment): Promise<void> {
  const { spec } = deployment;
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
