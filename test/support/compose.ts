import { execFile, execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import type { ClusterStatus } from '../../src/activities/cluster-status.js';
import { runCell } from '../../src/jupyter/client.js';
import type { ClusterSpec } from '../../src/spec/cluster.js';
import { expectReady, untilStatus } from './status.js';

const root = path.resolve(import.meta.dirname, '../..');

type Command = readonly [program: string, ...args: string[]];

/** The Compose of this machine; or why there is none that could run servers in containers. */
export function findCompose(): { readonly command: Command } | { readonly missing: string } {
  const works = ([program, ...args]: Command) => {
    try {
      execFileSync(program, args, { stdio: 'ignore', timeout: 30_000 });
      return true;
    } catch {
      return false;
    }
  };
  if (process.getuid?.() !== 0) return { missing: 'it needs root' };
  if (!works(['docker', 'version'])) return { missing: 'no Docker server answers' };
  const commands: readonly Command[] = [['docker', 'compose'], ['docker-compose']];
  const command = commands.find((each) => works([...each, 'version']));
  return command ? { command } : { missing: 'there is no Compose' };
}

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the networks of the cluster do not have goes nowhere, instead of out of this machine. */
const routes = ['172.16.6.0/24', '192.168.0.0/24'];
const lowestMetric = 'metric 4000000';

export interface ComposeOptions {
  readonly project: string;
  readonly uiPort: number;
  /** Of images/host/Dockerfile. */
  readonly hostTarget: string;
}

/** The cluster of docker-compose.yml in a project of its own. Nothing runs until `up`. */
export class ComposeCluster {
  private readonly addedRoutes: string[] = [];

  constructor(
    private readonly compose: Command,
    private readonly options: ComposeOptions,
  ) {}

  private exec(command: Command): Promise<Run> {
    const [program, ...args] = command;
    const env = {
      ...process.env,
      PERIJOVE_TEMPORAL_UI_PORT: String(this.options.uiPort),
      PERIJOVE_HOST_TARGET: this.options.hostTarget,
    };
    return new Promise((resolve) => {
      execFile(program, args, { cwd: root, env, maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  private async run(command: Command): Promise<string> {
    const { code, stdout, stderr } = await this.exec(command);
    expect(code, `${command.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  }

  private composed(...args: readonly string[]): Command {
    return [...this.compose, '--project-name', this.options.project, ...args];
  }

  /** Builds the images and starts everything. */
  async up(): Promise<void> {
    for (const route of routes) {
      const found = await this.run(['ip', 'route', 'show', 'type', 'unreachable', 'exact', route]);
      if (found.trim() !== '') continue;
      await this.run(['ip', 'route', 'add', 'unreachable', route, ...lowestMetric.split(' ')]);
      this.addedRoutes.push(route);
    }
    await this.run([path.join(root, 'images/prepare')]);
    await this.run(this.composed('build'));
    await this.run(this.composed('up', '--detach'));
  }

  /** Removes everything but the images, whatever there is. */
  async down(): Promise<void> {
    const removed = await this.exec(this.composed('down', '--volumes', '--remove-orphans', '--timeout', '1'));
    for (const route of this.addedRoutes)
      await this.exec(['ip', 'route', 'del', 'unreachable', route, ...lowestMetric.split(' ')]);
    expect(removed.code, removed.stderr).toBe(0);
  }

  /** The command line in the first worker. */
  perijove(...args: readonly string[]): Promise<string> {
    return this.run(this.composed('exec', '-T', 'worker-1', 'perijove', ...args));
  }

  /** The same, which may fail. */
  try(...args: readonly string[]): Promise<Run> {
    return this.exec(this.composed('exec', '-T', 'worker-1', 'perijove', ...args));
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.perijove(...args, '--json')) as T;
  }

  /** Waits until the status is as `assertion` has it. */
  eventually(assertion: (status: ClusterStatus) => void, timeoutMs = 90_000): Promise<ClusterStatus> {
    const look = () => this.json<ClusterStatus>('status');
    return untilStatus(look, assertion, { timeout: timeoutMs, interval: 1_000 });
  }

  ready(timeoutMs?: number): Promise<ClusterStatus> {
    return this.eventually(expectReady, timeoutMs);
  }

  /** Makes the spec one that this machine can use: it gets the key of the workers in a directory, which pins host keys, too. */
  async fromHere(spec: ClusterSpec, directory: string): Promise<ClusterSpec> {
    const keyFile = path.join(directory, 'key');
    const key = await this.run(
      this.composed('exec', '-T', 'worker-1', 'cat', spec.hosts[0]?.ssh.keyFile ?? 'no key'),
    );
    await writeFile(keyFile, key, { mode: 0o600 });
    return { ...spec, hosts: spec.hosts.map((host) => ({ ...host, ssh: { ...host.ssh, keyFile } })) };
  }

  /** What a shell on a host prints; as on its console, not by SSH. */
  async onHost(host: string, script: string): Promise<string> {
    return this.run(this.composed('exec', '-T', host, 'sh', '-c', script));
  }

  /** A power cut. */
  crash(host: string): Promise<string> {
    return this.run(this.composed('kill', host));
  }

  boot(host: string): Promise<string> {
    return this.run(this.composed('start', host));
  }

  async logs(): Promise<string> {
    return (await this.exec(this.composed('logs', '--no-color', '--tail=60', 'worker-1', 'worker-2'))).stdout;
  }

  /** Jupyter as a browser on this machine has it, by name of the host. */
  async jupyter(): Promise<ReadonlyMap<string, Entrance>> {
    const found = await this.json<{ readonly host: string; readonly url: string }[]>(
      'open',
      'jupyter',
      '--url',
    );
    return new Map(
      found.map(({ host, url }) => {
        const address = new URL(url);
        return [host, new Entrance(address.origin, address.searchParams.get('token') ?? '')];
      }),
    );
  }
}

/** Jupyter through one host. */
export class Entrance {
  constructor(
    readonly url: string,
    readonly token: string,
  ) {}

  cell(code: string): Promise<string> {
    return runCell(this.url, this.token, code);
  }

  async save(file: string, text: string): Promise<void> {
    const response = await fetch(`${this.url}/api/contents/${file}`, {
      method: 'PUT',
      headers: { authorization: `token ${this.token}` },
      body: JSON.stringify({ type: 'file', format: 'text', content: text }),
    });
    expect(response.status).toBe(201);
  }

  async read(file: string): Promise<unknown> {
    const response = await fetch(`${this.url}/api/contents/${file}`, {
      headers: { authorization: `token ${this.token}` },
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { content: unknown }).content;
  }
}
