import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import zookeeper from 'node-zookeeper-client';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import {
  closing,
  connectionManager,
  dialUntil,
  dropHalfReply,
} from '../../src/zookeeper/connection-manager.js';

const require = createRequire(import.meta.url);
const library = 'node-zookeeper-client';

/** A client that was never connected has no socket and no timer. */
const newClient = () => zookeeper.createClient('127.0.0.1:1,127.0.0.1:2');

describe('the private parts of node-zookeeper-client', () => {
  it('belong to the version that package.json pins exactly', () => {
    const manifest = z.object({ version: z.string() }).parse(require(`${library}/package.json`));
    const { dependencies } = z
      .object({ dependencies: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync('package.json', 'utf8')));
    expect(dependencies[library]).toBe(manifest.version);
  });

  it('match their use', () => {
    const { STATES } = require(`${library}/lib/ConnectionManager.js`) as {
      readonly STATES: Readonly<Record<string, number>>;
    };
    expect(STATES).toMatchObject({ DISCONNECTED: 0, CLOSING: closing });
    const manager = connectionManager(newClient());
    expect(manager).toMatchObject({
      state: STATES['DISCONNECTED'],
      pendingBuffer: null,
      findNextServer: expect.any(Function) as unknown,
    });
    const source = String(Reflect.get(Object.getPrototypeOf(manager) as object, 'connect'));
    expect(source).toContain('self.findNextServer(function (server)');
    expect(source).toContain('self.socket = net.connect(');
    const onClosed = String(Reflect.get(Object.getPrototypeOf(manager) as object, 'onSocketClosed'));
    expect(onClosed).toMatch(
      /case STATES\.CLOSING:\s+errorCode = Exception\.CONNECTION_LOSS;\s+retry = false;/,
    );
  });

  it('dial no server once the session is over', async () => {
    const client = newClient();
    let isOver = false;
    dialUntil(client, () => isOver);
    const dialled: string[] = [];
    const dial = () =>
      connectionManager(client).findNextServer(({ host, port }) => dialled.push(`${host}:${port}`));
    dial();
    await expect.poll(() => dialled.length).toBe(1);
    isOver = true;
    dial();
    await new Promise(setImmediate);
    expect(dialled).toHaveLength(1);
  });

  it('drop a partial reply', () => {
    const client = newClient();
    connectionManager(client).pendingBuffer = Buffer.from('half');
    dropHalfReply(client);
    expect(connectionManager(client).pendingBuffer).toBeNull();
  });
});
