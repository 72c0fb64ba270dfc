import { once } from 'node:events';
import { Context } from '@temporalio/activity';
import {
  WithStartWorkflowOperation,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { hostKeysOf, placeOfTarget } from '../../src/cluster/host-keys.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { stageNames } from '../../src/deployment/stages.js';
import {
  attachDeploy,
  deployProgress,
  memoKeys,
  taskQueue,
  workflowIds,
  workflowNames,
  type DeployProgress,
  type DeployResult,
} from '../../src/temporal/contract.js';
import { record } from '../support/histories.js';
import { SimulatedCluster } from '../support/simulated-cluster.js';
import { makeHost, makeSpec } from '../support/spec.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

let server: TestServer;
const workers: TestWorker[] = [];

beforeAll(async () => {
  server = await startTestServer();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
});
afterAll(() => server.stop());

async function work(cluster: SimulatedCluster): Promise<TestWorker> {
  const worker = await createTestWorker({ server, activities: cluster.activities() });
  workers.push(worker);
  return worker;
}

function start(
  spec: ClusterSpec,
  digest = 'digest',
): Promise<WorkflowHandle<(input: unknown) => Promise<DeployResult>>> {
  return server.client.workflow.start(workflowNames.deploy, {
    workflowId: workflowIds.deploy(spec.name),
    taskQueue,
    args: [{ spec, digest }],
  });
}

async function deploy(cluster: SimulatedCluster) {
  await work(cluster);
  const handle = await start(cluster.spec);
  return { handle, result: await handle.result() };
}

async function failureOf(handle: WorkflowHandle): Promise<unknown> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (error instanceof WorkflowFailedError) return error.cause;
  throw new Error('the workflow did not fail', { cause: error });
}

async function eventsOf(handle: WorkflowHandle): Promise<number> {
  return (await handle.fetchHistory()).events?.length ?? 0;
}

/** Index of each call, to compare orders. */
function order(cluster: SimulatedCluster, ...calls: readonly string[]): number[] {
  return calls.map((call) => cluster.calls.indexOf(call));
}

function isAscending(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => number >= 0 && number >= (numbers[index - 1] ?? 0));
}

