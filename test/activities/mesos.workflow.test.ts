/** What deploy's stages wait for: real ZooKeeper, masters and agents, reached through a real sshd. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { WorkflowFailedError, WorkflowHandle } from '@temporalio/client';
import { CancelledFailure, type ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServiceMember } from '../../src/deployment/members.js';
import { createMesosActivities } from '../../src/activities/mesos.js';
import { createZooKeeperActivities } from '../../src/activities/zookeeper.js';
import { hostsWithRole, type ClusterSpec, type HostPorts } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { taskQueue } from '../../src/temporal/contract.js';
import { withEnsemble } from '../../src/mesos/masters/detector.js';
import { accessFor, sameAccess } from '../../src/mesos/masters/znodes.js';
import { directReach } from '../../src/ssh/reach.js';
import { startMesos, type MesosCluster } from '../mesos/mesos-cluster.js';
import { eventually } from '../support/eventually.js';
import { callerOf, callWorkflows, losing, type Losing } from '../support/lost-answers.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';
import { silentPool } from '../support/ssh-pool.js';

let server: TestServer;
let sshd: TestSshd;
let cluster: MesosCluster;
let pool: SshPool;
let directory: string;
let worker: TestWorker;
let losses: Losing;
let call: ReturnType<typeof callerOf>;
let spec: ClusterSpec;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-waits-'));
  [server, sshd, cluster] = await Promise.all([
    startTestServer(),
    startSshd({ address: '127.27.3.50' }),
    startMesos({ subnet: '127.27.3', secured: true }),
  ]);
  pool = silentPool(directory);
  const { ssh } = sshd.host();
  spec = { ...cluster.spec, hosts: cluster.spec.hosts.map((host) => ({ ...host, ssh })) };
  losses = losing({ ...createZooKeeperActivities({ pool }), ...createMesosActivities({ pool }) });
  worker = await createTestWorker({
    server,
    workflowsPath: callWorkflows,
    activities: losses.activities,
  });
  call = callerOf(server);
});
afterAll(async () => {
  await worker?.stop();
  await pool?.close();
  await cluster?.close();
  await sshd?.remove();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

const members = (name: string, of = spec) => call<readonly ServiceMember[]>(name, { spec: of });
const withPorts = (ports: Partial<HostPorts>): ClusterSpec => ({
  ...spec,
  hosts: spec.hosts.map((host) => ({ ...host, ports: { ...host.ports, ...ports } })),
});
const addressOf = (name: string) => spec.hosts.find((host) => host.name === name)?.address;

function start(name: string, of = spec): Promise<WorkflowHandle> {
  return server.client.workflow.start('callActivity', {
    workflowId: `call-${name}-${randomUUID()}`,
    taskQueue,
    args: [name, { spec: of }],
  });
}

/** Resolves when the activity reports that it waits for this. */
async function untilItWaits(handle: WorkflowHandle, what: RegExp): Promise<void> {
  await eventually(`it waits for ${what.source}`, async () => {
    const { raw } = await handle.describe();
    const data = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0]?.data;
    return what.test(Buffer.from(data ?? []).toString());
  });
}

describe('ZooKeeper', () => {
  it('is complete when each member serves, reported again when the response was lost', async () => {
    losses.lose('awaitZookeeper');
    expect(await call('awaitZookeeper', { spec })).toEqual({ leader: 'z1' });
    expect(losses.attempts('awaitZookeeper')).toBe(2);
    expect(await members('zookeeperMembers')).toEqual([{ host: 'z1', state: 'leading' }]);
  });

  it('is found where its current configuration listens, while the stage waits for the new port', async () => {
    const moved = withPorts({ zookeeper: 2182 });
    expect(await members('zookeeperMembers', moved)).toEqual([{ host: 'z1', state: 'leading' }]);
    expect(await call('awaitZookeeper', { spec: moved, atAnyPort: true })).toEqual({ leader: 'z1' });
    const waiting = await start('awaitZookeeper', moved);
    await untilItWaits(waiting, /z1/);
    await waiting.cancel();
    const error: unknown = await waiting.result().catch((thrown: unknown) => thrown);
    expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  });
});

