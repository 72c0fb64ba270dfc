import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { known } from '../../../src/hosts/observation.js';
import { PerijoveError } from '../../../src/errors/error.js';
import { allProcesses, startVariable } from '../../../src/lab/processes.js';
import type { NodeCommand } from '../../../src/mesos/scheduler/launch.js';
import { agentItems } from '../../../src/mesos/installation/items.js';
import { leadingMaster, withEnsemble } from '../../../src/mesos/masters/detector.js';
import { watchLeader } from '../../../src/mesos/masters/leader-watch.js';
import { authorization, masterReach, type Credential } from '../../../src/mesos/masters/http.js';
import type { Leave, SchedulerDeps } from '../../../src/mesos/scheduler/deps.js';
import { runScheduler, teardownFramework } from '../../../src/mesos/scheduler/scheduler.js';
import { parseTaskId } from '../../../src/mesos/scheduler/tasks.js';
import type { FenceAnswer } from '../../../src/node/fence.js';
import type { ClusterSpec } from '../../../src/cluster/spec.js';
import { directReach } from '../../../src/ssh/reach.js';
import { makeMasterInfo } from '../../../src/stand-in/election.js';
import { eventually } from '../../support/eventually.js';
import { fence as withWord } from '../../../src/workflows/framework-state.js';
import { RecordedMaster } from '../../support/recorded-master.js';
import { MemoryStore, type StoreCall } from '../memory-store.js';
import { makeProcess, startMesos, writeSecrets, type MesosCluster } from '../mesos-cluster.js';

const logger = pino({ level: process.env['PERIJOVE_TEST_LOG'] ?? 'silent' });
let cluster: MesosCluster;
let spec: ClusterSpec;
let memory: MemoryStore;
let schedulers: TestScheduler[] = [];
let config = 'c1';
let command: (node: string) => string;
let healthy: (node: string) => boolean;
let fence: (taskId: string) => FenceAnswer;
let vacate: (node: string) => Leave;
/** The requests to nodes before they were killed. */
let leavings: string[] = [];

beforeAll(async () => {
  cluster = await startMesos({ subnet: '127.24.1', secured: true });
});
afterAll(async () => {
  await cluster.close();
});

let cases = 0;
beforeEach(async () => {
  cases += 1;
  spec = { ...cluster.spec, name: `case${cases}` };
  memory = new MemoryStore(spec);
  config = 'c1';
  healthy = () => true;
  fence = () => ({ kind: 'unclear', why: 'nobody may be asked' });
  vacate = () => ({ kind: 'done' });
  leavings = [];
  command = stay;
});
afterEach(async () => {
  await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
  schedulers = [];
  await teardownFramework(mesosDeps(), undefined, new AbortController().signal);
  await eventually('no task is left', () => tasksAlive().length === 0);
  expect(lines('conflicts')).toEqual([]);
});

/** Runs until it is killed, records its start, and records a second process of the same node. */
function stay(node: string): string {
  const file = (name: string) => path.join(cluster.dir, `${spec.name}-${name}`);
  return `echo $MESOS_TASK_ID >> ${file('launches')}; flock -n -E 99 ${file(node)} sleep 1000; [ $? = 99 ] && echo $MESOS_TASK_ID >> ${file('conflicts')}; exit 1`;
}

function lines(name: string): string[] {
  try {
    return readFileSync(path.join(cluster.dir, `${spec.name}-${name}`), 'utf8')
      .trim()
      .split('\n');
  } catch {
    return [];
  }
}

/** Task ID of each process that belongs to a task of this test. */
function tasksAlive(): { pid: number; taskId: string }[] {
  return allProcesses().flatMap(({ pid }) => {
    const taskId = startVariable(pid, 'MESOS_TASK_ID');
    return taskId !== undefined && startVariable(pid, 'CASE') === spec.name ? [{ pid, taskId }] : [];
  });
}

function mesosDeps(): Pick<SchedulerDeps, 'spec' | 'leaders' | 'dial' | 'credential' | 'logger'> {
  const { credential } = cluster.secrets;
  return {
    spec,
    leaders: (signal) => watchLeader(directReach, spec, signal, cluster.secrets),
    dial: masterReach(spec, directReach),
    ...(credential && { credential }),
    logger,
  };
}