describe('a first deployment', () => {
  it('runs the stages in order, and counts its changes', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'first' }));
    const { handle, result } = await deploy(cluster);
    await record(handle, 'deploy-first');

    expect(
      isAscending(
        order(
          cluster,
          'checkNoTeardown',
          'checkIdentity',
          'surveyHost:h1',
          'claimHosts',
          'ensureSecrets',
          'convergeHost:h1:install',
          'convergeHost:h1:storage',
          'convergeHost:h1:zookeeper',
          'awaitZookeeper',
          'convergeHost:h1:masters',
          'awaitMasters',
          'convergeHost:h1:agents',
          'awaitAgents',
          'ensureFramework',
          'awaitNodes',
          'awaitEtcd',
          'markEtcdFormed',
          'convergeHost:h1:keeper',
          'ensureKeeper',
          'awaitKeeper',
          'verifyNotebooks',
        ),
      ),
    ).toBe(true);
    expect(result.stages.map(({ name }) => name)).toEqual(stageNames);
    // Three hosts: marks, secrets and six stages; and the framework and the keeper.
    expect(result.changed).toBe(3 * 8 + 2);
    expect(result.stages.find(({ name }) => name === 'masters')).toMatchObject({ changed: 3 });
  });

  it('a framework with another principal: it gets the spec while no agent runs', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'principal' }));
    cluster.principalDiffers = true;
    const { handle } = await deploy(cluster);
    await record(handle, 'deploy-principal');
    const calls = ['principalDiffers', 'forgetPrincipal', 'ensureFramework', 'awaitPrincipal', 'startAgents'];
    expect(isAscending(order(cluster, ...calls)), cluster.calls.join(' ')).toBe(true);
    expect(cluster.calls.lastIndexOf('awaitAgents')).toBeGreaterThan(cluster.calls.indexOf('startAgents'));
  });

  it('an etcd that is to be closed: each node is brought to both ways first', async () => {
    const cluster = SimulatedCluster.empty(
      makeSpec({ name: 'etcd-closed', etcd: { security: 'authenticated' } }),
    );
    cluster.etcdTransition = true;
    const { handle } = await deploy(cluster);
    await record(handle, 'deploy-etcd-transition');
    const calls = cluster.calls.filter((call) =>
      ['etcdTransition', 'ensureFramework', 'awaitNodes'].includes(call),
    );
    expect(calls).toEqual([
      'etcdTransition',
      ...['ensureFramework', 'awaitNodes'],
      ...['ensureFramework', 'awaitNodes'],
    ]);
    expect(cluster.securities).toEqual(['transition', 'authenticated']);
  });

  it('an etcd that is to be opened: the keeper speaks both ways before the first node does', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'etcd-open', etcd: { security: 'open' } }));
    cluster.etcdTransition = true;
    await deploy(cluster);
    expect(isAscending(order(cluster, 'etcdTransition', 'ensureKeeper', 'ensureFramework'))).toBe(true);
    expect(cluster.securities).toEqual(['transition', 'open']);
  });

  it('starts the agents again where the framework does not get it', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'no-principal' }));
    cluster.principalDiffers = true;
    cluster.refusesPrincipal = true;
    await expect(deploy(cluster)).rejects.toThrow();
    expect(isAscending(order(cluster, 'forgetPrincipal', 'awaitPrincipal', 'startAgents'))).toBe(true);
  });

  it('installs and starts on all hosts concurrently, each host in its own child workflow', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'parallel' }));
    // Each stage's first host waits until all three have reached it.
    const gates = new Map<string, { arrived: number; open: () => void; opened: Promise<void> }>();
    cluster.before = async (call) => {
      const [activity, , stage] = call.split(':');
      if (activity !== 'convergeHost' || stage === undefined) return;
      const gate = gates.get(stage) ?? makeGate();
      gates.set(stage, gate);
      gate.arrived += 1;
      if (gate.arrived === 3) gate.open();
      await gate.opened;
    };
    await deploy(cluster);
    expect(Object.fromEntries(cluster.mostAtOnce)).toEqual({
      install: 3,
      storage: 3,
      zookeeper: 3,
      masters: 3,
      agents: 3,
      keeper: 3,
    });
    const child = server.client.workflow.getHandle(workflowIds.host('parallel', 'h2'));
    await record(child, 'host');
    expect(await child.describe()).toMatchObject({ type: 'host', status: { name: 'COMPLETED' } });
  });

  it('reports its progress, during and after the run', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'told' }));
    const { handle } = await deploy(cluster);
    const progress = await handle.query(deployProgress);
    expect(progress.stages.every(({ state }) => state === 'done')).toBe(true);
    expect(progress.stages.find(({ name }) => name === 'network')?.note).toContain('127.0.2.0/24');
    expect(progress.stages.find(({ name }) => name === 'zookeeper')?.changes).toContainEqual({
      host: 'h2',
      what: 'changed zookeeper',
    });

    expect(progress.stages.find(({ name }) => name === 'verify')?.proof).toBe(
      '6*7 = 42 through h1, h2, h3; ssh among 5 nodes',
    );

    const { memo, searchAttributes } = await handle.describe();
    const stored = memo?.[memoKeys.state] as DeployProgress;
    expect(stored.stages.find(({ name }) => name === 'zookeeper')).toMatchObject({
      state: 'done',
      changed: 3,
      changes: [],
    });
    expect(searchAttributes).toMatchObject({ PerijoveStage: ['verify'] });

    const summaries = (await handle.fetchHistory()).events?.flatMap(({ userMetadata }) => {
      const data = userMetadata?.summary?.data;
      return data ? [JSON.parse(Buffer.from(data).toString()) as string] : [];
    });
    expect(summaries).toEqual(
      expect.arrayContaining(['survey h1', 'Install h2 of told', 'masters on h3', 'the ensemble is healthy']),
    );
  });
});

