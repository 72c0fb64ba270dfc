import { describe, expect, it } from 'vitest';
import {
  followsOf,
  keptTasks,
  lastWordsIn,
  mesosEvents,
  missingForMesos,
  mesosOf,
  type MesosObservation,
  type MesosState,
} from '../../src/drill/mesos.js';
import { mesosSight } from '../support/drill.js';

/** A sight with another state. */
function seen(change: (state: MesosState) => Partial<MesosState>, leader = 'h1'): MesosObservation {
  const sight = mesosSight(leader);
  const { state } = sight;
  if (!state) throw new Error('a state');
  return { ...sight, state: { ...state, ...change(state) } };
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

describe('what happened', () => {
  const whats = (before: MesosObservation, now: MesosObservation, told?: string) =>
    mesosEvents(before, now, told).map(({ kind, what }) => `${kind}: ${what}`);

  it('is nothing when nothing changed', () => {
    expect(whats(mesosSight(), mesosSight(), 'h1')).toEqual([]);
  });

  it('is the way of a suspended master, up to where it follows', () => {
    const silent = { masters: { h2: 'h1', h3: 'h1' } };
    const elected = { ...mesosSight('h2', 200), masters: { h2: 'h2', h3: 'h2' } };
    expect(whats(mesosSight(), silent, 'h1')).toEqual([
      'master-silent: the master on h1 no longer responds',
      'mesos-no-leader: no Mesos master is leading',
    ]);
    expect(whats(silent, elected)).toEqual([
      'mesos-leader: h2 leads Mesos',
      'agent: the agent on h1 is registered (S-h1)',
      'agent: the agent on h2 is registered (S-h2)',
      'agent: the agent on h3 is registered (S-h3)',
    ]);
    expect(whats(elected, mesosSight('h2', 200), 'h2')).toEqual(['master: the master on h1 follows h2']);
  });

  it('is the way of a stopped agent, and back', () => {
    const cut = agents({ h1: { id: 'S-h1', since: 100, active: false } });
    expect(whats(mesosSight(), cut, 'h1')).toEqual(['agent-lost: the agent on h1 is disconnected']);
    expect(whats(cut, without('h1'), 'h1')).toEqual([
      'agent-lost: the master marked the agent on h1 unreachable: 1 task',
    ]);
    expect(whats(without('h1'), mesosSight(), 'h1')).toEqual(['agent: the agent on h1 is registered (S-h1)']);
  });

  it('is an agent that was killed and came back between two looks', () => {
    expect(whats(mesosSight(), agents({ h1: { id: 'S-h1', since: 101, active: true } }), 'h1')).toEqual([
      'agent: the agent on h1 is registered (S-h1)',
    ]);
  });
});

describe('what is missing', () => {
  const lack = (
    expects: 'master-moves' | 'agent-back' | 'agent-unreachable',
    now: MesosObservation,
    steadyMs = 60_000,
  ) => missingForMesos({ expects, host: 'h1', before: mesosSight() }, now, steadyMs);

  it('another leader, with its registry, all agents and the framework', () => {
    expect(lack('master-moves', { masters: { h2: null } })).toBe('no Mesos master is leading');
    expect(lack('master-moves', mesosSight('h1'))).toBe('h1 still leads Mesos');
    expect(lack('master-moves', { masters: mesosSight('h2').masters })).toMatch(/h2 .* registry/);
    expect(lack('master-moves', without('h3', 'h2'))).toBe('agents not registered: h3');
    expect(
      lack(
        'master-moves',
        seen(() => ({ connected: false }), 'h2'),
      ),
    ).toMatch(/not subscribed/);
    expect(lack('master-moves', mesosSight('h2'))).toBeUndefined();
  });

  it('the agent, registered after the fault', () => {
    expect(lack('agent-back', mesosSight())).toMatch(/not restarted/);
    expect(lack('agent-back', agents({ h1: { id: 'S-h1', since: 101, active: false } }))).toMatch(/: h1/);
    expect(lack('agent-back', agents({ h1: { id: 'S-h1', since: 101, active: true } }))).toBeUndefined();
  });

  it('tasks that are unreachable, for as long as fencing could make a mistake', () => {
    expect(lack('agent-unreachable', mesosSight())).toMatch(/not marked unreachable/);
    expect(lack('agent-unreachable', without('h1'), 14_000)).toMatch(/fencing/);
    expect(lack('agent-unreachable', without('h1'), 15_000)).toBeUndefined();
    const half = { ...without('h1'), state: { ...seen(() => ({})).state, agents: {} } as MesosState };
    expect(lack('agent-unreachable', half)).toBe('tasks that are not unreachable: node0.1');
  });
});

describe('what must hold', () => {
  it.each<[string, MesosObservation | undefined, RegExp]>([
    ['no look', undefined, /no Mesos master/],
    ['no leader', { masters: { h1: null } }, /no Mesos master is leading/],
    [
      'one that follows nobody',
      { ...mesosSight(), masters: { h1: 'h1', h2: 'h1', h3: null } },
      /h3 follows nobody/,
    ],
    ['an agent is away', agents({ h2: { id: 'S-h2', since: 1, active: false } }), /not registered: h2/],
    ['no framework', seen(() => ({ connected: false })), /not subscribed/],
  ])('not: %s', (_, sight, what) => {
    expect(mesosOf(sight)).toEqual({
      name: 'mesos',
      holds: false,
      what: expect.stringMatching(what) as string,
    });
  });

  it('one leads and all are with it', () => {
    expect(mesosOf(mesosSight())).toMatchObject({ holds: true, what: 'h1 leads Mesos: 3 masters, 3 agents' });
  });

  it('the same tasks on the same agents, and none besides', () => {
    expect(keptTasks(mesosSight('h1'), mesosSight('h2', 300)).holds).toBe(true);
    const renamed = agents({ h1: { id: 'S-new', since: 1, active: true } });
    expect(keptTasks(mesosSight(), renamed).what).toMatch(/h1 was S-h1, is S-new/);
    const twice = (id: string) =>
      seen(({ tasks }) => ({
        tasks: {
          ...tasks,
          node0: [...(tasks['node0'] ?? []), { id, agentId: 'S-h2', state: 'TASK_RUNNING' }],
        },
      }));
    expect(keptTasks(mesosSight(), twice('node0.2'))).toMatchObject({
      holds: false,
      what: 'relaunched nodes: node0 was node0.1, is node0.1, node0.2',
    });
    expect(
      keptTasks(
        mesosSight(),
        seen(() => ({ tasks: {} })),
      ).holds,
    ).toBe(false);
    expect(keptTasks(mesosSight(), without('h3')).what).toMatch(/h3 was S-h3, is undefined/);
  });

  it('a suspended master ends with its words and follows', () => {
    const words = 'Lost leadership... committing suicide!';
    const after = mesosSight('h2');
    expect(followsOf({ ended: true, words }, after, 'h1')).toMatchObject({
      holds: true,
      what: `the old master on h1 logged "${words}" and exited; after its restart it follows h2`,
    });
    expect(followsOf({ ended: false }, after, 'h1').what).toMatch(/did not exit, and h2 leads/);
    expect(followsOf({ ended: true }, after, 'h1').what).toMatch(/without logging a reason/);
    expect(followsOf({ ended: true, words }, { masters: { h2: 'h2' } }, 'h1').holds).toBe(false);
    expect(followsOf(undefined, after, 'h1').holds).toBe(false);
  });

  it('one whose session did not run out leads on, since nobody took its place', () => {
    expect(followsOf({ ended: false }, mesosSight('h1'), 'h1').holds).toBe(true);
  });
});

describe('the last words of a master', () => {
  const at = Date.parse('2026-11-22T09:10:03Z');
  const words = 'Lost leadership... committing suicide!';

  it('are read from what svlogd keeps, and from what journald keeps', () => {
    expect(lastWordsIn(`2026-11-22_09:10:03.05991 ${words}\n`, at)).toBe(words);
    expect(lastWordsIn(`2026-11-22T10:10:03+0100 h1 mesos-master[77]: ${words}\n`, at)).toBe(words);
  });

  it('are none of an earlier life', () => {
    const log = `2026-11-22_09:10:02.99991 ${words}\n2026-11-22_09:10:04.0 I1122 Elected as the leading master!`;
    expect(lastWordsIn(log, at)).toBeUndefined();
    expect(lastWordsIn('', at)).toBeUndefined();
    expect(lastWordsIn(`no time ${words}`, at)).toBeUndefined();
  });
});
