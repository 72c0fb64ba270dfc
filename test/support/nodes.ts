import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { issueClient, issueMember, makeAuthority } from '../../src/cluster/authority.js';
import { authorityCertificates } from '../../src/cluster/issued.js';
import { memberNames } from '../../src/etcd/certificates.js';
import { createEtcdClient, type EtcdClient } from '../../src/etcd/client.js';
import type { ClientTls } from '../../src/etcd/security.js';
import { nodeClient, type NodeClient } from '../../src/node/client.js';
import { nodeCommand, nodeConfig, nodeProgram } from '../../src/node/config.js';
import { nodeWrapper } from '../../src/node/items.js';
import { nodeLayout, type NodeLayout } from '../../src/node/layout.js';
import { serviceState } from '../../src/node/runtime/runit.js';
import type { ClusterSpec, EtcdSecurity, HostSpec, JupyterSpec, UserIds } from '../../src/cluster/spec.js';
import { eventually } from './eventually.js';
import { builtProgram } from './programs.js';
import { makeHost, makeSpec } from './spec.js';

const run = promisify(execFile);

export interface TestNodesOptions {
  readonly count: number;
  /** Address of node0. */
  readonly firstAddress: string;
  /** By default, a cold Jupyter that follows the leader only by the keeper's orders. */
  readonly jupyter?: Pick<JupyterSpec, 'standby' | 'follow' | 'reflexes'>;
  /** By default, everything runs as root. */
  readonly user?: UserIds;
  readonly takeOwnership?: boolean;
}

/** Real nodes, from the program that goes to hosts, in one directory. */
export interface TestNodes {
  readonly spec: ClusterSpec;
  readonly dir: string;
  readonly jupyterToken: string;
  /** Opens the doors to their kernels. */
  readonly kernelsToken: string;
  /** Of a client of their etcd. */
  readonly tls: ClientTls;
  readonly nodes: readonly TestNode[];
  /** Starts all, and resolves when every member has joined a quorum. */
  startAll(options?: { readonly security?: EtcdSecurity }): Promise<void>;
  /** Ends and removes everything. */
  remove(): Promise<void>;
}

export interface TestNode {
  readonly name: string;
  readonly address: string;
  /** Of its tree on the first host. */
  readonly layout: NodeLayout;
  readonly control: NodeClient;
  readonly etcd: EtcdClient;
  /** Starts it as Mesos does, by the task's shell command; on the first host or the second. */
  start(options?: {
    readonly etcdFormed?: boolean;
    readonly etcdEpoch?: number;
    readonly on?: 'h1' | 'h2';
    /** Open if absent. */
    readonly security?: EtcdSecurity;
    /** ID of its Mesos task. */
    readonly taskId?: string;
    /** What its executor exports besides. */
    readonly exported?: Readonly<Record<string, string>>;
  }): void;
  /** Signals `perijove-node start` and resolves to how it ended. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Its stderr. */
  output(): string;
  readonly pid: number | undefined;
  /** Kills every process of the node at once, as a crash of its machine would. */
  crash(): Promise<void>;
  /** PIDs of everything in the node's tree, except `perijove-node start`. */
  processes(service?: string): Promise<number[]>;
  /** The process started by the supervisor, which must exist. */
  mainProcess(service: string): Promise<number>;
}

