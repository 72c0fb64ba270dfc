import type { ClusterSpec } from '../../cluster/spec.js';
import { pause } from '../../net/pause.js';
import type { Reach } from '../../ssh/reach.js';
import { connectZooKeeper, type ZooKeeperClient } from '../../zookeeper/client.js';
import { ensembleServers, readLeader, type MasterInfo } from './detector.js';
import type { MesosSecrets } from '../installation/secrets.js';

export type LeaderNews =
  /** The leader; undefined when there is none. */
  | { readonly kind: 'leader'; readonly leader: MasterInfo | undefined }
  /** ZooKeeper cannot be asked: the last leader may still lead. */
  | { readonly kind: 'blind'; readonly error: unknown };

const sessionTimeoutMs = 10_000;
const connectTimeoutMs = 5_000;
const retryMs = 500;
/** A watch fires at once; a missing znode cannot be watched. */
const pollMs = 1_000;

/** The leading master according to ZooKeeper: now, and at each change. Ends when the signal aborts. */
export async function* watchLeader(
  reach: Reach,
  spec: ClusterSpec,
  signal: AbortSignal,
  { digest }: MesosSecrets = {},
): AsyncGenerator<LeaderNews, void> {
  while (!signal.aborted) {
    let zookeeper: ZooKeeperClient | undefined;
    try {
      zookeeper = await connectZooKeeper(await ensembleServers(reach, spec), {
        sessionTimeoutMs,
        connectTimeoutMs,
        ...(digest !== undefined && { digest }),
      });
      yield* leadersOf(zookeeper, spec.mesos.zkPath, signal);
    } catch (error) {
      if (signal.aborted) return;
      yield { kind: 'blind', error };
    } finally {
      await zookeeper?.close();
    }
    await pause(retryMs, signal);
  }
}

async function* leadersOf(
  zookeeper: ZooKeeperClient,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<LeaderNews, void> {
  let wake = () => {};
  const changed = () => wake();
  zookeeper.on('expired', changed);
  signal.addEventListener('abort', changed);
  let last: string | undefined;
  try {
    while (!signal.aborted) {
      const next = new Promise<void>((resolve) => (wake = resolve));
      if (await zookeeper.exists(path)) await zookeeper.getChildren(path, changed);
      const leader = await readLeader(zookeeper, path);
      const id = leader?.id ?? '';
      if (id !== last) yield { kind: 'leader', leader };
      last = id;
      const timer = setTimeout(changed, pollMs);
      await next;
      clearTimeout(timer);
    }
  } finally {
    signal.removeEventListener('abort', changed);
  }
}
