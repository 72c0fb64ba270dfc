import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { known, notKnown } from '../../../src/hosts/observation.js';
import { Fencing } from '../../../src/mesos/fencing/fencing.js';
import { hostAttribute } from '../../../src/mesos/installation/items.js';
import { reconcileEveryMs } from '../../../src/mesos/scheduler/reconcile.js';
import { withCordon } from '../../../src/mesos/scheduler/cordons.js';
import type { Subscription } from '../../../src/mesos/scheduler/client.js';
import type { SchedulerDeps } from '../../../src/mesos/scheduler/deps.js';
import { SchedulerSession } from '../../../src/mesos/scheduler/session.js';
import { kindOf, type NodeTask, type TaskState } from '../../../src/mesos/scheduler/tasks.js';
import type { Offer, SchedulerEvent, TaskInfo } from '../../../src/mesos/scheduler/types.js';
import { makeHost, makeSpec } from '../../support/spec.js';
import { MemoryStore } from '../memory-store.js';

/** One session against a simulated master. */
const spec = makeSpec({
  hosts: [makeHost('h1', { address: '127.0.1.1' }), makeHost('h2', { address: '127.0.1.2' })],
  nodes: { count: 2 },
});
const start = Date.parse('2026-11-22T09:00:00Z');
const uuid = 'dXVpZHV1aWR1dWlkdXVpZA==';

/** The scheduler's calls to the master, as text; RECONCILE names its tasks. */
class PlayedMaster {
  readonly calls: string[] = [];
  readonly #events: SchedulerEvent[] = [];
  #wake: () => void = () => undefined;

  readonly subscription: Subscription = {
    frameworkId: 'F',
    master: { host: '127.0.0.1', port: 5050 },
    masterId: 'M',
    events: this.#stream(),
    accept: async (_offerIds: readonly string[], tasks: readonly TaskInfo[]) =>
      this.#called('ACCEPT', ...tasks.map(({ task_id }) => task_id.value)),
    decline: async () => this.#called('DECLINE'),
    acceptInverse: async (ids) => this.#called('ACCEPT_INVERSE_OFFERS', ...ids),
    declineInverse: async (ids) => this.#called('DECLINE_INVERSE_OFFERS', ...ids),
    suppress: async () => this.#called('SUPPRESS'),
    revive: async () => this.#called('REVIVE'),
    acknowledge: async (taskId) => this.#called('ACKNOWLEDGE', taskId),
    reconcile: async (tasks) => this.#called('RECONCILE', ...tasks.map(({ taskId }) => taskId)),
    kill: async ({ taskId }) => this.#called('KILL', taskId),
    teardown: async () => this.#called('TEARDOWN'),
    close: () => undefined,
  };

  says(event: SchedulerEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  tells(taskId: string, state: TaskState, acknowledgeable = false): void {
    const agentId = `agent-${taskId.startsWith('node1') ? 'h2' : 'h1'}`;
    if (state === 'INTENDED') throw new Error('no state of Mesos');
    const status = { taskId, state, agentId, ...(acknowledgeable ? { uuid } : {}) };
    this.says({ kind: 'update', status });
  }

  /** The calls of these types since the last time. */
  took(...types: readonly string[]): string[] {
    return this.calls.splice(0).filter((call) => types.includes(call.split(' ')[0] ?? ''));
  }

  async *#stream(): AsyncGenerator<SchedulerEvent, never> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) yield event;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #called(...words: readonly string[]): void {
    this.calls.push(words.join(' '));
  }
}

const offer = (host: string): Offer => ({
  id: `offer-${host}-${Math.random()}`,
  agentId: `agent-${host}`,
  hostname: host,
  attributes: { [hostAttribute]: host },
  resources: [
    { name: 'cpus', type: 'SCALAR', role: '*', scalar: { value: 8 } },
    { name: 'mem', type: 'SCALAR', role: '*', scalar: { value: 65_536 } },
  ],
});

const task = (node: string, state: TaskState): NodeTask => ({
  node,
  taskId: `${node}.1`,
  agentId: node === 'node1' ? 'agent-h2' : 'agent-h1',
  host: node === 'node1' ? 'h2' : 'h1',
  config: 'c',
  state,
  since: new Date(start).toISOString(),
  failures: 0,
});

