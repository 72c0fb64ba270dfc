import { getEventListeners, once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { dialledWithin, limit, within } from '../../src/net/deadline.js';

describe('limit', () => {
  it('aborts when the time is over', async () => {
    const time = limit(20);
    await once(time.signal, 'abort');
    expect([time.passed, time.signal.reason]).toEqual([
      true,
      expect.objectContaining({ name: 'TimeoutError' }),
    ]);
  });

  it('aborts with the given signal, also if it was already aborted', () => {
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

  it('leaves no listener on that signal', async () => {
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

describe('within', () => {
  const tooLong = () => new Error('no answer');

  it('has the outcome of a promise that settles in time', async () => {
    await expect(within(60_000, Promise.resolve('value'), tooLong)).resolves.toBe('value');
    await expect(within(60_000, Promise.reject(new Error('refused')), tooLong)).rejects.toThrow('refused');
  });

  it('rejects when the time is over, and disposes of a value that arrives later', async () => {
    const work = deferred<string>();
    const disposed = deferred<string>();
    await expect(within(10, work.promise, tooLong, disposed.resolve)).rejects.toThrow('no answer');
    work.resolve('late');
    await expect(disposed.promise).resolves.toBe('late');
  });

  it('leaves no rejection unhandled when the work fails too late', async () => {
    const work = deferred<string>();
    const unhandled: unknown[] = [];
    const record = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', record);
    try {
      await expect(within(10, work.promise, tooLong)).rejects.toThrow('no answer');
      work.reject(new Error('lost'));
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('unhandledRejection', record);
    }
    expect(unhandled).toEqual([]);
  });
});

it('destroys a stream that arrives too late', async () => {
  const dialling = deferred<PassThrough>();
  await expect(dialledWithin(10, dialling.promise, () => new Error('too long'))).rejects.toThrow('too long');
  const stream = new PassThrough();
  dialling.resolve(stream);
  await once(stream, 'close');
  expect(stream.destroyed).toBe(true);
});

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}