describe('masters', () => {
  it('agree when all name one leader, reported again when the response was lost', async () => {
    losses.lose('awaitMasters');
    const { leader } = await call<{ readonly leader: string }>('awaitMasters', { spec });
    expect(losses.attempts('awaitMasters')).toBe(2);
    const leading = await cluster.leader();
    expect(leader).toContain(addressOf(leading));
    const found = await members('masterMembers');
    expect(found).toEqual(
      hostsWithRole(spec, 'master').map(({ name }) => ({
        host: name,
        state: name === leading ? 'leading' : 'up',
      })),
    );
  });

  it('are waited for, by name, while one is down', async () => {
    const killed = await cluster.leader();
    await cluster.masters[killed]?.kill();
    await eventually('another one leads', async () => (await cluster.leader()) !== killed);
    const found = await members('masterMembers');
    expect(found.find(({ host }) => host === killed)?.state).toBe('down');
    expect(found.filter(({ state }) => state === 'leading')).toHaveLength(1);
    const waiting = await start('awaitMasters');
    await untilItWaits(waiting, new RegExp(`^"no response or no known leader: ${killed}"$`));
    await cluster.masters[killed]?.start();
    await expect(waiting.result()).resolves.toMatchObject({ leader: expect.any(String) as string });
  });
});

describe('masters that ended all at once', () => {
  it('are down, although ZooKeeper still has their sessions', async () => {
    const names = hostsWithRole(spec, 'master').map(({ name }) => name);
    await Promise.all(names.map(async (name) => cluster.masters[name]?.kill()));
    try {
      expect(await members('masterMembers')).toEqual(names.map((host) => ({ host, state: 'down' })));
    } finally {
      await Promise.all(names.map(async (name) => cluster.masters[name]?.start()));
    }
    await call('awaitMasters', { spec });
  });
});

describe('secrets', () => {
  const znodes = ['/mesos', '/mesos/log_replicas', '/mesos/stand-in-registry'];
  const first = { credential: { principal: 'perijove', secret: 's3cret' }, digest: 'perijove:d1gest' };
  const second = { credential: { principal: 'perijove', secret: 'an0ther' }, digest: 'perijove:n3w' };

  /** Whether the znodes belong to exactly these, as the first of them sees it. */
  const belongTo = (...digests: readonly [string, ...string[]]) =>
    withEnsemble(directReach, spec, { digest: digests[0] }, async (zookeeper) => {
      const seen = await Promise.all(znodes.map((znode) => zookeeper.access(znode)));
      const wanted = accessFor({ kind: 'owners', digests });
      return seen.every(({ access }) => sameAccess(access, wanted));
    });
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => undefined,
      (error: unknown) => (error as WorkflowFailedError).cause?.cause as ApplicationFailure,
    );

  it('restrict the znodes to the digest, reported again when the response was lost', async () => {
    expect(await belongTo(first.digest)).toBe(true);
    await withEnsemble(directReach, spec, first, (zookeeper) =>
      zookeeper.setAccess('/mesos', accessFor({ kind: 'everybody' })),
    );
    losses.lose('protectZnodes');
    await call('protectZnodes', { spec });
    expect(losses.attempts('protectZnodes')).toBe(2);
    expect(await belongTo(first.digest)).toBe(true);
    expect(await call('protectZnodes', { spec })).toEqual([]);
    expect(await call('openZnodes', { spec })).toEqual([]);
  });

  it('may be replaced while masters run: they apply them one after the other', async () => {
    cluster.replaceSecrets(second);
    losses.lose('openZnodes');
    await call('openZnodes', { spec });
    expect(losses.attempts('openZnodes')).toBe(2);
    expect(await belongTo(second.digest, first.digest)).toBe(true);

    const leading = await cluster.leader();
    const following = Object.keys(cluster.masters).filter((name) => name !== leading);
    for (const name of [...following, leading]) {
      await cluster.masters[name]?.kill();
      await cluster.masters[name]?.start();
      // The leader is the last one that runs with the previous credential, and is sent that.
      await call('awaitMasters', { spec });
    }
    expect(await call('protectZnodes', { spec })).toEqual([
      { host: 'z1', what: `protected the znodes ${znodes.join(', ')}` },
    ]);
    expect(await belongTo(second.digest)).toBe(true);
    await call('awaitAgents', { spec });
  });

  it('that masters refuse end the stage with their own code, at once', async () => {
    cluster.replaceSecrets({ ...second, credential: { principal: 'perijove', secret: 'wrong' } });
    try {
      for (const name of ['awaitAgents', 'agentMembers']) {
        const before = losses.attempts(name);
        const failure = await failureOf(call(name, { spec }));
        expect(failure).toMatchObject({ type: 'MESOS_CREDENTIAL_REFUSED', nonRetryable: true });
        expect(failure?.message).not.toContain('wrong');
        expect(losses.attempts(name) - before).toBe(1);
      }
    } finally {
      cluster.replaceSecrets(second);
    }
  });

  it('that do not own the znodes end the stage with their own code, at once', async () => {
    const foreign = { ...spec, mesos: { ...spec.mesos, zkPath: '/foreign' } };
    await withEnsemble(directReach, spec, { digest: 'some:body' }, (zookeeper) =>
      zookeeper.create('/foreign', '', 'persistent'),
    );
    for (const name of ['openZnodes', 'protectZnodes']) {
      const failure = await failureOf(call(name, { spec: foreign }));
      expect(failure).toMatchObject({ type: 'ZOOKEEPER_AUTH_FAILED', nonRetryable: true });
    }
  });

  it('are no longer needed when the spec no longer requires a digest', async () => {
    const open = { ...spec, zookeeper: { ...spec.zookeeper, digest: false } };
    expect(await call('openZnodes', { spec: open })).toHaveLength(1);
    const access = await withEnsemble(directReach, spec, {}, (zookeeper) => zookeeper.access('/mesos'));
    expect(access.access).toEqual(accessFor({ kind: 'everybody' }));
    expect(await call('protectZnodes', { spec })).toHaveLength(1);
  });
});