let master: PlayedMaster;
let store: MemoryStore;
/** The observations of nodes and hosts. */
let looks: Partial<Pick<SchedulerDeps, 'healthy' | 'fence' | 'vacate'>>;

/** Runs a session with these tasks in the table; the test controls the clock. */
async function session(...tasks: readonly NodeTask[]): Promise<SchedulerSession> {
  store.state = {
    ...store.state,
    frameworkId: 'F',
    launches: 2,
    tasks: Object.fromEntries(tasks.map((each) => [each.node, each])),
  };
  const framework = store.next();
  await framework.claim();
  const deps: SchedulerDeps = {
    spec,
    store: framework,
    leaders: async function* () {
      yield { kind: 'leader', leader: undefined };
    },
    dial: async (address) => address,
    command: () => ({ value: 'true', environment: {} }),
    configOf: () => 'c',
    healthy: async () => known(true),
    vacate: async () => ({ kind: 'done' }),
    retire: async () => ({ kind: 'done' }),
    fence: async () => ({ kind: 'unclear', why: 'nobody may be asked' }),
    logger: pino({ level: 'silent' }),
    ...looks,
  };
  const fencing = new Fencing({ afterMs: undefined, agentMs: 75_000 });
  const begun = new SchedulerSession(deps, master.subscription, await framework.load(), fencing);
  begun.run().catch((error: unknown) => failures.push(error));
  await settle();
  return begun;
}

const failures: unknown[] = [];
/** Runs everything that is due now. */
const settle = async () => await vi.advanceTimersByTimeAsync(1);
const pass = async (ms: number) => await vi.advanceTimersByTimeAsync(ms);
const stateOf = (node: string) => store.state.tasks[node]?.state;

beforeEach(() => {
  vi.useFakeTimers({ now: start });
  failures.length = 0;
  looks = {};
  master = new PlayedMaster();
  store = new MemoryStore(spec);
});
afterEach(() => {
  vi.useRealTimers();
  expect(failures).toEqual([]);
});

describe('after a subscription', () => {
  it('asks first for all tasks that have not ended, then for all that Mesos has', async () => {
    await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_UNREACHABLE'));
    expect(master.calls.slice(0, 2)).toEqual(['RECONCILE node0.1 node1.1', 'RECONCILE']);
  });

  it('asks again after 1, 2, 4, … and at most 30 s, until there is an answer', async () => {
    await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
    master.tells('node1.1', 'TASK_RUNNING');
    await settle();
    master.took();
    const asked: number[] = [];
    for (let second = 1; second <= 100; second += 1) {
      await pass(1_000);
      if (master.took('RECONCILE').includes('RECONCILE node0.1')) asked.push(second);
    }
    expect(asked).toEqual([1, 3, 7, 15, 31, 61, 91]);
    master.tells('node0.1', 'TASK_RUNNING');
    await pass(5 * 60_000);
    expect(master.took('RECONCILE')).toEqual([]);
  });

  it('reconciles both ways every 15 minutes, and stores no unchanged answers', async () => {
    await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
    for (let round = 0; round < 3; round += 1) {
      expect(master.took('RECONCILE')).toEqual(['RECONCILE node0.1 node1.1', 'RECONCILE']);
      for (const taskId of ['node0.1', 'node1.1']) master.tells(taskId, 'TASK_RUNNING');
      await pass(reconcileEveryMs - 1_000);
      expect(master.took('RECONCILE')).toEqual([]);
      await pass(1_001);
    }
    expect(store.writes).toEqual([]);
  });
});

describe('a task without any update', () => {
  it('is unreachable after the time that masters give their agents, and found again later', async () => {
    await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
    master.tells('node1.1', 'TASK_RUNNING');
    await pass(74_000);
    expect(stateOf('node0')).toBe('TASK_RUNNING');
    await pass(2_000);
    expect(stateOf('node0')).toBe('TASK_UNREACHABLE');
    expect(stateOf('node1')).toBe('TASK_RUNNING');
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(60_000);
    expect(store.state.missing).toMatch(/^node0 waits: .*the node works, so it is left running$/);
    expect(master.took('ACCEPT', 'KILL')).toEqual([]);
    master.tells('node0.1', 'TASK_RUNNING');
    await settle();
    expect(stateOf('node0')).toBe('TASK_RUNNING');
  });
});

