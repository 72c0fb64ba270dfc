import { PassThrough, type Duplex } from 'node:stream';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { SshPool } from '../../src/ssh/connection.js';
import { createSshPool } from '../../src/ssh/pool.js';
import { SshTransport } from '../../src/ssh/transport.js';
import { eventually } from '../support/eventually.js';
import { fingerprintOf, makeKey, processRuns, startSshd, type TestSshd } from '../support/sshd.js';

const logger = pino({ level: 'silent' });
let sshd: TestSshd;
let directory: string;
let knownHostsDir: string;
let pool: SshPool;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.1.1', port: 2200 });
});
afterAll(() => sshd.remove());
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-pool-'));
  knownHostsDir = path.join(directory, 'known');
  pool = createSshPool({ logger, knownHostsDir });
});
afterEach(async () => {
  await pool.close();
  await rm(directory, { recursive: true, force: true });
});

describe('exec', () => {
  it('resolves with one shape for success and failure', async () => {
    const connection = await pool.get(sshd.host());
    const failed = await connection.exec('echo out; echo err >&2; exit 3');
    expect(failed).toEqual({
      host: 'h1',
      code: 3,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
      durationMs: expect.any(Number) as number,
    });
    expect(Object.keys(await connection.exec('true'))).toEqual(Object.keys(failed));
  });

  it('gives the script an empty stdin and accepts any text', async () => {
    const connection = await pool.get(sshd.host());
    const text = `it's "quoted" $HOME \`x\` \\ ü`;
    const { stdout } = await connection.exec(`cat\ncat <<'END'\n${text}\nEND\n# a comment`);
    expect(stdout).toBe(`${text}\n`);
  });

  it('accepts a long script and long output', async () => {
    const connection = await pool.get(sshd.host());
    const line = 'x'.repeat(99);
    const script = `cat <<'END'\n${`${line}\n`.repeat(30_000)}END`;
    expect((await connection.exec(script)).stdout).toHaveLength(3_000_000);
  });

  it('rejects endless output and kills its writer', async () => {
    const connection = await pool.get(sshd.host());
    const pidFile = path.join(directory, 'pid');
    await expect(connection.exec(`sh -c 'echo $$ > ${pidFile}; exec yes'`)).rejects.toMatchObject({
      code: 'OUTPUT_TOO_LARGE',
    });
    const pid = Number(await readFile(pidFile, 'utf8'));
    await eventually(async () => !(await processRuns(pid)));
  });

  it('names the signal that ended the shell', async () => {
    const connection = await pool.get(sshd.host());
    expect(await connection.exec('kill -KILL $$; cat')).toMatchObject({ code: null, signal: 'KILL' });
  });

  it('kills the command and its children on the host when it is aborted', async () => {
    const connection = await pool.get(sshd.host());
    const pidFile = path.join(directory, 'pid');
    const aborter = new AbortController();
    const running = connection.exec(`sh -c 'echo $$ > ${pidFile}; exec sleep 600'`, {
      signal: aborter.signal,
    });
    const outcome = expect(running).rejects.toThrow('enough');
    await eventually(async () => (await readFile(pidFile, 'utf8').catch(() => '')).endsWith('\n'));
    aborter.abort(new Error('enough'));
    await outcome;
    const pid = Number(await readFile(pidFile, 'utf8'));
    await eventually(async () => !(await processRuns(pid)));
  });

  it('kills a command that takes too long', async () => {
    const connection = await pool.get(sshd.host());
    await expect(connection.exec('sleep 600', { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'COMMAND_TIMEOUT',
      place: { host: 'h1' },
    });
  });

  it('reports a connection that is lost during a command, kills the command, and reconnects', async () => {
    const connection = await pool.get(sshd.host());
    const pidFile = path.join(directory, 'pid');
    const running = connection.exec(`sh -c 'echo $$ > ${pidFile}; exec sleep 600'`);
    const outcome = expect(running).rejects.toMatchObject({ code: 'SSH_LOST', retryable: true });
    await eventually(async () => (await readFile(pidFile, 'utf8').catch(() => '')).endsWith('\n'));
    await sshd.cut();
    await outcome;
    const pid = Number(await readFile(pidFile, 'utf8'));
    await eventually(async () => !(await processRuns(pid)));
    expect((await connection.exec('echo again')).stdout).toBe('again\n');
  });

  it('runs more commands at once than OpenSSH allows sessions', async () => {
    const connection = await pool.get(sshd.host());
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) => connection.run(`sleep 0.05; echo ${index}`)),
    );
    expect(results).toEqual(Array.from({ length: 40 }, (_, index) => `${index}\n`));
    expect(await sshd.sessions()).toHaveLength(1);
  });

  it('waits while the server has no session available', async () => {
    const server = await startSshd({ address: '127.22.1.5', config: ['MaxSessions 2'] });
    try {
      const connection = await pool.get(server.host());
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, index) => connection.run(`sleep 0.05; echo ${index}`)),
      );
      expect(results).toEqual(Array.from({ length: 12 }, (_, index) => `${index}\n`));
    } finally {
      await server.remove();
    }
  });

  it('uses one session at a time if the server allows no more, however long each takes', async () => {
    const server = await startSshd({ address: '127.22.1.11', config: ['MaxSessions 1'] });
    onTestFinished(() => server.remove());
    const connection = await pool.get(server.host());
    const release = path.join(directory, 'release');
    const first = connection.run(`echo held; until [ -e ${release} ]; do sleep 0.1; done`);
    const others = Array.from({ length: 12 }, (_, index) => connection.run(`echo ${index}`));
    // Longer than the patience with a server that has no session although none is in use.
    await delay(13_000);
    await writeFile(release, '');
    expect(await first).toBe('held\n');
    expect(await Promise.all(others)).toEqual(Array.from({ length: 12 }, (_, index) => `${index}\n`));
    expect(await server.sessions()).toHaveLength(1);
  });

  it('reports a server that allows no session, without trying forever', async () => {
    const server = await startSshd({ address: '127.22.1.12', config: ['MaxSessions 0'] });
    onTestFinished(() => server.remove());
    const connection = await pool.get(server.host());
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => connection.run('echo in')));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'SSH_SESSION_REFUSED',
          retryable: false,
          remedy: expect.stringContaining('MaxSessions') as string,
        },
      });
    }
  });

  it('shares one connection among concurrent first uses', async () => {
    await Promise.all(Array.from({ length: 10 }, () => pool.get(sshd.host())));
    expect(await sshd.sessions()).toHaveLength(1);
  });

  it('runs no part of a script that arrives incomplete', async () => {
    const connection = await pool.get(sshd.host());
    const mark = path.join(directory, 'mark');
    await expect(connection.run(`touch ${mark}\nif true; then`)).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
    });
    await expect(stat(mark)).rejects.toThrow('ENOENT');
  });

  it('rejects when the login runs another command instead', async () => {
    const forced = await startSshd({ address: '127.22.1.9', config: ['ForceCommand echo maintenance'] });
    onTestFinished(() => forced.remove());
    const connection = await pool.get(forced.host());
    await expect(connection.run('cat /etc/hostname')).rejects.toMatchObject({
      code: 'SHELL_REFUSED',
      message: expect.stringContaining('maintenance') as string,
      retryable: false,
    });
  });

  it('reports that sudo refuses', async () => {
    const connection = await pool.get(sshd.host());
    await expect(connection.exec('true', { become: true })).rejects.toMatchObject({ code: 'SUDO_REFUSED' });
  });
});

