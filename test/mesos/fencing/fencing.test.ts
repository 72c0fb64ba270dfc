import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { applyHostFence, applyOutcomes, type FenceTable } from '../../../src/mesos/fencing/fences.js';
import {
  Fencing,
  longestGapMs,
  patienceMs,
  type TaskObservation,
} from '../../../src/mesos/fencing/fencing.js';
import { planTasks, type NodeTask, type TaskState } from '../../../src/mesos/scheduler/tasks.js';

const start = Date.parse('2026-11-22T09:00:00.000Z');
const afterMs = 300_000;
const task = (state: TaskState): NodeTask => ({
  node: 'node0',
  taskId: 'node0.1',
  agentId: 'a',
  host: 'h1',
  config: 'c',
  state,
  since: new Date(start).toISOString(),
  failures: 0,
});
const tableOf = (state: TaskState): FenceTable => ({ tasks: { node0: task(state) }, launches: 1 });
const lost = tableOf('TASK_UNREACHABLE');

const silent = { kind: 'silent', why: 'SSH_TIMEOUT' } as const;
const unclear = { kind: 'unclear', why: 'SSH_AUTH_FAILED' } as const;
const alive = { kind: 'alive', why: 'SSH_REFUSED' } as const;

let fencing: Fencing;
let now: number;
let table: FenceTable;

beforeEach(() => {
  now = start;
  table = lost;
  begin(afterMs);
});

function begin(after: number | undefined): void {
  fencing = new Fencing({ afterMs: after, agentMs: 75_000 });
  fencing.subscribed(now);
  fencing.heard('node0.1', 'TASK_UNREACHABLE');
}

/** Answers every request for this long, or until a task is given up. @returns the requests */
function live(ms: number, answer: (what: string) => TaskObservation): { what: string; at: number }[] {
  const asked: { what: string; at: number }[] = [];
  const end = now + ms;
  for (;;) {
    for (const { what, taskId } of fencing.due(table, now)) {
      asked.push({ what, at: now - start });
      fencing.answered(taskId, answer(what), now);
    }
    if (fencing.outcomes(table, now).length > 0 || fencing.wakeAt(table) > end) break;
    now = Math.max(now, fencing.wakeAt(table));
  }
  if (fencing.outcomes(table, now).length === 0) now = end;
  return asked;
}
const down = (answer: TaskObservation) => (what: string) =>
  what === 'look' ? ({ kind: 'down' } as const) : answer;
const outcomes = () => fencing.outcomes(table, now);
const note = () => fencing.note(task('TASK_UNREACHABLE'));

it.each(['TASK_RUNNING', 'INTENDED', 'TASK_FAILED'] as const)('asks nothing about a task in %s', (state) => {
  fencing.heard('node0.1', state);
  expect(fencing.due(tableOf(state), now)).toEqual([]);
  expect(fencing.wakeAt(tableOf(state))).toBe(Infinity);
});

describe('a task that the leading master does not report', () => {
  beforeEach(() => {
    table = tableOf('TASK_RUNNING');
    fencing.subscribed(now);
  });

  it('is missing after the time that masters give their agents', () => {
    expect(fencing.wakeAt(table)).toBe(start + 75_000);
    expect(fencing.missing(table, start + 74_999)).toEqual([]);
    expect(fencing.missing(table, start + 75_000)).toEqual([table.tasks['node0']]);
  });

  it.each(['TASK_RUNNING', 'INTENDED', 'TASK_UNREACHABLE'] as const)(
    'is not missing when %s was reported',
    (state) => {
      fencing.heard('node0.1', state);
      expect(fencing.missing(table, start + 600_000)).toEqual([]);
      expect(fencing.wakeAt(table)).toBe(Infinity);
    },
  );

  it.each(['TASK_UNREACHABLE', 'TASK_FAILED', 'INTENDED'] as const)(
    'is not missing when it is in %s',
    (state) => {
      expect(fencing.missing(tableOf(state), start + 600_000)).toEqual([]);
    },
  );
});

it('never asks twice at the same time', () => {
  expect(fencing.due(table, now)).toHaveLength(1);
  expect(fencing.due(table, now + 60_000)).toEqual([]);
  expect(fencing.wakeAt(table)).toBe(Infinity);
});

it.each(['TASK_UNREACHABLE', 'TASK_UNKNOWN'] as const)('a node in %s that works is left alone', (state) => {
  table = tableOf(state);
  const asked = live(3_600_000, () => ({ kind: 'works' }));
  expect(asked.every(({ what }) => what === 'look')).toBe(true);
  expect(outcomes()).toEqual([]);
  expect(note()).toMatch(/works, so it is left running/);
});

