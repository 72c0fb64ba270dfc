/** What the last stages ask of nodes and proxies: real ones, reached through a real sshd. */
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createEtcdActivities } from '../../src/activities/etcd.js';
import { createKeeperActivities } from '../../src/activities/keeper.js';
import { createVerifyActivities } from '../../src/activities/verify.js';
import { jupyterStatus } from '../../src/jupyter/client.js';
import { nodeNames, type ClusterSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import type { FrameworkState, KeeperState } from '../../src/temporal/contract.js';
import { makeAuthority } from '../support/certificates.js';
import { startProxy } from '../support/proxy.js';
import { eventually } from '../support/eventually.js';
import { startKernel } from '../support/kernel.js';
import { startKeeperCluster, type KeeperCluster } from '../support/keeper-cluster.js';
import { callerOf, losing, type Losing } from '../support/lost-answers.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';
import { silentPool } from '../support/ssh-pool.js';
import { startWithStates } from '../support/stored-states.js';

const workflowsPath = fileURLToPath(new URL('verify.workflows.ts', import.meta.url));

let server: TestServer;
let sshd: TestSshd;
let cluster: KeeperCluster;
let pool: SshPool;
let directory: string;
let worker: TestWorker;
let losses: Losing;
let call: ReturnType<typeof callerOf>;
let spec: ClusterSpec;
let leader: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-verify-'));
  [server, sshd, cluster] = await Promise.all([
    startTestServer(),
    startSshd({ address: '127.27.12.1' }),
    startKeeperCluster({ name: 'verified', range: '127.27', nodes: 2, proxies: 2 }),
  ]);
  pool = silentPool(directory);
  const { ssh } = sshd.host();
  const dir = cluster.nodes.spec.hosts[0]?.dir ?? '';
  spec = { ...cluster.spec, hosts: cluster.spec.hosts.map((host) => ({ ...host, ssh, dir })) };
  const deps = { client: server.client, pool, logger: pino({ level: 'silent' }) };
  losses = losing({
    ...createEtcdActivities(deps),
    ...createVerifyActivities(deps),
    ...createKeeperActivities(deps, cluster.ways),
  });
  worker = await createTestWorker({ server, workflowsPath, activities: losses.activities });
  call = callerOf(server);

  leader = await cluster.leader();
  const { term } = await cluster.node(leader).etcd.status();
  const live = [leader, ...nodeNames(spec).filter((name) => name !== leader)];
  const verdict = { leader, term, live };
  await call('reconcileCluster', { spec, generation: 1, verdict });
  const since = new Date().toISOString();
  const tasks = nodeNames(spec).map((node) => {
    const task = { node, taskId: `${node}.1`, agentId: 'a', host: 'h1', config: 'c', since, failures: 0 };
    return [node, { ...task, state: 'TASK_RUNNING' as const }] as const;
  });
  const framework: FrameworkState = { tasks: Object.fromEntries(tasks), launches: 2, etcdFormed: true };
  const keeper: KeeperState = {
    generation: 1,
    verdict,
    routes: {},
    drifts: [],
    repairs: 0,
    incidents: [],
    events: [],
  };
  await startWithStates(server.client, spec.name, { framework, keeper });
}, 180_000);
afterAll(async () => {
  await worker?.stop();
  await pool?.close();
  await cluster?.remove();
  await sshd?.remove();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
}, 60_000);

const twice = async <T>(name: string): Promise<T> => {
  losses.lose(name);
  const answer = await call<T>(name, { spec });
  expect(losses.attempts(name)).toBe(2);
  return answer;
};

async function kernelsAt(url: string, token: string): Promise<string[]> {
  const answer = await fetch(`${url}/api/kernels`, { headers: { authorization: `token ${token}` } });
  return ((await answer.json()) as { readonly id: string }[]).map(({ id }) => id);
}

/** A way to a proxy on which the first requests to delete something get lost, with their connections. */
async function startForgetful({ hostname, port }: URL, most: number) {
  let lost = 0;
  const sockets = new Set<Socket>();
  const front = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    client.on('data', (data) => {
      if (lost < most && data.toString('latin1').startsWith('DELETE ')) {
        lost += 1;
        client.destroy();
        upstream.destroy();
      } else upstream.write(data);
    });
    client.on('close', () => upstream.destroy());
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => front.listen(0, hostname, resolve));
  return {
    port: (front.address() as AddressInfo).port,
    get lost() {
      return lost;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => front.close(resolve));
    },
  };
}

