import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Leave } from '../../../src/mesos/scheduler/deps.js';
import { Leaving } from '../../../src/mesos/scheduler/leaving.js';
import type { Roll } from '../../../src/mesos/scheduler/tasks.js';

const roll: Roll = { taskId: 'node3.7', node: 'node3', leaves: true, moves: false, why: 'removed' };

/** A node whose requests are answered by the test. */
function asked() {
  const open: ((answer: Leave) => Promise<void>)[] = [];
  let rung = (): void => undefined;
  const question = () =>
    new Promise<Leave>((resolve) => {
      open.push(async (answer) => {
        const bell = new Promise<void>((ring) => (rung = ring));
        resolve(answer);
        await bell;
      });
    });
  const deps = { vacate: question, retire: question, logger: pino({ enabled: false }) };
  const leaving = new Leaving(deps, () => rung());
  return { leaving, open, answer: (leave: Leave) => open.shift()?.(leave) };
}

describe('a node that leaves', () => {
  it('reports the same reason while it is asked again', async () => {
    const { leaving, open, answer } = asked();
    leaving.next(roll, Date.now());
    expect(leaving.note(roll.taskId)).toEqual([]);
    await answer({ kind: 'waits', why: 'node1 is unhealthy' });
    expect(leaving.note(roll.taskId)).toEqual(['node1 is unhealthy']);
    leaving.next(roll, Date.now() + 60_000);
    expect(open).toHaveLength(1);
    expect(leaving.note(roll.taskId)).toEqual(['node1 is unhealthy']);
    await answer({ kind: 'done' });
    expect(leaving.note(roll.taskId)).toEqual([]);
  });

  it('observes at the same interval, and repeats a failed move ever more seldom', async () => {
    const pauses = async (leave: Leave, times: number) => {
      const { leaving, answer } = asked();
      const found: number[] = [];
      for (let time = 0; time < times; time++) {
        leaving.next(roll, Infinity);
        await answer(leave);
        const now = Date.now();
        const step = leaving.next(roll, now);
        if (step.kind === 'wait') found.push(Math.round((step.until - now) / 1_000));
      }
      return found;
    };
    const waits = { kind: 'waits', why: 'it leads etcd' } as const;
    expect(await pauses(waits, 4)).toEqual([2, 2, 2, 2]);
    expect(await pauses({ ...waits, moveFailed: true }, 8)).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
  });
});
