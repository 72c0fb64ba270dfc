import { describe, expect, it } from 'vitest';
import {
  followsOf,
  keptTasks,
  lastWordsIn,
  mesosEvents,
  missingForMesos,
  mesosOf,
  withVanishing,
  type MesosObservation,
  type MesosState,
} from '../../src/drill/mesos.js';
import { mesosObservation } from '../support/drill.js';

/** An observation with another state. */
function seen(change: (state: MesosState) => Partial<MesosState>, leader = 'h1'): MesosObservation {
  const observation = mesosObservation(leader);
  const { state } = observation;
  if (!state) throw new Error('a state');
  return { ...observation, state: { ...state, ...change(state) } };
}
const agents = (change: MesosState['agents']) =>
  seen((state) => ({ agents: { ...state.agents, ...change } }));
const without = (host: string, leader?: string): MesosObservation =>
  seen(
    (state) => ({
      agents: Object.fromEntries(Object.entries(state.agents).filter(([name]) => name !== host)),
      tasks: {
        ...state.tasks,
        node0: (state.tasks['node0'] ?? []).map((task) => ({ ...task, state: 'TASK_UNREACHABLE' })),
      },
    }),
    leader,
  );

describe('events', () => {
  const whats = (before: MesosObservation, now: MesosObservation, reported?: string) =>
    mesosEvents(before, now, reported).map(({ kind, what }) => `${kind}: ${what}`);

  it('are none when nothing changed', () => {
    expect(whats(mesosObservation(), mesosObservation(), 'h1')).toEqual([]);
  });

  it('follow a suspended master until it follows the new leader', () => {
    const silent = { masters: { h2: 'h1', h3: 'h1' } };
    const elected = { ...mesosObservation('h2', 200), masters: { h2: 'h2', h3: 'h2' } };
    expect(whats(mesosObservation(), silent, 'h1')).toEqual([
      'master-silent: the master on h1 no longer responds',
      'mesos-no-leader: no Mesos master is leading',
    ]);
    expect(whats(silent, elected)).toEqual([
      'mesos-leader: h2 leads Mesos',
      'agent: the agent on h1 is registered (S-h1)',
      'agent: the agent on h2 is registered (S-h2)',
      'agent: the agent on h3 is registered (S-h3)',
    ]);
    expect(whats(elected, mesosObservation('h2', 200), 'h2')).toEqual([
      'master: the master on h1 follows h2',
    ]);
  });

  it('follow a stopped agent that vanishes before its tasks are marked', () => {
    const { state: before } = mesosObservation();
    const marked = without('h1').state;
    if (before === undefined || marked === undefined) throw new Error('no state');
    const { h1, ...others } = before.agents;
    expect(h1).toBeDefined();
    const vanished = withVanishing(before, { ...before, agents: others });
    expect(vanished.agents['h1']).toEqual(h1);
    const masters = mesosObservation().masters;
    expect(whats({ masters, state: vanished }, { masters, state: marked }, 'h1')).toEqual([
      'agent-lost: the master marked the agent on h1 unreachable: 1 task',
    ]);
    expect(withVanishing(vanished, marked)).toEqual(marked);
  });

  it('follow a stopped agent, and its return', () => {
    const cut = agents({ h1: { id: 'S-h1', since: 100, active: false } });
    expect(whats(mesosObservation(), cut, 'h1')).toEqual(['agent-lost: the agent on h1 is disconnected']);
    expect(whats(cut, without('h1'), 'h1')).toEqual([
      'agent-lost: the master marked the agent on h1 unreachable: 1 task',
    ]);
    expect(whats(without('h1'), mesosObservation(), 'h1')).toEqual([
      'agent: the agent on h1 is registered (S-h1)',
    ]);
  });

  it('include an agent that restarted between two observations', () => {
    expect(whats(mesosObservation(), agents({ h1: { id: 'S-h1', since: 101, active: true } }), 'h1')).toEqual(
      ['agent: the agent on h1 is registered (S-h1)'],
    );
  });
});

describe('missing recovery', () => {
  const missing = (
    expects: 'master-moves' | 'agent-back' | 'agent-unreachable',
    now: MesosObservation,
    steadyMs = 60_000,
  ) => missingForMesos({ expects, host: 'h1', before: mesosObservation() }, now, steadyMs);

  it('reports the leader, its registry, all agents and the framework', () => {
    expect(missing('master-moves', { masters: { h2: null } })).toBe('no Mesos master is leading');
    expect(missing('master-moves', mesosObservation('h1'))).toBe('h1 still leads Mesos');
    expect(missing('master-moves', { masters: mesosObservation('h2').masters })).toMatch(/h2 .* registry/);
    expect(missing('master-moves', without('h3', 'h2'))).toBe('agents not registered: h3');
    expect(
      missing(
        'master-moves',
        seen(() => ({ connected: false }), 'h2'),
      ),
    ).toMatch(/not subscribed/);
    expect(missing('master-moves', mesosObservation('h2'))).toBeUndefined();
  });

  it('reports an agent that has not registered since the fault', () => {
    expect(missing('agent-back', mesosObservation())).toMatch(/not restarted/);
    expect(missing('agent-back', agents({ h1: { id: 'S-h1', since: 101, active: false } }))).toMatch(/: h1/);
    expect(missing('agent-back', agents({ h1: { id: 'S-h1', since: 101, active: true } }))).toBeUndefined();
  });

  it('waits until tasks are unreachable, for as long as fencing could make a mistake', () => {
    expect(missing('agent-unreachable', mesosObservation())).toMatch(/not marked unreachable/);
    expect(missing('agent-unreachable', without('h1'), 14_000)).toMatch(/fencing/);
    expect(missing('agent-unreachable', without('h1'), 15_000)).toBeUndefined();
    const half = { ...without('h1'), state: { ...seen(() => ({})).state, agents: {} } as MesosState };
    expect(missing('agent-unreachable', half)).toBe('tasks that are not unreachable: node0.1');
  });
});

