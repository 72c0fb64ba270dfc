import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { expect, vi } from 'vitest';
import { knownHostsDir } from '../../src/cli/hosts.js';
import type { ClusterStatus } from '../../src/status/cluster-status.js';
import { hostProcesses } from '../../src/lab/machine.js';
import {
  commandArguments,
  commandLine,
  identify,
  isAlive,
  processStat,
  signal,
  startVariable,
  type ProcessIdentity,
} from '../../src/lab/processes.js';
import { marks, nodeLayout, serviceMark, type ServiceName } from '../../src/node/layout.js';
import { allSockets } from '../../src/hosts/sockets.js';
import { labMarker, labPaths, readLab, type LabState } from '../../src/lab/state.js';
import { labProcesses } from '../../src/lab/sweep.js';
import { temporalPorts } from '../../src/lab/temporal.js';
import { runCell } from '../../src/jupyter/client.js';
import { loadSpec } from '../../src/cluster/load.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { createSshPool } from '../../src/ssh/pool.js';
import { observeCluster } from '../../src/status/observe.js';
import { connectClient, type TemporalClient } from '../../src/temporal/connect.js';
import { deployProgress, workflowIds, type DeployProgress } from '../../src/temporal/contract.js';
import { expectReady, untilStatus } from './status.js';

const program = path.resolve(import.meta.dirname, '../../bin/perijove.js');

/** Without the user's settings for Temporal and the spec. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(TEMPORAL_|PERIJOVE_FILE$)/.test(name)),
);

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command, and its output so far. */
export class Running {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Run>;

  constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (data: Buffer) => (this.stdout += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.ended = this.untilEnd();
  }

  private async untilEnd(): Promise<Run> {
    const [code] = (await once(this.child, 'close')) as [number | null];
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Observes a lab; keeps its SSH connections, and the Temporal connection while that server lives. */
class Observer {
  private readonly pool = createSshPool({
    logger: pino({ level: 'silent' }),
    knownHostsDir: knownHostsDir(process.env),
  });
  private temporal: { readonly server: string; readonly connected: TemporalClient } | undefined;

  constructor(private readonly lab: Pick<TestLab, 'spec' | 'state'>) {}

  async status(): Promise<ClusterStatus> {
    const client = await this.client();
    const { status } = await observeCluster(
      { pool: this.pool, ...(client && { client }) },
      await this.lab.spec(),
    );
    return status;
  }

  private async client(): Promise<Client | undefined> {
    const { temporal } = this.lab.state;
    if (temporal === undefined) return undefined;
    const server = `${temporal.address} ${temporal.pid} ${temporal.startTime}`;
    if (this.temporal?.server !== server) {
      await this.temporal?.connected.close();
      this.temporal = undefined;
      const connecting = connectClient({ address: temporal.address, namespace: 'default' });
      const connected = await connecting.catch(() => undefined);
      if (connected === undefined) return undefined;
      this.temporal = { server, connected };
    }
    return this.temporal.connected.client;
  }

  async close(): Promise<void> {
    await this.temporal?.connected.close();
    await this.pool.close();
  }
}

/** A lab of one test, driven through the command line. Nothing runs until `up`. */
export class TestLab {
  readonly stateDir: string;
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'perijove-e2e-'));
  private readonly running: Running[] = [];
  private observer: Observer | undefined;

  /**
   * @param subnet not shared with other labs, such as `127.28`
   * @param perijove the program; this repository's, unless given
   */
  constructor(
    readonly subnet: string,
    private readonly perijove = program,
  ) {
    this.stateDir = path.join(this.directory, 'lab');
  }

  get specFile(): string {
    return labPaths(this.stateDir).spec;
  }

  get state(): LabState {
    const lab = readLab(this.stateDir);
    if (!lab) throw new Error(`no lab in ${this.stateDir}`);
    return lab;
  }

  spec(): Promise<ClusterSpec> {
    return loadSpec(this.specFile);
  }

