import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { keeperSecretNames } from '../../src/keeper/access.js';
import { observeCluster } from '../../src/status/observe.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { taskQueue, workflowIds, workflowNames } from '../../src/temporal/contract.js';
import { issueClient, makeAuthority as makeEtcdAuthority } from '../../src/cluster/authority.js';
import { authorityCertificates } from '../../src/cluster/issued.js';
import { makeAuthority } from '../support/certificates.js';
import { makeSpec } from '../support/spec.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { createTestWorker, startTestServer, type TestServer } from '../support/temporal.js';
import { silentPool } from '../support/ssh-pool.js';

const workflowsPath = new URL('observe.workflows.ts', import.meta.url).pathname;
let server: TestServer;
let sshd: TestSshd;
let pool: SshPool;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-observe-'));
  server = await startTestServer();
  sshd = await startSshd({ address: '127.21.3.1' });
  pool = silentPool(directory);
});
afterAll(async () => {
  await pool.close();
  await sshd.remove();
  await server.stop();
  await rm(directory, { recursive: true });
});

/** One host with SSH and nothing else, and one without a listener. */
const spec = () =>
  makeSpec({
    name: 'observed',
    network: { kind: 'flat', subnet: '127.21.4.0/24' },
    nodes: { firstAddress: '127.21.4.10' },
    hosts: [
      sshd.host({ name: 'h1' }),
      sshd.host({ name: 'h2', ssh: { ...sshd.host().ssh, address: '127.21.3.2' }, address: '127.21.3.2' }),
    ],
  });

const problem = z.strictObject({ code: z.string(), message: z.string(), remedy: z.string() }).nullable();

/** The exact documented schema of `status --json`. */
const expiry = z.strictObject({
  validUntil: z.iso.datetime(),
  state: z.enum(['valid', 'ending', 'expired']),
});

const contract = z.strictObject({
  cluster: z.string(),
  phase: z.enum(['absent', 'deploying', 'ready', 'degraded', 'failed']),
  stale: z.boolean(),
  workflows: z.strictObject({ deploy: z.string(), framework: z.string(), keeper: z.string() }),
  deployment: z.strictObject({ state: z.string(), startedAt: z.iso.datetime(), failure: problem }).nullable(),
  zookeeper: z.strictObject({ members: z.array(z.strictObject({ host: z.string(), mode: z.string() })) }),
  mesos: z.strictObject({
    leader: z.string().nullable(),
    masters: z.array(
      z.strictObject({
        host: z.string(),
        state: z.string(),
        version: z.string().nullable(),
        sequence: z.number().nullable(),
        leadsSince: z.iso.datetime().nullable(),
        startedAt: z.iso.datetime().nullable(),
        logRecovered: z.boolean().nullable(),
        logEnsembleSize: z.number().nullable(),
      }),
    ),
    agents: z.array(
      z.strictObject({
        host: z.string(),
        state: z.string(),
        id: z.string().nullable(),
        registeredAt: z.iso.datetime().nullable(),
      }),
    ),
    standIn: z.boolean(),
    open: z.boolean(),
    problem,
  }),
  framework: z.strictObject({
    id: z.string().nullable(),
    scheduler: z.string().nullable(),
    tasks: z.array(
      z.strictObject({
        node: z.string(),
        host: z.string().nullable(),
        state: z.string(),
        taskId: z.string().nullable(),
        since: z.iso.datetime().nullable(),
        message: z.string().nullable(),
        past: z.array(
          z.strictObject({
            taskId: z.string(),
            host: z.string(),
            state: z.string(),
            message: z.string().optional(),
            since: z.iso.datetime(),
            startedAt: z.iso.datetime().optional(),
          }),
        ),
      }),
    ),
    connected: z.boolean().nullable(),
    registeredAt: z.iso.datetime().nullable(),
    reregisteredAt: z.iso.datetime().nullable(),
    failure: problem,
    missing: z.string().nullable(),
    cordons: z.array(z.string()),
  }),
  etcd: z.strictObject({
    leader: z.string().nullable(),
    term: z.number().nullable(),
    members: z.array(
      z.strictObject({ node: z.string(), healthy: z.boolean(), certificate: expiry.nullable().optional() }),
    ),
    certificates: z
      .array(z.strictObject({ host: z.string(), name: z.string(), certificate: expiry.nullable() }))
      .optional(),
  }),
  jupyter: z.strictObject({
    node: z.string().nullable(),
    generation: z.number().nullable(),
    standby: z.string(),
    nodes: z.array(
      z.strictObject({
        node: z.string(),
        state: z.enum(['stopped', 'starting', 'ready', 'stopping']).nullable(),
        kernels: z.number().nullable(),
      }),
    ),
  }),
  proxies: z.array(
    z.strictObject({
      host: z.string(),
      url: z.string(),
      target: z.string().nullable(),
      generation: z.number().nullable(),
      healthy: z.boolean(),
      certificate: expiry.nullable().optional(),
    }),
  ),
  storage: z.strictObject({
    kind: z.enum(['path', 'gluster']),
    bricks: z.array(
      z.strictObject({ host: z.string(), online: z.boolean().nullable(), pending: z.number().nullable() }),
    ),
  }),
  incidents: z.array(
    z.strictObject({
      at: z.string(),
      what: z.string(),
      tookMs: z.number(),
      routine: z.literal(true).optional(),
    }),
  ),
});

