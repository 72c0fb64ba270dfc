import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { allProcesses } from '../../src/stand-in/agent/process-tree.js';
import { eventually } from '../support/eventually.js';
import { at, MesosProgram, TestScheduler } from '../support/mesos.js';
import { formatOf } from '../support/mesos-formats.js';

/** Without ZooKeeper: a standalone master and an agent with its address. */
const ip = '127.23.3.1';
let master: MesosProgram;
let agent: MesosProgram;
let scheduler: TestScheduler;

const start = async (masterFlags: readonly string[] = []): Promise<void> => {
  master = new MesosProgram('mesos-master', ip, ['--allocation_interval=100ms', ...masterFlags]);
  agent = new MesosProgram('mesos-agent', ip, [
    `--master=${ip}:5050`,
    '--resources=cpus:4;mem:1024;ports:[31000-31100]',
    '--attributes=rack:r1',
  ]);
  await master.start();
  await agent.start();
  scheduler = await new TestScheduler(master).subscribe();
};

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') {
    for (const { output } of [master, agent]) process.stderr.write(`${output}\n`);
  }
  if (!scheduler.ended) await scheduler.call('TEARDOWN').catch(() => undefined);
  scheduler.close();
  await eventually('all executors are gone', () => (executors().length === 0 ? true : undefined)).catch(
    () => {
      for (const { pid } of executors()) process.kill(pid, 'SIGTERM');
    },
  );
  await eventually('all executors are gone', () => (executors().length === 0 ? true : undefined));
  await agent.kill();
  await master.kill();
  agent.remove();
  master.remove();
});

