import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import { versionsText } from '../../../src/cli/verbs/versions.js';
import { supportOf, type Part } from '../../../src/status/support.js';

const row = (part: Part, at: string, version: string | null) => ({
  ...{ part, at, version },
  ...supportOf(part, version),
});

describe('versionsText', () => {
  it('has a row for each version with its places, and what is wrong with which', () => {
    const rows = [
      row('etcd', 'node0', '3.4.42'),
      row('etcd', 'node1', '3.6.9'),
      row('etcd', 'node2', '3.4.42'),
      row('docker', 'h1', null),
    ];
    expect(versionsText(rows, createColors(false), 100)).toBe(`part    version  where
etcd    3.4.42   node0, node2
etcd    3.6.9    node1
docker  unknown  h1

etcd 3.4.42: etcd 3.4 and older are out of support since June 2026.
`);
  });
});
