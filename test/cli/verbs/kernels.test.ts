import { expect, test } from 'vitest';
import { chosen } from '../../../src/cli/verbs/kernels.js';
import { PerijoveError } from '../../../src/errors/error.js';

const kernel = (id: string, path?: string) => ({
  ...{ id, name: 'python3', state: 'idle', lastActivity: '2026-01-01T00:00:00Z', node: 'node0' },
  ...(path !== undefined && { path }),
});
const kernels = [kernel('abc-1', 'a.ipynb'), kernel('abd-2', 'b.ipynb'), kernel('a')];

test.each([
  ['abc-1', 'abc-1'],
  ['abd', 'abd-2'],
  ['b.ipynb', 'abd-2'],
  // A whole ID is meant, also where others begin with it.
  ['a', 'a'],
])('%s is one kernel', (wanted, id) => {
  expect(chosen({ kernels, errors: [] }, wanted).id).toBe(id);
});

test('an ambiguous or unknown name is refused', () => {
  expect(() => chosen({ kernels, errors: [] }, 'ab')).toThrow('2 kernels match "ab"');
  expect(() => chosen({ kernels, errors: [] }, 'x')).toThrow('no kernel matches "x"');
});

test('what a silent node may have is not called unknown', () => {
  const silent = new PerijoveError('NODE_UNREACHABLE', 'the kernels of node1 are not known');
  expect(() => chosen({ kernels, errors: [silent] }, 'x')).toThrow(silent);
  expect(chosen({ kernels, errors: [silent] }, 'abc').id).toBe('abc-1');
});
