import { describe, expect, it } from 'vitest';
import { parseStat, withDescendants } from '../../src/lab/processes.js';

describe('parseStat', () => {
  it('counts fields from the last closing parenthesis, since a name may contain parentheses and blanks', () => {
    const fields = Array.from({ length: 50 }, (_, index) => String(index + 3));
    fields[0] = 'S';
    expect(parseStat(`42 (a) b (c) ${fields.join(' ')}`)).toEqual({
      pid: 42,
      name: 'a) b (c',
      state: 'S',
      parent: 4,
      startTime: 22,
      threads: 20,
    });
  });
});

describe('withDescendants', () => {
  const processes = [
    { pid: 1, parent: 0 },
    { pid: 2, parent: 1 },
    { pid: 3, parent: 2 },
    { pid: 4, parent: 3 },
    { pid: 5, parent: 1 },
  ];

  it('follows grandchildren', () => {
    expect([...withDescendants([2], processes)]).toEqual([2, 3, 4]);
  });

  it('keeps a root that has ended, without children', () => {
    expect([...withDescendants([9], processes)]).toEqual([9]);
  });
});