describe('observeCluster', () => {
  it('is absent for a cluster never deployed, matches the schema, and names the dead host', async () => {
    const { status, reasons } = await observeCluster({ client: server.client, pool }, spec());
    expect(contract.parse(status)).toEqual(status);
    expect(status).toMatchObject({
      phase: 'absent',
      stale: false,
      workflows: { deploy: 'absent', framework: 'absent', keeper: 'absent' },
    });
    expect(reasons.some((reason) => /h2.*SSH_REFUSED/.test(reason))).toBe(true);
    // h1 confirms that nothing listens; nothing is known of h2.
    expect(status.zookeeper.members).toEqual([
      { host: 'h1', mode: 'down' },
      { host: 'h2', mode: 'no-answer' },
    ]);
    expect(status.mesos.masters.map(({ state }) => state)).toEqual(['down', 'no-answer']);
  });

  it('reports when the certificate ends that a proxy serves', async () => {
    const authority = makeAuthority();
    const end = new Date(Date.now() + 5.5 * 86_400_000);
    const files = authority.issue('served', {
      to: `${end.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`,
    });
    const [key, cert] = [readFileSync(files.keyFile), readFileSync(files.certificateFile)];
    const proxy = tls.createServer({ key, cert });
    const observed = makeSpec({ ...spec(), proxy: { tls: files } });
    const [h1] = observed.hosts;
    if (h1 === undefined) expect.unreachable('a host');
    await once(proxy.listen(h1.ports.proxy, h1.address), 'listening');
    const secrets = path.join(h1.dir, 'etc', 'secrets');
    await mkdir(secrets, { recursive: true, mode: 0o700 });
    for (const name of keeperSecretNames) await writeFile(path.join(secrets, name), 'abc\n', { mode: 0o600 });
    try {
      const { status, reasons } = await observeCluster({ pool }, observed);
      expect(contract.parse(status)).toEqual(status);
      const seconds = new Date(Math.floor(end.getTime() / 1_000) * 1_000);
      expect(status.proxies.map(({ certificate }) => certificate)).toEqual([
        { validUntil: seconds.toISOString(), state: 'ending' },
        null,
      ]);
      expect(reasons.join('\n')).toContain('the certificate for HTTPS on h1 ends in 5 days');
    } finally {
      proxy.close();
      authority.remove();
      await rm(path.join(h1.dir, 'etc'), { recursive: true });
    }
  });

  it('reports when the certificates of etcd end that a host keeps, and knows nothing of a dead host', async () => {
    const observed = makeSpec({ ...spec(), etcd: { security: 'authenticated' } });
    const [h1] = observed.hosts;
    if (h1 === undefined) expect.unreachable('a host');
    const day = 86_400_000;
    const lasts = 3_650 * day;
    const etcdAuthority = await makeEtcdAuthority('observed', new Date(Date.now() - 2 * lasts + 9.5 * day));
    const client = await issueClient(etcdAuthority, new Date(Date.now() - lasts - day));
    const secrets = path.join(h1.dir, 'etc', 'secrets');
    await mkdir(secrets, { recursive: true, mode: 0o700 });
    const files = {
      'etcd-authority.crt': authorityCertificates(etcdAuthority),
      'etcd-client': client,
      'etcd-member': 'nonsense',
    };
    for (const [name, text] of Object.entries(files))
      await writeFile(path.join(secrets, name), text, { mode: 0o600 });
    try {
      const { status, reasons } = await observeCluster({ pool }, observed);
      expect(contract.parse(status)).toEqual(status);
      const states = (status.etcd.certificates ?? []).map(({ host, name, certificate }) => [
        ...[host, name, certificate?.state ?? null],
      ]);
      expect(states).toEqual([
        ['h1', 'etcd-authority.crt', 'ending'],
        ['h1', 'etcd-member', null],
        ['h1', 'etcd-client', 'expired'],
        ['h2', 'etcd-authority.crt', null],
        ['h2', 'etcd-member', null],
        ['h2', 'etcd-client', null],
      ]);
      expect(reasons.join('\n')).toContain("the certificate of etcd's authority on h1 ends in 9 days");
    } finally {
      await rm(path.join(h1.dir, 'etc'), { recursive: true });
    }
  });

  it('matches the schema without Temporal, and reports why it knows less', async () => {
    const { status, reasons } = await observeCluster({ pool }, spec());
    expect(contract.parse(status)).toEqual(status);
    expect(status.workflows).toEqual({ deploy: 'unknown', framework: 'unknown', keeper: 'unknown' });
    expect(reasons[0]).toContain('Temporal server is unreachable');
  });

  it('queries the keeper while a worker runs; otherwise reads its memo, as stale', async () => {
    const worker = await createTestWorker({ server, activities: {}, workflowsPath });
    const handle = await server.client.workflow.start(workflowNames.keeper, {
      workflowId: workflowIds.keeper('observed'),
      taskQueue,
      args: [],
    });
    const live = await observeCluster({ client: server.client, pool }, spec());
    expect(live.status).toMatchObject({
      stale: false,
      jupyter: { generation: 8 },
      workflows: { keeper: 'running' },
    });
    await worker.stop();
    const stored = await observeCluster({ client: server.client, pool }, spec());
    expect(contract.parse(stored.status)).toEqual(stored.status);
    // The query returns 8; the memo was written with 7.
    expect(stored.status).toMatchObject({ stale: true, jupyter: { generation: 7 } });
    // It asked for work a moment ago: whether it is gone is not known yet.
    expect(stored.reasons.join('\n')).toMatch(
      /^the worker \d+@\S+ is slow, or has just ended, so the state of the workflows is the last stored one$/m,
    );
    await handle.terminate();
  });

  it('tells of a deployment that failed apart from the cluster', async () => {
    const worker = await createTestWorker({ server, activities: {}, workflowsPath });
    try {
      const handle = await server.client.workflow.start(workflowNames.deploy, {
        workflowId: workflowIds.deploy('observed'),
        taskQueue,
      });
      await handle.result().catch(() => undefined);
      const { status } = await observeCluster({ client: server.client, pool }, spec());
      expect(contract.parse(status)).toEqual(status);
      expect(status.deployment).toMatchObject({
        state: 'failed',
        failure: { code: 'DISK_FULL', message: 'h2: 3 MiB are free', remedy: 'Free some.' },
      });
    } finally {
      await worker.stop();
    }
  });
});
