import * as z from 'zod';
import { verdict } from '../etcd/verdict.js';
import { hostPaths } from '../hosts/paths.js';
import type { KeeperAccess } from '../keeper/access.js';
import type { Credential } from '../mesos/masters/http.js';
import { marks } from '../node/layout.js';
import { httpRequest, textOf, unkept } from '../net/http.js';
import { brickHosts, hostsWithRole, nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import type { BrickObservation } from '../storage/gluster.js';
import { observeBricks } from '../storage/volume.js';
import { quote } from '../ssh/shell.js';
import type { InvariantsObservation } from './decide.js';
import { observeFormerLeader, observeMasters } from './observe-mesos.js';
import type { DrillPlan } from './model.js';
import { readNotebooks } from './notebooks.js';

export interface ObservationDeps {
  readonly spec: ClusterSpec;
  readonly pool: SshPool;
  readonly reach: Reach;
  readonly access: KeeperAccess;
  /** Present if the spec names a principal. */
  readonly credential?: Credential;
}

const askMs = 2_000;

/** One observation of all invariants. Never rejects: unavailable parts are missing. */
export async function observeInvariants(
  deps: ObservationDeps,
  { fault }: Pick<DrillPlan, 'fault'>,
): Promise<InvariantsObservation> {
  const { spec } = deps;
  const orNothing = <T>(promise: Promise<T>) => promise.catch(() => undefined);
  const [serving, routes, etcd, mesos, formerLeader, processes, notebooks, bricks] = await Promise.all([
    whoServes(deps),
    readRoutes(deps),
    observeEtcd(deps),
    observeMasters(deps),
    orNothing(observeFormerLeader(deps, fault)),
    orNothing(findProcesses(deps)),
    orNothing(readNotebooks(deps.pool, spec)),
    observeVolume(deps),
  ]);
  const tasks =
    mesos.state &&
    Object.fromEntries(Object.entries(mesos.state.tasks).map(([node, each]) => [node, each.length]));
  return {
    serving,
    routes,
    etcd,
    mesos,
    ...(tasks && { tasks }),
    ...(formerLeader && { formerLeader }),
    ...(processes && { processes }),
    ...(notebooks && { notebooks }),
    ...(bricks && { bricks }),
  };
}

const versionSchema = z.object({ version: z.string() });

/** Whether Jupyter answers on a node's own port, through its gate. Never rejects. */
export async function serves(
  { spec, reach }: Pick<ObservationDeps, 'spec' | 'reach'>,
  node: string,
  timeoutMs: number,
): Promise<boolean> {
  try {
    const address = nodeAddress(spec, nodeNames(spec).indexOf(node));
    const { host, port } = await reach.any(address, spec.jupyter.port);
    const answer = await httpRequest(`http://${host}:${port}/api`, {
      agent: unkept,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body: unknown = JSON.parse(await textOf(answer));
    return answer.status === 200 && versionSchema.safeParse(body).success;
  } catch {
    return false;
  }
}

/** Nodes whose own port answers. Never rejects. */
export async function whoServes(deps: ObservationDeps): Promise<string[]> {
  const nodes = nodeNames(deps.spec);
  const answers = await Promise.all(nodes.map((node) => serves(deps, node, askMs)));
  return nodes.filter((_, index) => answers[index]);
}

async function readRoutes({ spec, access }: ObservationDeps): Promise<InvariantsObservation['routes']> {
  const routes = await Promise.all(
    hostsWithRole(spec, 'proxy').map(async ({ name }) => {
      const route = await access
        .proxy(name, (client) => client.route({ timeoutMs: askMs }))
        .catch(() => null);
      return [name, route && { generation: route.generation, node: route.serving.node }] as const;
    }),
  );
  return Object.fromEntries(routes);
}

async function observeEtcd({ spec, access }: ObservationDeps): Promise<InvariantsObservation['etcd']> {
  const probes = await Promise.all(nodeNames(spec).map((node) => access.member(node)));
  const found = verdict(probes);
  return {
    ...(found.kind === 'verdict' && { leader: found.verdict.leader }),
    members: probes.map((probe) => ({ node: probe.node, healthy: probe.ok && probe.leader !== undefined })),
  };
}

/** Undefined without a volume, empty when no host reports it. */
async function observeVolume({
  spec,
  pool,
}: ObservationDeps): Promise<readonly BrickObservation[] | undefined> {
  const { storage } = spec;
  if (storage.kind !== 'gluster') return undefined;
  return await observeBricks(pool, brickHosts(spec), storage.volume);
}

/** The hosts with live processes of each node, found by the mark that all of them bear. */
async function findProcesses({ spec, pool }: ObservationDeps): Promise<Record<string, string[]>> {
  const nodes = nodeNames(spec);
  const found = await Promise.all(
    hostsWithRole(spec, 'agent').map(async (host) => {
      const connection = await pool.get(host);
      const looks = nodes.map((node) => {
        const mark = `${marks.tree}=${hostPaths(host).clusterNode(node)}`;
        return `if grep -qsazxF -e ${quote(mark)} /proc/[0-9]*/environ; then echo ${node}; fi`;
      });
      const output = await connection.run(looks.join('\n'), { timeoutMs: 10_000 });
      return { host: host.name, nodes: output.split('\n') };
    }),
  );
  return Object.fromEntries(
    nodes.map((node) => [node, found.filter((each) => each.nodes.includes(node)).map(({ host }) => host)]),
  );
}
