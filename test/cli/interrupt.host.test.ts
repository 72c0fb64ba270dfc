/** Ctrl-C, closed pipes and unusual homes, with the program as a process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const perijove = path.resolve(import.meta.dirname, '../../bin/perijove.js');
let directory: string;
let silent: Server;
let sshd: TestSshd;
const sockets = new Set<Socket>();

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-interrupt-'));
  silent = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  sshd = await startSshd({ address: '127.26.1.1' });
  writeFileSync(
    path.join(directory, 'silent.yaml'),
    specOf('127.0.0.1', (silent.address() as AddressInfo).port),
  );
  writeFileSync(path.join(directory, 'sshd.yaml'), specOf('127.26.1.1', sshd.host().ssh.port));
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  silent?.close();
  await sshd?.remove();
  rmSync(directory, { recursive: true });
});

function specOf(address: string, port: number): string {
  const { user, keyFile } = sshd.host().ssh;
  return `
name: odd
ssh: { user: ${user}, port: ${port}, key: ${keyFile} }
mesos: { install: lab }
network: { subnet: 127.26.2.0/24 }
storage: { path: ${directory}/notebooks }
nodes: { allowMajorityOnOneHost: true, containerizer: mesos, sshPort: 2222 }
hosts: [{ name: h1, address: ${address} }]
`;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child: ChildProcess = spawn(process.execPath, [perijove, ...words], {
    cwd: directory,
    env: { ...process.env, XDG_STATE_HOME: path.join(directory, 'state'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (data: Buffer) => (output.stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (output.stderr += data.toString()));
  const ended = once(child, 'close').then(([code]): Ended => ({ code: code as number | null, ...output }));
  return { child, ended };
}

describe('Ctrl-C', { timeout: 120_000 }, () => {
  it.each([
    ['check'],
    ['plan'],
    ['up', '--temporal'],
    ['down', '--temporal'],
    ['status', '--temporal'],
    ['events', '--temporal'],
    ['pause', '--temporal'],
    ['move', 'node0', '--temporal'],
    ['drill', 'run', 'node-kill', '--temporal'],
    ['logs', 'h1/zookeeper'],
    ['ssh', 'h1', 'true'],
  ])(
    'ends `%s` (%j, %j, %j) with 130 and one line, at once, while it connects to a server that never speaks',
    async (...words) => {
      const { port } = silent.address() as AddressInfo;
      const given = words.filter((word): word is string => word !== undefined);
      const server = given.at(-1) === '--temporal' ? [`127.0.0.1:${port}`] : [];
      const before = sockets.size;
      const { child, ended } = start([...given, ...server, '--file', 'silent.yaml']);
      await eventually(`${given.join(' ')} connects`, () => sockets.size > before);
      const startedAt = performance.now();
      child.kill('SIGINT');
      const { code, stdout, stderr } = await ended;
      // Connecting alone takes 5 s, or 10.
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      expect({ code, stdout, lines: stderr.trim().split('\n') }).toEqual({
        code: 130,
        stdout: '',
        lines: [given[0] === 'ssh' ? '' : 'interrupted'],
      });
    },
  );

  it('ends a worker that connects with 0, at once', async () => {
    const { port } = silent.address() as AddressInfo;
    const before = sockets.size;
    const { child, ended } = start(['worker', '--temporal', `127.0.0.1:${port}`]);
    await eventually('the worker connects', () => sockets.size > before);
    const startedAt = performance.now();
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
    // The native client itself gives up after 30 s.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });
});

describe('output into a closed pipe', () => {
  it.each([['--help'], ['up', '--help'], ['--version'], ['init', '-h']])(
    'ends `%s %s` quietly',
    async (...words) => {
      const { child, ended } = start(words.filter((word) => word !== undefined));
      child.stdout?.destroy();
      expect(await ended).toEqual({ code: 0, stdout: '', stderr: '' });
    },
  );

  it('says why it cannot be written, without a stack', async () => {
    const child = spawn('sh', ['-c', `exec '${process.execPath}' '${perijove}' --help > /dev/full`]);
    let stderr = '';
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^error: cannot write the output: ENOSPC.*\n$/),
    ]);
  });
});

describe('a state directory that cannot be written', { timeout: 60_000 }, () => {
  // Root may write almost anywhere.
  it.each([
    ['read', perijove],
    ['written', '/sys'],
  ])('is named where it cannot be %s, with the setting that moves it', async (_what, state) => {
    const { ended } = start(['check', 'sshd.yaml', '--json'], { XDG_STATE_HOME: state });
    const { stdout } = await ended;
    const { problems } = JSON.parse(stdout) as {
      problems: { code: string; message: string; remedy: string }[];
    };
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({
      code: 'LOCAL_FILE',
      message: expect.stringContaining(`${state}/perijove/known_hosts/127.26.1.1_`) as string,
      remedy: expect.stringContaining('XDG_STATE_HOME') as string,
    });
  });

  it('is that of the system where HOME is not set', async () => {
    const { HOME, ...env } = process.env;
    expect(HOME).toBeDefined();
    const child = spawn(process.execPath, [perijove, 'check', path.join(directory, 'sshd.yaml')], {
      env: { ...env, XDG_STATE_HOME: path.join(directory, 'homeless') },
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    await once(child, 'close');
    expect(output).toContain('pinned the key of h1');
    expect(output).not.toContain('INTERNAL');
  });
});
