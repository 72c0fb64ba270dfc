import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { answerOf } from '../../src/cli/answer.js';

const never = new AbortController().signal;

it('is the line typed', async () => {
  const input = new PassThrough();
  input.write('yes\nmore\n');
  expect(await answerOf(input, never)).toBe('yes');
});

it('is undefined when the input ends or is interrupted', async () => {
  const input = new PassThrough();
  input.end();
  expect(await answerOf(input, never)).toBeUndefined();
  const interrupted = new AbortController();
  const answer = answerOf(new PassThrough(), interrupted.signal);
  interrupted.abort();
  expect(await answer).toBeUndefined();
});
