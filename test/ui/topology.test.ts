import { describe, expect, it } from 'vitest';
import { topologyOf } from '../../src/ui/topology.js';
import { recordedView } from './views.js';

const view = recordedView('ready');
const healthOf = (topology: ReturnType<typeof topologyOf>, host: string) =>
  Object.fromEntries(
    (topology.hosts.find(({ name }) => name === host)?.parts ?? []).map(({ kind, health, state }) => [
      kind,
      `${health}: ${state}`,
    ]),
  );

describe('the topology of a healthy lab', () => {
  const topology = topologyOf(view);

  it('shows what is on each host, and who leads', () => {
    expect(healthOf(topology, 'h2')).toEqual({
      zookeeper: 'good: follower',
      master: 'leads: leading',
      agent: 'good: registered',
      proxy: 'good: answers',
    });
    expect(healthOf(topology, 'h3')).toMatchObject({
      zookeeper: 'leads: leader',
      master: 'good: standing-by',
    });
  });

  it('shows each node on its host, and the one that serves', () => {
    expect(topology.hosts.map(({ name, nodes }) => [name, nodes.map((node) => node.name)])).toEqual([
      ['h1', ['node0', 'node3']],
      ['h2', ['node1', 'node4']],
      ['h3', ['node2']],
    ]);
    const nodes = topology.hosts.flatMap((host) => host.nodes);
    expect(nodes.filter(({ serves }) => serves).map(({ name, etcd }) => [name, etcd])).toEqual([
      ['node1', 'leads'],
    ]);
    expect(topology.homeless).toEqual([]);
  });

  it('leads from each host to the node that serves', () => {
    expect(
      topology.leads.map(({ host, port, node, through, healthy }) => [host, port, node, through, healthy]),
    ).toEqual(['h1', 'h2', 'h3'].map((host) => [host, 8888, 'node1', null, true]));
  });
});

describe('the topology of a lab without one host', () => {
  const topology = topologyOf(recordedView('crashed'));

  it('does not say of a host without an answer that its programs are down', () => {
    expect(topology.hosts.map(({ silent }) => silent)).toEqual([false, true, false]);
    expect(healthOf(topology, 'h2')).toMatchObject({
      zookeeper: 'unknown: no-answer',
      master: 'unknown: no-answer',
      proxy: 'unknown: no-answer',
    });
    expect(topology.leads.find(({ host }) => host === 'h2')).toMatchObject({ known: false, node: null });
  });

  it('shows nodes with a silent member as faulty', () => {
    const nodes = topology.hosts.flatMap((host) => host.nodes);
    expect(nodes.filter(({ health }) => health === 'bad').map(({ name }) => name)).toEqual([
      'node1',
      'node4',
    ]);
  });
});

describe('what is not known', () => {
  it('is not taken for a missing task', () => {
    const { status } = view;
    const tasks = status.framework.tasks.map((task) => ({ ...task, host: null, state: 'ABSENT' }));
    const workflows = { ...status.workflows, framework: 'unknown' as const };
    const of = (unknown: boolean) =>
      topologyOf({
        ...view,
        status: {
          ...status,
          framework: { ...status.framework, tasks },
          ...(unknown && { workflows }),
        },
      }).homeless.map(({ health }) => health);
    expect(of(true)).toEqual(Array(5).fill('unknown'));
    expect(of(false)).toEqual(Array(5).fill('bad'));
  });

  it('is a route through another host, if no node is at its address', () => {
    const [first, ...others] = view.status.proxies;
    if (first === undefined) throw new Error('a lab has proxies');
    const proxies = [{ ...first, target: 'http://127.91.1.2:8889' }, ...others];
    const [lead] = topologyOf({ ...view, status: { ...view.status, proxies } }).leads;
    expect(lead).toMatchObject({ node: 'node1', through: 'h2' });
  });
});
