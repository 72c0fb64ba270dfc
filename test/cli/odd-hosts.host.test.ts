/** What `perijove check` finds on hosts on which a deployment would fail, or wait forever. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { cli } from '../support/cli.js';
import { canCopyMachine, startMachine } from '../support/machine.js';
import { startSshd, type TestSshd, type TestSshdOptions } from '../support/sshd.js';

const run = promisify(execFile);
const isRoot = os.userInfo().uid === 0;
const address = '127.21.3.1';
let directory: string;
const disks: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-odd-'));
});
afterEach(async () => {
  for (const disk of disks.splice(0)) await run('umount', [disk]);
  await rm(directory, { recursive: true, force: true });
});

interface Found {
  readonly code: number;
  readonly problems: readonly { readonly code: string; readonly message: string; readonly remedy: string }[];
  readonly text: string;
}

/** Checks a cluster of one host. */
async function check(host: { keyFile: string; user?: string; dir: string }): Promise<Found> {
  const { keyFile, user = os.userInfo().username, dir } = host;
  await writeFile(
    path.join(directory, 'cluster.yaml'),
    [
      'name: odd',
      'hosts:',
      `  - { name: h1, address: ${address}, port: 2200, user: ${user}, key: ${keyFile}, become: none, dir: ${dir}, init: runit }`,
      'mesos: { install: lab }',
      'network: { subnet: 127.21.2.0/24 }',
      `storage: { path: ${directory} }`,
      'nodes: { count: 1, allowMajorityOnOneHost: true, containerizer: mesos, sshPort: 2222 }',
      `jupyter: { executable: ${process.execPath} }`,
    ].join('\n'),
  );
  const env = { ...process.env, XDG_STATE_HOME: path.join(directory, 'state') };
  const { code, stdout } = await cli(['check', '--json'], { cwd: directory, env });
  const { problems } = JSON.parse(stdout) as Pick<Found, 'problems'>;
  const { stdout: text } = await cli(['check'], { cwd: directory, env, columns: 200 });
  return { code, problems, text };
}

async function sshd(options: Omit<TestSshdOptions, 'address'> = {}): Promise<TestSshd> {
  const server = await startSshd({ address, ...options });
  onTestFinished(() => server.remove());
  return server;
}

const at = (server: TestSshd, dir = path.join(server.dir, 'base')) => ({ keyFile: server.keyFile, dir });

describe('check', () => {
  it.each<[string, Omit<TestSshdOptions, 'address'>]>([
    ['one session at a time', { config: ['MaxSessions 1'] }],
    ['no SFTP', { sftp: false }],
  ])('accepts a host with %s', async (_, options) => {
    const found = await check(at(await sshd(options)));
    expect(found.problems).toEqual([]);
    expect(found.code).toBe(0);
  });

  it.each<[string, string, string]>([
    ['AllowTcpForwarding no', 'h1: forwarding is administratively prohibited', 'AllowTcpForwarding local'],
    [
      'PermitOpen *:2181 *:5050 *:5051 *:8888 *:8889 *:2379 *:2400',
      `h1: forwarding is administratively prohibited to ${address}:8887`,
      'PermitOpen',
    ],
  ])('finds %s', async (option, message, remedy) => {
    const found = await check(at(await sshd({ config: [option] })));
    expect(found).toMatchObject({
      code: 1,
      problems: [{ code: 'TUNNEL_PROHIBITED', message, remedy: expect.stringContaining(remedy) as string }],
    });
    expect(found.text).toContain('TUNNEL_PROHIBITED');
  });

  it('finds a directory behind a link to nothing', async () => {
    const server = await sshd();
    const link = path.join(server.dir, 'disk');
    const target = path.join(directory, 'not mounted');
    await symlink(target, link);
    expect((await check(at(server, link))).problems).toMatchObject([
      { code: 'DIR_DANGLING', message: `h1: ${link} is a symbolic link to ${target}, which does not exist` },
    ]);
    const below = path.join(link, 'perijove');
    expect((await check(at(server, below))).problems).toMatchObject([
      {
        code: 'DIR_DANGLING',
        message: `h1: ${link}, above ${below}, is a symbolic link to ${target}, which does not exist`,
        remedy: expect.stringContaining('Mount the disk') as string,
      },
    ]);
    await mkdir(target);
    expect((await check(at(server, below))).problems).toEqual([]);
  });

  describe.runIf(isRoot)('a file system', () => {
    const mounted = async (options: string): Promise<string> => {
      const disk = path.join(directory, 'disk');
      await mkdir(disk);
      await run('mount', ['-t', 'tmpfs', '-o', `size=600m,${options}`, 'none', disk]);
      disks.push(disk);
      return disk;
    };

    it('mounted with noexec', async () => {
      const disk = await mounted('noexec');
      const dir = path.join(disk, 'not', 'yet');
      expect((await check(at(await sshd(), dir))).problems).toMatchObject([
        {
          code: 'DIR_NOEXEC',
          message: `h1: no program can run in ${dir}: ${disk} is mounted with noexec`,
          remedy: expect.stringContaining('remount,exec') as string,
        },
      ]);
    });

    it('with 40 inodes left', async () => {
      const disk = await mounted('nr_inodes=41');
      const { problems } = await check(at(await sshd(), path.join(disk, 'perijove')));
      expect(problems).toMatchObject([{ code: 'INODES_SHORT' }]);
      expect(problems[0]?.message).toMatch(
        /^h1: only (39|40) inodes are free at .*; at least 1000 are required$/,
      );
    });

    it('that makes inodes as needed', async () => {
      const disk = await mounted('nr_inodes=0');
      expect((await check(at(await sshd(), path.join(disk, 'perijove')))).problems).toEqual([]);
    });
  });

  it.runIf(canCopyMachine)('quotes a login that runs no commands', async () => {
    const machine = await startMachine({
      address,
      setup: `echo 'nora:x:2000:2000::/tmp:/usr/sbin/nologin' >> /etc/passwd; echo 'nora:*:19000:0:99999:7:::' >> /etc/shadow`,
    });
    onTestFinished(() => machine.remove());
    const found = await check({
      keyFile: machine.host().ssh.keyFile ?? '',
      user: 'nora',
      dir: '/opt/perijove',
    });
    expect(found).toMatchObject({ code: 1, problems: [{ code: 'SHELL_REFUSED' }] });
    expect(found.text).toContain('This account is currently not available.');
  });
});