it('a late update about a superseded task makes no node wait', async () => {
  await session(task('node0', 'TASK_FAILED'), task('node1', 'TASK_RUNNING'));
  master.says({ kind: 'offers', offers: [offer('h1')] });
  await pass(1_000);
  expect(master.took('ACCEPT')).toEqual(['ACCEPT node0.3']);
  master.tells('node0.3', 'TASK_RUNNING');
  master.tells('node0.1', 'TASK_UNREACHABLE');
  master.tells('node0.3', 'TASK_KILLED');
  await settle();
  master.says({ kind: 'offers', offers: [offer('h1')] });
  await pass(1_000);
  expect(master.took('ACCEPT', 'KILL')).toEqual(['ACCEPT node0.4']);
});

describe('a host that is closed to nodes', () => {
  const both = () => session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
  const confirm = () => {
    for (const taskId of ['node0.1', 'node1.1']) master.tells(taskId, 'TASK_RUNNING');
  };

  it('loses its node once another host has offered room, and gets none', async () => {
    store.state = withCordon(store.state, 'h1', new Date(start).toISOString());
    await both();
    confirm();
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(20_000);
    expect(master.took('KILL', 'ACCEPT', 'REVIVE')).toEqual(['REVIVE']);
    expect(store.state.missing).toMatch(
      /^node0 will move from h1 to another host\. node0 cannot be placed: h2 has no offers/,
    );

    master.says({ kind: 'offers', offers: [offer('h2')] });
    await pass(5_000);
    expect(master.took('KILL')).toEqual(['KILL node0.1']);
    master.tells('node0.1', 'TASK_KILLED');
    await pass(1_000);
    expect(master.took('ACCEPT')).toEqual(['ACCEPT node0.3']);
    expect(store.state.tasks['node0']).toMatchObject({ host: 'h2' });
    master.tells('node0.3', 'TASK_RUNNING');
    await pass(10_000);
    expect(store.state.missing).toBeUndefined();
    expect(master.took('KILL', 'ACCEPT')).toEqual([]);
  });

  it('keeps its node while that still serves', async () => {
    looks = { vacate: async () => ({ kind: 'waits', why: 'the keeper is paused' }) };
    store.state = withCordon(store.state, 'h1', new Date(start).toISOString());
    await both();
    confirm();
    master.says({ kind: 'offers', offers: [offer('h2')] });
    await pass(20_000);
    expect(master.took('KILL', 'ACCEPT')).toEqual([]);
    expect(store.state.missing).toContain('the keeper is paused');
  });

  it('is one with maintenance at Mesos, until that is over', async () => {
    const begun = await both();
    confirm();
    const endMs = start + 3_600_000;
    begun.schedules([{ machines: [{ ip: spec.hosts[0]?.address ?? '' }], startMs: start, endMs }]);
    master.says({ kind: 'inverse-offers', offers: [{ id: 'io', agentId: 'agent-h1' }] });
    master.says({ kind: 'offers', offers: [offer('h1'), offer('h2')] });
    await pass(5_000);
    expect(master.took('KILL', 'ACCEPT_INVERSE_OFFERS')).toEqual([
      'ACCEPT_INVERSE_OFFERS io',
      'KILL node0.1',
    ]);
    master.tells('node0.1', 'TASK_KILLED');
    await pass(1_000);
    expect(store.state.tasks['node0']).toMatchObject({ host: 'h2' });
  });

  it('declines to leave the last host that may hold nodes', async () => {
    const begun = await both();
    confirm();
    const machines = spec.hosts.map(({ address: ip }) => ({ ip }));
    begun.schedules([{ machines, startMs: start }]);
    master.says({ kind: 'inverse-offers', offers: [{ id: 'io', agentId: 'agent-h1' }] });
    await pass(20_000);
    expect(master.took('KILL', 'ACCEPT_INVERSE_OFFERS', 'DECLINE_INVERSE_OFFERS')).toEqual([
      'DECLINE_INVERSE_OFFERS io',
    ]);
    expect(store.state.missing).toContain('Mesos has maintenance of h1 from');
  });

  it('is one that the spec no longer has, and no error', async () => {
    const elsewhere = { ...task('node0', 'TASK_RUNNING'), host: 'h9', agentId: 'agent-h9' };
    await session(elsewhere, task('node1', 'TASK_RUNNING'));
    confirm();
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(5_000);
    expect(master.took('KILL')).toEqual(['KILL node0.1']);
    master.tells('node0.1', 'TASK_KILLED');
    await pass(1_000);
    expect(master.took('ACCEPT')).toEqual(['ACCEPT node0.3']);
    expect(store.state.tasks['node0']).toMatchObject({ host: 'h1' });
  });
});

