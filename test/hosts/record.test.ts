import { describe, expect, it } from 'vitest';
import type { ServiceItem } from '../../src/hosts/items.js';
import { definitionDigest, describeDifference, recordDifference, recordOf } from '../../src/hosts/record.js';

const service: ServiceItem = {
  name: 'a',
  description: 'a',
  exec: ['a'],
  env: { X: '1', Y: '2' },
  restartOn: ['/etc/a.conf', '/etc/b conf'],
};

describe('definitionDigest', () => {
  it('changes with what a process is started with, not with the description or the order', () => {
    const digest = definitionDigest(service);
    expect(
      definitionDigest({ ...service, description: 'b', env: { Y: '2', X: '1' }, leaveChildren: true }),
    ).toBe(digest);
    const others: Partial<ServiceItem>[] = [
      { exec: ['a', 'b'] },
      { env: { X: '1' } },
      { user: 'u' },
      { workingDirectory: '/w' },
      { openFiles: 1 },
    ];
    const digests = others.map((other) => definitionDigest({ ...service, ...other }));
    expect(new Set([digest, ...digests]).size).toBe(6);
  });
});

describe('recordDifference', () => {
  it('names what differs', () => {
    const before = recordOf(service, () => '1');
    const after = recordOf({ ...service, exec: ['b'] }, (path) => (path === '/etc/b conf' ? '2' : '1'));
    expect(recordDifference(before, before)).toEqual([]);
    expect(recordDifference(before, after)).toEqual(['definition', '/etc/b conf']);
    expect(recordDifference('', before)).toEqual(['definition', '/etc/a.conf', '/etc/b conf']);
    expect(['definition', '/etc/b conf'].map(describeDifference)).toEqual([
      'definition changed',
      'b conf changed',
    ]);
  });
});