interface TestScheduler {
  /** Resolves to the error it ended with. */
  readonly ended: Promise<unknown>;
  /** Cuts it off, as the end of its process would. */
  stop(): Promise<void>;
}

/** Credentials to use instead of the correct ones. */
interface Credentials {
  readonly credential?: Credential;
  readonly renewed?: () => Promise<Credential | undefined>;
}

interface Faults extends Credentials {
  /** The scheduler dies after this write, before it gets the response. */
  readonly diesAfter?: StoreCall;
}

function start({ diesAfter, ...credentials }: Faults = {}): TestScheduler {
  const over = new AbortController();
  const die = () => over.abort(new Error('killed'));
  const store = memory.next((call) => {
    if (call !== diesAfter) return;
    die();
    over.signal.throwIfAborted();
  });
  const ended = runScheduler(
    {
      ...mesosDeps(),
      ...credentials,
      store,
      command: (node): NodeCommand => ({ value: command(node), environment: { CASE: spec.name } }),
      configOf: () => config,
      healthy: async (node) => known(healthy(node)),
      vacate: async (node, leaves) => {
        leavings.push(`vacate ${node}${leaves ? ' for good' : ''}`);
        return vacate(node);
      },
      retire: async ({ taskId }) => {
        leavings.push(`retire ${taskId}`);
        return { kind: 'done' };
      },
      fence: async ({ taskId }) => fence(taskId),
    },
    over.signal,
  ).catch((error: unknown) => error);
  const scheduler = {
    ended,
    stop: async () => {
      die();
      await ended;
    },
  };
  schedulers.push(scheduler);
  return scheduler;
}

/** The events of that kind, newest first. */
const eventsOf = (kind: string) =>
  (memory.state.events ?? []).filter((event) => event.kind === kind).map(({ what }) => what);

const allRun = (count = 3) =>
  eventually(`${count} nodes run`, () => Object.keys(memory.running()).length === count);

