/** A real ZooKeeper with the stand-in's masters and agents as processes, for tests of Mesos clients. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { allProcesses, identify, isAlive, signal, startVariable } from '../../src/lab/processes.js';
import { agentItems, masterItems } from '../../src/mesos/installation/items.js';
import { hostPaths } from '../../src/hosts/paths.js';
import { leadingMaster } from '../../src/mesos/masters/detector.js';
import type { Credential } from '../../src/mesos/masters/http.js';
import type { MesosSecrets } from '../../src/mesos/installation/secrets.js';
import { masterState, type MasterState } from '../../src/mesos/masters/operator-client.js';
import type { HostItems } from '../../src/hosts/items.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import type { SecretName } from '../../src/cluster/secrets.js';
import { directReach } from '../../src/ssh/reach.js';
import { eventually } from '../support/eventually.js';
import { builtProgram } from '../support/programs.js';
import { makeHost, makeSpec } from '../support/spec.js';
import { startEnsemble, type TestEnsemble } from '../support/zookeeper.js';

/** Marks every master and agent. Tasks outlive their parents and are identified by Mesos' own variable. */
const marker = 'PERIJOVE_TEST_MESOS';
const taskMarker = 'MESOS_DIRECTORY';

export interface MesosCluster {
  readonly spec: ClusterSpec;
  readonly ensemble: TestEnsemble;
  /** The secrets of masters and ZooKeeper; empty unless it is `secured`. */
  readonly secrets: MesosSecrets;
  readonly masters: Readonly<Record<string, MesosProcess>>;
  readonly agents: Readonly<Record<string, MesosProcess>>;
  /** Puts other secrets on the hosts, and uses them from now on; running processes are unchanged. */
  replaceSecrets(secrets: Required<MesosSecrets>): void;
  /** A directory for the tests' files. */
  readonly dir: string;
  /** Name of the host whose master leads. */
  leader(): Promise<string>;
  /** `/state` of the leading master. */
  state(): Promise<MasterState>;
  /** Kills every process, including tasks, and removes the files. */
  close(): Promise<void>;
}

export interface MesosClusterOptions {
  /** Three bytes: `127.24.1`; hosts get .11 to .13, ZooKeeper .1. */
  readonly subnet: string;
  readonly masters?: number;
  readonly agents?: number;
  readonly nodes?: number;
  /** Masters require a principal and its secret, and their znodes a digest; both are on the hosts. */
  readonly secured?: boolean;
  readonly masterFlags?: Readonly<Record<string, string>>;
}

export async function startMesos(options: MesosClusterOptions): Promise<MesosCluster> {
  const { subnet, masters = 3, agents = 3, nodes = 3, secured = false } = options;
  const secrets: { credential?: Credential; digest?: string } = secured
    ? { credential: { principal: 'perijove', secret: 's3cret' }, digest: 'perijove:d1gest' }
    : {};
  const dir = mkdtempSync(path.join(tmpdir(), 'perijove-mesos-'));
  const ensemble = await startEnsemble([`${subnet}.1`]);
  const hosts = Array.from({ length: Math.max(masters, agents) }, (_, index) =>
    makeHost(`h${index + 1}`, {
      address: `${subnet}.${11 + index}`,
      dir: path.join(dir, `h${index + 1}`),
      roles: [
        ...(index < masters ? (['master'] as const) : []),
        ...(index < agents ? (['agent'] as const) : []),
      ],
    }),
  );
  const spec = makeSpec({
    hosts: [...ensemble.spec.hosts, ...hosts],
    zookeeper: { digest: secured },
    mesos: {
      ...(secured && { principal: 'perijove' }),
      quorum: Math.floor(masters / 2) + 1,
      sessionTimeoutMs: 2_000,
      agentPingTimeoutMs: 1_000,
      maxAgentPingTimeouts: 2,
      masterFlags: {
        allocation_interval: '100ms',
        ...options.masterFlags,
      },
    },
    nodes: { count: nodes, memoryBytes: 32 * 2 ** 20, cpus: 0.1, firstAddress: `${subnet}.100` },
  });
  if (secured) for (const host of hosts) writeSecrets(host, secrets);
  const processesOf = async (
    items: (spec: ClusterSpec, host: HostSpec) => HostItems,
    role: 'master' | 'agent',
  ) =>
    Object.fromEntries(
      await Promise.all(
        hosts
          .filter((host) => host.roles.includes(role))
          .map(async (host) => [host.name, await makeProcess(items(spec, host), host, dir)] as const),
      ),
    );
  const cluster: Omit<MesosCluster, 'close'> = {
    spec,
    ensemble,
    secrets,
    replaceSecrets: (others) => {
      Object.assign(secrets, others);
      for (const host of hosts) writeSecrets(host, secrets);
    },
    dir,
    masters: await processesOf(masterItems, 'master'),
    agents: await processesOf(agentItems, 'agent'),
    leader: async () => {
      const info = await leadingMaster(directReach, spec, secrets);
      const host = hosts.find(({ address }) => address === info?.address.ip);
      if (host === undefined) throw new Error('no master is leading');
      return host.name;
    },
    state: async () => {
      const info = await leadingMaster(directReach, spec, secrets);
      if (info === undefined) throw new Error('no master is leading');
      const { credential } = secrets;
      return await masterState(
        { host: info.address.ip, port: info.address.port },
        credential === undefined ? {} : { credential },
      );
    },
  };
  const close = async () => {
    const processes = [...Object.values(cluster.masters), ...Object.values(cluster.agents)];
    await Promise.all(processes.map((each) => each.kill()));
    await killMarked(dir);
    await ensemble.close();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const all = [...Object.values(cluster.masters), ...Object.values(cluster.agents)];
    await Promise.all(all.map((each) => each.start()));
    await eventually(`${agents} agents are registered`, async () => {
      const state = await cluster.state().catch(() => undefined);
      return state?.agents.filter(({ active }) => active).length === agents;
    });
  } catch (error) {
    await close();
    throw error;
  }
  return { ...cluster, close };
}

