import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { fourLetter, parseServerStatus } from '../../src/zookeeper/four-letter.js';

describe('parseServerStatus', () => {
  it('parses the reply to srvr', () => {
    const reply = [
      'Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-02-16 19:31 UTC',
      'Latency min/avg/max: 0/0.0/0',
      'Received: 2',
      'Sent: 1',
      'Connections: 1',
      'Outstanding: 0',
      'Zxid: 0x100000000',
      'Mode: leader',
      'Node count: 5',
      'Proposal sizes last/min/max: -1/-1/-1',
    ].join('\n');
    expect(parseServerStatus(reply)).toEqual({
      mode: 'leader',
      version: '3.8.0-${mvngit.commit.id}, built on 2024-02-16 19:31 UTC',
      connections: 1,
      zxid: '0x100000000',
      nodeCount: 5,
    });
  });

  it('recognizes a member without a quorum by its single sentence, and a starting one by its silence', () => {
    expect(parseServerStatus('This ZooKeeper instance is not currently serving requests\n').mode).toBe(
      'not-serving',
    );
    expect(parseServerStatus('').mode).toBe('not-serving');
  });
});

describe('fourLetter', () => {
  let server: Server | undefined;
  afterEach(() => {
    server?.close();
    server = undefined;
  });

  it('gives up on a server that accepts and never replies', async () => {
    server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.23.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    await expect(fourLetter({ host: '127.23.0.1', port: address.port }, 'ruok', 50)).rejects.toMatchObject({
      code: 'ZOOKEEPER_UNREACHABLE',
      place: { subject: `127.23.0.1:${address.port}` },
    });
  });

  it('reports that nothing listens', async () => {
    await expect(fourLetter({ host: '127.23.0.1', port: 1 }, 'ruok', 1_000)).rejects.toMatchObject({
      code: 'ZOOKEEPER_UNREACHABLE',
    });
  });
});
