import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jupyterStatus, runCell } from '../../src/jupyter/client.js';
import { watch } from '../../src/keeper/watch.js';
import type { KeeperAccess } from '../../src/keeper/access.js';
import { recoveredState } from '../../src/mesos/masters/operator-client.js';
import { subscribe } from '../../src/mesos/scheduler/client.js';
import { frameworkInfo } from '../../src/mesos/scheduler/launch.js';
import { Pulse } from '../../src/mesos/scheduler/pulse.js';
import { jsonClient } from '../../src/net/json-client.js';
import { pause } from '../../src/net/pause.js';
import { scope } from '../../src/net/scope.js';
import { rawServer, type RawServer } from '../support/raw-server.js';
import { makeSpec } from '../support/spec.js';

describe('a scope', () => {
  it('aborts with the given signal, also one that was aborted before', () => {
    const given = new AbortController();
    const before = scope(given.signal);
    given.abort('enough');
    expect([before.signal.reason, scope(given.signal).signal.reason]).toEqual(['enough', 'enough']);
  });

  it('aborts alone', () => {
    const given = new AbortController();
    const part = scope(given.signal);
    part.abort('enough');
    expect([part.signal.reason, given.signal.aborted]).toEqual(['enough', false]);
  });

  it('no longer follows the given signal once it has ended', () => {
    const given = new AbortController();
    const part = scope(given.signal);
    part.end();
    given.abort();
    expect(part.signal.aborted).toBe(false);
  });

  it('leaves nothing at the given signal', () => {
    const { signal } = new AbortController();
    for (let round = 0; round < 50; round += 1) {
      scope(signal).end();
      scope(signal).abort();
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

const warnings: string[] = [];
const hear = (warning: Error) => void warnings.push(warning.message);

describe('what is done again and again under one signal that lasts', () => {
  let server: RawServer;
  let master: { readonly host: string; readonly port: number };
  beforeAll(async () => {
    process.on('warning', hear);
    // What each caller takes for a refusal, with the connection closed after it.
    server = await rawServer((socket) =>
      socket.end('HTTP/1.1 503 Nothing Here\r\nContent-Length: 2\r\n\r\n{}'),
    );
    const { hostname, port } = new URL(server.url);
    master = { host: hostname, port: Number(port) };
  });
  afterAll(() => {
    process.off('warning', hear);
    server.close();
  });

  const dial = async () => master;
  const spec = makeSpec({ nodes: { count: 5 } });
  const unreachable = (why: string) => new Error(why);
  const rounds: readonly (readonly [what: string, once: (signal: AbortSignal) => Promise<unknown>])[] = [
    ['a question to a master', (signal) => new Pulse(dial).ask(signal)],
    ['a look at the state of a master', (signal) => recoveredState(master, { signal })],
    ['a subscription', (signal) => subscribe({ master, dial, framework: frameworkInfo(spec), signal })],
    ['a question to Jupyter', (signal) => jupyterStatus(server.url, 't', { signal })],
    ['a cell', (signal) => runCell(server.url, 't', '1', { signal })],
    [
      'a question to an API',
      (signal) =>
        jsonClient({ base: server.url, token: 't', timeoutMs: 5_000, unreachable })('/', { signal }),
    ],
    ['a pause', (signal) => pause(1, signal)],
  ];

  it.each(rounds)('%s leaves no listener behind in 50 rounds', async (_what, once) => {
    const { signal } = new AbortController();
    for (let round = 0; round < 50; round += 1) await once(signal).catch(() => undefined);
    await pause(20, new AbortController().signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('a watch of the keeper has room for its questions, and leaves no listener behind in 50 rounds', async () => {
    const refused = async () => Promise.reject(new Error('refused'));
    const access = {
      placement: async () => ({}),
      member: async (node: string) => ({ node, ok: false, reason: 'no answer' }),
      node: refused,
      proxy: refused,
    } as unknown as KeeperAccess;
    const verdict = { leader: 'node0', term: 2, live: ['node0'] };
    const lasting = new AbortController();
    for (let round = 0; round < 50; round += 1) {
      const first = new AbortController();
      const part = scope(lasting.signal);
      const watching = watch(
        access,
        { spec, generation: 1, known: { verdict, drifts: [], repairs: 0 } },
        part.signal,
      );
      watching.catch(() => undefined);
      // Once every one of its loops waits.
      await pause(round === 0 ? 150 : 2, first.signal);
      part.abort(new Error('enough'));
      await expect(watching).rejects.toThrow('enough');
      expect(getEventListeners(part.signal, 'abort')).toEqual([]);
    }
    expect(getEventListeners(lasting.signal, 'abort')).toEqual([]);
    expect(warnings).toEqual([]);
  });
});