/** Waits until a heartbeat of the activity reports this reason. */
const untilReported = (matches: (reason: string) => boolean) =>
  eventually('it says what it waits for', async () => {
    for await (const { workflowId } of server.client.workflow.list({
      query: 'ExecutionStatus="Running" AND WorkflowType="callActivity"',
    })) {
      const { raw } = await server.client.workflow.getHandle(workflowId).describe();
      const data = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0]?.data;
      const reason: unknown = data ? JSON.parse(Buffer.from(data).toString()) : undefined;
      if (typeof reason === 'string' && matches(reason)) return true;
    }
    return false;
  });

it('awaitEtcd names the leader of a complete membership, and again when the response was lost', async () => {
  expect(await twice('awaitEtcd')).toEqual({ leader });
});

it('verifyNotebooks runs a cell through each host and leaves no kernel, also if a response is lost', async () => {
  await twice('verifyNotebooks');
  const [proxy] = cluster.proxies;
  await eventually('no kernel is left', async () => {
    const { kernels } = await jupyterStatus(proxy?.url ?? '', cluster.nodes.jupyterToken);
    return kernels === 0;
  });
});

it('verifyNotebooks runs a cell over HTTPS, by the certificate of the host', async () => {
  const authority = makeAuthority();
  const tls = authority.issue('verified', { names: 'DNS:jupyter.example.org' });
  const proxy = await startProxy({ address: '127.27.1.9', tls });
  try {
    const order = await cluster.proxies[0]?.client.route();
    if (!order) throw new Error('no route');
    await proxy.client.setRoute(order);
    const [first, ...others] = spec.hosts;
    if (!first) throw new Error('no host');
    const { dir, address, ports } = proxy.host;
    const hosts = [
      { ...first, dir, address, ports },
      ...others.map((host) => ({ ...host, roles: host.roles.filter((role) => role !== 'proxy') })),
    ];
    await call('verifyNotebooks', { spec: { ...spec, hosts, proxy: { ...spec.proxy, tls } } });
  } finally {
    await proxy.remove();
    authority.remove();
  }
});

it('verifyNotebooks leaves no kernel when its farewell is lost, and ends no other', async () => {
  const [proxy] = cluster.proxies;
  const url = proxy?.url ?? '';
  const token = cluster.nodes.jupyterToken;
  const foreign = await startKernel(url, token);
  const front = await startForgetful(new URL(url), 2);
  try {
    const hosts = spec.hosts.slice(0, 1).map((host) => ({
      ...host,
      ports: { ...host.ports, proxy: front.port },
    }));
    await call('verifyNotebooks', { spec: { ...spec, hosts } });
    expect(front.lost).toBe(2);
    expect(await kernelsAt(url, token)).toEqual([foreign]);
  } finally {
    await front.close();
    await fetch(`${url}/api/kernels/${foreign}`, {
      method: 'DELETE',
      headers: { authorization: `token ${token}` },
    });
  }
});

it('verifyNotebooks waits for a proxy that does not respond, and names its host', async () => {
  const [, second] = cluster.proxies;
  await second?.end('SIGKILL');
  const waiting = call('verifyNotebooks', { spec });
  await untilReported((reason) => reason.includes('h2'));
  await second?.start();
  await waiting;
});

it('verifySsh gets the leader’s name from every node, and again when the response was lost', async () => {
  await twice('verifySsh');
});

it('awaitFormedEtcd waits for a missing member, but not if etcd was never formed', async () => {
  const [follower] = cluster.nodes.nodes.filter(({ name }) => name !== leader);
  await follower?.crash();
  await call('awaitFormedEtcd', { spec: { ...spec, name: 'never-formed' } });
  const waiting = call('awaitFormedEtcd', { spec });
  await untilReported((reason) => reason === `no response from ${follower?.name}`);
  follower?.start();
  await waiting;
});
