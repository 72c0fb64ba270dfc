import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { budgetOf, refusalOf } from '../../src/drill/definition.js';
import { catalogue, findDrill, type Drill } from '../../src/drill/faults/index.js';
import type { Roles } from '../../src/drill/roles.js';
import { randomSeries } from '../../src/drill/series.js';
import { candidates, checkSafe, checkTarget, chooseTarget } from '../../src/drill/target.js';
import { agentPatienceMs } from '../../src/cluster/spec.js';
import { mesosObservation } from '../support/drill.js';
import { makeGluster, makeSpec } from '../support/spec.js';

const spec = makeSpec({ name: 'drilled' });
const roles: Roles = {
  leader: 'node1',
  term: 2,
  serving: 'node1',
  zookeeperLeader: 'h3',
  scheduler: '1@a',
  keeper: '2@a',
  mesos: mesosObservation('h3'),
  hostOf: { node0: 'h1', node1: 'h2', node2: 'h3', node3: 'h1', node4: 'h2' },
};

function drill(name: string): Drill {
  const found = findDrill(name);
  if (!found) throw new Error(name);
  return found;
}

it('has every drill once, with a budget', () => {
  expect(new Set(catalogue.map(({ name }) => name)).size).toBe(19);
  for (const definition of catalogue) expect(budgetOf(definition, spec)).toBeGreaterThan(0);
});

it('knows from the spec which drills are possible', () => {
  const apart = {
    ...spec,
    hosts: spec.hosts.map((host, index) => ({ ...host, address: `172.16.6.${10 + index}` })),
  };
  const refused = (cluster: typeof spec, inLab: boolean) =>
    catalogue.filter((each) => refusalOf(each, cluster, inLab) !== undefined).map(({ name }) => name);
  expect(refused(spec, true)).toEqual(['partition', 'partition-peers', 'disk-full', 'gluster-brick-down']);
  expect(refused(spec, false)).toEqual([
    'worker-kill',
    'host-crash',
    'partition',
    'partition-peers',
    'disk-full',
    'gluster-brick-down',
  ]);
  expect(refused(apart, false)).toEqual(['worker-kill', 'gluster-brick-down']);
  const cold = { ...apart, jupyter: { ...spec.jupyter, standby: 'cold' as const } };
  expect(refused(cold, false)).toEqual(['jupyter-kill-follower', 'worker-kill', 'gluster-brick-down']);
  expect(candidates(drill('kernel-kill'), roles, cold)).toEqual(['node1']);
  const gluster = makeGluster();
  expect(refused({ ...apart, storage: gluster }, false)).toEqual(['worker-kill']);
});

describe('targets', () => {
  it.each([
    ['node-kill', 'node1'],
    ['node-kill-follower', 'node0'],
    ['jupyter-kill', 'node1'],
    ['jupyter-kill-follower', 'node0'],
    ['kernel-kill', 'node0'],
    ['proxy-kill', 'h1'],
    ['zookeeper-kill-leader', 'h3'],
    ['worker-kill', 'scheduler'],
    // The host of the leader.
    ['host-crash', 'h2'],
    ['partition', 'h2'],
    ['partition-peers', 'h2'],
    ['disk-full', 'h2'],
    ['gluster-brick-down', 'h1'],
    ['master-suspend', 'h3'],
    ['master-kill', 'h3'],
    ['agent-kill', 'h2'],
    ['agent-stop', 'h2'],
  ])('%s is done to %s by default', (name, target) => {
    expect(chooseTarget(drill(name), roles, spec, {})).toBe(target);
  });

  it('are named or picked', () => {
    expect(chooseTarget(drill('proxy-kill'), roles, spec, { target: 'h3' })).toBe('h3');
    expect(chooseTarget(drill('proxy-kill'), roles, spec, { pick: 4 })).toBe('h2');
    expect(candidates(drill('node-kill-follower'), roles, spec)).not.toContain('node1');
  });

  it.each([
    ['node-kill-follower', 'node1'],
    ['jupyter-kill-follower', 'node1'],
    ['node-kill', 'node0'],
    ['proxy-kill', 'h9'],
  ])('%s of %s is currently rejected', (name, target) => {
    expect(() => chooseTarget(drill(name), roles, spec, { target })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_TARGET' }) as Error,
    );
  });

  it('that do not exist are rejected without observing the cluster', () => {
    expect(() => checkTarget(drill('host-crash'), spec, 'h2')).not.toThrow();
    expect(() => checkTarget(drill('node-kill'), spec, 'node0')).not.toThrow();
    expect(() => checkTarget(drill('host-crash'), spec, 'h9')).toThrow(/h9 is not a target of host-crash/);
    expect(() => checkTarget(drill('worker-kill'), spec, 'h1')).toThrow(/scheduler, keeper|worker-kill/);
  });
});