describe('agents', () => {
  const up = (...hosts: readonly string[]) => hosts.map((host) => ({ host, state: 'up' }));

  it('are registered at their addresses, reported again when the response was lost', async () => {
    losses.lose('awaitAgents');
    await call('awaitAgents', { spec });
    expect(losses.attempts('awaitAgents')).toBe(2);
    expect(await members('agentMembers')).toEqual(up('h1', 'h2', 'h3'));
  });

  it('are waited for, by name, while one is down', async () => {
    await cluster.agents['h2']?.kill();
    await eventually('h2 is missed', async () => {
      const found = await members('agentMembers');
      return found.find(({ host }) => host === 'h2')?.state === 'down';
    });
    const waiting = await start('awaitAgents');
    await untilItWaits(waiting, /^"agents not registered: h2"$/);
    await cluster.agents['h2']?.start();
    await waiting.result();
    expect(await members('agentMembers')).toEqual(up('h1', 'h2', 'h3'));
  });

  it('keep serving at their old port while the stage waits for the new one', async () => {
    const moved = withPorts({ agent: 5061 });
    expect(await members('agentMembers', moved)).toEqual(up('h1', 'h2', 'h3'));
    const waiting = await start('awaitAgents', moved);
    await untilItWaits(waiting, /^"agents not registered: h1, h2, h3"$/);
    await waiting.cancel();
    const error: unknown = await waiting.result().catch((thrown: unknown) => thrown);
    expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  });
});

describe('a ZooKeeper', () => {
  it('that listens without responding is in an unknown state, and so are the masters', async () => {
    await Promise.all(cluster.ensemble.servers.map((each) => each.pause()));
    try {
      expect(await members('zookeeperMembers')).toEqual([{ host: 'z1', state: 'unknown' }]);
      const asking = await start('masterMembers');
      await eventually('it cannot be asked', async () => {
        const { raw } = await asking.describe();
        const failure = raw.pendingActivities?.[0]?.lastFailure?.applicationFailureInfo;
        return failure?.type === 'ZOOKEEPER_UNREACHABLE';
      });
      await asking.terminate();
    } finally {
      for (const each of cluster.ensemble.servers) each.resume();
    }
  });

  it('whose own host reports that nothing listens is down', async () => {
    await Promise.all(cluster.ensemble.servers.map((each) => each.kill()));
    expect(await members('zookeeperMembers')).toEqual([{ host: 'z1', state: 'down' }]);
  });
});