describe('nodes', () => {
  it('are launched, one on each host, and then no offers are requested', async () => {
    start();
    await allRun();
    expect(new Set(Object.values(memory.state.tasks).map(({ host }) => host)).size).toBe(3);
    expect(lines('launches').toSorted()).toEqual(['node0.1', 'node1.2', 'node2.3']);
    expect(memory.writes.filter((write) => write !== 'storeMesos').slice(0, 3)).toEqual([
      'storeFrameworkId',
      'storeIntents',
      'storeTaskUpdates',
    ]);
    const state = await cluster.state();
    const framework = state.frameworks.find(({ id }) => id === memory.state.frameworkId);
    expect(framework).toMatchObject({ active: true, connected: true });
    expect(framework?.tasks.map(({ labels }) => labels)).toContainEqual([
      { key: 'perijove.cluster', value: spec.name },
      { key: 'perijove.node', value: 'node0' },
      { key: 'perijove.config', value: 'c1' },
    ]);
  });

  it('that die are launched again on their host', async () => {
    start();
    await allRun();
    const before = memory.state.tasks['node1'];
    for (const { pid } of tasksAlive().filter(({ taskId }) => taskId === before?.taskId))
      process.kill(pid, 'SIGKILL');
    await eventually(
      'node1 runs again',
      () => (memory.running()['node1'] ?? before?.taskId) !== before?.taskId,
    );
    expect(memory.state.tasks['node1']).toMatchObject({ host: before?.host, taskId: 'node1.4', failures: 1 });
    expect(lines('launches')).toHaveLength(4);
  });

  it('that fail repeatedly are delayed, and the others are left alone', async () => {
    command = (node) => (node === 'node2' ? 'echo $MESOS_TASK_ID >> /dev/null; exit 3' : stay(node));
    start();
    await eventually('node2 failed three times', () => (memory.state.tasks['node2']?.failures ?? 0) >= 3);
    await eventually('people are told', () => memory.state.missing?.includes('node2 ended') === true);
    expect(memory.state.missing).toMatch(/node2 ended \d times .*exited with status 3/);
    expect(memory.state.tasks['node0']).toMatchObject({ state: 'TASK_RUNNING', taskId: 'node0.1' });
    command = stay;
    await allRun();
    await eventually('nothing is missing', () => memory.state.missing === undefined);
  });

  it('without room wait, and report what each host lacks', async () => {
    spec = { ...spec, nodes: { ...spec.nodes, memoryBytes: 2 ** 50 } };
    start();
    await eventually('people are told', () => memory.state.missing !== undefined);
    expect(memory.state.missing).toMatch(
      /node0 cannot be placed: h1 lacks \d+ MiB of memory \(has \d+ of 1073741824\); h2 lacks/,
    );
    expect(memory.state.launches).toBe(0);

    // Another cluster takes all resources, and this one waits until it is gone.
    const has = Number(/has (\d+) of/.exec(memory.state.missing ?? '')?.[1]);
    await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
    const own = {
      spec: { ...cluster.spec, nodes: { ...spec.nodes, memoryBytes: 0.6 * has * 2 ** 20 } },
      memory,
    };
    spec = { ...own.spec, name: `${spec.name}-other` };
    memory = new MemoryStore(spec);
    const other = start();
    await allRun();
    const others = mesosDeps();

    spec = { ...own.spec, name: `case${cases}` };
    memory = own.memory;
    start();
    await eventually('people are told', () => /node0 cannot be placed/.test(memory.state.missing ?? ''));
    expect(memory.state.missing).toMatch(/h1 lacks \d+ MiB of memory \(has \d+ of \d+\)/);
    await other.stop();
    await teardownFramework(others, undefined, new AbortController().signal);
    await allRun();
    await eventually('nothing is missing', () => memory.state.missing === undefined);
  });

  it('above the number in the spec are removed, highest first, after they have handed over', async () => {
    const first = start();
    await allRun();
    await first.stop();
    spec = { ...spec, nodes: { ...spec.nodes, count: 1 } };
    memory.spec = spec;
    let stays = true;
    vacate = (node) => (stays ? { kind: 'waits', why: `${node} stays for a while` } : { kind: 'done' });
    start();
    await eventually('people are told', () => memory.state.missing === 'node2 stays for a while');
    expect(Object.keys(memory.running()).toSorted()).toEqual(['node0', 'node1', 'node2']);
    expect(new Set(leavings)).toEqual(new Set(['vacate node2 for good']));
    leavings = [];
    stays = false;
    await eventually('one node is left', () => Object.keys(memory.state.tasks).join() === 'node0');
    expect(leavings).toEqual([
      'vacate node2 for good',
      'retire node2.3',
      'vacate node1 for good',
      'retire node1.2',
    ]);
    expect(memory.writes.filter((write) => write === 'storeRetiring')).toHaveLength(2);
    await eventually('nothing is missing', () => memory.state.missing === undefined);
  });

  it('that began to leave are launched again when the spec includes them again', async () => {
    const first = start();
    await allRun();
    await first.stop();
    const { spec: three } = memory;
    spec = { ...spec, nodes: { ...spec.nodes, count: 2 } };
    memory.spec = spec;
    await start({ diesAfter: 'storeRetiring' }).ended;
    expect(memory.state.tasks['node2']).toMatchObject({ taskId: 'node2.3', retiring: true });

    spec = three;
    memory.spec = spec;
    start();
    await eventually('node2 runs anew', () => memory.running()['node2'] === 'node2.4');
    expect(leavings.at(-1)).toBe('retire node2.3');
    expect(memory.state.tasks['node2']?.retiring).toBeUndefined();
    expect(memory.running()).toMatchObject({ node0: 'node0.1', node1: 'node1.2' });
  });

  it('with an old configuration are replaced one at a time, only while all others are healthy', async () => {
    const first = start();
    await allRun();
    await first.stop();
    config = 'c2';
    const sick = new Set(['node2']);
    let asked = 0;
    healthy = (node) => {
      if (sick.has(node)) asked += 1;
      return !sick.has(node);
    };
    start();
    await eventually('it asked twice whether node2 is well', () => asked >= 2);
    expect(memory.running()).toEqual({ node0: 'node0.1', node1: 'node1.2', node2: 'node2.3' });
    sick.clear();
    let most = 0;
    await eventually('all have the new configuration', () => {
      const down = 3 - Object.keys(memory.running()).length;
      most = Math.max(most, down);
      return Object.values(memory.state.tasks).every(
        (task) => task.config === 'c2' && task.state === 'TASK_RUNNING',
      );
    });
    expect(most).toBe(1);
    expect(memory.state.launches).toBe(6);
  });
});