describe('nodes in containers', () => {
  const spec = (image = 'perijove-node') =>
    makeSpec({
      name: `image-${image.length}`,
      network: { kind: 'existing', name: 'calico_net', subnet: '127.0.2.0/24' },
      nodes: { containerizer: 'docker', image },
    });
  const imageCalls = (cluster: SimulatedCluster) => cluster.calls.filter((call) => /image/i.test(call));

  it('have their image built once, and copied to every host that lacks it', async () => {
    const cluster = SimulatedCluster.deployed(spec());
    const { handle, result } = await deploy(cluster);
    expect(imageCalls(cluster).slice(0, 2)).toEqual(['observeImage', 'buildImage']);
    expect(imageCalls(cluster).slice(2).sort()).toEqual(
      ['h1', 'h2', 'h3'].map((host) => `deliverImage:${host}`),
    );
    expect(result.changed).toBe(3);
    await record(handle, 'deploy-image');
    cluster.imageOn.delete('h2');
    cluster.calls.length = 0;
    expect((await (await start(cluster.spec)).result()).changed).toBe(1);
    expect(imageCalls(cluster)).toEqual(['observeImage', 'deliverImage:h2']);
    cluster.calls.length = 0;
    expect((await (await start(cluster.spec)).result()).changed).toBe(0);
    expect(imageCalls(cluster)).toEqual(['observeImage']);
  });

  it('have an image of a registry pulled by each host', async () => {
    const cluster = SimulatedCluster.deployed(spec('registry.example.org/node:1'));
    await deploy(cluster);
    expect(imageCalls(cluster).sort()).toEqual([
      'observeImage',
      'pullImage:h1',
      'pullImage:h2',
      'pullImage:h3',
    ]);
  });
});

describe('an unchanged spec', () => {
  it('changes nothing: one activity per host, and its history does not grow with the cluster', async () => {
    const three = SimulatedCluster.deployed(makeSpec({ name: 'same' }));
    const { handle, result } = await deploy(three);
    await record(handle, 'deploy-unchanged');
    expect(result.changed).toBe(0);
    expect(three.calls.filter((call) => call.includes(':h'))).toEqual(
      expect.arrayContaining(['surveyHost:h1', 'surveyHost:h2', 'surveyHost:h3']),
    );
    expect(three.calls.filter((call) => call.includes(':h'))).toHaveLength(3);

    const hosts = Array.from({ length: 13 }, (_, index) =>
      makeHost(`h${index + 1}`, {
        address: `127.0.1.${index + 1}`,
        roles: index < 3 ? ['zookeeper', 'master', 'agent', 'proxy'] : ['agent', 'proxy'],
      }),
    );
    const thirteen = SimulatedCluster.deployed(makeSpec({ name: 'same-13', hosts }));
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));
    const larger = await deploy(thirteen);
    expect(larger.result.changed).toBe(0);
    // Scheduled, started, completed; and up to three of the workflow task that received the result.
    const perHost = ((await eventsOf(larger.handle)) - (await eventsOf(handle))) / 10;
    expect(perHost).toBeLessThanOrEqual(6);
  });
});

describe('keys of hosts', () => {
  it('that preflight found are demanded by every later activity, and are no change', async () => {
    const spec = makeSpec({ name: 'keyed' });
    const cluster = SimulatedCluster.deployed(spec);
    const keys = Object.fromEntries(spec.hosts.map(({ ssh }) => [placeOfTarget(ssh), ['ssh-ed25519 AAAA']]));
    cluster.hostKeys = keys;
    const { handle, result } = await deploy(cluster);
    expect(result.changed).toBe(0);
    const { events } = await handle.fetchHistory();
    const given = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: activity }) => {
      const data = activity?.input?.payloads?.[0]?.data;
      const input = JSON.parse(Buffer.from(data ?? '{}').toString()) as { readonly spec?: ClusterSpec };
      const name = activity?.activityType?.name ?? '';
      return input.spec === undefined ? [] : [{ name, keys: hostKeysOf(input.spec.hosts) }];
    });
    expect(given.length).toBeGreaterThan(6);
    for (const each of given)
      expect(each).toEqual({ ...each, keys: each.name === 'checkIdentity' ? {} : keys });
  });
});

