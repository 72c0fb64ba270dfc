import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { cut, table } from '../../src/cli/table.js';

const { red } = picocolors.createColors(true);

describe('table', () => {
  it('aligns columns and leaves no spaces at the ends', () => {
    expect(
      table([
        ['a', 'bbb', 'c'],
        ['aaaa', 'b'],
        ['a', '', 'ccc'],
      ]),
    ).toEqual(['a     bbb  c', 'aaaa  b', 'a          ccc']);
  });

  it('does not count colours', () => {
    expect(
      table([
        [red('a'), 'b'],
        ['aa', 'b'],
      ]),
    ).toEqual([`${red('a')}   b`, 'aa  b']);
  });

  it('of no rows is no lines', () => {
    expect(table([])).toEqual([]);
  });
});

describe('cut', () => {
  it('leaves what fits', () => {
    expect(cut('abc', 3)).toBe('abc');
    expect(cut(red('abc'), 3)).toBe(red('abc'));
  });

  it('marks what it shortens, and closes its colours', () => {
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut(`${red('abcd')}ef`, 4)).toBe(`${red('abc')}…`);
  });
});