describe('nodes on a host with maintenance at Mesos', () => {
  const ipOf = (host: string) => spec.hosts.find(({ name }) => name === host)?.address;
  const unavailability = () => ({ start: { nanoseconds: (Date.now() + 60_000) * 1e6 } });

  async function schedule(...ips: readonly (string | undefined)[]): Promise<void> {
    const windows =
      ips.length === 0 ? [] : [{ machine_ids: ips.map((ip) => ({ ip })), unavailability: unavailability() }];
    const answer = await askLeader('/maintenance/schedule', {
      method: 'POST',
      body: JSON.stringify({ windows }),
    });
    expect(answer.status).toBe(200);
  }
  const answered = async () => await (await askLeader('/maintenance/status')).text();

  async function askLeader(url: string, request: RequestInit = {}): Promise<Response> {
    const ip = ipOf(await cluster.leader());
    const port = spec.hosts[0]?.ports.master;
    const headers = authorization(cluster.secrets.credential);
    return await fetch(`http://${ip}:${port}${url}`, { ...request, headers });
  }

  beforeEach(async () => {
    start();
    await allRun();
  });
  afterEach(() => schedule());

  it('leave it before, and Mesos is told that they will', async () => {
    const { host = '', taskId } = memory.state.tasks['node0'] ?? {};
    await schedule(ipOf(host));
    await eventually('node0 runs elsewhere', () => {
      const task = memory.state.tasks['node0'];
      return task?.state === 'TASK_RUNNING' && task.taskId !== taskId && task.host !== host;
    });
    expect(await answered()).toContain('"status":"ACCEPT"');
    expect(leavings).toContain('vacate node0');
    expect(lines('launches')).toHaveLength(4);
  });

  it('stay while all hosts have it', async () => {
    await schedule(...spec.hosts.map(({ name }) => ipOf(name)));
    await eventually('people are told', () => memory.state.missing?.includes('Mesos has maintenance of'));
    await eventually('Mesos is told', async () => (await answered()).includes('"status":"DECLINE"'));
    expect(lines('launches')).toHaveLength(3);
  });
});

