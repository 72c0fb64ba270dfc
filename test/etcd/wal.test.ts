import { describe, expect, it } from 'vitest';
import { walPosition } from '../../src/etcd/wal.js';

/** The beginning of the first segment that etcd 3.4.23 wrote for a cluster of one at 127.25.9.1. */
const segment = Buffer.from(
  'BAAAAAAAAIQIBBAAAAAAACAAAAAAAAAACAEQzIeloQsaFgitvLGHzo6dkZUBEJfajcf327qzkQEOAAAAAAAAgggFENyB/OMFGgQIABAAAABvAAAAAAAAgQgCEOHg8uADGmUIARABGAEiXQgAEAAYrbyxh86OnZGVASJMeyJpZCI=',
  'base64',
);

/** A record as etcd frames it, without a CRC; its length is a multiple of 8, or padded to one. */
function record(type: number, fields: readonly (readonly [number, number])[]): Buffer {
  const data = Buffer.from(fields.flatMap(([field, value]) => [field << 3, value]));
  const body = Buffer.from([1 << 3, type, (3 << 3) | 2, data.length, ...data]);
  const padding = (8 - (body.length % 8)) % 8;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(body.length));
  if (padding > 0) length[7] = 0x80 | padding;
  return Buffer.concat([length, body, Buffer.alloc(padding)]);
}

const entry = (term: number, index: number) =>
  record(2, [
    [1, 0],
    [2, term],
    [3, index],
  ]);
const state = (term: number, commit: number) =>
  record(3, [
    [1, term],
    [2, 9],
    [3, commit],
  ]);

describe('the position of a member', () => {
  it('is that of its last entry, and what it knew to be committed', () => {
    const log = Buffer.concat([
      entry(1, 1),
      state(1, 1),
      entry(2, 2),
      entry(2, 3),
      state(3, 2),
      Buffer.alloc(64),
    ]);
    expect(walPosition([log])).toEqual({ term: 2, index: 3, commit: 2 });
  });

  it('is that of the segment before while the last one has only begun', () => {
    expect(walPosition([entry(4, 8), state(4, 8)])).toEqual({ term: 4, index: 8, commit: 8 });
  });

  it('does not count a record that was not written to its end', () => {
    const log = Buffer.concat([entry(1, 1), entry(1, 2)]);
    expect(walPosition([log.subarray(0, log.length - 8)])).toMatchObject({ index: 1 });
  });

  it('is that of a snapshot without entries after it', () => {
    const snapshot = (index: number, term: number) =>
      record(5, [
        [1, index],
        [2, term],
      ]);
    expect(walPosition([Buffer.concat([snapshot(0, 0), snapshot(40, 3), state(3, 40)])])).toEqual({
      ...{ term: 3, index: 40, commit: 40 },
    });
    expect(walPosition([Buffer.concat([entry(3, 50), snapshot(40, 3)])])).toMatchObject({ index: 50 });
    expect(walPosition([snapshot(0, 0)])).toBeUndefined();
  });

  it('is none in a log without entries', () => {
    expect(walPosition([segment])).toBeUndefined();
    expect(walPosition([Buffer.alloc(4096)])).toBeUndefined();
    expect(walPosition([])).toBeUndefined();
  });
});