describe('a changed spec', () => {
  it('rolls a quorum one host at a time, the leader last, complete in between', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'rolled' }))
      .lead('zookeeper', 'h2')
      .differ('zookeeper', 'h1', 'h2', 'h3');
    const { handle, result } = await deploy(cluster);
    await record(handle, 'deploy-rolling');
    expect(result.changed).toBe(3);
    expect(cluster.calls.filter((call) => call.endsWith(':zookeeper') || call === 'awaitZookeeper')).toEqual([
      'members:zookeeper',
      'awaitZookeeper',
      'convergeHost:h1:zookeeper',
      'awaitZookeeper',
      'convergeHost:h3:zookeeper',
      'awaitZookeeper',
      'convergeHost:h2:zookeeper',
      'awaitZookeeper',
    ]);
    expect(cluster.fewestServing.get('zookeeper')).toBe(2);
  });

  it('changes only the hosts that it names', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'named' })).differ('keeper', 'h2');
    const { result } = await deploy(cluster);
    expect(result.changed).toBe(1);
    expect(cluster.calls.filter((call) => call.startsWith('convergeHost'))).toEqual([
      'convergeHost:h2:keeper',
    ]);
  });

  it('stops no agent while etcd is not complete', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'agents' })).differ('agents', 'h1', 'h3');
    await deploy(cluster);
    const first = cluster.calls.indexOf('convergeHost:h1:agents');
    const second = cluster.calls.indexOf('convergeHost:h3:agents');
    const checks = cluster.calls.flatMap((call, index) => (call === 'awaitFormedEtcd' ? [index] : []));
    expect(checks.some((at) => at < first)).toBe(true);
    expect(checks.some((at) => at > first && at < second)).toBe(true);
  });

  it('starts a member that is down before it changes one that serves', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'down' })).differ('masters', 'h1', 'h2', 'h3');
    cluster.serving.get('masters')?.set('h3', 'down');
    await deploy(cluster);
    expect(cluster.calls.filter((call) => call.startsWith('convergeHost'))).toEqual([
      'convergeHost:h3:masters',
      'convergeHost:h2:masters',
      'convergeHost:h1:masters',
    ]);
    expect(cluster.fewestServing.get('masters')).toBe(2);
  });

  it('starts a member that ends while all others are waited for', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'ended' })).differ(
      'masters',
      'h1',
      'h2',
      'h3',
    );
    let isOver = false;
    cluster.before = (call) => {
      if (call !== 'awaitMasters' || isOver) return;
      isOver = true;
      cluster.serving.get('masters')?.set('h3', 'down');
    };
    const { handle } = await deploy(cluster);
    await record(handle, 'deploy-member-ended');
    expect(cluster.calls.filter((call) => /masters$/i.test(call))).toEqual([
      'members:masters',
      'awaitMasters',
      'members:masters',
      ...['convergeHost:h3:masters', 'awaitMasters'],
      ...['convergeHost:h2:masters', 'awaitMasters'],
      ...['convergeHost:h1:masters', 'awaitMasters'],
    ]);
  });

  it('changes members in an unknown state one at a time, and continues when all serve', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'unheard' })).differ('masters', 'h1', 'h2');
    for (const host of ['h1', 'h2']) cluster.serving.get('masters')?.set(host, 'unknown');
    await deploy(cluster);
    expect(cluster.calls.filter((call) => /masters$/i.test(call) && call !== 'members:masters')).toEqual([
      ...['convergeHost:h1:masters', 'awaitMasters'],
      ...['convergeHost:h2:masters', 'awaitMasters'],
    ]);
    expect(cluster.mostAtOnce.get('masters')).toBe(1);
  });

  it('changes agents in an unknown state one at a time, each while etcd is complete', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'silent' })).differ(
      'agents',
      'h1',
      'h2',
      'h3',
    );
    for (const host of ['h1', 'h2', 'h3']) cluster.serving.get('agents')?.set(host, 'unknown');
    await deploy(cluster);
    expect(
      cluster.calls.filter((call) => call === 'awaitFormedEtcd' || /^convergeHost:.*:agents$/.test(call)),
    ).toEqual(['h1', 'h2', 'h3'].flatMap((host) => ['awaitFormedEtcd', `convergeHost:${host}:agents`]));
    expect(cluster.mostAtOnce.get('agents')).toBe(1);
  });

  it('removes a service from a host without its role, but no agent: nodes may run there', async () => {
    const { hosts } = makeSpec({ name: 'fewer' });
    const former = makeHost('h4', { address: '10.0.0.4', roles: ['proxy'] });
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'fewer', hosts: [...hosts, former] }))
      .differ('masters', 'h4')
      .differ('agents', 'h4');
    await deploy(cluster);
    expect(cluster.calls.filter((call) => call.startsWith('convergeHost'))).toEqual([
      'convergeHost:h4:masters',
    ]);
  });

  it('observes a host that got secrets again, whatever the survey reported', async () => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name: 'secrets' }));
    cluster.secretsMissingOn = ['h3'];
    await deploy(cluster);
    expect(cluster.calls.filter((call) => call.startsWith('convergeHost'))).toEqual(
      ['install', 'storage', 'zookeeper', 'masters', 'agents', 'keeper'].map(
        (stage) => `convergeHost:h3:${stage}`,
      ),
    );
  });
});

