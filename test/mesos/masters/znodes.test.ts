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

describe('whose a znode is', () => {
  it("is the user and ZooKeeper's hash of both", () => {
    // The one that texts about ZooKeeper's `superDigest` use.
    expect(ownerOf('super:test')).toBe('super:D/InIHSb7yEEbrWz8b9l71RjZJU=');
  });

  it('is read by everybody, and written by its owners', () => {
    expect(accessFor(owners('a:1'))).toEqual([
      { scheme: 'world', id: 'anyone', may: 'read' },
      { scheme: 'digest', id: ownerOf('a:1'), may: 'all' },
    ]);
    expect(admits(accessFor(owners('a:1')), owners('a:1'))).toBe(true);
    expect(admits(accessFor(owners('a:1')), owners('a:1', 'a:2'))).toBe(false);
    expect(admits(accessFor(owners('a:1')), { kind: 'everybody' })).toBe(false);
    expect(admits(everybody, owners('a:2'))).toBe(true);
  });

  it('does not depend on the order in which ZooKeeper tells it', () => {
    const access = accessFor(owners('a:1', 'a:2'));
    expect(sameAccess(access, access.toReversed())).toBe(true);
    expect(sameAccess(access, accessFor(owners('a:1')))).toBe(false);
  });
});

describe('to let masters in', () => {
  it('changes nothing where all are admitted', () => {
    expect(opening(owners('a:1'))(everybody)).toBeUndefined();
    expect(opening(owners('a:1'))(accessFor(owners('a:1', 'a:0')))).toBeUndefined();
    expect(opening({ kind: 'everybody' })(everybody)).toBeUndefined();
  });

  it('admits those with the new digest beside those with the former one', () => {
    expect(opening(owners('a:2', 'a:1'))(accessFor(owners('a:1')))).toEqual(accessFor(owners('a:2', 'a:1')));
  });

  it('admits everybody again where no digest is wanted any more', () => {
    expect(opening({ kind: 'everybody' })(accessFor(owners('a:1')))).toEqual(everybody);
  });
});

describe('to protect', () => {
  it('leaves the znodes to one digest alone, and does so once', () => {
    const wanted = accessFor(owners('a:2'));
    expect(protecting('a:2')(everybody)).toEqual(wanted);
    expect(protecting('a:2')(accessFor(owners('a:1', 'a:2')))).toEqual(wanted);
    expect(protecting('a:2')(wanted)).toBeUndefined();
  });
});
