import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { deadlineAfter } from '../../src/ssh/deadline.js';

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('aborts a signal made of it, which is all that still knows of it', async () => {
  const other = new AbortController();
  const any = AbortSignal.any([other.signal, deadlineAfter(200)]);
  const aborted = new Promise((resolve) => any.addEventListener('abort', resolve, { once: true }));
  const garbage = setInterval(collectGarbage, 20);
  try {
    await aborted;
  } finally {
    clearInterval(garbage);
  }
  expect(any.reason).toMatchObject({ name: 'TimeoutError' });
});
