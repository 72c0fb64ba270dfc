/** A cluster for the keeper: real nodes with etcd and Jupyter, and real proxies. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { known } from '../../src/hosts/observation.js';
import { listenersAt } from '../../src/hosts/sockets.js';
import type { KeeperWays } from '../../src/activities/keeper.js';
import { nodeAddress, type ClusterSpec } from '../../src/cluster/spec.js';
import { directReach } from '../../src/ssh/reach.js';
import { prepareNodes, type TestNode, type TestNodes } from './nodes.js';
import { startProxy, type TestProxy } from './proxy.js';
import { makeHost } from './spec.js';

export interface KeeperCluster {
  readonly spec: ClusterSpec;
  readonly nodes: TestNodes;
  readonly proxies: readonly TestProxy[];
  readonly ways: KeeperWays;
  node(name: string): TestNode;
  /** Name of the current etcd leader's node. */
  leader(): Promise<string>;
  /** Jupyter's address on the node. */
  target(name: string): string;
  remove(): Promise<void>;
}

export interface KeeperClusterOptions {
  readonly name: string;
  /** First two octets of the loopback range, such as `127.26`. */
  readonly range: string;
  readonly nodes?: number;
  readonly proxies?: number;
}

export async function startKeeperCluster(options: KeeperClusterOptions): Promise<KeeperCluster> {
  const { name, range, nodes: count = 3, proxies: hosts = 3 } = options;
  const nodes = await prepareNodes({ count, firstAddress: `${range}.10.10` });
  const proxies: TestProxy[] = [];
  const remove = async () => {
    await Promise.all(proxies.map((proxy) => proxy.remove()));
    await nodes.remove();
  };
  let nodeToken: string;
  try {
    await nodes.startAll();
    const [first] = nodes.spec.hosts;
    const tokenFile = path.join(first?.dir ?? '', 'etc/node-secrets/node-api-token');
    nodeToken = (await readFile(tokenFile, 'utf8')).trim();
    for (let index = 1; index <= hosts; index++) {
      const address = `${range}.11.${index}`;
      proxies.push(await startProxy({ address, host: makeHost(`h${index}`, { address }) }));
    }
  } catch (error) {
    await remove();
    throw error;
  }
  // The keeper needs no host paths; so its recordings contain nothing of this machine.
  const spec: ClusterSpec = {
    ...nodes.spec,
    name,
    hosts: proxies.map(({ host }) => ({ ...host, dir: `/opt/perijove/${host.name}` })),
    jupyter: { ...nodes.spec.jupyter, executable: 'jupyter-lab' },
    storage: { kind: 'path', path: '/srv/notebooks' },
  };
  const node = (wanted: string): TestNode => {
    const found = nodes.nodes.find((each) => each.name === wanted);
    if (!found) throw new Error(`no node ${wanted}`);
    return found;
  };
  return {
    spec,
    nodes,
    proxies,
    ways: {
      reach: () => directReach,
      placement: async () => ({}),
      presentProxy: async () => known(undefined),
      listens: async (_host, { address, port }) => known(listenersAt(address, port).length > 0),
      etcdAccess: async () => ({ security: 'open' }),
      secrets: async () => ({ 'node-api-token': nodeToken, 'proxy-api-token': proxies[0]?.token ?? '' }),
    },
    node,
    leader: async () => {
      for (const each of nodes.nodes) {
        const status = await each.etcd.status().catch(() => undefined);
        if (status && status.leader === status.memberId) return each.name;
      }
      throw new Error('no leader');
    },
    target: (wanted) => {
      const index = nodes.nodes.indexOf(node(wanted));
      return `http://${nodeAddress(spec, index)}:${spec.jupyter.port}`;
    },
    remove,
  };
}