/** As a deployment leaves them on a host. */
export function writeSecrets(host: Pick<HostSpec, 'dir'>, { credential, digest }: MesosSecrets): void {
  const { secrets } = hostPaths(host);
  mkdirSync(secrets, { recursive: true, mode: 0o700 });
  const write = (name: SecretName, text: string | undefined) => {
    if (text !== undefined) writeFileSync(path.join(secrets, name), text, { mode: 0o600 });
  };
  write('mesos-credential', credential && JSON.stringify(credential));
  write('zookeeper-digest', digest);
}

/** Time between two starts, as `runsv` has it. */
const restartMs = 1_000;

/**
 * A master or an agent of one host. One that ends by itself is started again, as runit does it: Mesos ends itself
 * when it has lost its leadership or cannot read who leads.
 */
export class MesosProcess {
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;

  constructor(
    readonly command: readonly [string, ...string[]],
    readonly environment: NodeJS.ProcessEnv,
    readonly log: string,
  ) {}

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('it is not running');
    return this.#child.pid;
  }

  async start(): Promise<void> {
    clearTimeout(this.#restart);
    await once(this.#spawn(), 'spawn');
  }

  #spawn(): ChildProcess {
    const [program, ...args] = this.command;
    const log = openSync(this.log, 'a');
    const child = spawn(program, args, {
      stdio: ['ignore', log, log],
      env: this.environment,
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    child.once('exit', () => {
      if (this.#child === child) this.#restart = setTimeout(() => this.#spawn(), restartMs);
    });
    return child;
  }

  /** It stays dead until `start`. */
  async kill(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    clearTimeout(this.#restart);
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(name);
    await gone;
  }

  pause(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }
}

export async function makeProcess(items: HostItems, host: HostSpec, dir: string): Promise<MesosProcess> {
  for (const directory of items.directories) mkdirSync(directory.path, { recursive: true });
  for (const { path: file, source } of items.files) {
    mkdirSync(path.dirname(file), { recursive: true });
    if (source.kind === 'text') writeFileSync(file, source.text);
    else if (source.kind !== 'certificate')
      link(
        source.kind === 'node' ? process.execPath : await builtProgram(path.parse(source.name).name),
        file,
      );
  }
  const [service] = items.services;
  if (service === undefined) throw new Error(`${host.name} has no service`);
  return new MesosProcess(
    service.exec,
    { ...process.env, ...service.env, [marker]: dir },
    path.join(dir, `${host.name}-${service.name}.log`),
  );
}

function link(target: string, file: string): void {
  rmSync(file, { force: true });
  symlinkSync(target, file);
}

/** Processes of the cluster that outlived their parents are found by their marks. */
export async function killMarked(dir: string): Promise<void> {
  await eventually('all processes of the cluster are gone', async () => {
    const left = allProcesses().filter(
      ({ pid }) =>
        pid !== process.pid &&
        (startVariable(pid, marker) === dir ||
          startVariable(pid, taskMarker)?.startsWith(`${dir}/`) === true),
    );
    for (const { pid } of left) {
      const identity = identify(pid);
      if (identity !== undefined && isAlive(identity)) signal(identity, 'SIGKILL');
    }
    return left.length === 0;
  });
}
