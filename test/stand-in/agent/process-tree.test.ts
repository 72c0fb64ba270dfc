import { describe, expect, it } from 'vitest';
import {
  membersOf,
  parseProcess,
  readProcess,
  type ProcessFacts,
} from '../../../src/stand-in/agent/process-tree.js';

const facts = (pid: number, parent: number, session: number, start = 100): ProcessFacts => ({
  pid,
  parent,
  session,
  start,
  zombie: false,
});

const members = (
  processes: readonly ProcessFacts[],
  options: { leader?: { pid: number; start: number }; carriers?: number[]; known?: [number, number][] },
) =>
  membersOf(
    { mark: 'MESOS_CONTAINER_ID=c', ...(options.leader && { leader: options.leader }) },
    processes,
    new Map(options.known ?? []),
    (pid) => (options.carriers ?? []).includes(pid),
  ).map(({ pid }) => pid);

describe('a process', () => {
  it('is recognized with any name, and when it has ended', () => {
    const stat = '7 (a) S 1 (b) R 1 7 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0\n';
    expect(parseProcess(7, stat)).toEqual({ pid: 7, parent: 1, session: 6, start: 4711, zombie: false });
    expect(readProcess(99_999_999)).toBeUndefined();
  });

  it.each(['', '7 (a', '7 (a) R 1 7', '7 (a) R 1 7 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 47', '7 (a) R 1 7 6\n'])(
    'is taken neither for ended nor for another one when `stat` is %j',
    (stat) => expect(() => parseProcess(7, stat)).toThrow('cut short'),
  );
});

describe('membersOf', () => {
  it('finds processes by ID, by session, and all their descendants', () => {
    const processes = [
      facts(1, 0, 1),
      facts(10, 1, 10),
      facts(11, 10, 10),
      // In its own session and environment, but still a child.
      facts(12, 11, 12),
      // An orphan, recognized only by its environment; and its child without the mark.
      facts(13, 1, 13),
      facts(14, 13, 13),
      facts(20, 1, 20),
    ];
    expect(members(processes, { leader: { pid: 10, start: 100 }, carriers: [13] })).toEqual([
      10, 11, 12, 13, 14,
    ]);
  });

  it('does not confuse processes with the same PID', () => {
    const processes = [facts(10, 1, 10, 50), facts(11, 1, 11, 200)];
    expect(members(processes, { leader: { pid: 10, start: 100 }, known: [[11, 100]] })).toEqual([]);
    expect(members(processes, { known: [[11, 200]] })).toEqual([11]);
  });

  it('keeps known members after their parents ended', () => {
    expect(members([facts(30, 1, 30)], { known: [[30, 100]] })).toEqual([30]);
  });
});

describe('readProcess', () => {
  it('reads this process, and undefined for a missing one', () => {
    expect(readProcess(process.pid)).toMatchObject({ pid: process.pid, parent: process.ppid, zombie: false });
    expect(readProcess(2 ** 22 + 1)).toBeUndefined();
  });
});
