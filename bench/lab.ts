/** A benchmark's lab, driven through the command line as users do. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parse, parseDocument } from 'yaml';
import type { ClusterStatus } from '../src/status/cluster-status.js';
import { allProcesses, ended, identify, signal, startVariable } from '../src/lab/processes.js';
import { labProcesses } from '../src/lab/sweep.js';
import { labMarker, labPaths } from '../src/lab/state.js';
import type { LabStatus } from '../src/lab/status.js';
import { marks } from '../src/node/layout.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../src/cluster/spec.js';
import { loadSpec } from '../src/cluster/load.js';

const run = promisify(execFile);
const readyWithinMs = 300_000;
const startWithinMs = 120_000;

/** One host's proxy, as users reach it. */
export interface Entrance {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly token: string;
}

export class BenchLab {
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'perijove-bench-'));
  private readonly stateDir = path.join(this.directory, 'lab');
  private readonly specFile = path.join(this.stateDir, 'cluster.yaml');

  /**
   * @param subnet first two octets of its addresses
   * @param root of the package whose commands are used
   */
  constructor(
    private readonly subnet: string,
    private root = '.',
  ) {}

  /** From now on, commands are those of this package. */
  use(root: string): void {
    this.root = root;
  }

  /** Starts it, or those parts that are not running. */
  async up(): Promise<void> {
    await this.perijove('lab', 'up', '--yes', '--state-dir', this.stateDir, '--subnet', this.subnet);
  }

  /** Collects the events of keeper and framework from now on. @returns ends it, and resolves to them */
  watchEvents(): () => Promise<readonly string[]> {
    const since = new Date().toISOString();
    const command = [path.resolve(this.root, 'bin/perijove.js'), 'events', '--json', '--file', this.specFile];
    const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    return async () => {
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      await ended;
      const events = printed.split('\n').flatMap((line) => (line.startsWith('{') ? [line] : []));
      return events.filter((line) => (JSON.parse(line) as { readonly at: string }).at >= since);
    };
  }

  /** Sets keys of a section of the spec, and deploys nothing. */
  write(section: string, values: Readonly<Record<string, string>>): void {
    const document = parseDocument(readFileSync(this.specFile, 'utf8'));
    for (const [key, value] of Object.entries(values)) document.setIn([section, key], parse(value));
    writeFileSync(this.specFile, document.toString());
  }

  /** Sets keys of a section of the spec, and deploys it. */
  async set(section: string, values: Readonly<Record<string, string>>): Promise<void> {
    this.write(section, values);
    await this.perijove('up', '--file', this.specFile);
  }

  /** Removes a key of the spec, and deploys nothing. */
  remove(section: string, key: string): void {
    const document = parseDocument(readFileSync(this.specFile, 'utf8'));
    document.deleteIn([section, key]);
    writeFileSync(this.specFile, document.toString());
  }

  /** Sets keys below `jupyter` in the spec, and deploys it. */
  async configure(jupyter: Readonly<Record<string, string>>): Promise<void> {
    const text = readFileSync(this.specFile, 'utf8');
    const lines = Object.entries(jupyter).map(([key, value]) => `  ${key}: ${value}\n`);
    const without = text.replace(/^ {2}(standby|follow|reflexes): .*\n/gm, '');
    writeFileSync(this.specFile, without.replace(/^jupyter:\n/m, `jupyter:\n${lines.join('')}`));
    await this.perijove('up', '--file', this.specFile);
    await this.ready();
  }

  spec(): Promise<ClusterSpec> {
    return loadSpec(this.specFile);
  }

  async status(): Promise<ClusterStatus> {
    return JSON.parse(await this.perijove('status', '--json', '--file', this.specFile)) as ClusterStatus;
  }

  /** Resolves when nothing is missing. */
  async ready(): Promise<ClusterStatus> {
    const until = Date.now() + readyWithinMs;
    for (;;) {
      const status = await this.status();
      if (status.phase === 'ready') return status;
      if (Date.now() > until) throw new Error(`not ready: ${JSON.stringify(status, null, 1)}`);
      await delay(500);
    }
  }

  async entrances(): Promise<readonly Entrance[]> {
    const text = await this.perijove('open', 'jupyter', '--url', '--json', '--file', this.specFile);
    const addresses = JSON.parse(text) as readonly { readonly host: string; readonly url: string }[];
    return addresses.map(({ host, url }) => {
      const { hostname, port, searchParams } = new URL(url);
      return { host, address: hostname, port: Number(port), token: searchParams.get('token') ?? '' };
    });
  }

  async addresses(): Promise<readonly { readonly node: string; readonly address: string }[]> {
    const spec = await this.spec();
    return nodeNames(spec).map((node, index) => ({ node, address: nodeAddress(spec, index) }));
  }

  /** SIGKILLs every process of the node at once. */
  killNode(node: string): void {
    const processes = allProcesses().flatMap(({ pid }) => {
      const tree = startVariable(pid, marks.tree);
      if (tree?.startsWith(`${this.stateDir}/`) !== true || path.basename(tree) !== node) return [];
      return identify(pid) ?? [];
    });
    for (const process of processes) signal(process, 'SIGKILL');
  }

  async labStatus(): Promise<LabStatus> {
    return JSON.parse(
      await this.perijove('lab', 'status', '--json', '--state-dir', this.stateDir),
    ) as LabStatus;
  }

  async killWorkers(): Promise<void> {
    const workers = (await this.labStatus()).workers.flatMap(({ pid }) => identify(pid) ?? []);
    for (const worker of workers) signal(worker, 'SIGKILL');
    await ended(workers, 10_000);
  }

  /** Ends workers as a supervisor does. */
  async stopWorkers(pids: readonly number[]): Promise<void> {
    const workers = pids.flatMap((pid) => identify(pid) ?? []);
    for (const worker of workers) signal(worker, 'SIGTERM');
    await ended(workers, 30_000);
  }

  /** Starts one more worker of the package in use, which ends with the lab. @returns its PID */
  async startWorker(logFile: string): Promise<number> {
    const { temporal } = await this.labStatus();
    const log = openSync(logFile, 'a');
    const child = spawn(process.execPath, [path.resolve(this.root, 'bin/perijove.js'), 'worker'], {
      cwd: this.stateDir,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, TEMPORAL_ADDRESS: temporal?.address ?? '', [labMarker]: this.stateDir },
    });
    closeSync(log);
    child.unref();
    for (const end = Date.now() + startWithinMs; ; await delay(200)) {
      if (existsSync(logFile) && readFileSync(logFile, 'utf8').includes('the worker is ready')) break;
      if (child.exitCode !== null || Date.now() > end) throw new Error(`no worker: see ${logFile}`);
    }
    return child.pid ?? 0;
  }

  /** A file in the lab's directory, which ends with it. */
  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** The logs of the workers that the lab started. */
  workerLogs(): string[] {
    return [0, 1].map((index) => path.join(labPaths(this.stateDir).workerLogs, `${index}.log`));
  }

  /** PIDs of all of it, hosts and nodes too. */
  processes(): Set<number> {
    return labProcesses(this.stateDir);
  }

  /** Lines of all logs of the lab that match, each with its file. */
  logLines(pattern: RegExp): string[] {
    return readdirSync(this.stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && (entry.name === 'current' || entry.name.endsWith('.log')))
      .flatMap((entry) => {
        const file = path.join(entry.parentPath, entry.name);
        const lines = readFileSync(file, 'utf8').split('\n');
        return lines
          .filter((line) => pattern.test(line))
          .map((line) => `${path.relative(this.stateDir, file)}: ${line}`);
      });
  }

  async move(node: string): Promise<void> {
    await this.perijove('move', node, '--file', this.specFile);
  }

  async purge(): Promise<void> {
    await this.perijove('lab', 'down', '--purge', '--state-dir', this.stateDir).catch(console.error);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A command about the cluster. */
  async command(...words: readonly string[]): Promise<string> {
    return await this.perijove(...words, '--file', this.specFile);
  }

  private async perijove(...words: readonly string[]): Promise<string> {
    const { stdout } = await run(process.execPath, [path.resolve(this.root, 'bin/perijove.js'), ...words], {
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  }
}
