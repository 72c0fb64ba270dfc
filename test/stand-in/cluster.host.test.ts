import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { candidates } from '../../src/mesos/masters/candidates.js';
import { leadingMaster } from '../../src/mesos/masters/detector.js';
import { directReach } from '../../src/ssh/reach.js';
import { allProcesses } from '../../src/stand-in/agent/process-tree.js';
import { eventually } from '../support/eventually.js';
import { at, MesosProgram, TestScheduler } from '../support/mesos.js';
import { sections, shapeOf } from '../support/mesos-recordings.js';
import { connectZooKeeper } from '../../src/zookeeper/client.js';
import { startEnsemble, type TestEnsemble } from '../support/zookeeper.js';

const masterIps = ['127.23.1.1', '127.23.1.2', '127.23.1.3'];
const agentIp = '127.23.1.1';

let ensemble: TestEnsemble;
let masters: MesosProgram[] = [];
let agents: MesosProgram[] = [];
let zkPath = '/mesos';
let round = 0;
const schedulers: TestScheduler[] = [];

beforeAll(async () => {
  ensemble = await startEnsemble(['127.23.2.1', '127.23.2.2', '127.23.2.3']);
});
afterAll(async () => {
  await ensemble.close();
});

const startMasters = async (more: readonly string[] = []): Promise<void> => {
  // A separate path for each test: leftovers of an earlier one must not interfere.
  zkPath = `/mesos${round++}`;
  masters = masterIps.map(
    (ip) =>
      new MesosProgram('mesos-master', ip, [
        `--zk=zk://${ensemble.connect}${zkPath}`,
        '--quorum=2',
        '--cluster=test',
        '--zk_session_timeout=3secs',
        '--allocation_interval=100ms',
        ...more,
      ]),
  );
  await Promise.all(masters.map((master) => master.start()));
};

const startAgent = async (
  more: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<MesosProgram> => {
  const agent = new MesosProgram(
    'mesos-agent',
    agentIp,
    [
      `--master=zk://${ensemble.connect}${zkPath}`,
      '--containerizers=mesos',
      '--resources=cpus:4;mem:1024',
      '--attributes=perijove_host:h1',
      ...more,
    ],
    environment,
  );
  agents.push(agent);
  await agent.start();
  return agent;
};

/** The leader, once recovered with this number of agents. */
const leader = async (agentCount: number, not?: MesosProgram): Promise<MesosProgram> =>
  await eventually(`a leader with ${agentCount} agents`, async () => {
    const spec = { ...ensemble.spec, mesos: { ...ensemble.spec.mesos, zkPath } };
    const info = await leadingMaster(directReach, spec);
    const master = masters.find(({ ip }) => ip === info?.address.ip);
    if (!master || master === not) return undefined;
    const metrics = await master.json('/metrics/snapshot').catch(() => undefined);
    const leads = at(metrics, 'master/elected') === 1 && at(metrics, 'registrar/log/recovered') === 1;
    return leads && at(metrics, 'master/slaves_connected') === agentCount ? master : undefined;
  });

const subscribe = async (master: MesosProgram, id?: string, info?: object): Promise<TestScheduler> => {
  const scheduler = await new TestScheduler(master, info as Record<string, unknown>).subscribe(id);
  schedulers.push(scheduler);
  return scheduler;
};

const sandboxFile = (
  agent: MesosProgram,
  status: unknown,
  scheduler: TestScheduler,
  name: string,
): string => {
  const value = (...keys: string[]) => String(at(status, ...keys));
  return path.join(
    agent.workDir,
    'slaves',
    value('agent_id', 'value'),
    'frameworks',
    scheduler.frameworkId,
    'executors',
    value('task_id', 'value'),
    'runs',
    value('container_status', 'container_id', 'value'),
    name,
  );
};

const alive = (pid: number): boolean =>
  allProcesses().some((process) => process.pid === pid && !process.zombie);

/** A number that the task prints under a name, once printed. */
const printed = async (file: string, name: string): Promise<number> =>
  await eventually(`${name} in ${file}`, () => {
    const match = new RegExp(`^${name}=([0-9]+)$`, 'm').exec(readFileSync(file, 'utf8'));
    return match ? Number(match[1]) : undefined;
  });

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') {
    for (const { output } of [...masters, ...agents]) process.stderr.write(`${output}\n`);
  }
  for (const scheduler of schedulers.splice(0)) {
    if (!scheduler.ended) await scheduler.call('TEARDOWN').catch(() => undefined);
    scheduler.close();
  }
  for (const agent of agents) {
    // End an agent's leftovers, found by its directory: its executors and what they started.
    await eventually(
      'no executor is left',
      () => (executorsOf(agent).length === 0 ? true : undefined),
      10_000,
    ).catch(() => undefined);
    for (const pid of executorsOf(agent)) process.kill(pid, 'SIGTERM');
    await eventually(
      'no executor is left',
      () => (executorsOf(agent).length === 0 ? true : undefined),
      10_000,
    );
    await agent.kill();
    agent.remove();
  }
  for (const master of masters) {
    await master.kill();
    master.remove();
  }
  agents = [];
  masters = [];
});

