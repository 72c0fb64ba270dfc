import * as z from 'zod';
import { PerijoveError } from '../../errors/error.js';
import { hostsWithRole, type ClusterSpec } from '../../cluster/spec.js';
import type { Reach } from '../../ssh/reach.js';
import { candidates, sequenceOf } from './candidates.js';
import { connectZooKeeper, ZNodeError, type ZooKeeperClient } from '../../zookeeper/client.js';
import type { MesosSecrets } from '../installation/secrets.js';

/** What a master writes about itself to its znode; unknown fields are dropped. */
export const masterInfoSchema = z.object({
  id: z.string(),
  hostname: z.string(),
  pid: z.string(),
  version: z.string().optional(),
  address: z.object({ hostname: z.string().optional(), ip: z.string(), port: z.number().int() }),
});

export type MasterInfo = z.infer<typeof masterInfoSchema>;

export interface RegisteredMaster extends MasterInfo {
  /** The sequence number of its znode: the lowest one leads. */
  readonly sequence: number;
}

/**
 * The leading master according to ZooKeeper: the lowest-numbered `json.info_*` below the spec's path.
 * Resolves to undefined when there is no candidate. It is dialled at `address.ip` and `address.port`.
 *
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE, ZOOKEEPER_AUTH_FAILED
 */
export async function leadingMaster(
  reach: Reach,
  spec: ClusterSpec,
  secrets: MesosSecrets = {},
): Promise<MasterInfo | undefined> {
  return await withEnsemble(reach, spec, secrets, (zookeeper) => readLeader(zookeeper, spec.mesos.zkPath));
}

/** The same with an existing session. @throws PerijoveError ZOOKEEPER_AUTH_FAILED */
export async function readLeader(zookeeper: ZooKeeperClient, path: string): Promise<MasterInfo | undefined> {
  for (;;) {
    const [name] = candidates(await childrenOf(zookeeper, path));
    if (name === undefined) return undefined;
    try {
      const { data } = await zookeeper.getData(`${path}/${name}`);
      return masterInfoSchema.parse(JSON.parse(data.toString('utf8')));
    } catch (error) {
      // It was removed between the two requests: another one leads now.
      if (!(error instanceof ZNodeError && error.code === 'NO_NODE')) throw refusedOr(error);
    }
  }
}

/**
 * All masters that take part in the election now, the leading one first: those that run and have a session.
 *
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE, ZOOKEEPER_AUTH_FAILED
 */
export async function registeredMasters(
  reach: Reach,
  spec: ClusterSpec,
  secrets: MesosSecrets = {},
): Promise<RegisteredMaster[]> {
  return await withEnsemble(reach, spec, secrets, (zookeeper) => readMasters(zookeeper, spec.mesos.zkPath));
}

/** The same with an existing session. @throws PerijoveError ZOOKEEPER_AUTH_FAILED */
export async function readMasters(zookeeper: ZooKeeperClient, path: string): Promise<RegisteredMaster[]> {
  const names = candidates(await childrenOf(zookeeper, path));
  const infos = await Promise.all(
    names.map(async (name) => {
      try {
        const { data } = await zookeeper.getData(`${path}/${name}`);
        const info = masterInfoSchema.parse(JSON.parse(data.toString('utf8')));
        return [{ ...info, sequence: sequenceOf(name) }];
      } catch (error) {
        if (error instanceof ZNodeError && error.code === 'NO_NODE') return [];
        throw refusedOr(error);
      }
    }),
  );
  return infos.flat();
}

async function childrenOf(zookeeper: ZooKeeperClient, path: string): Promise<readonly string[]> {
  try {
    return await zookeeper.getChildren(path);
  } catch (error) {
    if (error instanceof ZNodeError && error.code === 'NO_NODE') return [];
    throw refusedOr(error);
  }
}

/** A digest that ZooKeeper refuses is refused again on the next attempt. */
export function refusedOr(error: unknown): unknown {
  if (!(error instanceof ZNodeError && error.code === 'NO_AUTH')) return error;
  return new PerijoveError(
    'ZOOKEEPER_AUTH_FAILED',
    `ZooKeeper rejects this cluster's digest at the znode ${error.path}`,
    { subject: error.path, cause: error },
  );
}

/** @throws PerijoveError ZOOKEEPER_UNREACHABLE; whatever the work throws */
export async function withEnsemble<T>(
  reach: Reach,
  spec: ClusterSpec,
  secrets: { readonly digest?: string; readonly formerDigests?: readonly string[] },
  work: (zookeeper: ZooKeeperClient) => Promise<T>,
): Promise<T> {
  const zookeeper = await connectZooKeeper(await ensembleServers(reach, spec), {
    sessionTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    ...(secrets.digest !== undefined && { digest: secrets.digest }),
    ...(secrets.formerDigests && { formerDigests: secrets.formerDigests }),
  });
  try {
    return await work(zookeeper);
  } finally {
    await zookeeper.close();
  }
}

/**
 * `host:port,host:port`, with the local end of a tunnel for each server that has one.
 *
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE
 */
export async function ensembleServers(reach: Reach, spec: ClusterSpec): Promise<string> {
  const ways = await Promise.allSettled(
    hostsWithRole(spec, 'zookeeper').map((host) => reach.via(host.name, host.address, host.ports.zookeeper)),
  );
  const servers = ways.flatMap((way) =>
    way.status === 'fulfilled' ? [`${way.value.host}:${way.value.port}`] : [],
  );
  if (servers.length === 0) {
    throw new PerijoveError('ZOOKEEPER_UNREACHABLE', 'no host of the ZooKeeper ensemble can be reached', {
      cause: ways.find((way) => way.status === 'rejected')?.reason,
    });
  }
  return servers.join(',');
}
