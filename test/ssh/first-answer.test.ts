import { PassThrough, type Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import { firstToAnswer } from '../../src/ssh/first-answer.js';
import { makeHost } from '../support/spec.js';

const hosts = ['h1', 'h2', 'h3'].map((name) => makeHost(name));
let dialled: { readonly host: string; resolve(stream: Duplex): void; reject(error: Error): void }[];

beforeEach(() => {
  vi.useFakeTimers();
  dialled = [];
});
afterEach(() => {
  vi.useRealTimers();
});

const dial = (host: HostSpec) =>
  new Promise<Duplex>((resolve, reject) => dialled.push({ host: host.name, resolve, reject }));
const asked = () => dialled.map(({ host }) => host);

describe('firstToAnswer', () => {
  it('dials only one host if it is quick', async () => {
    const answer = firstToAnswer(hosts, dial);
    await vi.advanceTimersByTimeAsync(249);
    expect(asked()).toEqual(['h1']);
    const stream = new PassThrough();
    dialled[0]?.resolve(stream);
    expect(await answer).toMatchObject({ host: { name: 'h1' }, stream });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked()).toEqual(['h1']);
  });

  it('dials the next host in parallel with a slow one, and closes late streams', async () => {
    const answer = firstToAnswer(hosts, dial);
    await vi.advanceTimersByTimeAsync(250);
    expect(asked()).toEqual(['h1', 'h2']);
    dialled[1]?.resolve(new PassThrough());
    expect((await answer).host.name).toBe('h2');
    const late = new PassThrough();
    dialled[0]?.resolve(late);
    await vi.advanceTimersByTimeAsync(0);
    expect(late.destroyed).toBe(true);
  });

  it('dials the next host at once when one fails, and rejects with the last error', async () => {
    const answer = firstToAnswer(hosts, dial);
    const outcome = expect(answer).rejects.toThrow('3');
    for (const index of [0, 1, 2]) {
      await vi.advanceTimersByTimeAsync(0);
      expect(asked()).toHaveLength(index + 1);
      dialled[index]?.reject(new Error(String(index + 1)));
    }
    await outcome;
  });

  it('dials no other host when the address itself refuses', async () => {
    const answer = firstToAnswer(hosts, dial);
    const outcome = expect(answer).rejects.toMatchObject({ code: 'TUNNEL_REFUSED' });
    dialled[0]?.reject(new PerijoveError('TUNNEL_REFUSED', 'h1 cannot connect: Connection refused'));
    await outcome;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked()).toEqual(['h1']);
  });
});