const executorsOf = (agent: MesosProgram): number[] =>
  allProcesses().flatMap(({ pid, zombie }) => {
    if (zombie) return [];
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return args.includes('mesos-executor.mjs') && args.includes(agent.workDir) ? [pid] : [];
    } catch {
      return [];
    }
  });

describe('three masters', () => {
  it('agree on one leader, redirect to it, and report that they are stand-ins', async () => {
    await startMasters();
    const first = await leader(0);
    const others = masters.filter((master) => master !== first);
    expect(others).toHaveLength(2);
    for (const other of others) {
      // The old znode is visible to both, but each notices at a different time.
      await eventually('it knows the leader', async () =>
        (await other.get('/redirect')).status === 307 ? true : undefined,
      );
      const replies = await Promise.all([
        other.get('/state'),
        other.get('/master/state?jsonp=cb'),
        other.get('/redirect'),
        other.post('/api/v1/scheduler', '{'),
        other.post('/api/v1', '{"type":'),
      ]);
      expect(replies.map((reply) => [reply.status, reply.headers.get('location')])).toEqual([
        [307, `//${first.ip}:5050/master/state`],
        [307, `//${first.ip}:5050/master/state?jsonp=cb`],
        [307, `//${first.ip}:5050`],
        [307, `//${first.ip}:5050/master/api/v1/scheduler`],
        [307, `//${first.ip}:5050/master/api/v1`],
      ]);
      expect((await other.get('/health')).status).toBe(200);
    }
    expect(await others[0]?.json('/version')).toMatchObject({ version: '1.3.2', stand_in: true });
    expect(await (await first.get('/')).text()).toContain('stand-in for Apache Mesos');
    expect((await first.get('/no-such-path')).status).toBe(404);
  });

  it('write to ZooKeeper what Mesos 1.3.2 does, and the registry', async () => {
    await startMasters();
    await leader(0);
    const zookeeper = await connectZooKeeper(ensemble.connect, {
      sessionTimeoutMs: 4_000,
      connectTimeoutMs: 5_000,
    });
    const text = async (name: string) => (await zookeeper.getData(`${zkPath}/${name}`)).data.toString();
    try {
      const recorded = sections('znodes.txt')[0]?.text ?? '';
      const kinds = (names: readonly string[]) =>
        names.map((name) => name.replace(/\d{10}$/, 'N')).toSorted();
      const wanted = kinds([...(/^\[(.*)\]$/m.exec(recorded)?.[1] ?? '').split(', '), 'stand-in-registry']);
      // The leader is elected before the last of the others has joined.
      const children = await eventually('all have written', async () => {
        const found = await zookeeper.getChildren(zkPath);
        expect(kinds(found)).toEqual(wanted);
        return found;
      });
      for (const name of candidates(children)) {
        const info = /^\{.*\}$/m.exec(recorded)?.[0] ?? '';
        expect(shapeOf(JSON.parse(await text(name)))).toEqual(shapeOf(JSON.parse(info)));
      }
      const replicas = await eventually('all have their replica', async () => {
        const found = await zookeeper.getChildren(`${zkPath}/log_replicas`);
        expect(found.toSorted()).toEqual(recorded.match(/(?<=get -s \/mesos\/log_replicas\/)\d+/g));
        return found;
      });
      const addresses = await Promise.all(replicas.map((name) => text(`log_replicas/${name}`)));
      expect(recorded).toContain('log-replica(1)@127.0.0.1:15050');
      expect(addresses.toSorted()).toEqual(masterIps.map((ip) => `log-replica(1)@${ip}:5050`));
    } finally {
      await zookeeper.close();
    }
  });

  it('one alone leads, but answers 503 until there is a quorum', async () => {
    zkPath = `/mesos${round++}`;
    const [ip = ''] = masterIps;
    const alone = new MesosProgram('mesos-master', ip, [
      `--zk=zk://${ensemble.connect}${zkPath}`,
      '--quorum=2',
      '--registry_fetch_timeout=3secs',
      '--zk_session_timeout=3secs',
    ]);
    masters = [alone];
    await alone.start();
    const reply = await eventually('it is elected', async () => {
      const response = await alone.post('/api/v1', { type: 'GET_HEALTH' });
      const text = await response.text();
      return text === 'No leader elected' ? undefined : { status: response.status, text };
    });
    expect(reply).toEqual({ status: 503, text: 'Master has not finished recovery' });
    expect(await alone.ended()).toEqual({ code: null, signal: 'SIGABRT' });
    expect(alone.output).toContain('Recovery failed: Failed to recover registrar');
  });
});

