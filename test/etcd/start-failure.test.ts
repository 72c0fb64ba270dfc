import { describe, expect, it } from 'vitest';
import { startFailure } from '../../src/etcd/start-failure.js';

const at = '2026-11-29_20:39:48.28357 ';
const decided = `${at}{"level":30,"part":"etcd","decision":"start-with-data","msg":"etcd"}`;
const log = (...lines: string[]): string => [...lines.map((line) => `${at}${line}`), ''].join('\n');
const after = (...lines: string[]) => startFailure(`${decided}\n${log(...lines)}`);

describe('startFailure', () => {
  it.each([
    [
      'data older than what the member has promised',
      '2026-11-29 20:39:48.283948 C | raft: tocommit(12) is out of range [lastIndex(8)]. Was the raft log corrupted, truncated, or lost?',
    ],
    [
      'a database that is none',
      '2026-11-29 20:39:48.283948 C | mvcc/backend: cannot open database at /d/member/snap/db (invalid database)',
    ],
    ['a database that is cut short', 'unexpected fault address 0x7f2714004000'],
    ['a damaged log', '2026-11-29 20:39:48.283948 C | etcdmain: wal: max entry size limit exceeded'],
    [
      'a log with another checksum',
      '2026-11-29 20:39:48.283948 C | etcdserver: read wal error (walpb: crc mismatch) and cannot be repaired',
    ],
    [
      'a snapshot that is lost',
      '{"level":"panic","ts":"2026","msg":"failed to recover v3 backend from snapshot","error":"failed to find database snapshot file (snap: snapshot file doesn\'t exist)"}',
    ],
    [
      'a panic without another word',
      'panic: tocommit(12) is out of range [lastIndex(8)]. Was the raft log corrupted, truncated, or lost?',
    ],
  ])('takes %s for damaged', (_title, line) => {
    const failure = after(
      '2026-11-29 20:39:48.283948 I | etcdmain: starting',
      line,
      'goroutine 133 [running]:',
    );
    expect(failure?.kind).toBe('data');
    expect(line).toContain(failure?.words.split(': ')[0]);
  });

  it.each([
    [
      '2026-11-29 20:39:48.283948 C | etcdmain: cannot access data directory: open /d/.touch: read-only file system',
      'place',
    ],
    ['2026-11-29 20:39:48.283948 C | etcdserver: create wal error: no space left on device', 'place'],
    [
      '2026-11-29 20:39:48.283948 C | etcdmain: listen tcp 127.0.0.1:2379: bind: address already in use',
      'place',
    ],
    [
      '2026-11-29 20:39:48.283948 C | mvcc/backend: cannot open database at /d/db (open /d/db: permission denied)',
      'place',
    ],
    ['2026-11-29 20:39:48.283948 C | etcdmain: error verifying flags, --nope', 'other'],
  ] as const)('%s is %s', (line, kind) => {
    expect(after(line)?.kind).toBe(kind);
  });

  it('knows of none where the last one was killed, or only complained', () => {
    expect(after('2026-11-29 20:39:48.283948 W | rafthttp: no space left on device')).toBeUndefined();
    expect(after('2026-11-29 20:39:48.283948 E | snap: corrupted snapshot file x')).toBeUndefined();
    expect(startFailure('')).toBeUndefined();
  });

  it('reads what the last one said, and no earlier one', () => {
    const broken = log('panic: tocommit(12) is out of range [lastIndex(8)]');
    expect(startFailure(`${decided}\n${broken}`)?.kind).toBe('data');
    expect(startFailure(`${decided}\n${broken}${decided}\n${log('started')}`)).toBeUndefined();
    expect(startFailure(broken)).toBeUndefined();
  });
});
