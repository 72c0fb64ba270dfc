import { getEventListeners, once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { deadlineAfter, limit } from '../../src/net/deadline.js';

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

describe('limit', () => {
  it('aborts when the time is over', async () => {
    const time = limit(20);
    await once(time.signal, 'abort');
    expect([time.passed, time.signal.reason]).toEqual([
      true,
      expect.objectContaining({ name: 'TimeoutError' }),
    ]);
  });

  it('aborts with the signal that was given, also one that was aborted before', () => {
    const given = new AbortController();
    const time = limit(60_000, given.signal);
    given.abort(new Error('enough'));
    const late = limit(60_000, given.signal);
    for (const each of [time, late]) {
      const { signal, passed } = each;
      expect([passed, signal.reason]).toEqual([false, expect.objectContaining({ message: 'enough' })]);
      each.end();
    }
  });

  it('leaves nothing at that signal', async () => {
    const given = new AbortController();
    for (let times = 0; times < 5; times += 1) {
      const time = limit(10, given.signal);
      if (times % 2 === 0) await once(time.signal, 'abort');
      time.end();
      time.end();
    }
    expect(getEventListeners(given.signal, 'abort')).toEqual([]);
  });
});
