import { expect, it } from 'vitest';
import { canonicalJson, isSameData } from '../../src/cluster/canonical.js';

it('the order of keys does not count, at any depth; that of a list does', () => {
  expect(isSameData({ a: 1, b: { c: 2, d: [1, 2] } }, { b: { d: [1, 2], c: 2 }, a: 1 })).toBe(true);
  expect(isSameData({ d: [1, 2] }, { d: [2, 1] })).toBe(false);
  expect(isSameData({ a: null }, {})).toBe(false);
  expect(canonicalJson({ b: 1, a: [{ d: 1, c: 2 }] })).toBe('{"a":[{"c":2,"d":1}],"b":1}');
});