/** Builds the program and creates the secrets; starts nothing. */
export async function prepareNodes({
  count,
  firstAddress,
  jupyter = { standby: 'cold', follow: 'leader', reflexes: false },
  user,
  takeOwnership,
}: TestNodesOptions): Promise<TestNodes> {
  const dir = await mkdtemp(path.join(tmpdir(), 'perijove-nodes-'));
  const tools = process.env['PERIJOVE_TOOLS'];
  const spec = makeSpec({
    hosts: [makeHost('h1', { dir: `${dir}/h1` }), makeHost('h2', { dir: `${dir}/h2` })],
    storage: { kind: 'path', path: `${dir}/shared`, ...(takeOwnership !== undefined && { takeOwnership }) },
    nodes: { count, firstAddress, ...(user && { user }) },
    jupyter: { ...jupyter, executable: tools === undefined ? 'jupyter-lab' : `${tools}/bin/jupyter-lab` },
  });
  const apiToken = randomBytes(24).toString('hex');
  const kernelsToken = randomBytes(24).toString('hex');
  const jupyterToken = randomBytes(24).toString('hex');
  const secrets = `${dir}/secrets`;
  await mkdir(secrets, { mode: 0o700 });
  for (const key of ['node-ssh-key', 'node-host-key']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', `${secrets}/${key}`]);
  }
  const now = new Date();
  const authority = await makeAuthority(spec.name, now);
  const tls = { authority: authorityCertificates(authority), client: await issueClient(authority, now) };
  for (const [name, value] of [
    ['etcd-authority.crt', tls.authority],
    ['etcd-client', tls.client],
    ['etcd-member', await issueMember(authority, memberNames(spec), now)],
    ['node-api-token', apiToken],
    ['node-kernels-token', kernelsToken],
    ['jupyter-token', jupyterToken],
    ['jupyter-cookie-secret', randomBytes(24).toString('hex')],
  ] as const) {
    await writeFile(`${secrets}/${name}`, `${value}\n`, { mode: 0o600 });
  }
  for (const host of spec.hosts) {
    await mkdir(`${host.dir}/bin`, { recursive: true });
    await mkdir(`${host.dir}/etc`);
    for (const name of ['secrets', 'node-secrets']) await symlink(secrets, `${host.dir}/etc/${name}`);
    await copyFile(await builtProgram(path.parse(nodeProgram).name), `${host.dir}/bin/${nodeProgram}`);
    await symlink(process.execPath, `${host.dir}/bin/node`);
    await writeFile(`${host.dir}/bin/perijove-node`, nodeWrapper(`${host.dir}/bin`), { mode: 0o755 });
  }

  const nodes = Array.from({ length: count }, (_, index) => testNode(spec, index, apiToken, tls));
  return {
    spec,
    dir,
    jupyterToken,
    kernelsToken,
    tls,
    nodes,
    startAll: async (options = {}) => {
      for (const node of nodes) node.start(options);
      await eventually(async () => {
        await Promise.all(nodes.flatMap((node) => [node.etcd.linearizableRead(), node.control.status()]));
        return true;
      }, 30_000);
    },
    remove: async () => {
      for (const node of nodes) {
        await node.crash();
        node.etcd.close();
      }
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function testNode(spec: ClusterSpec, index: number, apiToken: string, tls: ClientTls): TestNode {
  const [h1, h2] = spec.hosts as readonly [HostSpec, HostSpec];
  const config = nodeConfig(spec, index, h1);
  const layouts = [h1, h2].map((host) => nodeLayout(nodeConfig(spec, index, host).paths.base));
  const [layout] = layouts as [NodeLayout];
  let task: ChildProcess | undefined;
  let ended: Promise<unknown[]> | undefined;
  let output = '';

  const processes = async (service?: string): Promise<number[]> => {
    const marks = layouts.map(({ base }) =>
      service === undefined ? `PERIJOVE_NODE_TREE=${base}` : `PERIJOVE_NODE_SERVICE=${base}:${service}`,
    );
    const found: number[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      const title = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const sshd =
        (service ?? 'sshd') === 'sshd' && layouts.some((each) => title.includes(` -f ${each.sshdConfig} `));
      if (sshd || environment.split('\0').some((each) => marks.includes(each))) found.push(Number(pid));
    }
    return found;
  };

  return {
    name: config.name,
    address: config.address,
    layout,
    control: nodeClient({ host: config.address, port: config.ports.control }, apiToken),
    etcd: createEtcdClient(
      { host: config.address, port: config.ports.etcdClient },
      { access: { security: 'open', tls } },
    ),
    start: ({ etcdFormed = false, etcdEpoch = 0, on = 'h1', security = 'open', taskId, exported } = {}) => {
      const host = on === 'h1' ? h1 : h2;
      const { value, environment } = nodeCommand({ ...spec, etcd: { ...spec.etcd, security } }, index, host, {
        etcdFormed,
        etcdEpoch,
        ...(taskId !== undefined && { taskId }),
      });
      const child = spawn('sh', ['-c', value], {
        env: { PATH: process.env['PATH'], ...exported, ...environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      task = child;
      ended = once(child, 'exit');
    },
    stop: async (signal = 'SIGTERM') => {
      task?.kill(signal);
      const [code, by] = (await ended) as [number | null, string | null];
      return { code, signal: by };
    },
    output: () => output,
    get pid() {
      return task?.pid;
    },
    crash: async () => {
      task?.kill('SIGKILL');
      await ended;
      for (;;) {
        const left = await processes();
        if (left.length === 0) return;
        for (const pid of left) killIfThere(pid);
        await delay(20);
      }
    },
    processes,
    mainProcess: async (service) => {
      const { pid } = await serviceState(`${layout.service}/${service}`);
      if (pid === undefined) throw new Error(`${config.name} runs no ${service}`);
      return pid;
    },
  };
}

export function killIfThere(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already ended.
  }
}
