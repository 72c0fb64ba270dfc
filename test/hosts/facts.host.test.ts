import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { gatherFacts, type FactsWanted } from '../../src/hosts/facts.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { preferring } from '../support/broken-programs.js';
import { eventually } from '../support/eventually.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const run = promisify(execFile);
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

  it('does not report a gate that shuts between two looks as the program of another user', async () => {
    const [shuts, stays] = [createServer(), createServer()];
    for (const server of [shuts, stays]) await once(server.listen(0, '127.22.4.2'), 'listening');
    onTestFinished(() => void stays.close());
    const ports = [shuts, stays].map((server) => (server.address() as AddressInfo).port);
    // `find` reads the owners of the sockets, after the sockets themselves were read.
    const bin = path.join(directory, 'bin');
    const [asked, shut] = [path.join(directory, 'asked'), path.join(directory, 'shut')];
    await mkdir(bin);
    await writeFile(
      path.join(bin, 'find'),
      `#!/bin/sh\ntouch ${asked}\nuntil [ -e ${shut} ]; do :; done\nexec /usr/bin/find "$@"\n`,
      { mode: 0o755 },
    );
    const facts = gatherFacts(
      preferring(connection, bin),
      wanted({ ports, addresses: ['127.22.4.2'], dirs: ['/nowhere'] }),
    );
    await eventually(() => existsSync(asked));
    await once(shuts.close(), 'close');
    await writeFile(shut, '');
    expect((await facts).listeners).toMatchObject([{ port: ports[1], pid: process.pid, own: false }]);
  });

  it('reports links to nothing, and what is free', async () => {
    const link = path.join(directory, 'a link');
    const target = path.join(directory, 'not there');
    await symlink(target, link);
    const below = path.join(link, 'below');
    const facts = await gatherFacts(connection, wanted({ writable: [directory, link, below] }));
    expect(facts).toMatchObject({
      writable: expect.arrayContaining([directory]) as string[],
      dangling: [
        { path: link, link, target },
        { path: below, link, target },
      ],
      freeInodes: expect.any(Number) as number,
    });
    expect(facts.noexec).toBeUndefined();
  });

  it.runIf(userInfo().uid === 0)('reports the deepest mount with noexec', async () => {
    const outer = path.join(directory, 'a disk');
    const inner = path.join(outer, 'inner');
    const mount = (options: string, place: string) =>
      run('mount', ['-t', 'tmpfs', '-o', options, 'none', place]);
    const noexecAt = async (dir: string) => {
      const other = Object.create(connection, { host: { value: sshd.host({ dir }) } }) as HostConnection;
      return (await gatherFacts(other, wanted())).noexec;
    };
    await mkdir(outer);
    await mount('noexec', outer);
    try {
      expect(await noexecAt(path.join(outer, 'x'))).toBe(outer);
      await mkdir(inner);
      await mount('exec', inner);
      expect(await noexecAt(path.join(inner, 'x'))).toBeUndefined();
      expect(await noexecAt(`${outer}-other`)).toBeUndefined();
    } finally {
      await run('umount', ['-R', outer]);
    }
  });
});