describe('a killed leader', () => {
  it('is replaced; the agent re-registers and the task keeps its process', async () => {
    await startMasters();
    const agent = await startAgent([], { PERIJOVE_LAB_HOST: '/lab/h1' });
    const first = await leader(1);
    const scheduler = await subscribe(first);
    await scheduler.launch('long', 'echo pid=$$; echo host=$PERIJOVE_LAB_HOST; exec sleep 1000');
    const running = await scheduler.status('long', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pid = await printed(sandboxFile(agent, running, scheduler, 'stdout'), 'pid');
    // As with Mesos, a task does not inherit its agent's environment.
    expect(readFileSync(sandboxFile(agent, running, scheduler, 'stdout'), 'utf8')).toContain('host=\n');
    await eventually('the master has the acknowledgement', async () => {
      const tasks = at(await first.json('/state'), 'frameworks', 0, 'tasks', 0, 'state');
      return tasks === 'TASK_RUNNING' ? true : undefined;
    });

    await first.kill();
    const second = await leader(1, first);
    const again = await subscribe(second, scheduler.frameworkId);
    expect(again.frameworkId).toBe(scheduler.frameworkId);
    await again.call('RECONCILE', { tasks: [] });
    const known = await again.status('long', 'TASK_RUNNING');
    expect(known).toMatchObject({
      reason: 'REASON_RECONCILIATION',
      source: 'SOURCE_MASTER',
      message: 'Reconciliation: Latest task state',
      agent_id: at(running, 'agent_id'),
    });
    expect(at(known, 'uuid')).toBeUndefined();
    expect(alive(pid)).toBe(true);

    await again.call('KILL', { task_id: { value: 'long' } });
    await again.acknowledge(await again.status('long', 'TASK_KILLING'));
    expect(await again.status('long', 'TASK_KILLED')).toMatchObject({
      message: 'Command terminated with signal Terminated',
      source: 'SOURCE_EXECUTOR',
    });
    expect(alive(pid)).toBe(false);
  });

  it('leaves a successor that does not report tasks whose agents have not re-registered', async () => {
    await startMasters();
    const agent = await startAgent();
    const first = await leader(1);
    const scheduler = await subscribe(first);
    const agentId = await scheduler.launch('quiet', 'exec sleep 1000');
    await scheduler.acknowledge(await scheduler.status('quiet', 'TASK_RUNNING'));
    agent.signal('SIGSTOP');
    await first.kill();
    const second = await leader(0, first);
    expect(at(await second.json('/state'), 'recovered_slaves', 0, 'id')).toBe(agentId);
    const again = await subscribe(second, scheduler.frameworkId);
    await again.call('RECONCILE', {
      tasks: [{ task_id: { value: 'quiet' }, agent_id: { value: agentId } }, { task_id: { value: 'quiet' } }],
    });
    await again.call('RECONCILE', {
      tasks: [{ task_id: { value: 'other' }, agent_id: { value: 'nobody' } }],
    });
    // Replies are ordered: one for `quiet` would have arrived by now.
    expect(await again.status('other', 'TASK_UNKNOWN')).toMatchObject({ reason: 'REASON_RECONCILIATION' });
    expect(again.events.filter(({ type }) => type === 'UPDATE')).toHaveLength(1);
    agent.signal('SIGCONT');
    await leader(1);
    await again.call('RECONCILE', { tasks: [{ task_id: { value: 'quiet' } }] });
    await again.status('quiet', 'TASK_RUNNING');
  });
});

describe('a stopped leader', () => {
  it('loses its session, is replaced, and exits with Mesos’ message once resumed', async () => {
    await startMasters();
    const first = await leader(0);
    first.signal('SIGSTOP');
    const second = await leader(0, first);
    first.signal('SIGCONT');
    expect(await first.ended()).toEqual({ code: 1, signal: null });
    expect(first.output).toContain('Lost leadership... committing suicide!');
    await first.start();
    const reply = await eventually('it follows', async () => {
      const response = await first.get('/state');
      return response.status === 307 ? response : undefined;
    });
    expect(reply.headers.get('location')).toBe(`//${second.ip}:5050/master/state`);
  });
});

describe('masters that are stopped', () => {
  it('end on SIGTERM as Mesos does: without closing their sessions, so their znodes outlive them', async () => {
    await startMasters(['--zk_session_timeout=10secs']);
    await leader(0);
    const zookeeper = await connectZooKeeper(ensemble.connect, {
      sessionTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
    });
    try {
      const registered = async () => candidates(await zookeeper.getChildren(zkPath));
      const before = await eventually('all are registered', async () => {
        const names = await registered();
        return names.length === masters.length ? names : undefined;
      });
      for (const master of masters) master.signal('SIGTERM');
      for (const master of masters) expect(await master.ended()).toEqual({ code: null, signal: 'SIGTERM' });
      expect(await registered()).toEqual(before);
      await eventually('their sessions end', async () => (await registered()).length === 0, 60_000);
    } finally {
      await zookeeper.close();
    }
  });
});

describe('an outage of ZooKeeper', () => {
  it('ends the leader; the others answer 503 and elect once it returns', async () => {
    await startMasters();
    const first = await leader(0);
    await Promise.all(ensemble.servers.map((server) => server.pause()));
    try {
      expect(await first.ended()).toEqual({ code: 1, signal: null });
      const other = masters.find((master) => master !== first);
      const reply = await eventually('no leader is known', async () => {
        const response = await other?.get('/master/state');
        return response?.status === 503 ? await response.text() : undefined;
      });
      expect(reply).toBe('No leader elected');
    } finally {
      for (const server of ensemble.servers) server.resume();
    }
    await leader(0, first);
  });
});