describe('invariants', () => {
  it.each<[string, MesosObservation | undefined, RegExp]>([
    ['no observation', undefined, /no Mesos master/],
    ['no leader', { masters: { h1: null } }, /no Mesos master is leading/],
    [
      'a master that follows no leader',
      { ...mesosObservation(), masters: { h1: 'h1', h2: 'h1', h3: null } },
      /h3 follows nobody/,
    ],
    ['a missing agent', agents({ h2: { id: 'S-h2', since: 1, active: false } }), /not registered: h2/],
    ['no framework', seen(() => ({ connected: false })), /not subscribed/],
  ])('not: %s', (_, observation, what) => {
    expect(mesosOf(observation)).toEqual({
      name: 'mesos',
      holds: false,
      what: expect.stringMatching(what) as string,
    });
  });

  it('hold when one master leads and all follow', () => {
    expect(mesosOf(mesosObservation())).toMatchObject({
      holds: true,
      what: 'h1 leads Mesos: 3 masters, 3 agents',
    });
  });

  it('hold for the same tasks on the same agents, and no others', () => {
    expect(keptTasks(mesosObservation('h1'), mesosObservation('h2', 300)).holds).toBe(true);
    const renamed = agents({ h1: { id: 'S-new', since: 1, active: true } });
    expect(keptTasks(mesosObservation(), renamed).what).toMatch(/h1 was S-h1, is S-new/);
    const twice = (id: string) =>
      seen(({ tasks }) => ({
        tasks: {
          ...tasks,
          node0: [...(tasks['node0'] ?? []), { id, agentId: 'S-h2', state: 'TASK_RUNNING' }],
        },
      }));
    expect(keptTasks(mesosObservation(), twice('node0.2'))).toMatchObject({
      holds: false,
      what: 'relaunched nodes: node0 was node0.1, is node0.1, node0.2',
    });
    expect(
      keptTasks(
        mesosObservation(),
        seen(() => ({ tasks: {} })),
      ).holds,
    ).toBe(false);
    expect(keptTasks(mesosObservation(), without('h3')).what).toMatch(/h3 was S-h3, is undefined/);
  });

  it('hold when a suspended master exits with a reason and follows', () => {
    const words = 'Lost leadership... committing suicide!';
    const after = mesosObservation('h2');
    expect(followsOf({ ended: true, words }, after, 'h1')).toMatchObject({
      holds: true,
      what: `the old master on h1 logged "${words}" and exited; after its restart it follows h2`,
    });
    expect(followsOf({ ended: false }, after, 'h1').what).toMatch(/did not exit, and h2 leads/);
    expect(followsOf({ ended: true }, after, 'h1').what).toMatch(/without logging a reason/);
    expect(followsOf({ ended: true, words }, { masters: { h2: 'h2' } }, 'h1').holds).toBe(false);
    expect(followsOf(undefined, after, 'h1').holds).toBe(false);
  });

  it('hold when its session did not expire and it still leads', () => {
    expect(followsOf({ ended: false }, mesosObservation('h1'), 'h1').holds).toBe(true);
  });
});

describe('the last message of a master', () => {
  const at = Date.parse('2026-11-22T09:10:03Z');
  const words = 'Lost leadership... committing suicide!';

  it('is read from logs of svlogd and of journald', () => {
    expect(lastWordsIn(`2026-11-22_09:10:03.05991 ${words}\n`, at)).toBe(words);
    expect(lastWordsIn(`2026-11-22T10:10:03+0100 h1 mesos-master[77]: ${words}\n`, at)).toBe(words);
  });

  it.each([
    '2026-11-22 09:10:03,051:22785(0x7f2e62d016c0):ZOO_INFO@zookeeper_close@3877: Freeing zookeeper resources',
    'I1122 09:10:03.051559 22826 contender.cpp:217] Membership cancelled: 2',
  ])('ends where the next message begins on the same line: %s', (next) => {
    expect(lastWordsIn(`2026-11-22_09:10:03.05991 ${words}${next}\n`, at)).toBe(words);
  });

  it('is not that of an earlier process', () => {
    const log = `2026-11-22_09:10:02.99991 ${words}\n2026-11-22_09:10:04.0 I1122 Elected as the leading master!`;
    expect(lastWordsIn(log, at)).toBeUndefined();
    expect(lastWordsIn('', at)).toBeUndefined();
    expect(lastWordsIn(`no time ${words}`, at)).toBeUndefined();
  });
});