describe('Mesos', () => {
  it('the leading master is killed: the tasks and the framework stay', async () => {
    start();
    await allRun();
    const before = { tasks: memory.running(), id: memory.state.frameworkId };
    const leader = await cluster.leader();
    await cluster.masters[leader]?.kill();
    await eventually(
      'another master leads',
      async () => (await cluster.leader().catch(() => leader)) !== leader,
    );
    await eventually('the framework is connected again', async () => {
      const state = await cluster.state().catch(() => undefined);
      const framework = state?.frameworks.find(({ id }) => id === before.id);
      return framework?.connected === true && framework.tasks.length === 3;
    });
    await cluster.masters[leader]?.start();
    expect(memory.running()).toEqual(before.tasks);
    const next = await cluster.leader();
    await eventually('people are told', () =>
      eventsOf('leader').includes(`the Mesos master on ${next} leads, after ${leader}`),
    );
    expect(eventsOf('agent')).toEqual([]);
    // It still works.
    const victim = tasksAlive().filter(({ taskId }) => taskId === 'node0.1');
    for (const { pid } of victim) process.kill(pid, 'SIGKILL');
    await eventually('node0 runs again', () => memory.running()['node0'] === 'node0.4');
    await eventually('it says so itself', () => lines('launches').length === 4);
  });

  it('the leading master hangs: the next one is found long before five heartbeats are missed', async () => {
    start();
    await allRun();
    const { frameworkId } = memory.state;
    const leader = await cluster.leader();
    cluster.masters[leader]?.pause();
    try {
      await eventually('the framework is connected to the next one', async () => {
        if ((await cluster.leader().catch(() => leader)) === leader) return false;
        const state = await cluster.state().catch(() => undefined);
        return state?.frameworks.find(({ id }) => id === frameworkId)?.connected === true;
      });
    } finally {
      await cluster.masters[leader]?.kill();
      await cluster.masters[leader]?.start();
    }
    expect(lines('launches')).toHaveLength(3);
  });

  it('an agent is restarted: its tasks continue', async () => {
    start();
    await allRun();
    const before = memory.running();
    const { host = '' } = memory.state.tasks['node0'] ?? {};
    await cluster.agents[host]?.kill();
    await cluster.agents[host]?.start();
    await eventually('the agent is back', async () => {
      const state = await cluster.state();
      return state.agents.filter(({ active }) => active).length === 3;
    });
    expect(memory.running()).toEqual(before);
    expect(lines('launches')).toHaveLength(3);
  });

  it('an agent is gone: its node waits, and is found again when the agent is back', async () => {
    start();
    await allRun();
    const before = memory.running();
    const { host = '' } = memory.state.tasks['node0'] ?? {};
    await cluster.agents[host]?.kill();
    try {
      await eventually(
        'node0 is unreachable',
        () => memory.state.tasks['node0']?.state === 'TASK_UNREACHABLE',
      );
      await eventually('the agent is missed', () =>
        eventsOf('agent').includes(`the Mesos agent on ${host} is disconnected`),
      );
      await eventually('people are told', () =>
        /^node0 waits: .*; the node works, so it is left running$/.test(memory.state.missing ?? ''),
      );
    } finally {
      await cluster.agents[host]?.start();
    }
    await eventually('node0 runs', () => memory.state.tasks['node0']?.state === 'TASK_RUNNING', 60_000);
    expect(memory.running()).toEqual(before);
    expect(lines('launches')).toHaveLength(3);
    await eventually('nothing is missing', () => memory.state.missing === undefined);
    await eventually('the agent is back', () =>
      eventsOf('agent').includes(`the Mesos agent on ${host} is registered again`),
    );
    expect(eventsOf('lost')).toHaveLength(1);
  });

  it('the framework was torn down by another client: the scheduler gives up, with a remedy', async () => {
    const scheduler = start();
    await allRun();
    await teardownFramework(mesosDeps(), memory.state.frameworkId, new AbortController().signal);
    const error = await scheduler.ended;
    expect(error).toBeInstanceOf(PerijoveError);
    expect(error).toMatchObject({ code: 'MESOS_FRAMEWORK_REMOVED', retryable: false });
    // Repeated, because the first response may have been lost.
    await teardownFramework(mesosDeps(), memory.state.frameworkId, new AbortController().signal);
  });

  it('tasks of ours that are in no table are killed before their nodes are launched', async () => {
    const first = start();
    await allRun();
    await first.stop();
    const tasks = Object.entries(memory.state.tasks).filter(([node]) => node !== 'node2');
    memory.state = { ...memory.state, tasks: Object.fromEntries(tasks) };
    start();
    await eventually('node2 runs again', () => memory.running()['node2'] === 'node2.4');
    expect(memory.running()).toMatchObject({ node0: 'node0.1', node1: 'node1.2' });
    await eventually('the old one is dead', () => tasksAlive().every(({ taskId }) => taskId !== 'node2.3'));
  });
});

describe('a master that requires a principal and its secret', () => {
  const wrong: Credential = { principal: 'perijove', secret: 'wrong' };

  it('has the framework under its principal', async () => {
    start();
    await allRun();
    const info = await leadingMaster(directReach, spec, cluster.secrets);
    const answer = await fetch(`http://${info?.address.ip}:${info?.address.port}/frameworks`, {
      headers: authorization(cluster.secrets.credential),
    });
    expect(await answer.json()).toMatchObject({
      frameworks: [{ id: memory.state.frameworkId, principal: 'perijove' }],
    });
  });

  it.each([
    ['a wrong secret', wrong],
    ['another principal', { principal: 'other', secret: 's3cret' }],
  ])('refuses %s, which ends the scheduler with its own code', async (_, credential) => {
    let renewals = 0;
    const renewed = async () => {
      renewals += 1;
      return credential;
    };
    const error = await start({ credential, renewed }).ended;
    expect(error).toMatchObject({ code: 'MESOS_CREDENTIAL_REFUSED', retryable: false });
    expect(String(error)).not.toMatch(/wrong|s3cret/);
    expect(renewals).toBe(1);
    expect(memory.state.launches).toBe(0);
  });

  it('gets the current secret of the hosts when the previous one is refused', async () => {
    start({ credential: wrong, renewed: async () => cluster.secrets.credential });
    await allRun();
    expect(lines('launches')).toHaveLength(3);
  });
});