const executors = () =>
  allProcesses().filter(({ pid, zombie }) => {
    try {
      return !zombie && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${agent.workDir}/meta`);
    } catch {
      return false;
    }
  });

const alive = (pid: number): boolean =>
  allProcesses().some((process) => process.pid === pid && !process.zombie);

const sandbox = (status: unknown): string => {
  const value = (...keys: string[]) => String(at(status, ...keys));
  const [agentId, taskId, containerId] = [
    value('agent_id', 'value'),
    value('task_id', 'value'),
    value('container_status', 'container_id', 'value'),
  ];
  const { frameworkId } = scheduler;
  return `${agent.workDir}/slaves/${agentId}/frameworks/${frameworkId}/executors/${taskId}/runs/${containerId}`;
};

const printed = async (status: unknown, name: string): Promise<number> =>
  await eventually(`${name} is printed`, () => {
    const match = new RegExp(`^${name}=([0-9]+)$`, 'm').exec(
      readFileSync(path.join(sandbox(status), 'stdout'), 'utf8'),
    );
    return match ? Number(match[1]) : undefined;
  });

/** A task of three generations: a child, one in its own session, and an orphan. */
const family = [
  'echo main=$$',
  'sleep 1000 & echo child=$!',
  'setsid sh -c "echo session=\\$\\$; trap : TERM; while :; do sleep 1; done" &',
  '(setsid sh -c "echo orphan=\\$\\$; exec sleep 1000" &)',
  'wait',
].join('\n');

const familyOf = async (status: unknown): Promise<number[]> =>
  await Promise.all(['main', 'child', 'session', 'orphan'].map((name) => printed(status, name)));

describe('a task', () => {
  beforeEach(async () => await start());

  it('starts running, has its identity in its environment, and reports how it ended', async () => {
    await scheduler.launch('ok', 'env; pwd; exit 0', {
      command: {
        shell: true,
        value: 'env; echo in=$PWD',
        environment: { variables: [{ name: 'FOO', value: 'bar baz' }] },
      },
    });
    const running = await scheduler.status('ok', 'TASK_RUNNING');
    expect(running).toMatchObject({ source: 'SOURCE_EXECUTOR', executor_id: { value: 'ok' } });
    expect(formatOf(at(running, 'uuid'))).toBe('UUID of version 4 in base64');
    expect(formatOf(at(running, 'container_status', 'container_id', 'value'))).toBe('UUID of version 4');
    expect(formatOf(at(running, 'agent_id', 'value'))).toBe('UUID of version 4-S0');
    expect(formatOf(scheduler.frameworkId)).toBe('UUID of version 4-0000');
    await scheduler.acknowledge(running);
    const finished = await scheduler.status('ok', 'TASK_FINISHED');
    expect(at(finished, 'message')).toBe('Command exited with status 0');
    const output = readFileSync(path.join(sandbox(running), 'stdout'), 'utf8');
    for (const line of [
      'FOO=bar baz',
      'MESOS_TASK_ID=ok',
      `MESOS_FRAMEWORK_ID=${scheduler.frameworkId}`,
      `MESOS_AGENT_ID=${String(at(running, 'agent_id', 'value'))}`,
      `MESOS_CONTAINER_ID=${String(at(running, 'container_status', 'container_id', 'value'))}`,
      `MESOS_SANDBOX=${sandbox(running)}`,
      `in=${sandbox(running)}`,
    ]) {
      expect(output.split('\n')).toContain(line);
    }
    await scheduler.acknowledge(finished);
    await eventually('the agent has forgotten it', async () => {
      const state = await agent.json('/state');
      return at(state, 'frameworks', 0) === undefined ? true : undefined;
    });
    const state = await master.json('/state');
    expect(at(state, 'frameworks', 0, 'completed_tasks', 0, 'state')).toBe('TASK_FINISHED');
    expect(at(state, 'slaves', 0, 'used_resources', 'cpus')).toBe(0);
  });

  it('fails with the exit status of its command, or with the signal that ended it', async () => {
    await scheduler.launch('three', 'exit 3');
    await scheduler.acknowledge(await scheduler.status('three', 'TASK_RUNNING'));
    expect(await scheduler.status('three', 'TASK_FAILED')).toMatchObject({
      message: 'Command exited with status 3',
    });
    await scheduler.launch('gone', 'kill -9 $$');
    await scheduler.acknowledge(await scheduler.status('gone', 'TASK_RUNNING'));
    expect(await scheduler.status('gone', 'TASK_FAILED')).toMatchObject({
      message: 'Command terminated with signal Killed',
    });
  });

  it('is rejected when it exceeds the offer, or the offer is outdated', async () => {
    const { id, agentId } = await scheduler.offer();
    const task = (name: string, more: object) => ({
      name,
      task_id: { value: name },
      agent_id: { value: agentId },
      resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 } }],
      command: { value: 'true' },
      ...more,
    });
    const accept = async (tasks: object[]) =>
      await scheduler.call('ACCEPT', {
        offer_ids: [{ value: id }],
        operations: [{ type: 'LAUNCH', launch: { task_infos: tasks } }],
      });
    await accept([task('big', { resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 64 } }] })]);
    expect(await scheduler.status('big', 'TASK_ERROR')).toMatchObject({
      reason: 'REASON_TASK_INVALID',
      source: 'SOURCE_MASTER',
      message: expect.stringMatching(
        /^Total resources cpus\(\*\)\(allocated: \*\):64 required by task and its executor is more than available cpus/,
      ) as string,
    });
    await accept([task('late', {})]);
    expect(await scheduler.status('late', 'TASK_DROPPED')).toMatchObject({
      reason: 'REASON_INVALID_OFFERS',
      message: `Task launched with invalid offers: Offer ${id} is no longer valid`,
    });
  });

  it('in Docker fails on an agent without the Docker containerizer', async () => {
    await scheduler.launch('docker', 'true', { container: { type: 'DOCKER', docker: { image: 'x' } } });
    expect(await scheduler.status('docker', 'TASK_FAILED')).toMatchObject({
      source: 'SOURCE_AGENT',
      reason: 'REASON_CONTAINER_LAUNCH_FAILED',
      message: expect.stringContaining('None of the enabled containerizers (mesos)') as string,
    });
  });

  it('that is killed takes all its processes with it, including detached ones', async () => {
    await scheduler.launch('family', family, { kill_policy: { grace_period: { nanoseconds: 300_000_000 } } });
    const running = await scheduler.status('family', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pids = await familyOf(running);
    expect(pids.filter(alive)).toHaveLength(4);
    await scheduler.call('KILL', { task_id: { value: 'family' }, agent_id: at(running, 'agent_id') });
    await scheduler.acknowledge(await scheduler.status('family', 'TASK_KILLING'));
    await scheduler.status('family', 'TASK_KILLED');
    expect(pids.filter(alive)).toEqual([]);
  });

  it('that ends leaves none of its processes behind', async () => {
    await scheduler.launch('leaver', family.replace('\nwait', '\nsleep 0.5; exit 0'));
    const running = await scheduler.status('leaver', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pids = await familyOf(running);
    await scheduler.status('leaver', 'TASK_FINISHED');
    expect(pids.filter(alive)).toEqual([]);
  });

  it('whose executor is killed fails, and is cleaned up', async () => {
    await scheduler.launch('headless', family);
    const running = await scheduler.status('headless', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pids = await familyOf(running);
    process.kill(Number(at(running, 'container_status', 'executor_pid')), 'SIGKILL');
    expect(await scheduler.status('headless', 'TASK_FAILED')).toMatchObject({
      source: 'SOURCE_AGENT',
      reason: 'REASON_EXECUTOR_TERMINATED',
    });
    expect(pids.filter(alive)).toEqual([]);
  });
});

describe('an update', () => {
  beforeEach(async () => await start());

  it('is resent until acknowledged, and the next one waits for that', async () => {
    await scheduler.launch('short', 'true');
    const first = await scheduler.status('short', 'TASK_RUNNING');
    const seen = scheduler.events.length;
    const second = await scheduler.status('short', 'TASK_RUNNING', { from: seen, timeoutMs: 15_000 });
    expect(at(second, 'uuid')).toBe(at(first, 'uuid'));
    expect(scheduler.events.some((event) => at(event, 'update', 'status', 'state') === 'TASK_FINISHED')).toBe(
      false,
    );
    await scheduler.acknowledge(first);
    await scheduler.status('short', 'TASK_FINISHED');
  });

  it('is resent when the framework resubscribes', async () => {
    await scheduler.launch('patient', 'exec sleep 1000');
    const first = await scheduler.status('patient', 'TASK_RUNNING');
    const old = scheduler;
    scheduler = await new TestScheduler(master).subscribe(old.frameworkId);
    const second = await scheduler.status('patient', 'TASK_RUNNING', { timeoutMs: 5_000 });
    expect(at(second, 'uuid')).toBe(at(first, 'uuid'));
    await eventually('the old stream ends', () => (old.ended ? true : undefined));
    expect(old.events.at(-1)).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
    const reply = await old.call('REVIVE');
    expect([reply.status, await reply.text()]).toEqual([
      400,
      `The stream ID '${old.streamId}' included in this request didn't match the stream ID currently associated with framework ID ${old.frameworkId}`,
    ]);
  });
});

