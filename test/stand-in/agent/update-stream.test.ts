import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TaskState, TaskStatus } from '../../../src/stand-in/messages.js';
import { UpdateStream } from '../../../src/stand-in/agent/update-stream.js';

let dir: string;
let file: string;
const sent: string[] = [];
const send = (status: TaskStatus, latest: TaskStatus) => sent.push(`${status.uuid ?? ''}/${latest.state}`);
const status = (uuid: string, state: TaskState): TaskStatus => ({ task_id: { value: 't' }, state, uuid });

beforeEach(() => {
  vi.useFakeTimers();
  dir = mkdtempSync(path.join(tmpdir(), 'perijove-updates-'));
  file = path.join(dir, 'updates.log');
  sent.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(dir, { recursive: true });
});

describe('an update stream', () => {
  it('sends one update at a time, along with the newest state', () => {
    const stream = new UpdateStream(file, send);
    stream.add(status('1', 'TASK_RUNNING'));
    expect(sent).toEqual([]);
    stream.flush();
    stream.add(status('2', 'TASK_FINISHED'));
    expect(sent).toEqual(['1/TASK_RUNNING']);
    expect(stream.acknowledge('2')).toBe(false);
    expect(stream.acknowledge('1')).toBe(true);
    expect(sent).toEqual(['1/TASK_RUNNING', '2/TASK_FINISHED']);
    expect([stream.ended, stream.settled]).toEqual([true, false]);
    stream.acknowledge('2');
    expect(stream.settled).toBe(true);
  });

  it('resends after 10 s, then 20 s, and not while paused', () => {
    const stream = new UpdateStream(file, send);
    stream.flush();
    stream.add(status('1', 'TASK_RUNNING'));
    const countAfter = (ms: number) => {
      vi.advanceTimersByTime(ms);
      return sent.length;
    };
    expect([countAfter(9_999), countAfter(1), countAfter(19_999), countAfter(1)]).toEqual([1, 2, 2, 3]);
    stream.pause();
    expect(countAfter(3_600_000)).toBe(3);
    stream.flush();
    expect([countAfter(0), countAfter(10_000)]).toEqual([4, 5]);
    stream.acknowledge('1');
    expect(countAfter(3_600_000)).toBe(5);
  });

  it('continues after a restart', () => {
    const before = new UpdateStream(file, send);
    before.add(status('1', 'TASK_RUNNING'));
    before.flush();
    before.acknowledge('1');
    before.add(status('2', 'TASK_FAILED'));
    before.pause();
    sent.length = 0;
    const after = new UpdateStream(file, send);
    expect(after.has('1') && after.has('2') && after.ended).toBe(true);
    after.flush();
    expect(sent).toEqual(['2/TASK_FAILED']);
  });

  it('ignores an incomplete last line, and continues after it', () => {
    const before = new UpdateStream(file, send);
    before.add(status('1', 'TASK_RUNNING'));
    appendFileSync(file, '{"update":{"task_id":{"val');
    const after = new UpdateStream(file, send);
    after.add(status('2', 'TASK_FINISHED'));
    expect(new UpdateStream(file, send).statuses.map(({ uuid }) => uuid)).toEqual(['1', '2']);
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(4);
  });
});
