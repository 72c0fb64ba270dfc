import { describe, expect, it } from 'vitest';
import {
  brokenLogSign,
  decideRemedy,
  saysBroken,
  type SetAside,
} from '../../../src/mesos/masters/broken-log.js';
import { recording } from '../../support/mesos-recordings.js';

describe('a line of a master', () => {
  it.each([
    'Failed to recover the log: Corruption: no meta-nextfile entry in descriptor',
    'E1122 09:11:26.367857 20212 replica.cpp:783] EXIT with status 1: Failed to recover the log: Corruption: 3 missing files; e.g.: /w/replicated_log/000005.sst',
    'Failed to recover the log: IO error: /w/replicated_log/MANIFEST-000002: No such file or directory',
    'Failed to recover the log: Failed to deserialize record',
    'F0627 01:45:09.701522 1979613968 replica.cpp:721] CHECK_SOME(state): Corruption: checksum mismatch Failed to recover the log',
    'F1122 09:11:26.367857 20212 leveldb.cpp:245] Check failed: record.has_metadata() ',
    'F1122 09:11:26.367857 20212 master.cpp:1689] Recovery failed: Failed to recover registrar: Corruption: block checksum mismatch',
  ])('reports a broken replica: %s', (line) => {
    expect(saysBroken(line)).toBe(true);
  });

  it.each([
    // Without a quorum: wiping one more replica would lose the cluster's state.
    'F1122 09:12:34.043308 20207 master.cpp:1689] Recovery failed: Failed to recover registrar: Failed to perform fetch within 1mins',
    // Another process has it, the disk is full or fails, there is no directory.
    'Failed to recover the log: IO error: lock /w/replicated_log/LOCK: Resource temporarily unavailable',
    'Failed to recover the log: IO error: /w/replicated_log/000007.log: No space left on device',
    'Failed to recover the log: IO error: /w/replicated_log/000007.ldb: Input/output error',
    'Failed to recover the log: IO error: /w/replicated_log/LOCK: No such file or directory',
    'Failed to recover the log: IO error: /w/replicated_log/CURRENT: Permission denied',
    'F1122 09:11:26.367857 20212 log.cpp:290] Failed to participate in ZooKeeper group: timed out',
    'F1122 09:11:26.367857 20212 coordinator.cpp:405] Check failed: !missing Not expecting local replica to be missing position 7 after the writing is done',
    // What a quorum agreed on is in all replicas.
    'F1122 09:11:26.3 2 master.cpp:1689] Recovery failed: Failed to recover registrar: Failed to deserialize Registry',
    'Lost leadership... committing suicide!',
    'I1122 09:12:35.794874 20884 replica.cpp:778] Replica recovered with log positions 19 -> 20 with 0 holes and 0 unlearned',
  ])('reports something else: %s', (line) => {
    expect(saysBroken(line)).toBe(false);
  });

  it('of a real master without a quorum, after a lost leadership or a start is not a sign', () => {
    for (const file of ['outage.txt', 'failover.txt', 'startup-logs.txt']) {
      const lines = recording(file).toString('utf8').split('\n');
      expect(lines.length).toBeGreaterThan(100);
      expect(lines.filter(saysBroken)).toEqual([]);
    }
  });
});

