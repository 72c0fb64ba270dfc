import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { commandTable, cut, fold, hanging, table, wrapped } from '../../src/cli/table.js';

const { red } = picocolors.createColors(true);

describe('table', () => {
  it('aligns columns without trailing spaces', () => {
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

  it('has no lines without rows', () => {
    expect(table([])).toEqual([]);
  });
});

describe('a table that is too wide', () => {
  it('wraps its widest cells', () => {
    expect(
      table(
        [
          ['one', 'a text of several words', 'end'],
          ['two', 'short', 'end'],
        ],
        19,
      ),
    ).toEqual(['one  a text of  end', '     several', '     words', 'two  short      end']);
  });

  it('never breaks a word', () => {
    expect(table([['a', 'http://127.0.1.1:8888/lab and more']], 20)).toEqual([
      'a  http://127.0.1.1:8888/lab',
      '   and more',
    ]);
  });

  it('closes colours at the end of each line', () => {
    const lines = table([[red('several words here'), 'x']], 12);
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/^\u001b\[31m\w+\u001b\[39m/);
  });
});

describe('wrapped and hanging', () => {
  it('keeps a text that fits on one line', () => {
    expect(wrapped('a b c', 5)).toEqual(['a b c']);
    expect(wrapped('a b c', Infinity)).toEqual(['a b c']);
  });

  it('starts all lines in the column after the lead', () => {
    expect(hanging('! ', 'one two three', 9)).toEqual(['! one two', '  three']);
  });
});

describe('commandTable', () => {
  const rows = [
    ['perijove up', 'deploy'],
    ['perijove down --purge', 'remove everything'],
  ] as const;

  it('puts the description beside or below a command, and never wraps the command', () => {
    expect(commandTable(rows, 80)).toEqual([
      '  perijove up            deploy',
      '  perijove down --purge  remove everything',
    ]);
    expect(commandTable(rows, 20)).toEqual([
      '  perijove up',
      '      deploy',
      '  perijove down --purge',
      '      remove',
      '      everything',
    ]);
  });
});

describe('fold', () => {
  it('wraps only long lines, and indents continuations', () => {
    expect(fold('short\n  one two three\n', 12)).toBe('short\n  one two\n    three\n');
  });
});

describe('cut', () => {
  it('keeps lines that fit', () => {
    expect(cut('abc', 3)).toBe('abc');
    expect(cut(red('abc'), 3)).toBe(red('abc'));
  });

  it('marks shortened lines, and closes their colours', () => {
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut(`${red('abcd')}ef`, 4)).toBe(`${red('abc')}…`);
  });
});
