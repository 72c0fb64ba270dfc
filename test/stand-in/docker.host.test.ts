import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { allProcesses, isAlive, readProcess } from '../../src/stand-in/agent/process-tree.js';
import { docker, dockerRemove, hasDocker, makeTinyImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { at, MesosProgram, TestScheduler } from '../support/mesos.js';

/** The built agent and a real Docker. */
const ip = '127.23.5.1';
const image = `perijove-test-${process.pid}`;
/** From a documentation network, so no machine has a route to it. */
const address = '198.51.100.10';
const dir = mkdtempSync(path.join(tmpdir(), 'perijove-test-docker-'));
/** While this file exists, Docker inspects containers slowly. */
const slowFile = path.join(dir, 'slow');
const dockerProgram = path.join(dir, 'docker');
const agentFlags = [
  `--docker=${dockerProgram}`,
  `--master=${ip}:5050`,
  '--resources=cpus:4;mem:1024',
  '--containerizers=docker,mesos',
  '--image_providers=docker',
  '--isolation=docker/runtime',
];
let master: MesosProgram;
let agent: MesosProgram;
let scheduler: TestScheduler;
let agentId: string;

const container = {
  type: 'DOCKER',
  docker: { image, network: 'USER', parameters: [{ key: 'ip', value: address }] },
  network_infos: [{ name: image }],
  hostname: 'node3',
};

/** Exits on SIGTERM, which a shell with PID 1 must handle explicitly. */
const patient = 'trap "echo told; exit 7" TERM; echo up; while :; do sleep 0.1; done';

describe.runIf(hasDocker)('a task in Docker', () => {
  beforeAll(() => {
    const slowly = `case "$*" in *" inspect "*) [ ! -e ${slowFile} ] || sleep 2;; esac`;
    writeFileSync(dockerProgram, `#!/bin/sh\n${slowly}\nexec docker "$@"\n`, { mode: 0o755 });
    makeTinyImage(image, ['sh', 'sleep', 'env', 'cat']);
    docker('network', 'create', '--subnet=198.51.100.0/28', image);
  });

  afterAll(() => {
    dockerRemove('network', image);
    dockerRemove('image', image);
    rmSync(dir, { recursive: true });
  });

  beforeEach(async () => {
    master = new MesosProgram('mesos-master', ip, ['--allocation_interval=100ms']);
    agent = new MesosProgram('mesos-agent', ip, agentFlags);
    await master.start();
    await agent.start();
    scheduler = await new TestScheduler(master).subscribe();
    agentId = (await scheduler.offer()).agentId;
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      for (const { output } of [master, agent]) process.stderr.write(`${output}\n`);
    }
    rmSync(slowFile, { force: true });
    await scheduler.call('TEARDOWN').catch(() => undefined);
    scheduler.close();
    await eventually('no container is left', () => containers().length === 0).catch((error: unknown) => {
      dockerRemove('container', ...containers());
      throw error;
    });
    await agent.kill();
    await master.kill();
    agent.remove();
    master.remove();
  });

  const containers = () =>
    docker('ps', '--all', '--format={{.Names}}', `--filter=ancestor=${image}`).split('\n').filter(Boolean);

  const launch = async (taskId: string, command: string, more: object = {}) => {
    await scheduler.launch(taskId, command, {
      container,
      kill_policy: { grace_period: { nanoseconds: 5_000_000_000 } },
      ...more,
    });
  };

  const running = async (taskId: string) => {
    const status = await scheduler.status(taskId, 'TASK_RUNNING');
    await scheduler.acknowledge(status);
    return status;
  };

  const nameOf = (status: unknown) =>
    `mesos-${agentId}.${String(at(status, 'container_status', 'container_id', 'value'))}`;

  const sandboxFile = (taskId: string, status: unknown, name: string) =>
    readFileSync(
      `${agent.workDir}/slaves/${agentId}/frameworks/${scheduler.frameworkId}/executors/${taskId}/runs/${String(at(status, 'container_status', 'container_id', 'value'))}/${name}`,
      'utf8',
    );

  /** A signal before the command has set its trap is lost: a container's first process ignores it. */
  const listening = (taskId: string, status: unknown) =>
    eventually('it is up', () => {
      const text = sandboxFile(taskId, status, 'stdout');
      return text.includes('up\n') ? text : undefined;
    });

  const inspect = (name: string, format: string) => docker('inspect', `--format=${format}`, name);

  it('runs as with Mesos, at its address, and is killed with a grace period', async () => {
    // Its output reaches the sandbox through Docker.
    const printed =
      'until text=$(cat "$MESOS_SANDBOX/stdout"); [ "${text%end}" != "$text" ]; do sleep 0.1; done; echo "$text" >&2';
    await launch('one', `env; echo end; ${printed}; ${patient}`);
    const status = await running('one');
    expect(containers()).toEqual([nameOf(status)]);
    expect(at(status, 'container_status', 'network_infos', 0, 'ip_addresses', 0, 'ip_address')).toBe(address);
    expect(
      inspect(nameOf(status), '{{.HostConfig.CpuShares}} {{.HostConfig.Memory}} {{.Config.Hostname}}'),
    ).toBe('512 33554432 node3');
    const output = await listening('one', status);
    expect(output).toContain(`MESOS_CONTAINER_NAME=${nameOf(status)}\n`);
    // Present for host commands, but not in a container.
    expect(output).not.toContain('MESOS_AGENT_ENDPOINT');
    await eventually('the sandbox is seen in the container', () =>
      sandboxFile('one', status, 'stderr').includes('MESOS_SANDBOX=/mnt/mesos/sandbox\n') ? true : undefined,
    );
    await scheduler.call('KILL', { task_id: { value: 'one' }, agent_id: { value: agentId } });
    await scheduler.acknowledge(await scheduler.status('one', 'TASK_KILLING'));
    expect(at(await scheduler.status('one', 'TASK_KILLED'), 'message')).toBe(
      'Container exited with status 7',
    );
    expect(containers()).toEqual([]);
    expect(sandboxFile('one', status, 'stdout')).toContain('told\n');
  });

  it('continues when only its `docker run` is ended, and ends with its own status', async () => {
    await launch('lasting', patient);
    const status = await running('lasting');
    const name = nameOf(status);
    await listening('lasting', status);
    const client = allProcesses().find(({ pid }) => {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.includes('run') && words.includes(name);
    });
    if (client === undefined) throw new Error('no client');
    process.kill(client.pid, 'SIGKILL');
    await eventually('its client is gone', () => (isAlive(client) ? undefined : true));
    writeFileSync(slowFile, '');
    await scheduler.call('KILL', { task_id: { value: 'lasting' }, agent_id: { value: agentId } });
    await scheduler.acknowledge(await scheduler.status('lasting', 'TASK_KILLING'));
    expect(at(await scheduler.status('lasting', 'TASK_KILLED'), 'message')).toBe(
      'Container exited with status 7',
    );
    expect(containers()).toEqual([]);
  });

  it('ends with its command, and its address is free when that is reported', async () => {
    await launch('three', 'exit 3');
    await running('three');
    expect(at(await scheduler.status('three', 'TASK_FAILED'), 'message')).toBe(
      'Container exited with status 3',
    );
    await launch('zero', 'exit 0');
    await running('zero');
    expect(at(await scheduler.status('zero', 'TASK_FINISHED'), 'message')).toBe(
      'Container exited with status 0',
    );
  });

  it('that cannot be started fails with Docker’s message', async () => {
    await launch('taken', 'true', {
      container: { ...container, network_infos: [{ name: `${image}-none` }] },
    });
    expect(at(await scheduler.status('taken', 'TASK_FAILED'), 'message')).toMatch(
      /^Container exited with status 125: docker: .*not found/,
    );
    await launch('odd', 'true', { container: { ...container, network_infos: [] } });
    expect(await scheduler.status('odd', 'TASK_FAILED')).toMatchObject({
      reason: 'REASON_CONTAINER_LAUNCH_FAILED',
      message: 'No network info found in container info',
    });
  });

  it('outlives its agent, and a returning agent removes orphans', async () => {
    await launch('stays', patient);
    const status = await running('stays');
    await agent.kill();
    const orphan = `mesos-${agentId}.nobody`;
    const others = `mesos-other-S0.${process.pid}`;
    for (const name of [orphan, others]) docker('run', '-d', '--name', name, image, 'sleep', '1000');
    await agent.start();
    await eventually('the orphan is gone', () => !containers().includes(orphan));
    expect(containers().toSorted()).toEqual([nameOf(status), others].toSorted());
    dockerRemove('container', others);
    await scheduler.call('KILL', { task_id: { value: 'stays' }, agent_id: { value: agentId } });
    await scheduler.acknowledge(await scheduler.status('stays', 'TASK_KILLING'));
    await scheduler.status('stays', 'TASK_KILLED');
  });

  it('whose executor is killed fails once its container is gone', async () => {
    await launch('headless', patient);
    const status = await running('headless');
    const pid = Number(inspect(nameOf(status), '{{.State.Pid}}'));
    process.kill(Number(at(status, 'container_status', 'executor_pid')), 'SIGKILL');
    expect(at(await scheduler.status('headless', 'TASK_FAILED'), 'reason')).toBe(
      'REASON_EXECUTOR_TERMINATED',
    );
    expect(containers()).toEqual([]);
    expect(readProcess(pid)).toBeUndefined();
  });

  it('fails without a running Docker', async () => {
    await agent.kill();
    agent.remove();
    agent = new MesosProgram('mesos-agent', ip, [...agentFlags, '--docker_socket=/nonexistent/docker.sock']);
    await agent.start();
    await scheduler.event(
      'another agent',
      (event) => at(event, 'offers', 'offers', 0, 'agent_id', 'value') !== agentId && event.type === 'OFFERS',
    );
    await launch('none', 'true');
    expect(at(await scheduler.status('none', 'TASK_FAILED'), 'message')).toContain(
      'Cannot connect to the Docker daemon',
    );
  });
});