describe('the log of a master', () => {
  const now = Date.parse('2026-11-22T09:20:00Z');
  const sign = 'Failed to recover the log: Corruption: checksum mismatch';
  const kept = (clock: string, text = sign) => `2026-11-22_${clock}.12345 ${text}`;
  const log = (...lines: readonly string[]) => brokenLogSign(`${lines.join('\n')}\n`, now);

  it('is a sign when two starts ended like that, the last one just now', () => {
    expect(log(kept('09:19:40'), kept('09:19:41', 'I1122 Flags at startup'), kept('09:19:50'))).toBe(sign);
    const journal = (clock: string) => `2026-11-22T${clock}+0100 h1 mesos-master[77]: ${sign}`;
    expect(log(journal('10:19:40'), journal('10:19:50'))).toBe(sign);
  });

  it('is the same sign at each start', () => {
    const fatal = (thread: number) => `F1122 09:19:${thread} ${thread} replica.cpp:1] Check failed: x`;
    expect(log(kept('09:19:40', fatal(40)), kept('09:19:50', fatal(50)))).toBe(
      'replica.cpp:1] Check failed: x',
    );
  });

  it.each<[string, readonly string[]]>([
    ['a single start', [kept('09:19:50')]],
    ['starts long ago', [kept('08:00:00'), kept('08:00:10')]],
    ['no recent start', [kept('09:15:00'), kept('09:15:10')]],
    ['lines without a readable time', [sign, sign]],
    ['an empty log', []],
  ])('is not a sign: %s', (_, lines) => {
    expect(log(...lines)).toBeUndefined();
  });
});

describe('the remedy', () => {
  const sign = 'Failed to recover the log: Corruption: x';
  const master = { host: 'h1', clock: 100_000, stopped: false, sign };
  const others = { healthy: ['h2', 'h3'], quorum: 2 };
  const before = (change: Partial<SetAside> = {}): SetAside => ({
    at: 99_000,
    why: 'earlier',
    tookSeconds: 2,
    ...change,
  });

  it('is applied when the log is broken and the others are a quorum', () => {
    expect(decideRemedy(master, others)).toEqual({ kind: 'set-aside', why: sign });
    expect(decideRemedy({ host: 'h1', clock: 100_000, stopped: true }, others)).toEqual({ kind: 'none' });
  });

  it('is not applied without a quorum of others', () => {
    const remedy = decideRemedy(master, { healthy: ['h2'], quorum: 2 });
    expect(remedy).toMatchObject({
      kind: 'leave',
      why: expect.stringContaining('healthy: 1 of the required 2') as string,
    });
  });

  it('is not applied while the keeper is paused', () => {
    expect(decideRemedy(master, others, 'the keeper is paused')).toMatchObject({ kind: 'leave' });
  });

  it('is applied once an hour', () => {
    expect(decideRemedy({ ...master, setAside: before() }, others)).toMatchObject({
      kind: 'leave',
      why: expect.stringContaining('set aside at 1970-01-02T03:30:00.000Z') as string,
    });
    expect(decideRemedy({ ...master, setAside: before({ at: 96_400 }) }, others).kind).toBe('set-aside');
    // A clock that was set back is no reason to wait forever.
    expect(decideRemedy({ ...master, setAside: before({ at: 100_001 }) }, others).kind).toBe('set-aside');
  });

  it('is resumed after an interruption, even if the log no longer shows a sign', () => {
    const { sign: _, ...quiet } = master;
    const setAside = { at: 99_900, why: 'earlier' };
    const stopped = { ...quiet, stopped: true, setAside };
    expect(decideRemedy({ ...quiet, setAside }, others)).toEqual({ kind: 'set-aside', why: 'earlier' });
    expect(decideRemedy({ ...quiet, setAside: before() }, others)).toEqual({ kind: 'none' });
    // The master is not kept down: neither without a quorum, nor when no worker was there to continue.
    expect(decideRemedy(stopped, { healthy: [], quorum: 2 })).toEqual({ kind: 'start' });
    expect(decideRemedy({ ...stopped, setAside: { ...setAside, at: 90_000 } }, others)).toEqual({
      kind: 'start',
    });
    expect(decideRemedy({ ...quiet, setAside: { ...setAside, at: 90_000 } }, others)).toEqual({
      kind: 'none',
    });
    // It was started since, so it was stopped on purpose.
    expect(decideRemedy({ ...stopped, setAside: { ...setAside, left: true } }, others)).toEqual({
      kind: 'none',
    });
    expect(decideRemedy({ ...master, setAside: { ...setAside, at: 99_000 } }, others).kind).toBe('leave');
  });
});