interface Row {
  readonly states: readonly string[];
  readonly kind: string;
}

/** The table in `docs/explanation/framework.md`. */
const documented: readonly Row[] = readFileSync(
  new URL('../../../docs/explanation/framework.md', import.meta.url),
  'utf8',
)
  .split('\n')
  .flatMap((line) => {
    const [, states, kind] = /^\| (`(?:TASK_|INTENDED).*?) *\| (\w+) *\|/.exec(line) ?? [];
    if (states === undefined || kind === undefined) return [];
    return [{ states: [...states.matchAll(/`([A-Z_]+)`/g)].map(([, state]) => state ?? ''), kind }];
  });

/** All of Mesos' TaskState, and our own. */
const everyState = [
  'INTENDED',
  'TASK_DROPPED',
  'TASK_ERROR',
  'TASK_FAILED',
  'TASK_FINISHED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_KILLED',
  'TASK_KILLING',
  'TASK_LOST',
  'TASK_RUNNING',
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_UNKNOWN',
  'TASK_UNREACHABLE',
] as const satisfies readonly TaskState[];

describe('a task that was running gets an update', () => {
  it('the docs list every state', () => {
    expect(documented.flatMap(({ states }) => states).toSorted()).toEqual([...everyState]);
    for (const { states, kind } of documented) {
      for (const state of states) expect([state, kindOf(state as TaskState)]).toEqual([state, kind]);
    }
  });

  it.each(everyState.filter((state) => state !== 'INTENDED'))('%s', async (state) => {
    await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
    master.tells('node1.1', 'TASK_RUNNING');
    master.tells('node0.1', state, true);
    await settle();
    expect(stateOf('node0')).toBe(state);
    expect(master.took('ACKNOWLEDGE', 'KILL')).toEqual(['ACKNOWLEDGE node0.1']);

    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(1_000);
    const launched = master.took('ACCEPT');
    const kind = documented.find(({ states }) => states.includes(state))?.kind;
    expect(launched).toEqual(kind === 'terminal' ? ['ACCEPT node0.3'] : []);

    // Mesos answers about all others, but not about this one.
    if (kind === 'terminal') master.tells('node0.3', 'TASK_RUNNING');
    await pass(40_000);
    const asked = master.took('RECONCILE').filter((call) => call === 'RECONCILE node0.1');
    expect(asked.length > 0).toBe(kind === 'unreachable' || kind === 'unknown');
  });

  it.each(['TASK_LOST', 'TASK_DROPPED', 'TASK_GONE'] as const)(
    '%s, and is alive after all: it is taken back while its node has no other task',
    async (state) => {
      await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
      master.tells('node0.1', state);
      await settle();
      master.tells('node0.1', 'TASK_RUNNING', true);
      await settle();
      expect(store.state.tasks['node0']).toMatchObject({ taskId: 'node0.1', state: 'TASK_RUNNING' });
      master.says({ kind: 'offers', offers: [offer('h1')] });
      await pass(1_000);
      expect(master.took('ACCEPT', 'KILL')).toEqual([]);
    },
  );

  it.each(['TASK_LOST', 'TASK_DROPPED', 'TASK_GONE'] as const)(
    '%s, and is alive after all beside its replacement: it is killed at once',
    async (state) => {
      await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
      master.tells('node0.1', state);
      master.says({ kind: 'offers', offers: [offer('h1')] });
      await pass(1_000);
      expect(master.took('ACCEPT')).toEqual(['ACCEPT node0.3']);
      master.tells('node0.3', 'TASK_RUNNING');
      await settle();
      master.tells('node0.1', 'TASK_RUNNING', true);
      await settle();
      expect(master.took('KILL', 'ACKNOWLEDGE')).toEqual(['ACKNOWLEDGE node0.1', 'KILL node0.1']);
      expect(store.state.tasks['node0']).toMatchObject({ taskId: 'node0.3', state: 'TASK_RUNNING' });
    },
  );

  it.each(['TASK_FINISHED', 'TASK_FAILED', 'TASK_ERROR', 'TASK_KILLED', 'TASK_GONE_BY_OPERATOR'] as const)(
    '%s: later updates are ignored',
    async (state) => {
      await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
      master.tells('node0.1', state);
      master.tells('node0.1', 'TASK_RUNNING');
      await settle();
      expect(stateOf('node0')).toBe(state);
    },
  );
});

describe('an intent without a known outcome', () => {
  it('is asked for, and never launched again without an answer', async () => {
    await session(task('node0', 'INTENDED'), task('node1', 'TASK_RUNNING'));
    master.tells('node1.1', 'TASK_RUNNING');
    for (let minute = 0; minute < 20; minute += 1) {
      master.says({ kind: 'offers', offers: [offer('h1')] });
      await pass(60_000);
    }
    expect(master.calls).toContain('RECONCILE node0.1');
    expect(master.took('ACCEPT', 'KILL')).toEqual([]);
    expect(stateOf('node0')).toBe('INTENDED');
  });

  it.each([
    ['TASK_RUNNING', 'TASK_RUNNING', false],
    ['TASK_STAGING', 'TASK_STAGING', false],
    ['TASK_UNREACHABLE', 'TASK_UNREACHABLE', false],
    ['TASK_UNKNOWN', 'TASK_DROPPED', true],
    ['TASK_GONE', 'TASK_GONE', true],
    ['TASK_LOST', 'TASK_LOST', true],
  ] as const)('is reported as %s: it becomes %s, and is launched again: %s', async (told, stored, again) => {
    await session(task('node0', 'INTENDED'), task('node1', 'TASK_RUNNING'));
    master.tells('node0.1', told);
    await settle();
    expect(stateOf('node0')).toBe(stored);
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(1_000);
    expect(master.took('ACCEPT')).toEqual(again ? ['ACCEPT node0.3'] : []);
  });
});

describe('a task of ours that is not in the table', () => {
  it.each(['node0.9', 'node7.3', 'somebody-else'])(
    '%s is killed, repeatedly until it has ended, and acknowledged',
    async (stranger) => {
      await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
      for (const taskId of ['node0.1', 'node1.1']) master.tells(taskId, 'TASK_RUNNING');
      master.tells(stranger, 'TASK_RUNNING', true);
      await settle();
      expect(master.took('KILL', 'ACKNOWLEDGE')).toEqual([`ACKNOWLEDGE ${stranger}`, `KILL ${stranger}`]);
      await pass(30_000);
      expect(master.took('KILL')).toEqual(Array(3).fill(`KILL ${stranger}`));
      master.tells(stranger, 'TASK_KILLED', true);
      await pass(60_000);
      expect(master.took('KILL', 'ACKNOWLEDGE')).toEqual([`ACKNOWLEDGE ${stranger}`]);
      expect(store.writes).toEqual([]);
    },
  );

  it('blocks the launch of its node while it lives', async () => {
    await session(task('node0', 'TASK_FAILED'), task('node1', 'TASK_RUNNING'));
    master.tells('node0.9', 'TASK_RUNNING');
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(5_000);
    expect(master.took('ACCEPT', 'KILL')).toEqual(['KILL node0.9']);
    master.tells('node0.9', 'TASK_KILLED', true);
    master.says({ kind: 'offers', offers: [offer('h1')] });
    await pass(1_000);
    expect(master.took('ACCEPT')).toEqual(['ACCEPT node0.3']);
  });

  it.each(['TASK_FAILED', 'TASK_LOST', 'TASK_UNKNOWN'] as const)(
    'is reported as %s: it is left alone',
    async (state) => {
      await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
      master.tells('node0.9', state, true);
      await pass(15_000);
      expect(master.took('KILL', 'ACKNOWLEDGE')).toEqual(['ACKNOWLEDGE node0.9']);
    },
  );
});

describe('a node on a crowded host', () => {
  const crowding = [task('node0', 'TASK_RUNNING'), { ...task('node1', 'TASK_RUNNING'), host: 'h1' }];
  const here = (...hosts: readonly string[]) => known(new Set(hosts));

  it('is moved when another host can take it, not before', async () => {
    const begun = await session(...crowding);
    begun.sees(here('h1'));
    await pass(60_000);
    expect(master.took('KILL')).toEqual([]);
    begun.sees(here('h1', 'h2'));
    await settle();
    expect(master.took('KILL')).toEqual(['KILL node1.1']);
  });

  it('stays while the registered agents are unknown, whatever was stored before', async () => {
    store.state = { ...store.state, mesos: { leader: 'h1', agents: { h1: 'here', h2: 'here' } } };
    const begun = await session(...crowding);
    await pass(60_000);
    expect(master.took('KILL')).toEqual([]);
    begun.sees(here('h1'));
    begun.sees(notKnown('no answer'));
    await pass(60_000);
    expect(master.took('KILL')).toEqual([]);
  });
});

describe('a node whose task ended while no scheduler ran', () => {
  it('waits for an offer of the host that has its data, from the time offers can come', async () => {
    const ended = { ...task('node0', 'TASK_KILLED'), since: new Date(start - 3_600_000).toISOString() };
    await session(ended, task('node1', 'TASK_RUNNING'));
    master.says({ kind: 'offers', offers: [offer('h2')] });
    await pass(10_000);
    expect(master.took('ACCEPT')).toEqual([]);
    master.says({ kind: 'offers', offers: [offer('h2'), offer('h1')] });
    await settle();
    expect(store.state.tasks['node0']).toMatchObject({ taskId: 'node0.3', host: 'h1' });
  });
});

describe('a task that may be lost, whose node does not respond', () => {
  const lost = [task('node0', 'TASK_UNREACHABLE'), task('node1', 'TASK_RUNNING')] as const;
  const asked = async (healthy: SchedulerDeps['healthy']) => {
    const fenced: string[] = [];
    looks = { healthy, fence: async ({ taskId }) => (fenced.push(taskId), { kind: 'gone' }) };
    await session(...lost);
    master.tells('node1.1', 'TASK_RUNNING');
    master.tells('node0.1', 'TASK_UNREACHABLE');
    await pass(60_000);
    return fenced;
  };

  it('is ended by its host, when it does not respond there either', async () => {
    expect(await asked(async (node) => known(node !== 'node0'))).toEqual(['node0.1']);
    expect(stateOf('node0')).toBe('TASK_GONE');
  });

  it('is left alone, when it responds on its host: only the path from this worker is broken', async () => {
    expect(await asked(async (node, host) => known(node !== 'node0' || host === 'h1'))).toEqual([]);
    expect(stateOf('node0')).toBe('TASK_UNREACHABLE');
  });

  it.each([undefined, 'h1'])('is left alone, when it could not be asked (through %s)', async (through) => {
    const fenced = await asked(async (node, host) =>
      node === 'node0' && host === through ? notKnown('no token') : known(node !== 'node0'),
    );
    expect(fenced).toEqual([]);
    expect(stateOf('node0')).toBe('TASK_UNREACHABLE');
    expect(store.state.missing).toContain('no token');
  });
});

it('an update is acknowledged after it is stored, and only one with a UUID', async () => {
  await session(task('node0', 'TASK_STAGING'), task('node1', 'TASK_RUNNING'));
  const states: (TaskState | undefined)[] = [];
  vi.spyOn(master.subscription, 'acknowledge').mockImplementation(async () => {
    states.push(stateOf('node0'));
  });
  master.tells('node0.1', 'TASK_STARTING');
  await settle();
  expect(states).toEqual([]);
  master.tells('node0.1', 'TASK_RUNNING', true);
  await settle();
  expect(states).toEqual(['TASK_RUNNING']);
});

it('an idle hour stores nothing, requests no offers, and reconciles every 15 minutes', async () => {
  const asked: string[] = [];
  vi.spyOn(master.subscription, 'reconcile').mockImplementation(async (tasks) => {
    asked.push(tasks.map(({ taskId }) => taskId).join(' '));
    for (const taskId of ['node0.1', 'node1.1']) master.tells(taskId, 'TASK_RUNNING');
  });
  await session(task('node0', 'TASK_RUNNING'), task('node1', 'TASK_RUNNING'));
  for (let second = 0; second < 3_600; second += 15) {
    master.says({ kind: 'heartbeat' });
    await pass(15_000);
  }
  // What is not stored adds nothing to the workflow's history.
  expect(store.writes).toEqual([]);
  expect(master.calls).toEqual(['SUPPRESS']);
  const rounds = 1 + 3_600_000 / reconcileEveryMs;
  expect(asked.filter((tasks) => tasks === '')).toHaveLength(rounds);
  expect(asked.filter((tasks) => tasks !== '')).toEqual(Array(rounds).fill('node0.1 node1.1'));
});