describe('connecting', () => {
  const connecting = (overrides: Parameters<TestSshd['host']>[0]) => pool.get(sshd.host(overrides));
  const ssh = () => sshd.host().ssh;

  it.each([
    ['SSH_UNKNOWN_HOST', () => ({ ...ssh(), address: 'no-such-host.invalid' })],
    ['SSH_REFUSED', () => ({ ...ssh(), port: 2299 })],
    ['SSH_AUTH_FAILED', () => ({ ...ssh(), user: 'nobody-of-that-name' })],
    ['SSH_KEY_UNREADABLE', () => ({ ...ssh(), keyFile: '/nonexistent/key' })],
    ['SSH_KEY_UNREADABLE', () => ({ ...ssh(), keyFile: '/etc/hostname' })],
    ['SSH_KEY_UNREADABLE', () => ({ ...ssh(), keyFile: `${ssh().keyFile}.pub` })],
  ])('%s', async (code, target) => {
    await expect(connecting({ ssh: target() })).rejects.toMatchObject({ code, place: { host: 'h1' } });
  });

  it('rejects a user with another key', async () => {
    const keyFile = path.join(directory, 'other');
    await makeKey(keyFile);
    await expect(connecting({ ssh: { ...ssh(), keyFile } })).rejects.toMatchObject({
      code: 'SSH_AUTH_FAILED',
      retryable: false,
    });
  });

  it('takes the passphrase of an encrypted key only from PERIJOVE_SSH_PASSPHRASE', async () => {
    const keyFile = path.join(directory, 'encrypted');
    await makeKey(keyFile, 'open sesame');
    const other = await startSshd({
      address: '127.22.1.2',
      config: [`AuthorizedKeysFile ${keyFile}.pub`],
    }).catch((error: unknown) => error);
    expect(other).not.toBeInstanceOf(Error);
    const server = other as TestSshd;
    const agentBefore = process.env['SSH_AUTH_SOCK'];
    try {
      await writeFile(`${server.keyFile}.pub`, await readFile(`${keyFile}.pub`));
      const host = server.host({ ssh: { ...server.host().ssh, keyFile } });
      await expect(pool.get(host)).rejects.toMatchObject({ code: 'SSH_KEY_ENCRYPTED', retryable: false });
      const withAgent = server.host({ ssh: { ...server.host().ssh, keyFile, agent: true } });
      for (const [socket, why] of [
        [undefined, 'SSH_AUTH_SOCK is not set'],
        [path.join(directory, 'nobody.sock'), 'does not respond'],
      ] as const) {
        if (socket === undefined) delete process.env['SSH_AUTH_SOCK'];
        else process.env['SSH_AUTH_SOCK'] = socket;
        await expect(pool.get(withAgent)).rejects.toMatchObject({
          code: 'SSH_KEY_ENCRYPTED',
          message: expect.stringContaining(why) as string,
          place: { host: 'h1', file: keyFile },
        });
      }
      process.env['PERIJOVE_SSH_PASSPHRASE'] = 'wrong';
      await expect(pool.get(host)).rejects.toMatchObject({ code: 'SSH_KEY_ENCRYPTED' });
      process.env['PERIJOVE_SSH_PASSPHRASE'] = 'open sesame';
      expect(await (await pool.get(host)).run('echo in')).toBe('in\n');
    } finally {
      delete process.env['PERIJOVE_SSH_PASSPHRASE'];
      if (agentBefore === undefined) delete process.env['SSH_AUTH_SOCK'];
      else process.env['SSH_AUTH_SOCK'] = agentBefore;
      await server.remove();
    }
  });

  it('uses the agent', async () => {
    const socket = path.join(directory, 'agent.sock');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    const before = process.env['SSH_AUTH_SOCK'];
    try {
      await eventually(() =>
        stat(socket).then(
          () => true,
          () => false,
        ),
      );
      process.env['SSH_AUTH_SOCK'] = socket;
      const { keyFile, ...target } = ssh();
      const host = sshd.host({ ssh: { ...target, agent: true } });
      await expect(pool.get(host)).rejects.toMatchObject({ code: 'SSH_AUTH_FAILED' });
      const added = spawn('ssh-add', [keyFile ?? ''], { stdio: 'ignore' });
      expect(await once(added, 'exit')).toEqual([0, null]);
      expect(await (await pool.get(host)).run('echo in')).toBe('in\n');
      delete process.env['SSH_AUTH_SOCK'];
      const another = createSshPool({ logger, knownHostsDir });
      await expect(another.get(host)).rejects.toMatchObject({ code: 'SSH_NO_AGENT' });
      process.env['SSH_AUTH_SOCK'] = path.join(directory, 'nobody.sock');
      await expect(another.get(host)).rejects.toMatchObject({
        code: 'SSH_NO_AGENT',
        message: expect.stringMatching(/nobody\.sock does not respond/) as string,
      });
      await another.close();
    } finally {
      if (before === undefined) delete process.env['SSH_AUTH_SOCK'];
      else process.env['SSH_AUTH_SOCK'] = before;
      agent.kill();
      await once(agent, 'exit');
    }
  });

  it('gives a jump host ten seconds to reach the target', async () => {
    const host = sshd.host({ name: 'far' });
    let late: ((channel: Duplex) => void) | undefined;
    const through = {
      peer: 'gate:22',
      client: () => Promise.resolve(),
      dial: () => new Promise<Duplex>((resolve) => (late = resolve)),
    } as unknown as SshTransport;
    const transport = new SshTransport({
      host: host.name,
      target: host.ssh,
      through,
      knownHostsDir,
      logger,
      dialTimeoutMs: 50,
    });
    await expect(transport.client()).rejects.toMatchObject({
      code: 'SSH_TIMEOUT',
      message: expect.stringContaining('gate:22') as string,
    });
    const channel = new PassThrough();
    late?.(channel);
    await vi.waitFor(() => expect(channel.destroyed).toBe(true));
  });

  it('connects through a jump host', async () => {
    const target = await startSshd({ address: '127.22.1.3' });
    try {
      const host = target.host({ name: 'behind', jump: ssh() });
      const connection = await pool.get(host);
      expect(await connection.run('echo "$SSH_CONNECTION"')).toMatch(/127\.22\.1\.3 2200\n$/);
      expect(await target.sessions()).toHaveLength(1);
      await target.stop();
      const another = createSshPool({ logger, knownHostsDir });
      await expect(another.get(host)).rejects.toMatchObject({
        code: 'SSH_REFUSED',
        message: expect.stringContaining('jump host') as string,
      });
      await another.close();
    } finally {
      await target.remove();
    }
  });
});