/** Kills the agent while it has an open offer, and resolves when the framework is notified. */
async function killOffered(): Promise<void> {
  const { id } = await scheduler.offer();
  await agent.kill();
  await scheduler.event('RESCIND', (event) => at(event, 'rescind', 'offer_id', 'value') === id);
}

describe('an agent', () => {
  beforeEach(async () => await start());

  it('recovers its ID, its tasks and their processes after a kill', async () => {
    const agentId = await scheduler.launch('stays', 'echo main=$$; exec sleep 1000');
    const running = await scheduler.status('stays', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pid = await printed(running, 'main');
    await killOffered();
    expect(alive(pid)).toBe(true);
    await agent.start();
    await eventually('it is back', async () => {
      const state = await master.json('/state');
      return at(state, 'slaves', 0, 'active') === true ? true : undefined;
    });
    expect(at(await master.json('/state'), 'slaves', 0, 'id')).toBe(agentId);
    expect(at(await agent.json('/state'), 'frameworks', 0, 'executors', 0, 'tasks', 0, 'state')).toBe(
      'TASK_RUNNING',
    );
    expect(alive(pid)).toBe(true);
    await scheduler.call('KILL', { task_id: { value: 'stays' } });
    await scheduler.acknowledge(await scheduler.status('stays', 'TASK_KILLING'));
    await scheduler.status('stays', 'TASK_KILLED');
    expect(alive(pid)).toBe(false);
  });

  it('receives a kill that was ordered while it was down', async () => {
    await scheduler.launch('doomed', 'echo main=$$; exec sleep 1000');
    const running = await scheduler.status('doomed', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pid = await printed(running, 'main');
    await killOffered();
    expect((await scheduler.call('KILL', { task_id: { value: 'doomed' } })).status).toBe(202);
    await agent.start();
    await scheduler.acknowledge(await scheduler.status('doomed', 'TASK_KILLING'));
    await scheduler.status('doomed', 'TASK_KILLED');
    expect(alive(pid)).toBe(false);
  });

  it('that never received a launch reports the task as dropped', async () => {
    await scheduler.offer();
    await eventually('it has its ID', () => agent.output.includes('Registered with master') || undefined);
    agent.signal('SIGSTOP');
    await scheduler.launch('never', 'exec sleep 1000');
    await agent.kill();
    await agent.start();
    expect(await scheduler.status('never', 'TASK_DROPPED')).toMatchObject({
      source: 'SOURCE_MASTER',
      message: 'Reconciliation: Task is unknown to the agent',
    });
    expect(executors()).toEqual([]);
  });

  it('killed during a kill continues it', async () => {
    await scheduler.launch('stubborn', 'trap "" TERM; echo main=$$; while :; do sleep 0.1; done', {
      kill_policy: { grace_period: { nanoseconds: 2_000_000_000 } },
    });
    const running = await scheduler.status('stubborn', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pid = await printed(running, 'main');
    await scheduler.call('KILL', { task_id: { value: 'stubborn' } });
    await scheduler.status('stubborn', 'TASK_KILLING');
    await agent.kill();
    await agent.start();
    await scheduler.acknowledge(
      await scheduler.status('stubborn', 'TASK_KILLING', { from: scheduler.events.length }),
    );
    expect(await scheduler.status('stubborn', 'TASK_KILLED')).toMatchObject({
      message: 'Command terminated with signal Killed',
    });
    expect(alive(pid)).toBe(false);
  });

  it('reports task states reached while it was down', async () => {
    await scheduler.launch('meanwhile', 'while [ ! -e go ]; do sleep 0.05; done; exit 7');
    const running = await scheduler.status('meanwhile', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    await agent.kill();
    execFileSync('touch', [path.join(sandbox(running), 'go')]);
    await eventually('the executor is gone', () => (executors().length === 0 ? true : undefined));
    await agent.start();
    expect(await scheduler.status('meanwhile', 'TASK_FAILED')).toMatchObject({
      source: 'SOURCE_EXECUTOR',
      message: 'Command exited with status 7',
    });
  });

  it('reports its tasks as failed, under its old ID, when its machine lost all processes', async () => {
    const agentId = await scheduler.launch('crashed', family);
    const running = await scheduler.status('crashed', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    const pids = await familyOf(running);
    await agent.kill();
    for (const { pid } of executors()) process.kill(pid, 'SIGKILL');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await agent.start();
    expect(await scheduler.status('crashed', 'TASK_FAILED')).toMatchObject({
      agent_id: { value: agentId },
      reason: 'REASON_EXECUTOR_TERMINATED',
    });
  });

  it('that lost its directory gets a new ID, and the old agent’s tasks are gone', async () => {
    const agentId = await scheduler.launch('orphaned', 'exec sleep 1000');
    const running = await scheduler.status('orphaned', 'TASK_RUNNING');
    await scheduler.acknowledge(running);
    await agent.kill();
    for (const { pid } of executors()) process.kill(pid, 'SIGTERM');
    await eventually('its executors are gone', () => (executors().length === 0 ? true : undefined));
    execFileSync('rm', ['-rf', agent.workDir]);
    await agent.start();
    expect(await scheduler.status('orphaned', 'TASK_GONE')).toMatchObject({ agent_id: { value: agentId } });
    await eventually('a new agent is there', async () => {
      const id = at(await master.json('/state'), 'slaves', 0, 'id');
      return typeof id === 'string' && id !== agentId ? true : undefined;
    });
  });

  it('ends leftovers of a framework that was torn down', async () => {
    await scheduler.launch('torn', family);
    const running = await scheduler.status('torn', 'TASK_RUNNING');
    const pids = await familyOf(running);
    await scheduler.call('TEARDOWN');
    await eventually('the stream ends', () => (scheduler.ended ? true : undefined));
    await eventually('no process is left', () => (pids.some(alive) ? undefined : true));
    await eventually('no trace is left', () => {
      const frameworks = path.join(
        agent.workDir,
        'meta/slaves',
        String(at(running, 'agent_id', 'value')),
        'frameworks',
      );
      return readdirSync(frameworks).length === 0 ? true : undefined;
    });
    const again = await new TestScheduler(master).subscribe(scheduler.frameworkId);
    expect(again.events).toEqual([{ type: 'ERROR', error: { message: 'Framework has been removed' } }]);
  });
});

describe('an unresponsive agent', () => {
  beforeEach(async () => await start(['--agent_ping_timeout=1secs', '--max_agent_ping_timeouts=5']));

  it('becomes unreachable with its tasks; both return when it does', async () => {
    const agentId = await scheduler.launch('away', 'exec sleep 1000');
    await scheduler.acknowledge(await scheduler.status('away', 'TASK_RUNNING'));
    agent.signal('SIGSTOP');
    expect(await scheduler.status('away', 'TASK_UNREACHABLE')).toMatchObject({
      source: 'SOURCE_MASTER',
      reason: 'REASON_AGENT_REMOVED',
    });
    await scheduler.event('FAILURE', (event) => at(event, 'failure', 'agent_id', 'value') === agentId);
    await scheduler.call('RECONCILE', {
      tasks: [{ task_id: { value: 'away' }, agent_id: { value: agentId } }],
    });
    await eventually('it is reconciled as unreachable', () =>
      scheduler.events.find(
        (event) =>
          at(event, 'update', 'status', 'state') === 'TASK_UNREACHABLE' &&
          at(event, 'update', 'status', 'reason') === 'REASON_RECONCILIATION',
      ),
    );
    const from = scheduler.events.length;
    agent.signal('SIGCONT');
    expect(await scheduler.status('away', 'TASK_RUNNING', { from })).toMatchObject({
      reason: 'REASON_AGENT_REREGISTERED',
      agent_id: { value: agentId },
    });
  });
});