describe('a node that does not work', () => {
  it('is ended by its host after a while, and given up when that is confirmed', () => {
    const asked = live(60_000, down({ kind: 'gone' }));
    expect(asked.filter(({ what }) => what === 'end')).toHaveLength(1);
    expect(asked.at(-1)?.at).toBeGreaterThanOrEqual(patienceMs);
    expect(asked.at(-1)?.at).toBeLessThan(patienceMs + 2_000);
    expect(outcomes()).toEqual([
      { taskId: 'node0.1', how: 'ended', message: 'fenced: none of its processes run on h1 any longer' },
    ]);
    table = applyOutcomes(table, outcomes(), new Date(now).toISOString());
    expect(fencing.due(table, now)).toEqual([]);
    expect(outcomes()).toEqual([]);
  });

  it('is not ended after a brief failure', () => {
    live(patienceMs - 1_000, down({ kind: 'gone' }));
    live(3_000, () => ({ kind: 'works' }));
    const asked = live(patienceMs - 1_000, down({ kind: 'gone' }));
    expect(asked.some(({ what }) => what === 'end')).toBe(false);
    expect(outcomes()).toEqual([]);
  });

  it('is asked for less and less often, up to 15 s', () => {
    const times = live(120_000, down(silent))
      .filter(({ what }) => what === 'end')
      .map(({ at }) => at);
    const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(pauses.slice(0, 6)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  });
});

describe('a silent host', () => {
  it('is declared dead after the configured time, not before, and the time is reported', () => {
    live(60_000, down(silent));
    expect(outcomes()).toEqual([]);
    const until = /it is declared dead at (\S+Z)/.exec(note() ?? '')?.[1];
    const reported = note();
    live(200_000, down(silent));
    expect(note()).toBe(reported);
    live(2 * afterMs, down(silent));
    expect(outcomes()).toMatchObject([{ taskId: 'node0.1', how: 'presumed' }]);
    expect(now).toBeGreaterThanOrEqual(Date.parse(until ?? ''));
    expect(now).toBeLessThan(Date.parse(until ?? '') + 16_000);
  });

  it('is never declared dead if the spec says so', () => {
    begin(undefined);
    live(7 * 24 * 3_600_000, down(silent));
    expect(outcomes()).toEqual([]);
    expect(note()).toMatch(/`perijove fence h1` if the host is dead/);
  });

  it.each([alive, unclear, { kind: 'works' } as const])(
    'counts again from zero after an answer: $kind',
    (answer) => {
      live(afterMs - 10_000, down(silent));
      let once = true;
      live(20_000, (what) => {
        if (what === 'look' || !once) return down(silent)(what);
        once = false;
        return answer;
      });
      expect(once).toBe(false);
      live(afterMs - 60_000, down(silent));
      expect(outcomes()).toEqual([]);
      live(90_000, down(silent));
      expect(outcomes()).toHaveLength(1);
    },
  );

  it('counts again from zero after a gap without requests: the worker was stopped, or cut off', () => {
    live(60_000, down(silent));
    now += afterMs + longestGapMs;
    for (const { taskId } of fencing.due(table, now)) fencing.answered(taskId, silent, now);
    expect(outcomes()).toEqual([]);
    live(afterMs / 2, down(silent));
    expect(outcomes()).toEqual([]);
  });

  it('counts only while the current master reports its agent as gone', () => {
    live(afterMs - 10_000, down(silent));
    fencing.subscribed(now);
    live(60_000, down(silent));
    expect(outcomes()).toEqual([]);
    fencing.heard('node0.1', 'TASK_UNREACHABLE');
    expect(outcomes()).toHaveLength(1);
  });

  it('counts, too, when the current master does not report its agent within the time of agents', () => {
    fencing.subscribed(now);
    live(afterMs + 20_000, down(silent));
    expect(outcomes()).toHaveLength(1);
    begin(afterMs);
    live(afterMs - 60_000, down(silent));
    fencing.subscribed(now);
    live(70_000, down(silent));
    expect(outcomes()).toEqual([]);
    live(15_000, down(silent));
    expect(outcomes()).toHaveLength(1);
  });

  it('that was silent before its agent was missing gets the full time from then', () => {
    table = {
      ...lost,
      tasks: { node0: { ...task('TASK_UNREACHABLE'), since: new Date(start + 200_000).toISOString() } },
    };
    live(afterMs + 60_000, down(silent));
    expect(outcomes()).toEqual([]);
    live(200_000, down(silent));
    expect(outcomes()).toHaveLength(1);
  });
});

describe('a host that responds but cannot confirm', () => {
  it.each([unclear, alive])('keeps its node: $kind', (answer) => {
    live(10 * afterMs, down(answer));
    expect(outcomes()).toEqual([]);
    expect(note()).toContain(answer.why);
  });
});

describe("an operator's declaration that a host is dead", () => {
  const declareDead = () => {
    table = applyHostFence(table, 'h1', new Date(now).toISOString());
  };

  it('gives up the nodes of a silent host after one more request', () => {
    live(60_000, down(silent));
    declareDead();
    expect(fencing.due(table, now)).toMatchObject([{ what: 'end-anyway' }]);
    expect(outcomes()).toEqual([]);
    fencing.answered('node0.1', silent, now + 5_000);
    expect(outcomes()).toMatchObject([
      { how: 'presumed', message: expect.stringContaining('operator') as string },
    ]);
  });

  it('sends another request when one was open, because that was sent before', () => {
    live(60_000, down(silent));
    now = fencing.wakeAt(table);
    expect(fencing.due(table, now)).toHaveLength(1);
    now += 100;
    declareDead();
    expect(fencing.due(table, now)).toEqual([]);
    fencing.answered('node0.1', silent, now + 100);
    now += 100;
    expect(outcomes()).toEqual([]);
    expect(fencing.due(table, now)).toMatchObject([{ what: 'end-anyway' }]);
    fencing.answered('node0.1', { kind: 'gone' }, now);
    expect(outcomes()).toMatchObject([{ how: 'ended' }]);
  });

  it('makes a responding host end a node, even if it works', () => {
    live(60_000, () => ({ kind: 'works' }));
    declareDead();
    const asked = live(10_000, () => ({ kind: 'gone' }));
    expect(asked).toMatchObject([{ what: 'end-anyway' }]);
    expect(outcomes()).toMatchObject([{ how: 'ended' }]);
  });

  it('applies to a host that cannot confirm', () => {
    declareDead();
    live(1_000, () => unclear);
    expect(outcomes()).toMatchObject([{ how: 'presumed' }]);
  });

  it('does not apply to a node that responds at its address', () => {
    declareDead();
    live(10 * afterMs, () => alive);
    expect(outcomes()).toEqual([]);
    expect(note()).toMatch(/node0 responds at its address/);
  });
});

describe('a task that was given up without proof', () => {
  beforeEach(() => {
    table = applyOutcomes(
      lost,
      [{ taskId: 'node0.1', how: 'presumed', message: 'm' }],
      new Date(now).toISOString(),
    );
  });

  it('is ended as soon as its host is back', () => {
    const asked = live(3_600_000, () => silent);
    expect(new Set(asked.map(({ what }) => what))).toEqual(new Set(['end-anyway']));
    expect(outcomes()).toEqual([]);
    live(60_000, () => ({ kind: 'gone' }));
    expect(outcomes()).toMatchObject([{ taskId: 'node0.1', how: 'ended' }]);
    table = applyOutcomes(table, outcomes(), new Date(now).toISOString());
    expect(fencing.due(table, now)).toEqual([]);
  });

  it('is left alone when it was taken back', () => {
    table = { ...table, tasks: { node0: task('TASK_RUNNING') } };
    expect(fencing.due(table, now)).toEqual([]);
  });
});

it('for all answers: a node is launched only after proof, full-time silence, or a declaration', () => {
  const answers = fc.constantFrom<TaskObservation>(
    silent,
    silent,
    silent,
    unclear,
    alive,
    { kind: 'works' },
    { kind: 'gone' },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(answers, fc.nat({ max: 120_000 })), { maxLength: 60 }), (course) => {
      now = start;
      table = lost;
      begin(afterMs);
      let silentSince: number | undefined;
      let last = start;
      for (const [answer, pause] of course) {
        now = Math.max(now + pause, fencing.wakeAt(table));
        if (now - last > longestGapMs) silentSince = undefined;
        last = now;
        const [question] = fencing.due(table, now);
        if (question === undefined) throw new Error('nothing is asked');
        const given =
          question.what === 'look' && answer.kind !== 'works' ? ({ kind: 'down' } as const) : answer;
        fencing.answered('node0.1', given, now);
        if (given.kind === 'silent') silentSince ??= now;
        else if (given.kind !== 'down') silentSince = undefined;
        const silence = silentSince === undefined ? 0 : now - silentSince;
        expect(outcomes().length > 0).toBe(
          given.kind === 'gone' || (given.kind === 'silent' && silence >= afterMs),
        );
        if (outcomes().length === 0) continue;
        table = applyOutcomes(table, outcomes(), new Date(now).toISOString());
        const plan = { nodes: ['node0'], strangers: [], configOf: () => 'c', now };
        expect(planTasks({ ...plan, tasks: table.tasks }).launch).toHaveLength(1);
        return;
      }
    }),
  );
});
