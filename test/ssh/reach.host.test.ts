import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Endpoint, SshPool } from '../../src/ssh/connection.js';
import { sshReach, type Reach } from '../../src/ssh/reach.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const nodeAddress = '127.22.6.10';
let hosts: TestSshd[];
let directory: string;
let pool: SshPool;
let reach: Reach;
/** Replies to each connection with its source address: that of the host that dialled. */
let node: Server;
let port: number;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-reach-'));
  hosts = await Promise.all([1, 2, 3].map((index) => startSshd({ address: `127.22.5.${index}` })));
  pool = silentPool(path.join(directory, 'known'));
  const specs = hosts.map((sshd, index) => sshd.host({ name: `h${index + 1}`, address: sshd.address }));
  reach = sshReach(pool, { hosts: specs });
  node = createServer((socket) => socket.end('node\n'));
  node.listen(0, nodeAddress);
  await once(node, 'listening');
  port = (node.address() as AddressInfo).port;
});
afterEach(async () => {
  node.close();
  await pool.close();
  await Promise.all(hosts.map((sshd) => sshd.remove()));
  await rm(directory, { recursive: true, force: true });
});

async function answer(endpoint: Endpoint): Promise<string> {
  const socket = connect(endpoint);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  } finally {
    socket.destroy();
  }
}

const sessions = () => Promise.all(hosts.map(async (sshd) => (await sshd.sessions()).length));

describe('any', () => {
  it('reaches a node through one host, and through the next when that one is down, at the same endpoint', async () => {
    const endpoint = await reach.any(nodeAddress, port);
    expect(await reach.any(nodeAddress, port)).toEqual(endpoint);
    expect(await answer(endpoint)).toBe('node\n');
    await hosts[0]?.stop();
    expect(await answer(endpoint)).toBe('node\n');
    await Promise.all([hosts[0]?.start(), hosts[1]?.stop(), hosts[2]?.stop()]);
    expect(await answer(endpoint)).toBe('node\n');
    expect(await sessions()).toEqual([1, 0, 0]);
  });

  it('does not wait for a host that hangs', async () => {
    const endpoint = await reach.any(nodeAddress, port);
    expect(await answer(endpoint)).toBe('node\n');
    const frozen = (await hosts[0]?.sessions()) ?? [];
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      expect(await answer(endpoint)).toBe('node\n');
      expect((await sessions())[1]).toBe(1);
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
  });

  it('resets when the node itself refuses', async () => {
    const endpoint = await reach.any(nodeAddress, 1);
    await expect(answer(endpoint)).rejects.toThrow('ECONNRESET');
  });

  it("reaches a host's own address through that host", async () => {
    const endpoint = await reach.any('127.22.5.2', hosts[1]?.port ?? 0);
    const socket = connect(endpoint);
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(greeting.toString()).toMatch(/^SSH-2.0-OpenSSH/);
    // The session of the tunnel, and the connection through it.
    expect((await sessions()).map((count) => count > 0)).toEqual([false, true, false]);
  });

  it('resets while no host is up, and works again once one is', async () => {
    await Promise.all(hosts.map((sshd) => sshd.stop()));
    const endpoint = await reach.any(nodeAddress, port);
    await expect(answer(endpoint)).rejects.toThrow('ECONNRESET');
    await hosts[2]?.start();
    expect(await answer(endpoint)).toBe('node\n');
  });
});

describe('via', () => {
  it('goes through that host only', async () => {
    const endpoint = await reach.via('h3', nodeAddress, port);
    expect(await answer(endpoint)).toBe('node\n');
    expect(await sessions()).toEqual([0, 0, 1]);
    await hosts[2]?.stop();
    await expect(answer(endpoint)).rejects.toThrow('ECONNRESET');
    await expect(reach.via('h4', nodeAddress, port)).rejects.toThrow('no host h4');
  });
});
