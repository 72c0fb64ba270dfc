import { request } from 'undici';
import { z } from 'zod';
import { verdict } from '../etcd/verdict.js';
import { hostPaths } from '../hosts/paths.js';
import type { KeeperAccess } from '../keeper/access.js';
import type { Credential } from '../mesos/masters/http.js';
import { marks } from '../node/layout.js';
import { brickHosts, hostsWithRole, nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import type { BrickLook } from '../storage/gluster.js';
import { lookAtBricks } from '../storage/volume.js';
import { quote } from '../ssh/shell.js';
import type { ClusterSight } from './decide.js';
import { lookAtFormerLeader, lookAtMesos } from './mesos-look.js';
import type { DrillPlan } from './model.js';
import { readNotebooks } from './notebooks.js';

export interface LookDeps {
  readonly spec: ClusterSpec;
  readonly pool: SshPool;
  readonly reach: Reach;
  readonly access: KeeperAccess;
  /** Where the spec names a principal. */
  readonly credential?: Credential;
}

const askMs = 2_000;

/** One look at everything that must hold. Never rejects: what cannot be seen is missing from it. */
export async function lookAtCluster(
  deps: LookDeps,
  { fault }: Pick<DrillPlan, 'fault'>,
): Promise<ClusterSight> {
  const { spec } = deps;
  const orNothing = <T>(look: Promise<T>) => look.catch(() => undefined);
  const [serving, routes, etcd, mesos, formerLeader, processes, notebooks, bricks] = await Promise.all([
    whoServes(deps),
    readRoutes(deps),
    lookAtEtcd(deps),
    lookAtMesos(deps),
    orNothing(lookAtFormerLeader(deps, fault)),
    orNothing(findProcesses(deps)),
    orNothing(readNotebooks(deps.pool, spec)),
    lookAtVolume(deps),
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

/** Whether a Jupyter answers at the port of a node itself, through its gate. Never rejects. */
export async function serves(
  { spec, reach }: Pick<LookDeps, 'spec' | 'reach'>,
  node: string,
  timeoutMs: number,
): Promise<boolean> {
  try {
    const address = nodeAddress(spec, nodeNames(spec).indexOf(node));
    const { host, port } = await reach.any(address, spec.jupyter.port);
    const answer = await request(`http://${host}:${port}/api`, {
      reset: true,
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body = await answer.body.json();
    return answer.statusCode === 200 && versionSchema.safeParse(body).success;
  } catch {
    return false;
  }
}

/** Nodes whose own port answers. Never rejects. */
export async function whoServes(deps: LookDeps): Promise<string[]> {
  const nodes = nodeNames(deps.spec);
  const answers = await Promise.all(nodes.map((node) => serves(deps, node, askMs)));
  return nodes.filter((_, index) => answers[index]);
}

async function readRoutes({ spec, access }: LookDeps): Promise<ClusterSight['routes']> {
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

async function lookAtEtcd({ spec, access }: LookDeps): Promise<ClusterSight['etcd']> {
  const probes = await Promise.all(nodeNames(spec).map((node) => access.member(node)));
  const found = verdict(probes);
  return {
    ...(found.kind === 'verdict' && { leader: found.verdict.leader }),
    members: probes.map((probe) => ({ node: probe.node, healthy: probe.ok && probe.leader !== undefined })),
  };
}

/** Undefined where there is no volume, empty when nobody tells of it. */
async function lookAtVolume({ spec, pool }: LookDeps): Promise<readonly BrickLook[] | undefined> {
  const { storage } = spec;
  if (storage.kind !== 'gluster') return undefined;
  return await lookAtBricks(pool, brickHosts(spec), storage.volume);
}

/** On which hosts the processes of each node live, by the mark that all of them bear. */
async function findProcesses({ spec, pool }: LookDeps): Promise<Record<string, string[]>> {
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