describe('close', () => {
  it('ends even if the server hangs, has ended its half, or never responded', async () => {
    await pool.get(sshd.host());
    const [session] = await sshd.sessions();
    const mute = createServer({ allowHalfOpen: true }, (socket) =>
      socket.on('error', () => undefined),
    ).listen(0, '127.22.1.6');
    const half = createServer({ allowHalfOpen: true }, (socket) =>
      socket.on('error', () => undefined).end('SSH-2.0-half\r\n'),
    );
    half.listen(0, '127.22.1.7');
    await Promise.all([once(mute, 'listening'), once(half, 'listening')]);
    process.kill(session ?? 0, 'SIGSTOP');
    try {
      const targets = [mute, half].map((server) => {
        const { address, port } = server.address() as AddressInfo;
        return sshd.host({ ssh: { ...sshd.host().ssh, address, port } });
      });
      const outcomes = targets.map((host) => pool.get(host).catch((error: unknown) => error));
      await once(mute, 'connection');
      await pool.close();
      for (const outcome of outcomes) expect(await outcome).toMatchObject({ code: 'SSH_LOST' });
      await expect(pool.get(sshd.host())).rejects.toMatchObject({ code: 'SSH_LOST' });
    } finally {
      process.kill(session ?? 0, 'SIGKILL');
      mute.close();
      half.close();
    }
  });
});