describe('safety', () => {
  const refused = expect.objectContaining({ code: 'DRILL_UNSAFE' }) as Error;

  it('keeps a quorum of etcd', () => {
    const crowded = { ...roles, hostOf: { ...roles.hostOf, node0: 'h2' } };
    expect(() => checkSafe(drill('host-crash'), roles, spec, 'h2')).not.toThrow();
    expect(() => checkSafe(drill('host-crash'), crowded, spec, 'h2')).toThrow(refused);
    const two = { ...spec, nodes: { ...spec.nodes, count: 2 } };
    expect(() => checkSafe(drill('node-kill'), roles, two, 'node1')).toThrow(refused);
    // Transferring leadership removes no member.
    expect(() => checkSafe(drill('etcd-move'), roles, two, 'node0')).not.toThrow();
  });

  it('keeps a quorum of ZooKeeper', () => {
    const [first, ...rest] = spec.hosts;
    if (!first) throw new Error('a host');
    const lonely = {
      ...spec,
      hosts: [first, ...rest.map((host) => ({ ...host, roles: ['agent' as const] }))],
    };
    expect(() => checkSafe(drill('zookeeper-kill-leader'), roles, lonely, 'h1')).toThrow(refused);
    expect(() => checkSafe(drill('zookeeper-kill-leader'), roles, spec, 'h1')).not.toThrow();
    expect(() => checkSafe(drill('host-crash'), roles, lonely, 'h1')).toThrow(refused);
    expect(() => checkSafe(drill('host-crash'), roles, lonely, 'h3')).not.toThrow();
  });
});

describe('safety of Mesos', () => {
  it('keeps a quorum of masters', () => {
    const pair = { ...spec, mesos: { ...spec.mesos, quorum: 3 } };
    for (const name of ['master-suspend', 'master-kill']) {
      expect(() => checkSafe(drill(name), roles, spec, 'h3')).not.toThrow();
      expect(() => checkSafe(drill(name), roles, pair, 'h3')).toThrow(/quorum without h3/);
    }
    expect(() => checkSafe(drill('host-crash'), roles, pair, 'h1')).toThrow(/Mesos masters/);
  });

  it('budgets include the timeouts of the spec', () => {
    const budget = (name: string) => budgetOf(drill(name), spec);
    expect(budget('master-kill')).toBeGreaterThan(spec.mesos.sessionTimeoutMs);
    expect(budget('agent-stop')).toBeGreaterThan(agentPatienceMs(spec.mesos) + spec.mesos.agentPingTimeoutMs);
    const storage = makeGluster({ brick: '/b', mount: '/m' });
    expect([spec, makeSpec({ storage })].map((of) => budgetOf(drill('partition'), of))).toEqual([
      5_000, 11_000,
    ]);
  });

  it('targets no agent without a node', () => {
    const idle = { ...roles, hostOf: { node1: 'h2' } };
    expect(candidates(drill('agent-kill'), idle, spec)).toEqual(['h2']);
  });
});

describe('a random series', () => {
  it('is the same for the same seed, and a prefix of a longer one', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(40), fc.nat(40), (seed, count, more) => {
        const series = randomSeries(catalogue, count, seed);
        expect(series).toHaveLength(count);
        expect(randomSeries(catalogue, count + more, seed).slice(0, count)).toEqual(series);
      }),
    );
  });

  it('differs for another seed, and contains every drill eventually', () => {
    const series = randomSeries(catalogue, 200, 'a');
    expect(randomSeries(catalogue, 200, 'b')).not.toEqual(series);
    expect(new Set(series.map((step) => step.drill)).size).toBe(catalogue.length);
  });

  it('is empty if nothing is possible', () => {
    expect(randomSeries([], 5, 'a')).toEqual([]);
  });
});
