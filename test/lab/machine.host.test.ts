import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  bootHost,
  crashHost,
  hostProcesses,
  provideKeys,
  shutDownHost,
  sshdProcess,
} from '../../src/lab/machine.js';
import { commandLine, isAlive, signal } from '../../src/lab/processes.js';
import { hostMarker, labPaths, type LabHost } from '../../src/lab/state.js';

const run = promisify(execFile);
const eventually = (assertion: () => void) => vi.waitFor(assertion, { timeout: 10_000, interval: 20 });

describe('a lab host', () => {
  let stateDir: string;
  let h1: LabHost;
  let h2: LabHost;

  beforeEach(async () => {
    stateDir = mkdtempSync(path.join(tmpdir(), 'perijove machine '));
    const host = (name: string, address: string): LabHost => {
      const dir = labPaths(stateDir).hostDir(name);
      mkdirSync(dir, { recursive: true });
      return { name, address, port: 2200, dir };
    };
    h1 = host('h1', '127.73.1.1');
    h2 = host('h2', '127.73.1.2');
    await provideKeys(stateDir, [h1, h2]);
    await Promise.all([bootHost(stateDir, h1), bootHost(stateDir, h2)]);
  });

  afterEach(async () => {
    await Promise.all([crashHost(stateDir, h1), crashHost(stateDir, h2)]);
    rmSync(stateDir, { recursive: true });
  });

  const sshArguments = (host: LabHost) => {
    const paths = labPaths(stateDir);
    return [
      ...['-F', 'none', '-p', String(host.port), '-i', paths.key, '-o', 'IdentitiesOnly=yes'],
      ...[
        '-o',
        `UserKnownHostsFile="${paths.knownHosts}"`,
        '-o',
        'StrictHostKeyChecking=yes',
        '-o',
        'BatchMode=yes',
      ],
    ];
  };
  const ssh = async (host: LabHost, script: string) =>
    (await run('ssh', [...sshArguments(host), host.address, script])).stdout.trim();

  const service = (host: LabHost, name: string, script: string) => {
    const directory = path.join(host.dir, 'service', name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(path.join(directory, 'run'), `#!/bin/sh\n${script}\n`);
    chmodSync(path.join(directory, 'run'), 0o755);
  };

  it('is reached with its own key, and marks its processes', async () => {
    expect(await ssh(h1, `echo "$${hostMarker}"; echo "$HOME"; command -v sshd`)).toBe(
      `${labPaths(stateDir).host('h1')}\n${labPaths(stateDir).hostHome('h1')}\n/usr/sbin/sshd`,
    );
  });

  it('is not booted twice', async () => {
    const before = sshdProcess(stateDir, h1);
    await bootHost(stateDir, h1);
    expect(sshdProcess(stateDir, h1)).toEqual(before);
  });

  it('loses every process in a crash, and no other host does', async () => {
    // One hides its parent, one drops the marker, one forks endlessly.
    await ssh(h1, 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo');
    await ssh(h1, `setsid sh -c 'env -i sleep 1000 & wait' >/dev/null 2>&1 </dev/null & echo`);
    await ssh(
      h1,
      `setsid sh -c 'while :; do sleep 1000 & sleep 0.01; done' >/dev/null 2>&1 </dev/null & echo`,
    );
    // A Mesos task whose agent is gone.
    const task = `MESOS_DIRECTORY='${h1.dir}/data/mesos-agent/slaves/s' sleep 1000`;
    await ssh(h1, `setsid -f env -u ${hostMarker} ${task} >/dev/null 2>&1 </dev/null`);
    await ssh(h2, 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo');
    // sshd and the sleep remain once the session has ended.
    await eventually(() => expect(hostProcesses(stateDir, h2).size).toBe(2));
    const other = hostProcesses(stateDir, h2);
    expect(hostProcesses(stateDir, h1).size).toBeGreaterThanOrEqual(7);

    await crashHost(stateDir, h1);
    expect(hostProcesses(stateDir, h1)).toEqual(new Set());
    expect(sshdProcess(stateDir, h1)).toBeUndefined();
    expect(hostProcesses(stateDir, h2)).toEqual(other);

    await bootHost(stateDir, h1);
    expect(await ssh(h1, 'echo up')).toBe('up');
  });

  it('loses its sessions in a crash, even if its sshd was killed before', async () => {
    const tunnel = spawn('ssh', [...sshArguments(h1), '-N', '-v', h1.address], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void tunnel.kill('SIGKILL'));
    const closed = once(tunnel, 'close');
    let output = '';
    tunnel.stderr.on('data', (data: Buffer) => (output += data.toString()));
    await eventually(() => expect(output).toContain('Entering interactive session'));
    const sshd = sshdProcess(stateDir, h1);
    if (!sshd) expect.unreachable('sshd runs');
    signal(sshd, 'SIGKILL');
    await eventually(() => expect(isAlive(sshd)).toBe(false));
    expect(hostProcesses(stateDir, h1).size).toBeGreaterThan(0);

    await crashHost(stateDir, h1);
    await closed;
    expect(hostProcesses(stateDir, h1)).toEqual(new Set());
  });

  it('starts its services at boot, and stops them in order on shutdown', async () => {
    const file = path.join(stateDir, 'said');
    service(
      h1,
      'polite',
      `trap 'echo stopped >>"${file}"; exit' TERM\necho started >>"${file}"\nsleep 1000 & wait`,
    );
    await bootHost(stateDir, h1);
    await eventually(() => expect(readFileSync(file, 'utf8')).toBe('started\n'));
    const before = hostProcesses(stateDir, h1).size;
    await bootHost(stateDir, h1);
    expect(hostProcesses(stateDir, h1).size).toBe(before);

    await shutDownHost(stateDir, h1);
    expect(readFileSync(file, 'utf8')).toBe('started\nstopped\n');
    expect(hostProcesses(stateDir, h1)).toEqual(new Set());
  });

  it('does not wait for a service’s log or remaining children, and ends these after it', async () => {
    const file = path.join(stateDir, 'said');
    const logs = path.join(stateDir, 'logs');
    mkdirSync(logs);
    // Like a node, it has its own supervisor.
    const own = path.join(stateDir, 'own');
    mkdirSync(own);
    writeFileSync(path.join(own, 'run'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
    const child = path.join(stateDir, 'child');
    writeFileSync(
      child,
      `trap 'echo child >>"${file}"; kill $own; wait $own; exit' TERM\nrunsv "${own}" & own=$!\nwait\n`,
    );
    service(
      h1,
      'agent',
      `trap 'echo agent >>"${file}"; exit' TERM\nsetsid sh "${child}" &\nsleep 1000 & wait`,
    );
    service(h1, 'agent/log', `exec svlogd "${logs}"`);
    await bootHost(stateDir, h1);
    const commands = () => [...hostProcesses(stateDir, h1)].map((pid) => commandLine(pid));
    await eventually(() => {
      expect(commands()).toContain(`sh ${child}`);
      expect(commands()).toContain(`svlogd ${logs}`);
      expect(commands()).toContain('sleep 1000');
      expect(commands()).toContain(`runsv ${own}`);
    });

    await shutDownHost(stateDir, h1);
    expect(readFileSync(file, 'utf8')).toBe('agent\nchild\n');
    expect(hostProcesses(stateDir, h1)).toEqual(new Set());
    // Less than the time after which remaining processes are killed.
  }, 20_000);

  it('names the process that holds its port', async () => {
    await crashHost(stateDir, h1);
    const server = createServer().listen(h1.port, h1.address);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    await expect(bootHost(stateDir, h1)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
  });

  it('reports why its sshd did not start', async () => {
    await crashHost(stateDir, h1);
    writeFileSync(labPaths(stateDir).hostKey('h1'), 'no key\n');
    await expect(bootHost(stateDir, h1)).rejects.toMatchObject({
      code: 'LAB_HOST_NOT_STARTED',
      message: expect.stringContaining('no hostkeys available') as string,
    });
  });
});