it('an agent elsewhere, under the name of a host, gets no node', async () => {
  const [h1] = cluster.spec.hosts.filter(({ name }) => name === 'h1');
  if (h1 === undefined) expect.unreachable('h1');
  const elsewhere = {
    ...h1,
    address: '127.24.1.99',
    hostname: h1.address,
    dir: path.join(cluster.dir, 'other'),
  };
  writeSecrets(elsewhere, cluster.secrets);
  // Two hosts are left for three nodes.
  spec = { ...spec, nodes: { ...spec.nodes, allowMajorityOnOneHost: true } };
  memory = new MemoryStore(spec);
  const stranger = await makeProcess(agentItems(spec, elsewhere), elsewhere, cluster.dir);
  const active = async () => (await cluster.state()).agents.filter((agent) => agent.active);
  await cluster.agents['h1']?.kill();
  await stranger.start();
  try {
    await eventually('the stranger is registered, and h1 is not', async () => {
      const addresses = (await active()).map(({ address }) => address);
      return addresses.includes(elsewhere.address) && !addresses.includes(h1.address);
    });
    start();
    await allRun();
    const hosts = Object.values(memory.state.tasks).map(({ host }) => host);
    expect([...new Set(hosts)].toSorted()).toEqual(['h2', 'h3']);
  } finally {
    await stranger.kill();
    await cluster.agents['h1']?.start();
  }
  // The next leader would wait for an agent that this one has not given up.
  await eventually('h1 is back, and the stranger is given up', async () => {
    const { agents } = await cluster.state();
    const isBack = agents.some(({ active, address }) => active && address === h1.address);
    return isBack && agents.every(({ address }) => address !== elsewhere.address);
  });
});

it('a leader outside the spec, named in ZooKeeper, is reported and sent nothing until it is gone', async () => {
  const stranger = new RecordedMaster();
  const { host: ip, port } = await stranger.start();
  const znode = `${spec.mesos.zkPath}/json.info_-1`;
  await withEnsemble(directReach, spec, cluster.secrets, async (zookeeper) => {
    const forged = makeMasterInfo('forged', 'forged', ip, port);
    // Its number must be below all others.
    await zookeeper.create(znode, JSON.stringify(forged), 'ephemeral');
    start();
    await eventually(
      'it is reported',
      () => memory.state.missing?.includes(`${ip}:${port}`) === true,
      30_000,
    );
    expect(memory.state.missing).toBe(`${ip}:${port} is named as a Mesos master, and is none of the spec`);
  });
  // The znode has ended with its session.
  await allRun();
  await eventually('nothing is missing', () => memory.state.missing === undefined);
  // Agents follow whoever is named; they have no credential.
  const calls = stranger.received.filter(({ head }) => /scheduler|authorization/i.test(head));
  expect(calls).toEqual([]);
  await RecordedMaster.stopAll();
});

