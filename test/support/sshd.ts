import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { HostSpec } from '../../src/cluster/spec.js';
import { eventually } from './eventually.js';
import { makeHost } from './spec.js';

const run = promisify(execFile);

export interface TestSshdOptions {
  readonly address: string;
  readonly port?: number;
  /** Lines to add to sshd_config. */
  readonly config?: readonly string[];
  /** Whether it offers SFTP; true by default. */
  readonly sftp?: boolean;
  /** Creates the host key, and perhaps its certificate beside it; by default an ed25519 key without one. */
  readonly makeHostKey?: (file: string) => Promise<void>;
}

/** A real sshd with its own keys and directory. */
export interface TestSshd {
  readonly address: string;
  readonly port: number;
  /** Contains all its files, and the `dir` of `host()`, as `base`. */
  readonly dir: string;
  /** The login key, without a passphrase. */
  readonly keyFile: string;
  /** A host reached through it. */
  host(overrides?: Partial<HostSpec>): HostSpec;
  /** PIDs of the connected sessions. */
  sessions(): Promise<number[]>;
  /** Breaks all connections, as a network crash would; the server keeps running. */
  cut(): Promise<void>;
  /** Uses another host key from the next connection on. */
  changeHostKey(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Ends it and removes everything. */
  remove(): Promise<void>;
}

/** Starts sshd and resolves when it accepts connections. As root it needs /run/sshd, which it creates. */
export async function startSshd({
  address,
  port = 2200,
  config = [],
  sftp = true,
  makeHostKey = makeKey,
}: TestSshdOptions): Promise<TestSshd> {
  const dir = await mkdtemp(path.join(tmpdir(), 'perijove-sshd-'));
  const keyFile = path.join(dir, 'id_ed25519');
  const hostKey = path.join(dir, 'host_key');
  const configFile = path.join(dir, 'sshd_config');
  await mkdir(path.join(dir, 'base'));
  await makeKey(keyFile);
  await makeHostKey(hostKey);
  const certificate = `${hostKey}-cert.pub`;
  if (userInfo().uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  await writeFile(
    configFile,
    [
      `ListenAddress ${address}`,
      `Port ${port}`,
      `HostKey ${hostKey}`,
      ...(existsSync(certificate) ? [`HostCertificate ${certificate}`] : []),
      `PidFile ${path.join(dir, 'sshd.pid')}`,
      `AuthorizedKeysFile ${keyFile}.pub`,
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'UsePAM no',
      'StrictModes no',
      'PermitRootLogin yes',
      'MaxStartups 100',
      ...(sftp ? ['Subsystem sftp internal-sftp'] : []),
      // Keeps bash from reading the user's .bashrc, which can take longer than the tests.
      'SetEnv SHLVL=1',
      ...config,
      '',
    ].join('\n'),
  );

  let server: ChildProcess | undefined;
  const children = async () => {
    if (server?.pid === undefined) return [];
    const listed = await run('ps', ['-o', 'pid=', '--ppid', String(server.pid)]).catch(() => ({
      stdout: '',
    }));
    return listed.stdout.split('\n').filter(Boolean).map(Number);
  };
  const cut = async () => {
    for (const pid of await children()) killIfThere(pid);
  };
  const stop = async () => {
    if (server === undefined) return;
    const ended = once(server, 'exit');
    const sessions = await children();
    server.kill('SIGKILL');
    for (const pid of sessions) killIfThere(pid);
    await ended;
    server = undefined;
  };
  const start = async () => {
    server = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', configFile], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    server.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(server, 'exit').then(() => {
      throw new Error(`sshd ended: ${said}`);
    });
    ended.catch(() => undefined);
    // Wait for its own message first: another server at the address would also accept.
    await Promise.race([ended, eventually(() => said.includes('Server listening'), 30_000)]);
    await Promise.race([ended, answers(address, port)]);
  };

  await start();
  return {
    address,
    port,
    dir,
    keyFile,
    host: (overrides = {}) =>
      makeHost('h1', {
        ssh: { address, port, user: userInfo().username, keyFile, agent: false },
        address,
        dir: path.join(dir, 'base'),
        ...overrides,
      }),
    sessions: children,
    cut,
    changeHostKey: async () => {
      await stop();
      await rm(hostKey);
      await rm(`${hostKey}.pub`);
      await makeKey(hostKey);
      await start();
    },
    start,
    stop,
    remove: async () => {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A new ed25519 key pair at `file` and `file.pub`. */
export async function makeKey(file: string, passphrase = ''): Promise<void> {
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', 'perijove-test', '-f', file]);
}

/** The fingerprint as `ssh-keygen -l` prints it. */
export async function fingerprintOf(file: string): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-l', '-f', file]);
  return stdout.split(' ')[1] ?? '';
}

/** Whether a process with that ID runs; a zombie does not. */
export async function processRuns(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already ended.
  }
}

async function answers(address: string, port: number): Promise<void> {
  await eventually(async () => {
    const socket = connect({ host: address, port });
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  });
}
