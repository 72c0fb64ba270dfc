/** Planned moves of leadership among real nodes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccess, type KeeperAccess } from '../../src/keeper/access.js';
import { moveLeadership } from '../../src/keeper/leadership.js';
import { eventually } from '../support/eventually.js';
import { startKeeperCluster, type KeeperCluster } from '../support/keeper-cluster.js';

/** Nodes whose Jupyter is cold. */
let cluster: KeeperCluster;
let access: KeeperAccess;

beforeAll(async () => {
  cluster = await startKeeperCluster({ name: 'leadership', range: '127.33', proxies: 0 });
  const { spec, ways } = cluster;
  access = createAccess({
    spec,
    reach: ways.reach(spec),
    secrets: () => ways.secrets(spec),
    etcdAccess: () => ways.etcdAccess(spec),
    placement: async () => ({}),
  });
});

afterAll(async () => {
  access.close();
  await cluster.remove();
});

describe('a planned move', () => {
  it('starts Jupyter on a node that has another spec than the keeper', async () => {
    const { spec, nodes } = cluster;
    const warm = { ...spec, jupyter: { ...spec.jupyter, standby: 'warm', reflexes: true } as const };
    const leader = await eventually('a node leads', () => cluster.leader());
    const { term } = await cluster.node(leader).etcd.status();
    const to = nodes.nodes.map(({ name }) => name).find((name) => name !== leader) ?? '';
    const stopped = (await cluster.node(to).control.status()).jupyter;
    expect(stopped.state).toBe('stopped');
    const verdict = { leader, term, live: nodes.nodes.map(({ name }) => name) };
    const input = { spec: warm, generation: 1, verdict, to, prepare: true };
    expect(await moveLeadership(access, input)).toEqual({ led: true });
    expect((await cluster.node(to).control.status()).jupyter.state).toBe('ready');
    expect(await cluster.leader()).toBe(to);
  });
});
