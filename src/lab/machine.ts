import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, openSync, closeSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PerijoveError } from '../errors/error.js';
import { hostPaths } from '../hosts/paths.js';
import { runsvdirScript } from '../hosts/runit.js';
import {
  allProcesses,
  ended,
  identified,
  identify,
  isAlive,
  killAll,
  processIdentitySchema,
  commandArguments,
  signal,
  withDescendants,
  type ProcessIdentity,
} from './processes.js';
import { isOfHost } from './marks.js';
import { findProgram, hostPath } from './programs.js';
import { allSockets, processesHolding } from '../hosts/sockets.js';
import { requireFreePort } from './sockets.js';
import { hostMarker, labPaths, writeAtomically, type LabHost } from './state.js';

/*
 * A lab host represents a machine: one sshd, and the services that runit starts at boot. Each of its
 * processes is recognized by its environment (see `marks.ts`) or descends from such a process.
 */

/** Time limit for stopping a host's services: longer than those of runit and the nodes. */
const stopTimeoutMs = 25_000;

/** Creates the lab's SSH key and missing host keys. */
export async function provideKeys(stateDir: string, hosts: readonly LabHost[]): Promise<void> {
  const paths = labPaths(stateDir);
  await provideKey(paths.key, 'perijove-lab');
  writeAtomically(paths.authorizedKeys, readFileSync(`${paths.key}.pub`, 'utf8'));
  const known: string[] = [];
  for (const host of hosts) {
    await provideKey(paths.hostKey(host.name), host.name);
    const [type, key] = readFileSync(`${paths.hostKey(host.name)}.pub`, 'utf8').split(' ');
    known.push(`[${host.address}]:${host.port} ${type} ${key}\n`);
  }
  writeAtomically(paths.knownHosts, known.join(''));
}

async function provideKey(file: string, comment: string): Promise<void> {
  // ssh-keygen writes the public half last.
  if (existsSync(`${file}.pub`)) return;
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  // ssh-keygen would ask whether to overwrite an incomplete one.
  await promisify(execFile)('sh', [
    '-c',
    'rm -f "$1" && ssh-keygen -q -t ed25519 -N "" -C "$2" -f "$1"',
    'sh',
    file,
    comment,
  ]);
}

/** The mark of every process of the host, and the PATH and home of its machine. */
function hostEnvironment(stateDir: string, host: LabHost): Readonly<Record<string, string>> {
  const paths = labPaths(stateDir);
  return { [hostMarker]: paths.host(host.name), PATH: hostPath, HOME: paths.hostHome(host.name) };
}

/** The configuration of a host's sshd. It works as root and as an ordinary user. */
export function sshdConfig(stateDir: string, host: LabHost): string {
  const paths = labPaths(stateDir);
  return `${[
    `ListenAddress ${host.address}:${host.port}`,
    `HostKey "${paths.hostKey(host.name)}"`,
    `AuthorizedKeysFile "${paths.authorizedKeys}"`,
    'PidFile none',
    `SetEnv ${Object.entries(hostEnvironment(stateDir, host))
      .map(([name, value]) => `"${name}=${value}"`)
      .join(' ')}`,
    'PubkeyAuthentication yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    // The state directory may be below a directory writable by others, such as /tmp.
    'StrictModes no',
    'PermitRootLogin prohibit-password',
    'AllowTcpForwarding yes',
    'X11Forwarding no',
    'UseDNS no',
    'PrintMotd no',
    'PrintLastLog no',
    // Workers, the command line and tests connect at the same time.
    'MaxStartups 100',
    'Subsystem sftp internal-sftp',
  ].join('\n')}\n`;
}

/** The host's sshd process, if alive. */
export function sshdProcess(stateDir: string, host: LabHost): ProcessIdentity | undefined {
  try {
    const text = readFileSync(labPaths(stateDir).sshdProcess(host.name), 'utf8');
    const identity = processIdentitySchema.parse(JSON.parse(text));
    return isAlive(identity) ? identity : undefined;
  } catch {
    return undefined; // It was never started.
  }
}

/** Every live process of the host. */
export function hostProcesses(stateDir: string, host: LabHost): Set<number> {
  const directory = labPaths(stateDir).host(host.name);
  const processes = allProcesses();
  const roots = processes.filter(({ pid }) => isOfHost(pid, directory)).map(({ pid }) => pid);
  const sshd = sshdProcess(stateDir, host);
  if (sshd) roots.push(sshd.pid);
  // sshd overwrites its environment with its title: an orphaned session is recognized by its socket.
  const sockets = allSockets().filter(({ address, port }) => address === host.address && port === host.port);
  const holders = new Set(processesHolding(new Set(sockets.map((socket) => socket.inode))));
  roots.push(
    ...processes.filter(({ pid, name }) => name === 'sshd' && holders.has(pid)).map(({ pid }) => pid),
  );
  return withDescendants(roots, processes);
}

/**
 * Boots the host: starts sshd, then the services installed on it. Leaves running ones alone.
 *
 * @throws PerijoveError PORT_IN_USE, LAB_HOST_NOT_STARTED with the end of sshd's log
 */
export async function bootHost(stateDir: string, host: LabHost): Promise<void> {
  await startSshd(stateDir, host);
  await startServices(stateDir, host);
}

