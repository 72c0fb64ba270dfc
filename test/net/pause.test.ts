import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { pause } from '../../src/net/pause.js';

it('ends when its time is over', async () => {
  const { signal } = new AbortController();
  await pause(5, signal);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('ends when the signal aborts, also if it was already aborted', async () => {
  const ended = new AbortController();
  const paused = pause(3_600_000, ended.signal);
  ended.abort();
  await paused;
  await pause(3_600_000, ended.signal);
});