describe('host keys', () => {
  it('pins the key on first contact, also on concurrent ones', async () => {
    const pools = Array.from({ length: 4 }, () => createSshPool({ logger, knownHostsDir }));
    await Promise.all(pools.map((each) => each.get(sshd.host())));
    await Promise.all(pools.map((each) => each.close()));
    expect(await readdir(knownHostsDir)).toEqual(['127.22.1.1_2200']);
    expect(await readFile(path.join(knownHostsDir, '127.22.1.1_2200'), 'utf8')).toMatch(
      /^\[127\.22\.1\.1\]:2200 ssh-ed25519 \S+\n$/,
    );
  });

  it('rejects a changed key and names both fingerprints', async () => {
    const server = await startSshd({ address: '127.22.1.4' });
    try {
      const key = path.join(server.dir, 'host_key.pub');
      const before = await fingerprintOf(key);
      const connection = await pool.get(server.host());
      await server.changeHostKey();
      const after = await fingerprintOf(key);
      await eventually(async () => {
        const error: unknown = await connection.exec('true').catch((thrown: unknown) => thrown);
        if ((error as { code?: string }).code === 'SSH_LOST') return false;
        expect(error).toMatchObject({ code: 'SSH_HOST_KEY_CHANGED', retryable: false });
        expect((error as Error).message).toContain(before);
        expect((error as Error).message).toContain(after);
        return true;
      });
    } finally {
      await server.remove();
    }
  });

  it('uses a known_hosts file, also with hashed names', async () => {
    const knownHostsFile = path.join(directory, 'known_hosts');
    await writeFile(knownHostsFile, '');
    const host = sshd.host({ ssh: { ...sshd.host().ssh, knownHostsFile } });
    await expect(pool.get(host)).rejects.toMatchObject({ code: 'SSH_HOST_KEY_UNKNOWN', retryable: false });

    const [type, key] = (await readFile(path.join(sshd.dir, 'host_key.pub'), 'utf8')).split(' ');
    await writeFile(knownHostsFile, `[127.22.1.1]:2200 ${type} ${key}\n`);
    const hashed = spawn('ssh-keygen', ['-q', '-H', '-f', knownHostsFile], { stdio: 'ignore' });
    expect(await once(hashed, 'exit')).toEqual([0, null]);
    expect(await readFile(knownHostsFile, 'utf8')).toMatch(/^\|1\|/);
    expect(await (await pool.get(host)).run('echo in')).toBe('in\n');
  });
});

