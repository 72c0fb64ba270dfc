import { expect, it } from 'vitest';
import { specChanges } from '../../src/cluster/spec-changes.js';

const host = (name: string, address: string) => ({ name, address, roles: ['agent'] });

it('names each key that differs, with the values before and after', () => {
  const before = {
    nodes: { count: 3, memory: '1GiB' },
    hosts: [host('h1', '10.0.0.1'), host('h2', '10.0.0.2')],
  };
  const after = {
    nodes: { memory: '1GiB', count: 5 },
    hosts: [host('h2', '10.0.0.9'), host('h3', '10.0.0.3')],
  };
  expect(specChanges(before, after)).toEqual([
    'nodes.count: 3 → 5',
    'hosts.h1: removed',
    'hosts.h2.address: 10.0.0.2 → 10.0.0.9',
    'hosts.h3: added',
  ]);
});

it('compares other lists as a whole, and cuts long values', () => {
  const [line = ''] = specChanges({ flags: ['a'] }, { flags: ['b'.repeat(100)] });
  expect(line).toMatch(/^flags: \["a"\] → \["b+…$/);
  expect(line.length).toBeLessThan(90);
});

it('is empty for the same data in another order of keys', () => {
  expect(specChanges({ a: 1, b: [host('h', '1')] }, { b: [host('h', '1')], a: 1 })).toEqual([]);
});
