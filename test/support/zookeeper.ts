import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { serverStatus, type ServerStatus } from '../../src/zookeeper/four-letter.js';
import { judgeEnsemble } from '../../src/zookeeper/ensemble.js';
import type { Endpoint } from '../../src/ssh/connection.js';
import { zookeeperItems, zookeeperPaths } from '../../src/zookeeper/items.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import { processStat } from '../../src/lab/processes.js';
import { eventually } from './eventually.js';
import { makeHost, makeSpec } from './spec.js';

export interface TestServer {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly pid: number;
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP; resolves once it has stopped. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
  /** Restarts it with its data. */
  restart(): Promise<void>;
}

export interface TestEnsemble {
  readonly spec: ClusterSpec;
  readonly servers: readonly TestServer[];
  /** `host:port,host:port` */
  readonly connect: string;
  close(): Promise<void>;
}

/**
 * Starts a real ensemble, one server on each of the loopback addresses, configured by `zookeeperItems`, and
 * resolves when it is complete.
 */
export async function startEnsemble(
  addresses: readonly string[],
  options: { readonly tickTimeMs?: number } = {},
): Promise<TestEnsemble> {
  const root = mkdtempSync(path.join(tmpdir(), 'perijove-zookeeper-'));
  const spec = makeSpec({
    hosts: addresses.map((address, index) =>
      makeHost(`z${index + 1}`, { address, dir: path.join(root, `z${index + 1}`), roles: ['zookeeper'] }),
    ),
    zookeeper: { tickTimeMs: options.tickTimeMs ?? 500 },
  });
  const servers = spec.hosts.map((host) => new RunningServer(spec, host));
  try {
    await Promise.all(servers.map((server) => server.restart()));
    await whole(servers);
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill()));
    throw error;
  }
  return {
    spec,
    servers,
    connect: servers.map(({ endpoint }) => `${endpoint.host}:${endpoint.port}`).join(','),
    close: async () => {
      await Promise.all(servers.map((server) => server.kill()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

class RunningServer implements TestServer {
  readonly name: string;
  readonly endpoint: Endpoint;
  #process: ChildProcess | undefined;

  constructor(
    readonly spec: ClusterSpec,
    readonly host: HostSpec,
  ) {
    this.name = host.name;
    this.endpoint = { host: host.address, port: host.ports.zookeeper };
    const items = zookeeperItems(spec, host);
    for (const directory of items.directories) mkdirSync(directory.path, { recursive: true });
    for (const file of items.files) {
      if (file.source.kind === 'text') writeFileSync(file.path, file.source.text);
    }
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error(`${this.name} does not run`);
    return this.#process.pid;
  }

  async restart(): Promise<void> {
    await this.kill();
    const [service] = zookeeperItems(this.spec, this.host).services;
    if (service === undefined) throw new Error(`${this.name} has no service`);
    const [command, ...args] = service.exec;
    const log = openSync(path.join(zookeeperPaths(this.host).data, 'server.log'), 'a');
    this.#process = spawn(command, args, { stdio: ['ignore', log, log] });
    await once(this.#process, 'spawn');
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async pause(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    await eventually('it has stopped', () => processStat(this.pid)?.state === 'T');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }
}

async function whole(servers: readonly RunningServer[]): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const reports = await Promise.all(
      servers.map(async ({ name, endpoint }) => {
        const status = await serverStatus(endpoint, 1_000).catch((): ServerStatus | undefined => undefined);
        return { host: name, ...(status && { status }) };
      }),
    );
    const judgement = judgeEnsemble(reports);
    if (judgement.healthy) return;
    if (Date.now() > deadline) throw new Error(`the ensemble is not whole: ${judgement.reason}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