  /** Starts a command; the lab ends it at the end if it still runs. */
  start(...args: readonly string[]): Running {
    const child = spawn(process.execPath, [this.perijove, ...args], {
      cwd: this.directory,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = new Running(child);
    this.running.push(running);
    return running;
  }

  /** Runs a command and expects it to succeed. */
  async run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.start(...args).ended;
    expect(code, `perijove ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  }

  /** A command of `perijove lab`. */
  lab(verb: string, ...args: readonly string[]): Promise<string> {
    return this.run('lab', verb, ...args, '--state-dir', this.stateDir);
  }

  startUp(...args: readonly string[]): Running {
    return this.start('lab', 'up', '--state-dir', this.stateDir, '--subnet', this.subnet, ...args);
  }

  async up(...args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await this.startUp(...args).ended;
    expect(code, `perijove lab up\n${stdout}\n${stderr}\n${this.workerErrors()}`).toBe(0);
  }

  /** JSON output of a command about the cluster. */
  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '--file', this.specFile, '--json')) as T;
  }

  status(): Promise<ClusterStatus> {
    return this.json<ClusterStatus>('status');
  }

  /**
   * Waits until the status satisfies `assertion`, within `timeoutMs`. Observes as `perijove status` does, but
   * in this process: starting a program for each observation would keep a core busy.
   */
  async eventually(assertion: (status: ClusterStatus) => void, timeoutMs = 60_000): Promise<ClusterStatus> {
    this.observer ??= new Observer(this);
    const { observer } = this;
    return untilStatus(() => observer.status(), assertion, { timeout: timeoutMs, interval: 250 });
  }

  ready(timeoutMs?: number): Promise<ClusterStatus> {
    return this.eventually(expectReady, timeoutMs);
  }

  /** Jupyter through each host: host name, URL without the token, and the token. */
  async jupyter(): Promise<{ readonly host: string; readonly url: string; readonly token: string }[]> {
    const found = await this.json<{ readonly host: string; readonly url: string }[]>(
      'open',
      'jupyter',
      '--url',
    );
    return found.map(({ host, url }) => {
      const address = new URL(url);
      return { host, url: address.origin, token: address.searchParams.get('token') ?? '' };
    });
  }

  /** The value of a notebook cell through each host. */
  async cells(code: string): Promise<Record<string, string>> {
    const values = await Promise.all(
      (await this.jupyter()).map(
        async ({ host, url, token }) => [host, await runCell(url, token, code)] as const,
      ),
    );
    return Object.fromEntries(values);
  }

  /** Everything on a host that outlives a command: its process, by command line. */
  residents(hostName: string): ReadonlyMap<string, ProcessIdentity> {
    const host = this.state.hosts.find(({ name }) => name === hostName);
    if (!host) throw new Error(`the lab has no host ${hostName}`);
    const found = new Map<string, ProcessIdentity>();
    for (const pid of hostProcesses(this.stateDir, host)) {
      const identity = isPassing(pid) ? undefined : identify(pid);
      if (identity) found.set(`${pid} ${commandLine(pid)}`, identity);
    }
    return found;
  }

  allResidents(): ReadonlyMap<string, ProcessIdentity> {
    return new Map(this.state.hosts.flatMap(({ name }) => [...this.residents(name)]));
  }

  /** All processes of a node, or of one of its services, on any host. */
  nodeProcesses(node: string, service?: ServiceName): ProcessIdentity[] {
    return [...this.allResidents().values()].filter(({ pid }) => {
      const tree = startVariable(pid, marks.tree);
      if (tree === undefined || path.basename(tree) !== node) return false;
      if (service === undefined) return true;
      const [name = ''] = serviceMark(tree, service).split('=');
      return startVariable(pid, name) === `${nodeLayout(tree).base}:${service}`;
    });
  }

  /** The only process of a host whose arguments satisfy `predicate`. */
  resident(hostName: string, predicate: (args: readonly string[]) => boolean): ProcessIdentity {
    const found = [...this.residents(hostName).values()].filter(({ pid }) =>
      predicate(commandArguments(pid)),
    );
    const [only] = found;
    if (!only || found.length > 1) {
      throw new Error(
        `${found.length} processes of ${hostName} match:\n${[...this.residents(hostName).keys()].join('\n')}`,
      );
    }
    return only;
  }

  /** Waits until the lab has recorded its server and has workers. */
  async workersStarted(): Promise<void> {
    const started = () => readLab(this.stateDir)?.temporal !== undefined && this.workers().length > 0;
    await expect.poll(started, { timeout: 60_000 }).toBe(true);
  }

  /** SIGKILLs every worker. */
  async killWorkers(): Promise<void> {
    const workers = this.workers();
    expect(workers).not.toEqual([]);
    for (const worker of workers) signal(worker, 'SIGKILL');
    await vi.waitFor(() => expect(workers.filter(isAlive)).toEqual([]));
  }

  /** All worker processes of the lab's Temporal server. */
  workers(): ProcessIdentity[] {
    return [...labProcesses(this.stateDir)]
      .filter((pid) => commandArguments(pid).slice(1, 3).join(' ') === `${this.perijove} worker`)
      .map(identify)
      .filter((identity) => identity !== undefined);
  }

  /** Starts one more worker, unknown to the lab. */
  startWorker(): void {
    const child = spawn(process.execPath, [this.perijove, 'worker'], {
      cwd: this.stateDir,
      detached: true,
      stdio: 'ignore',
      env: {
        ...environment,
        TEMPORAL_ADDRESS: this.state.temporal?.address ?? '',
        [labMarker]: this.stateDir,
      },
    });
    child.unref();
  }

  async withTemporal<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const temporal = await connectClient({
      address: this.state.temporal?.address ?? '',
      namespace: 'default',
    });
    try {
      return await work(temporal.client);
    } finally {
      await temporal.close();
    }
  }

  /** Resolves to the first progress of the deployment that satisfies `predicate`. */
  progress(predicate: (progress: DeployProgress) => boolean, timeoutMs = 120_000): Promise<DeployProgress> {
    return this.withTemporal(async (client) => {
      const spec = await this.spec();
      const handle = client.workflow.getHandle(workflowIds.deploy(spec.name));
      return vi.waitFor(
        async () => {
          const progress = await client.connection.withDeadline(Date.now() + 5_000, () =>
            handle.query(deployProgress),
          );
          expect(predicate(progress), JSON.stringify(progress)).toBe(true);
          return progress;
        },
        { timeout: timeoutMs, interval: 20 },
      );
    });
  }

  /** The last warnings and errors logged by the workers. */
  workerErrors(): string {
    return [0, 1]
      .map((index) => path.join(labPaths(this.stateDir).workerLogs, `${index}.log`))
      .filter((file) => existsSync(file))
      .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
      .filter((line) => /"level":[456]0/.test(line) || /^\S*Error/.test(line))
      .slice(-20)
      .join('\n');
  }

  /**
   * Ends everything, also after a failure, and expects that nothing is left: no process, no port, no file.
   */
  async purge(): Promise<void> {
    if (!existsSync(this.directory)) return;
    for (const { child } of this.running) child.kill('SIGKILL');
    await this.observer?.close();
    const known = existsSync(labPaths(this.stateDir).state) ? [...this.allResidents().values()] : [];
    try {
      await this.lab('down', '--purge');
      expect(existsSync(this.stateDir)).toBe(false);
      expect([...labProcesses(this.stateDir)].map(commandLine)).toEqual([]);
      expect(known.filter(isAlive).map(({ pid }) => commandLine(pid))).toEqual([]);
      expect(this.listeners()).toEqual([]);
    } finally {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /** Listeners on the lab's own addresses. */
  private listeners(): string[] {
    const ports = Object.values(temporalPorts(this.subnet));
    return allSockets()
      .filter(({ listening }) => listening)
      .filter(
        ({ address, port }) =>
          address.startsWith(`${this.subnet}.`) || (address === '127.0.0.1' && ports.includes(port)),
      )
      .map(({ address, port }) => `${address}:${port}`);
  }
}

/**
 * Whether a process is temporary: SSH sessions and their children, notebook kernels, pauses of supervisors.
 */
function isPassing(pid: number): boolean {
  for (let stat = processStat(pid); stat; stat = processStat(stat.parent)) {
    if (
      commandArguments(stat.pid)[0]?.startsWith('sshd:') === true &&
      !commandLine(stat.pid).includes('[listener]')
    ) {
      return true;
    }
  }
  return (
    ['sleep', 'sh'].includes(processStat(pid)?.name ?? '') || commandLine(pid).includes('ipykernel_launcher')
  );
}
