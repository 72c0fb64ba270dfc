import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatherFacts, type FactsWanted } from '../../src/hosts/facts.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

let sshd: TestSshd;
let directory: string;
let pool: SshPool;
let connection: HostConnection;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.4.1' });
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-facts-'));
  pool = silentPool(path.join(directory, 'known'));
  connection = await pool.get(sshd.host());
});
afterAll(async () => {
  await pool.close();
  await sshd.remove();
  await rm(directory, { recursive: true, force: true });
});

const wanted = (overrides: Partial<FactsWanted> = {}): FactsWanted => ({
  packages: [],
  daemons: [],
  ports: [],
  programs: [],
  addresses: [],
  writable: [],
  apart: [],
  dirs: [sshd.host().dir],
  ...overrides,
});

describe('gatherFacts', () => {
  it('reports the facts of a host', async () => {
    const facts = await gatherFacts(
      connection,
      wanted({
        packages: ['openssh-server', 'no-such-package'],
        programs: ['sh', '/bin/sh', 'no-such-program', '/no/such/program'],
        addresses: ['127.22.4.1', '192.0.2.1'],
        writable: [sshd.host().dir, path.join(directory, 'not', 'yet'), '/proc/1/nothing'],
        apart: ['/no/such/directory', '/proc/self'],
      }),
    );
    expect(facts).toMatchObject({
      host: 'h1',
      uid: userInfo().uid,
      hostname: hostname(),
      programs: ['sh', '/bin/sh'],
      addresses: ['127.22.4.1'],
      apart: ['/proc/self'],
      listeners: [],
    });
    expect(facts.writable).toContain(path.join(directory, 'not', 'yet'));
    expect(facts.packages).not.toContain('no-such-package');
    expect(facts.freeBytes).toBeGreaterThan(1024 * 1024);
    expect(facts.memoryBytes).toBeGreaterThan(100 * 1024 * 1024);
    expect(facts.cpus).toBeGreaterThan(0);
    // It is the clock of this machine.
    expect(Math.abs(facts.clock.offsetMs)).toBeLessThanOrEqual(facts.clock.errorMs + 1);
  });

  it('reports the listeners, and whether they belong to the cluster', async () => {
    const server = createServer().listen(0, '127.22.4.2');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const listenersFor = async (dirs: readonly string[]) =>
        (
          await gatherFacts(
            connection,
            wanted({ ports: [port, sshd.port], addresses: ['127.22.4.2', sshd.address], dirs }),
          )
        ).listeners;
      const [own, other] = [await listenersFor([process.cwd()]), await listenersFor(['/nowhere'])];
      const ours = { address: '127.22.4.2', port, pid: process.pid };
      expect(own).toContainEqual({
        ...ours,
        command: expect.stringMatching(/node|vitest/) as string,
        own: true,
      });
      expect(other.find(({ pid }) => pid === process.pid)?.own).toBe(false);
      expect(own).toContainEqual(expect.objectContaining({ address: sshd.address, port: sshd.port }));
    } finally {
      server.close();
    }
  });
});
