import { expect, test } from 'vitest';
import { idOf, kernelOf, readList, union, unreachable } from '../../../../src/proxy/program/kernels/union.js';

test('lists of several nodes become one, in the order of the nodes, each entry once', () => {
  const of = (...ids: string[]) => ids.map((id) => ({ id }));
  expect(union('kernels', [of('a', 'b'), [], of('b', 'c')])).toEqual(of('a', 'b', 'c'));
  expect(union('terminals', [[{ name: 'node0_1' }], [{ name: 'node1_1' }]])).toHaveLength(2);
});

test('what a silent node had has an unknown state, and keeps everything else', () => {
  const kernel = { id: 'k', name: 'python3', execution_state: 'busy', connections: 1 };
  expect(unreachable('kernels', kernel)).toEqual({ ...kernel, execution_state: 'unknown' });
  const session = { id: 's', path: 'a.ipynb', kernel };
  expect(unreachable('sessions', session)).toEqual({
    ...session,
    kernel: { ...kernel, execution_state: 'unknown' },
  });
  expect(unreachable('sessions', { id: 's', kernel: null })).toEqual({ id: 's', kernel: null });
  expect(unreachable('terminals', { name: 'node1_1' })).toEqual({ name: 'node1_1' });
});

test('what is no list of that kind is none', () => {
  expect(readList('kernels', '[{"id":"a","new":1}]')).toEqual([{ id: 'a', new: 1 }]);
  for (const text of ['', '{}', '[1]', '[{"id":1}]', '[{"name":"a"}]', '<html>']) {
    expect(readList('kernels', text)).toBeUndefined();
  }
  expect(readList('terminals', '[{"name":"node0_1"}]')).toEqual([{ name: 'node0_1' }]);
});

test('a session names its kernel, where it has one', () => {
  expect(kernelOf({ id: 's', kernel: { id: 'k' } })).toBe('k');
  expect(kernelOf({ id: 's', kernel: null })).toBeUndefined();
  expect(idOf('terminals', { name: 'node0_1' })).toBe('node0_1');
});