describe('problems on hosts', () => {
  it('end the deployment before anything is changed, all reported at once', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'blocked' }));
    cluster.facts = ({ name }) => (name === 'h1' ? {} : { freeBytes: 1e6 });
    await work(cluster);
    const handle = await start(cluster.spec);
    expect(await failureOf(handle)).toMatchObject({
      type: 'DISK_FULL',
      message: expect.stringMatching(/^2 problems block this deployment, the first: h2: /) as string,
      details: [
        {
          place: { host: 'h2' },
          problems: [
            { code: 'DISK_FULL', host: 'h2' },
            { code: 'DISK_FULL', host: 'h3' },
          ],
        },
      ],
    });
    expect(cluster.calls).not.toContain('ensureSecrets');
  });
});

describe('a stage that fails', () => {
  it('fails the deployment with code, host and remedy; what runs beside it ends first', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'fails' }));
    let ended: string | undefined;
    cluster.before = async (call) => {
      if (call === 'convergeHost:h2:masters') {
        throw new PerijoveError('DIR_NOT_WRITABLE', 'h2: cannot write', { host: 'h2', remedy: 'chmod' });
      }
      if (call === 'convergeHost:h3:masters') {
        const { cancellationSignal } = Context.current();
        await once(cancellationSignal, 'abort');
        ended = call;
      }
    };
    await work(cluster);
    const handle = await start(cluster.spec);
    expect(await failureOf(handle)).toMatchObject({
      type: 'DIR_NOT_WRITABLE',
      message: 'h2: cannot write',
      nonRetryable: true,
      details: [{ place: { host: 'h2' }, remedy: 'chmod' }],
    });
    expect(ended).toBe('convergeHost:h3:masters');
    await record(handle, 'deploy-failed');
    expect(cluster.calls).not.toContain('awaitMasters');

    const progress = await handle.query(deployProgress);
    expect(progress.failure).toEqual({
      code: 'DIR_NOT_WRITABLE',
      message: 'h2: cannot write',
      remedy: 'chmod',
      host: 'h2',
    });
    expect(progress.stages.find(({ name }) => name === 'masters')).toMatchObject({
      state: 'failed',
      note: 'h2: cannot write',
    });
    const { memo } = await handle.describe();
    expect(memo?.[memoKeys.state]).toMatchObject({ failure: { code: 'DIR_NOT_WRITABLE' } });
  });

  it('fails with the same message when it was in a child', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'child-fails' }));
    cluster.before = (call) => {
      if (call === 'convergeHost:h3:install')
        throw new PerijoveError('DISK_FULL', 'h3 is full', { host: 'h3' });
    };
    await work(cluster);
    expect(await failureOf(await start(cluster.spec))).toMatchObject({
      type: 'DISK_FULL',
      message: 'h3 is full',
      details: [{ place: { host: 'h3' } }],
    });
    await record(server.client.workflow.getHandle(workflowIds.host('child-fails', 'h3')), 'host-failed');
  });

  it('continues where it ended when it is run again', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'again' }));
    cluster.before = (call) => {
      if (call === 'convergeHost:h1:agents') throw new PerijoveError('DISK_FULL', 'full', { host: 'h1' });
    };
    const worker = await work(cluster);
    expect(await failureOf(await start(cluster.spec))).toBeInstanceOf(ApplicationFailure);
    await worker.stop();
    workers.splice(0);
    cluster.before = () => undefined;
    cluster.calls.length = 0;
    await deploy(cluster);
    expect(cluster.calls.filter((call) => call.startsWith('convergeHost:h1'))).toEqual([
      'convergeHost:h1:agents',
      'convergeHost:h1:keeper',
    ]);
  });
});