describe('a node whose agent is gone and that does not work', () => {
  /** The first host of node0. */
  let host: string;

  beforeEach(() => {
    // Two hosts are left for three nodes.
    spec = { ...spec, nodes: { ...spec.nodes, allowMajorityOnOneHost: true } };
    memory = new MemoryStore(spec);
  });

  /** All nodes run, then the agent of node0 is gone, and node0 does not work. */
  async function loseAgent(faults: Faults = {}): Promise<TestScheduler> {
    const scheduler = start(faults);
    await allRun();
    host = memory.state.tasks['node0']?.host ?? '';
    healthy = (node) => node !== 'node0';
    await cluster.agents[host]?.kill();
    return scheduler;
  }

  async function agentIsBack(): Promise<void> {
    await cluster.agents[host]?.start();
    await eventually('the agent is back', async () => {
      const state = await cluster.state();
      return state.agents.filter(({ active }) => active).length === 3;
    });
  }

  afterEach(async () => {
    await cluster.agents[host]?.kill();
    await agentIsBack();
  });

  const movedTo = (taskId: string) =>
    eventually(
      `${taskId} runs elsewhere`,
      () => {
        const task = memory.state.tasks['node0'];
        return task?.state === 'TASK_RUNNING' && task.taskId === taskId && task.host !== host;
      },
      110_000,
    );
  const silent: FenceAnswer = { kind: 'silent', why: 'SSH_TIMEOUT' };
  /** What a host does: it ends every process of the task. */
  const end = (taskId: string): FenceAnswer => {
    for (const each of tasksAlive()) if (each.taskId === taskId) process.kill(each.pid, 'SIGKILL');
    return tasksAlive().some((each) => each.taskId === taskId)
      ? { kind: 'unclear', why: 'not yet' }
      : { kind: 'gone' };
  };

  it('is launched elsewhere when its host has ended it; the return of the agent changes nothing', async () => {
    fence = end;
    await loseAgent();
    await movedTo('node0.4');
    const before = memory.running();
    await agentIsBack();
    await eventually('Mesos has only the new task of node0', async () => {
      const { frameworks } = await cluster.state();
      const tasks = frameworks.find(({ id }) => id === memory.state.frameworkId)?.tasks ?? [];
      const live = tasks.filter(({ state }) => state === 'TASK_RUNNING').map(({ id }) => id);
      return live.length === 3 && live.includes('node0.4');
    });
    expect(memory.running()).toEqual(before);
    expect(lines('launches').toSorted()).toEqual(['node0.1', 'node0.4', 'node1.2', 'node2.3']);
    expect(memory.state.presumed ?? []).toEqual([]);
  });

  it('waits while its host cannot confirm, and the reason is reported', async () => {
    await loseAgent();
    await eventually('people are told', () =>
      /^node0 waits: .* cannot confirm that it has ended \(nobody may be asked\)/.test(
        memory.state.missing ?? '',
      ),
    );
    expect(memory.state.launches).toBe(3);
    await agentIsBack();
    await eventually('node0 runs', () => memory.running()['node0'] === 'node0.1', 110_000);
  });

  it('is launched elsewhere after silence; the old task is killed as soon as it is reported', async () => {
    spec = { ...spec, mesos: { ...spec.mesos, fenceAfterMs: 1_000 } };
    memory = new MemoryStore(spec);
    fence = () => silent;
    // The old task is not dead, as presumed: so both may run for a while.
    command = () => 'exec sleep 1000';
    await loseAgent();
    await movedTo('node0.4');
    expect(memory.state.presumed).toMatchObject([{ taskId: 'node0.1', host }]);
    const before = memory.running();
    expect(tasksAlive().some(({ taskId }) => taskId === 'node0.1')).toBe(true);
    await agentIsBack();
    await eventually('the old one is dead', () => tasksAlive().every(({ taskId }) => taskId !== 'node0.1'));
    expect(memory.running()).toEqual(before);
    expect(tasksAlive().filter(({ taskId }) => taskId === 'node0.4')).not.toEqual([]);
    fence = end;
    await eventually('its host has confirmed it', () => memory.state.presumed?.length === 0);
    expect(memory.running()).toEqual(before);
    expect(memory.state.launches).toBe(4);
  });

  it('is missed even if the leading master died with the agent, and the next one never knew it', async () => {
    fence = end;
    start();
    await allRun();
    healthy = (node) => node !== 'node0';
    host = memory.state.tasks['node0']?.host ?? '';
    const leader = await cluster.leader();
    await Promise.all([cluster.agents[host]?.kill(), cluster.masters[leader]?.kill()]);
    try {
      await movedTo('node0.4');
    } finally {
      await cluster.masters[leader]?.start();
    }
    expect(memory.running()).toEqual({ node0: 'node0.4', node1: 'node1.2', node2: 'node2.3' });
    expect(lines('launches')).toHaveLength(4);
  });

  it('is launched elsewhere when an operator declares its host dead', async () => {
    fence = () => silent;
    command = () => 'exec sleep 1000';
    await loseAgent();
    await eventually('people are told what they can do', () =>
      memory.state.missing?.includes(`perijove fence ${host}`),
    );
    memory.state = withWord(memory.state, host, new Date().toISOString()).state;
    await movedTo('node0.4');
    expect(memory.state.tasks['node0']?.message ?? '').not.toContain('fenced');
    expect(memory.state.launches).toBe(4);
  });

  describe('and the scheduler dies after giving up the task, before it gets the response:', () => {
    beforeEach(() => {
      command = () => 'exec sleep 1000';
      spec = { ...spec, mesos: { ...spec.mesos, fenceAfterMs: 1_000 } };
      memory = new MemoryStore(spec);
      fence = () => silent;
    });

    it('the next one launches the node, once', async () => {
      await (
        await loseAgent({ diesAfter: 'storeFencing' })
      ).ended;
      expect(memory.state.tasks['node0']?.state).toBe('TASK_GONE');
      start();
      await movedTo('node0.4');
      expect(memory.state.launches).toBe(4);
    });

    it('the next one takes the task back, when its agent is back by then', async () => {
      await (
        await loseAgent({ diesAfter: 'storeFencing' })
      ).ended;
      expect(memory.state.presumed).toHaveLength(1);
      await agentIsBack();
      start();
      await eventually('node0 runs', () => memory.running()['node0'] !== undefined);
      expect(memory.running()['node0']).toBe('node0.1');
      expect(memory.state.presumed).toEqual([]);
      expect(memory.state.launches).toBe(3);
    });
  });
});

