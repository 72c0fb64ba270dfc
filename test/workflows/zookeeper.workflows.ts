/** The stage of ZooKeeper alone, with work on every host. */
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { Change } from '../../src/hosts/items.js';
import { zookeeper } from '../../src/workflows/stages/zookeeper.js';

export async function runZookeeperStage(spec: ClusterSpec): Promise<readonly Change[]> {
  const hosts = spec.hosts;
  return zookeeper.run({
    spec,
    seen: undefined,
    whole: spec,
    leaving: [],
    purgeRemoved: false,
    checked: undefined,
    identity: undefined,
    surveys: [],
    gotSecrets: new Set(),
    pending: () => hosts,
    note: () => undefined,
  });
}