describe('a second `up`', () => {
  const attach = (spec: ClusterSpec, digest: string) =>
    server.client.workflow.executeUpdateWithStart(attachDeploy, {
      args: [digest],
      startWorkflowOperation: new WithStartWorkflowOperation(workflowNames.deploy, {
        workflowId: workflowIds.deploy(spec.name),
        taskQueue,
        args: [{ spec, digest }],
        workflowIdConflictPolicy: 'USE_EXISTING',
      }),
    });

  it('attaches to the deployment of the same spec; another spec is refused, and changes nothing', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'attached' }));
    const gate = makeGate();
    cluster.before = async (call) => {
      if (call === 'ensureSecrets') await gate.opened;
    };
    await work(cluster);
    await expect(attach(cluster.spec, 'one')).resolves.toEqual({ digest: 'one' });
    await expect(attach(cluster.spec, 'one')).resolves.toEqual({ digest: 'one' });
    const refused: unknown = await attach(cluster.spec, 'two').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WorkflowUpdateFailedError);
    expect((refused as WorkflowUpdateFailedError).cause).toMatchObject({ type: 'SPEC_DIFFERS' });
    gate.open();
    const handle = server.client.workflow.getHandle(workflowIds.deploy('attached'));
    await expect(handle.result()).resolves.toMatchObject({ cluster: 'attached' });
    await record(handle, 'deploy-attached');
    expect(cluster.calls.filter((call) => call === 'ensureSecrets')).toHaveLength(1);
  });
});

describe('a cancelled deployment', () => {
  it('ends when none of it is in progress, and reports it', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'cancelled' }));
    const reached = makeGate();
    let heard = 0;
    cluster.before = async (call) => {
      if (!call.endsWith(':zookeeper') || call.startsWith('members')) return;
      reached.arrived += 1;
      if (reached.arrived === 3) reached.open();
      await once(Context.current().cancellationSignal, 'abort');
      heard += 1;
    };
    await work(cluster);
    const handle = await start(cluster.spec);
    await reached.opened;
    await handle.cancel();
    expect(await failureOf(handle)).toBeInstanceOf(CancelledFailure);
    expect(heard).toBe(3);
    await record(handle, 'deploy-cancelled');
    expect((await handle.query(deployProgress)).failure?.code).toBe('CANCELLED');
    expect((await handle.describe()).status.name).toBe('CANCELLED');
  });
});

describe('workers that come and go', () => {
  it('lose nothing: another one continues the stage', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'handed-over' }));
    const reached = makeGate();
    cluster.before = async (call) => {
      if (call !== 'convergeHost:h2:masters' || reached.arrived > 0) return;
      reached.arrived = 1;
      reached.open();
      await new Promise(() => undefined);
    };
    const first = await work(cluster);
    const handle = await start(cluster.spec);
    await reached.opened;
    await first.stop();
    workers.splice(0);
    await work(cluster);
    await expect(handle.result()).resolves.toMatchObject({ cluster: 'handed-over' });
    expect(cluster.calls.filter((call) => call === 'convergeHost:h2:masters')).toHaveLength(2);
    expect(cluster.calls.filter((call) => call === 'convergeHost:h2:zookeeper')).toHaveLength(1);
  });

  it('may find the server gone and back in the middle', async () => {
    const cluster = SimulatedCluster.empty(makeSpec({ name: 'server-gone' }));
    const reached = makeGate();
    const goOn = makeGate();
    cluster.before = async (call) => {
      if (call !== 'convergeHost:h1:agents') return;
      reached.open();
      await goOn.opened;
    };
    await work(cluster);
    const handle = await start(cluster.spec);
    await reached.opened;
    await server.kill();
    goOn.open();
    await server.restart();
    await expect(handle.result()).resolves.toMatchObject({ cluster: 'server-gone' });
  });
});

