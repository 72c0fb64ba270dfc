/** A benchmark's lab, driven through the command line as users do. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ClusterStatus } from '../src/status/cluster-status.js';
import { allProcesses, ended, identify, signal, startVariable } from '../src/lab/processes.js';
import type { LabStatus } from '../src/lab/status.js';
import { marks } from '../src/node/layout.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../src/cluster/spec.js';
import { loadSpec } from '../src/cluster/load.js';

const run = promisify(execFile);
const readyWithinMs = 300_000;

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

  /** @param subnet first two octets of its addresses */
  constructor(private readonly subnet: string) {}

  /** Starts it, or those parts that are not running. */
  async up(): Promise<void> {
    await this.perijove('lab', 'up', '--yes', '--state-dir', this.stateDir, '--subnet', this.subnet);
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

  async killWorkers(): Promise<void> {
    const text = await this.perijove('lab', 'status', '--json', '--state-dir', this.stateDir);
    const workers = (JSON.parse(text) as LabStatus).workers.flatMap(({ pid }) => identify(pid) ?? []);
    for (const worker of workers) signal(worker, 'SIGKILL');
    await ended(workers, 10_000);
  }

  async move(node: string): Promise<void> {
    await this.perijove('move', node, '--file', this.specFile);
  }

  async purge(): Promise<void> {
    await this.perijove('lab', 'down', '--purge', '--state-dir', this.stateDir).catch(console.error);
    rmSync(this.directory, { recursive: true, force: true });
  }

  private async perijove(...words: readonly string[]): Promise<string> {
    const { stdout } = await run(process.execPath, ['bin/perijove.js', ...words], {
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  }
}
