import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { afterBeginning, quote } from '../../src/ssh/shell.js';

describe('quote', () => {
  it('quotes any value as one word', () => {
    const values = fc.sample(fc.string({ unit: 'grapheme-ascii' }), 200);
    const words = ['', "it's", '$HOME `x` \\ "y"', '*', 'a\nb', '-n', '~', '#', ...values];
    const script = `printf '%s\\0' ${words.map(quote).join(' ')}`;
    expect(execFileSync('sh', ['-c', script]).toString().split('\0').slice(0, -1)).toEqual(words);
  });
});

describe('afterBeginning', () => {
  it('skips the output of a login shell', () => {
    expect(afterBeginning('Welcome!\n\u001eperijove\u001eout\n')).toBe('out\n');
    expect(afterBeginning('Welcome!\n')).toBeUndefined();
  });
});
