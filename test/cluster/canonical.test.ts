import { expect, it } from 'vitest';
import { canonicalJson, isSameData } from '../../src/cluster/canonical.js';

it('ignores the order of keys at any depth, but not the order of lists', () => {
  expect(isSameData({ a: 1, b: { c: 2, d: [1, 2] } }, { b: { d: [1, 2], c: 2 }, a: 1 })).toBe(true);
  expect(isSameData({ d: [1, 2] }, { d: [2, 1] })).toBe(false);
  expect(isSameData({ a: null }, {})).toBe(false);
  expect(canonicalJson({ b: 1, a: [{ d: 1, c: 2 }] })).toBe('{"a":[{"c":2,"d":1}],"b":1}');
});
