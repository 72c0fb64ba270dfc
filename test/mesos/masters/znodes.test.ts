import { describe, expect, it } from 'vitest';
import {
  accessFor,
  admits,
  opening,
  ownerOf,
  protecting,
  sameAccess,
} from '../../../src/mesos/masters/znodes.js';

const everybody = accessFor({ kind: 'everybody' });
const owners = (...digests: string[]) => ({ kind: 'owners', digests }) as const;

describe('the owner of a znode', () => {
  it("is the user and ZooKeeper's hash of both", () => {
    // The usual example for ZooKeeper's `superDigest`.
    expect(ownerOf('super:test')).toBe('super:D/InIHSb7yEEbrWz8b9l71RjZJU=');
  });

  it('can write, and everyone can read', () => {
    expect(accessFor(owners('a:1'))).toEqual([
      { scheme: 'world', id: 'anyone', may: 'read' },
      { scheme: 'digest', id: ownerOf('a:1'), may: 'all' },
    ]);
    expect(admits(accessFor(owners('a:1')), owners('a:1'))).toBe(true);
    expect(admits(accessFor(owners('a:1')), owners('a:1', 'a:2'))).toBe(false);
    expect(admits(accessFor(owners('a:1')), { kind: 'everybody' })).toBe(false);
    expect(admits(everybody, owners('a:2'))).toBe(true);
  });

  it('does not depend on the order in which ZooKeeper lists it', () => {
    const access = accessFor(owners('a:1', 'a:2'));
    expect(sameAccess(access, access.toReversed())).toBe(true);
    expect(sameAccess(access, accessFor(owners('a:1')))).toBe(false);
  });
});

describe('opening', () => {
  it('changes nothing if all are admitted', () => {
    expect(opening(owners('a:1'))(everybody)).toBeUndefined();
    expect(opening(owners('a:1'))(accessFor(owners('a:1', 'a:0')))).toBeUndefined();
    expect(opening({ kind: 'everybody' })(everybody)).toBeUndefined();
  });

  it('admits the new digest beside the previous one', () => {
    expect(opening(owners('a:2', 'a:1'))(accessFor(owners('a:1')))).toEqual(accessFor(owners('a:2', 'a:1')));
  });

  it('admits everyone again when no digest is required any more', () => {
    expect(opening({ kind: 'everybody' })(accessFor(owners('a:1')))).toEqual(everybody);
  });
});

describe('protecting', () => {
  it('restricts the znodes to one digest, and does so once', () => {
    const wanted = accessFor(owners('a:2'));
    expect(protecting('a:2')(everybody)).toEqual(wanted);
    expect(protecting('a:2')(accessFor(owners('a:1', 'a:2')))).toEqual(wanted);
    expect(protecting('a:2')(wanted)).toBeUndefined();
  });
});