describe('a host that the spec no longer contains', () => {
  const leaver = { ...makeHost('h4'), roles: [] };
  const leaving = (name: string, purge = false): [SimulatedCluster, () => Promise<WorkflowHandle>] => {
    const cluster = SimulatedCluster.deployed(makeSpec({ name }));
    cluster.leaving = [{ host: leaver, services: ['zookeeper', 'masters', 'agents', 'keeper'] }];
    return [cluster, () => startWith(cluster.spec, purge)];
  };
  const startWith = (spec: ClusterSpec, purgeRemoved: boolean) =>
    server.client.workflow.start(workflowNames.deploy, {
      workflowId: workflowIds.deploy(spec.name),
      taskQueue,
      args: [{ spec, digest: 'digest', purgeRemoved }],
    });

  it('leaves the services in their order, and the nodes before its agent ends', async () => {
    const [cluster, begin] = leaving('leaving');
    await work(cluster);
    const handle = await begin();
    const result = (await handle.result()) as DeployResult;
    await record(handle, 'deploy-leaving');
    const calls = [
      'observeLeaving:h4',
      'surveyHost:h1',
      'planEnsemble',
      'convergeHost:h4:zookeeper',
      'convergeHost:h4:masters',
      'ensureFramework:h4',
      'awaitNodes',
      'ensureKeeper',
      'convergeHost:h4:keeper',
      'clearLeaving:h4',
      'ensureFramework',
      'verifyNotebooks',
    ];
    expect(isAscending(order(cluster, ...calls)), cluster.calls.join(' ')).toBe(true);
    expect(cluster.calls).not.toContain('convergeHost:h4:agents');
    expect(cluster.calls).not.toContain('surveyHost:h4');
    expect(result.stages.find(({ name }) => name === 'removal')).toMatchObject({ changed: 1 });
  });

  it('is purged on request', async () => {
    const [cluster, begin] = leaving('leaving-purged', true);
    await work(cluster);
    await (await begin()).result();
    expect(cluster.calls).toContain('clearLeaving:h4:purge');
  });

  it.each(['SSH_UNREACHABLE', 'SSH_AUTH_FAILED'] as const)(
    'ends the deployment before any change if it cannot be reached (%s)',
    async (code) => {
      const [cluster, begin] = leaving(`leaving-silent-${code}`);
      cluster.before = (call) => {
        if (call === 'observeLeaving:h4') throw ApplicationFailure.nonRetryable('no way to h4', code);
      };
      await work(cluster);
      const handle = await begin();
      expect(await failureOf(handle)).toMatchObject({
        type: 'REMOVED_HOST_SILENT',
        message: 'h4 is to leave the cluster and cannot be reached: no way to h4',
      });
      if (code === 'SSH_UNREACHABLE') await record(handle, 'deploy-leaving-silent');
      expect(cluster.calls).toEqual(['checkNoTeardown', 'checkIdentity', 'findLeaving', 'observeLeaving:h4']);
    },
  );

  it('is not forgotten while its services may still run', async () => {
    const [cluster, begin] = leaving('leaving-lost');
    cluster.before = (call) => {
      if (call === 'clearLeaving:h4') throw ApplicationFailure.nonRetryable('gone dark', 'SSH_LOST');
    };
    await work(cluster);
    expect(await failureOf(await begin())).toMatchObject({ type: 'REMOVED_HOST_SILENT' });
    expect(cluster.calls).not.toContain('ensureFramework');
    expect(cluster.calls).not.toContain('verifyNotebooks');
  });

  it('of another cluster is refused as such', async () => {
    const [cluster, begin] = leaving('leaving-foreign');
    cluster.before = (call) => {
      if (call === 'observeLeaving:h4')
        throw ApplicationFailure.nonRetryable('not ours', 'REMOVED_HOST_FOREIGN');
    };
    await work(cluster);
    expect(await failureOf(await begin())).toMatchObject({ type: 'REMOVED_HOST_FOREIGN' });
    expect(cluster.calls).not.toContain('ensureSecrets');
  });
});

interface Gate {
  arrived: number;
  readonly open: () => void;
  readonly opened: Promise<void>;
}

function makeGate(): Gate {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { arrived: 0, open: () => open(), opened };
}