describe('tunnels', () => {
  it('lead to an address as seen from the host, and survive a lost connection', async () => {
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.22.2.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo;
    try {
      const connection = await pool.get(sshd.host());
      const endpoint = await connection.forward('127.22.2.1', port);
      expect(await connection.forward('127.22.2.1', port)).toEqual(endpoint);
      expect(await exchange(endpoint, 'x'.repeat(1_000_000))).toHaveLength(1_000_000);
      await sshd.cut();
      await eventually(async () => (await exchange(endpoint, 'after').catch(() => '')) === 'after');
    } finally {
      echo.close();
    }
  });

  it('reset the connection when nothing listens, and keep the SSH connection', async () => {
    const connection = await pool.get(sshd.host());
    const [session] = await sshd.sessions();
    const endpoint = await connection.forward('127.22.2.1', 1);
    await expect(exchange(endpoint, 'x')).rejects.toThrow('ECONNRESET');
    await expect(connection.dial('127.22.2.1', 1)).rejects.toMatchObject({ code: 'TUNNEL_REFUSED' });
    expect(await connection.run('echo in')).toBe('in\n');
    expect(await sshd.sessions()).toEqual([session]);
  });
});

describe('a server that prohibits forwarding', () => {
  it('is reported as such, also if it is the jump host', async () => {
    const server = await startSshd({ address: '127.22.1.13', config: ['AllowTcpForwarding no'] });
    onTestFinished(() => server.remove());
    const connection = await pool.get(server.host());
    const prohibition = {
      code: 'TUNNEL_PROHIBITED',
      message: expect.stringContaining('administratively prohibited') as string,
      remedy: expect.stringContaining('AllowTcpForwarding') as string,
      retryable: false,
    };
    await expect(connection.dial('127.22.1.1', 2200)).rejects.toMatchObject(prohibition);
    const behind = sshd.host({ name: 'behind', jump: server.host().ssh });
    await expect(pool.get(behind)).rejects.toMatchObject({
      ...prohibition,
      message: expect.stringContaining('jump host') as string,
    });
  });
});

/** Sends a text, ends the sending side, and resolves with the reply. */
async function exchange(endpoint: { host: string; port: number }, text: string): Promise<string> {
  const socket = connect(endpoint);
  try {
    socket.end(text);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  } finally {
    socket.destroy();
  }
}