async function startSshd(stateDir: string, host: LabHost): Promise<void> {
  if (sshdProcess(stateDir, host)) return;
  requireFreePort(host.address, host.port, `sshd of lab host ${host.name}`);
  const paths = labPaths(stateDir);
  const sshd = findProgram('sshd', hostPath);
  if (sshd === undefined)
    throw new PerijoveError('PREREQUISITES_MISSING', 'sshd is not installed on this machine');
  // Root's sshd needs this directory for privilege separation; a package's service would create it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  chmodSync(paths.hostKey(host.name), 0o600);
  writeAtomically(paths.sshdConfig(host.name), sshdConfig(stateDir, host));

  const log = paths.sshdLog(host.name);
  const child = spawnOnHost(stateDir, host, [sshd, '-D', '-e', '-f', paths.sshdConfig(host.name)], log);
  let failure: string | undefined;
  child.once('error', (error) => (failure = error.message));
  child.once('exit', (code, killedBy) => (failure = `it exited with ${killedBy ?? code}`));
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity) writeAtomically(paths.sshdProcess(host.name), JSON.stringify(identity));

  while (failure === undefined && !(await answersSsh(host))) await delay(20);
  if (failure === undefined) return;
  throw new PerijoveError(
    'LAB_HOST_NOT_STARTED',
    `sshd of lab host ${host.name} did not start: ${failure}\n${tail(log)}`,
    { host: host.name, file: log },
  );
}

/** Starts the services in the host's runit directory, as its init system would. */
async function startServices(stateDir: string, host: LabHost): Promise<void> {
  if (!existsSync(hostPaths(host).service)) return;
  const log = labPaths(stateDir).bootLog(host.name);
  const boot = spawnOnHost(stateDir, host, ['sh', '-c', runsvdirScript(host.dir)], log);
  // Keep this process alive while waiting for it.
  boot.ref();
  const [code] = (await once(boot, 'exit')) as [number | null];
  if (code === 0) return;
  throw new PerijoveError(
    'LAB_HOST_NOT_STARTED',
    `the services of lab host ${host.name} did not start:\n${tail(log)}`,
    { host: host.name, file: log },
  );
}

function runsvdirProcess(stateDir: string, host: LabHost): ProcessIdentity | undefined {
  const directory = hostPaths(host).service;
  const isRunsvdir = (candidate: number) => {
    const [program = '', ...args] = commandArguments(candidate);
    return path.basename(program) === 'runsvdir' && args.includes(directory);
  };
  return identified(() => [...hostProcesses(stateDir, host)].filter(isRunsvdir)).found[0];
}

/** Starts a process of the host in its own session, which outlives this process. */
function spawnOnHost(stateDir: string, host: LabHost, command: readonly string[], logFile: string) {
  const [program = '', ...args] = command;
  mkdirSync(path.dirname(logFile), { recursive: true });
  mkdirSync(labPaths(stateDir).hostHome(host.name), { recursive: true });
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
    env: { LANG: 'C.UTF-8', ...hostEnvironment(stateDir, host) },
  });
  closeSync(log);
  child.unref();
  return child;
}

/** Whether an SSH server responds at the host's address. */
function answersSsh(host: LabHost): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host.address, port: host.port });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2_000, () => done(false));
    socket.once('data', (data) => done(data.toString('latin1').startsWith('SSH-')));
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
  });
}

/** Kills every process of the host, as a power cut does. Resolves to the number of processes. */
export async function crashHost(stateDir: string, host: LabHost): Promise<number> {
  const killed = await killAll(() => hostProcesses(stateDir, host));
  return killed.length;
}

/**
 * Shuts the host down in order: its services, then everything else on it (the nodes, which outlive the Mesos
 * agent), then sshd. Whatever does not stop in time is killed.
 */
export async function shutDownHost(stateDir: string, host: LabHost): Promise<void> {
  const runsvdir = runsvdirProcess(stateDir, host);
  if (runsvdir) {
    const services = supervised(runsvdir.pid).map(identify);
    // runsvdir(8): after a HUP it sends TERM to each runsv, which stops its service and exits.
    signal(runsvdir, 'SIGHUP');
    await ended([runsvdir, ...services.filter((identity) => identity !== undefined)], stopTimeoutMs);
  }
  const { found: rest } = identified(() => hostProcesses(stateDir, host));
  for (const identity of rest) signal(identity, 'SIGTERM');
  await ended(rest, stopTimeoutMs);
  await crashHost(stateDir, host);
}

/**
 * The processes run by the services of a runsvdir. Excludes their loggers: a logger ends with its last
 * writer, and a node started by the Mesos agent keeps writing until it ends. Also excludes what the nodes
 * supervise.
 */
function supervised(runsvdir: number): number[] {
  const processes = allProcesses();
  const supervisors = new Set(
    processes.filter(({ parent, name }) => parent === runsvdir && name === 'runsv').map(({ pid }) => pid),
  );
  return processes
    .filter(({ parent, name }) => supervisors.has(parent) && name !== 'svlogd')
    .map(({ pid }) => pid);
}

export function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
  } catch {
    return '';
  }
}