describe('another scheduler takes over', () => {
  it('the first one stops quietly, and nothing is launched twice', async () => {
    const first = start();
    await allRun();
    start();
    await expect(first.ended).resolves.toMatchObject({ code: 'SCHEDULER_REPLACED' });
    const { pid } = tasksAlive().find(({ taskId }) => taskId === 'node0.1') ?? {};
    if (pid === undefined) throw new Error('node0 does not run');
    process.kill(pid, 'SIGKILL');
    await eventually(
      'the second one does the work',
      () => (memory.running()['node0'] ?? 'node0.1') !== 'node0.1',
    );
    expect(lines('launches')).toHaveLength(4);
  });

  it('repeatedly, at any point: every node is launched once', async () => {
    const starts: StoreCall[] = ['storeFrameworkId', 'storeIntents', 'storeTaskUpdates'];
    for (const diesAfter of starts) await start({ diesAfter }).ended;
    start();
    await allRun();
    const nodes = lines('launches').map((taskId) => parseTaskId(taskId)?.node);
    expect(nodes.toSorted()).toEqual(['node0', 'node1', 'node2']);
  });
});

describe('a response is lost and the scheduler is gone:', () => {
  const frameworks = async () => {
    const { frameworks } = await cluster.state();
    return frameworks.filter(({ labels }) => labels.some(({ value }) => value === spec.name));
  };

  it('the framework ID was stored', async () => {
    await start({ diesAfter: 'storeFrameworkId' }).ended;
    const { frameworkId } = memory.state;
    expect(frameworkId).toBeDefined();
    start();
    await allRun();
    expect(memory.state.frameworkId).toBe(frameworkId);
    expect(await frameworks()).toHaveLength(1);
  });

  it('the framework ID was never stored: it is found in Mesos, with its tasks', async () => {
    const first = start();
    await allRun();
    await first.stop();
    const before = memory.state;
    memory = new MemoryStore(spec);
    start();
    await allRun();
    expect(memory.state.frameworkId).toBe(before.frameworkId);
    expect(memory.running()).toEqual({ node0: 'node0.1', node1: 'node1.2', node2: 'node2.3' });
    expect(memory.state.tasks['node0']).toMatchObject({ config: 'c1', host: before.tasks['node0']?.host });
    expect(memory.state.launches).toBe(3);
    expect(await frameworks()).toHaveLength(1);
  });

  it('intents were stored, the ACCEPT was not sent', async () => {
    await start({ diesAfter: 'storeIntents' }).ended;
    expect(memory.state.launches).toBe(3);
    start();
    await allRun();
    expect(memory.state.launches).toBe(6);
    expect(lines('launches').toSorted()).toEqual(['node0.4', 'node1.5', 'node2.6']);
  });

  it('the ACCEPT was sent, no update was stored', async () => {
    const first = start();
    await eventually('all tasks have started', () => lines('launches').length === 3);
    await first.stop();
    // As if no update had arrived.
    const tasks = Object.values(memory.state.tasks).map((task) => ({ ...task, state: 'INTENDED' as const }));
    memory.state = { ...memory.state, tasks: Object.fromEntries(tasks.map((task) => [task.node, task])) };
    start();
    await allRun();
    expect(memory.running()).toEqual({ node0: 'node0.1', node1: 'node1.2', node2: 'node2.3' });
    expect(lines('launches')).toHaveLength(3);
  });

  it('an update was stored and not acknowledged: it is resent and then acknowledged', async () => {
    await start({ diesAfter: 'storeTaskUpdates' }).ended;
    start();
    await allRun();
    expect(lines('launches')).toHaveLength(3);
    // Mesos sends the next state of a task only after the acknowledgement of the previous one.
    for (const { pid } of tasksAlive()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await eventually('all nodes are running anew', () => {
      const launches = Object.values(memory.running()).map((taskId) => parseTaskId(taskId)?.launch ?? 0);
      return launches.length === 3 && launches.every((launch) => launch > 3);
    });
  });
});
