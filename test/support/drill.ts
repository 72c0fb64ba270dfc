/** A typical drill: node0 led and died at 101 s, node1 leads at 101.5 s and serves at 101.8 s. */
import type { Conclusion } from '../../src/drill/decide.js';
import type { Span } from '../../src/drill/evidence.js';
import type { MesosObservation } from '../../src/drill/mesos.js';
import type { DrillPlan, Healing, Recovery } from '../../src/drill/model.js';

const hosts = ['h1', 'h2', 'h3'];

export function drillPlan(change: Partial<DrillPlan> = {}): DrillPlan {
  return {
    drill: 'node-kill',
    target: 'node0',
    fault: { kind: 'node-kill', node: 'node0', host: 'h1', base: '/n/node0', owner: { pid: 7, start: 8 } },
    expects: 'leader-moves',
    budgetMs: 3_000,
    mayFail: 'all',
    before: {
      leader: 'node0',
      term: 2,
      serving: 'node0',
      zookeeperLeader: 'h2',
      scheduler: '1@a',
      keeper: '2@a',
    },
    hosts,
    struckHost: 'h1',
    notebooks: [],
    marker: 'perijove-drill-1.ipynb',
    ...change,
  };
}

export function recovery(): Recovery {
  const http: Span[] = [
    { from: 100_000, to: 101_000, state: 'ok', probes: 20 },
    { from: 101_000, to: 102_000, state: 'failed', probes: 20, why: 'answered 503' },
    { from: 102_000, to: 104_000, state: 'ok', probes: 40 },
  ];
  const websocket: Span[] = [
    { from: 100_000, to: 101_000, state: 'ok', probes: 10 },
    { from: 101_000, to: 102_500, state: 'failed', probes: 15, why: 'closed (1006)' },
    { from: 102_500, to: 104_000, state: 'ok', probes: 15 },
  ];
  return {
    startedAt: 100_000,
    endedAt: 104_000,
    faultAt: 101_000,
    recovered: true,
    lanes: hosts.map((host) => ({ host, http, websocket })),
    events: [
      { at: 100_050, kind: 'leader', subject: 'node0', term: 2, what: 'node0 leads etcd, term 2' },
      { at: 100_100, kind: 'serving', subject: 'node0', what: 'Jupyter responds on node0' },
      { at: 101_000, kind: 'fault', what: 'SIGKILL to node0 on h1' },
      { at: 101_100, kind: 'silent', subject: 'node0', what: 'Jupyter on node0 no longer responds' },
      { at: 101_500, kind: 'leader', subject: 'node1', term: 3, what: 'node1 leads etcd, term 3' },
      { at: 101_800, kind: 'serving', subject: 'node1', what: 'Jupyter responds on node1' },
    ],
  };
}

/** @param extra spans through h1 after the healing */
export function healed(extra: readonly Span[] = []): Healing {
  return {
    startedAt: 104_500,
    endedAt: 107_000,
    lanes: hosts.map((host, index) => ({
      host,
      http: [{ from: 104_500, to: 105_000, state: 'ok', probes: 10 }, ...(index === 0 ? extra : [])],
      websocket: [],
    })),
    events: [
      { at: 105_000, kind: 'healed', what: 'nothing to heal' },
      { at: 106_000, kind: 'whole', what: 'the cluster is healthy' },
    ],
    invariants: [{ name: 'etcd', holds: true, what: 'etcd is healthy: 5 members, node1 leads' }],
  };
}

export function conclusionOf(change: Partial<Conclusion> = {}): Conclusion {
  return {
    cluster: 'lab',
    number: 1,
    standby: 'warm',
    plan: drillPlan(),
    recovery: recovery(),
    healing: healed(),
    ...change,
  };
}

/** Three masters with one leader, three agents, and node0 and node1 on the first two. */
export function mesosObservation(leader = 'h1', since = 100): MesosObservation {
  return {
    masters: Object.fromEntries(hosts.map((host) => [host, leader])),
    state: {
      agents: Object.fromEntries(hosts.map((host) => [host, { id: `S-${host}`, since, active: true }])),
      connected: true,
      tasks: {
        node0: [{ id: 'node0.1', agentId: 'S-h1', state: 'TASK_RUNNING' }],
        node1: [{ id: 'node1.4', agentId: 'S-h2', state: 'TASK_RUNNING' }],
      },
    },
  };
}
