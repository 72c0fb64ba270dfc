import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentMeta } from '../../src/stand-in/agent/meta.js';
import { handleAgentRequest } from '../../src/stand-in/agent/http.js';
import { agentAuthentication } from '../../src/stand-in/authentication.js';
import { containerFiles, writeAtomically } from '../../src/stand-in/agent/container.js';
import { makeMasterInfo } from '../../src/stand-in/election.js';
import { agentFlags, parseFlags } from '../../src/stand-in/flags.js';
import { listen } from '../../src/stand-in/http.js';
import { frameworkInfoKind, taskInfoKind, type TaskStatus } from '../../src/stand-in/messages.js';
import { readProcess } from '../../src/stand-in/agent/process-tree.js';
import { readMessage } from '../../src/stand-in/proto.js';
import { noResources, parseResources } from '../../src/stand-in/resources.js';
import { TaskRun } from '../../src/stand-in/agent/task-run.js';
import { updateUuid } from '../../src/stand-in/update-uuid.js';
import { at } from '../support/mesos.js';
import { exchanges, shapeOf } from '../support/mesos-recordings.js';
import { recordedStream } from '../support/stand-in-replay.js';
import { SilentLog, type Answer } from '../support/stand-in.js';
import { expectSame } from './expect-same.js';

/** The stand-in's agent with the recording's two tasks: one running, one failed. */
const ip = '127.23.0.4';
const agentId = 'b0adfe1d-25db-405f-87b8-ae8a5847391d-S0';
const frameworkId = 'b0adfe1d-25db-405f-87b8-ae8a5847391d-0008';
const dir = mkdtempSync(path.join(tmpdir(), 'perijove-agent-recordings-'));
const tasks: TaskRun[] = [];
let server: Server;
let port = 0;

beforeAll(async () => {
  const log = new SilentLog();
  const meta = new AgentMeta(dir);
  const settings = {
    hostname: '127.0.0.1',
    ip: '127.0.0.1',
    port: 15_051,
    resources: parseResources('cpus:2;mem:1024;disk:2048;ports:[31000-31100]') ?? noResources,
    attributes: [
      { name: 'rack', type: 'TEXT', text: { value: 'r1' } },
      { name: 'zone', type: 'TEXT', text: { value: 'z1' } },
    ],
    executor: '/opt/perijove/bin/mesos-executor.mjs',
    executorEnvironment: {},
    shutdownGraceMs: 5_000,
    registrationBackoffMs: 1_000,
    containerizers: ['mesos'],
    docker: {
      program: 'docker',
      socket: '/var/run/docker.sock',
      mappedDirectory: '/mnt/mesos/sandbox',
      killOrphans: true,
    },
  } as const;
  const framework = readMessage(frameworkInfoKind, {
    user: 'root',
    name: 'mesos-execute instance',
    id: { value: frameworkId },
    capabilities: [{ type: 'TASK_KILLING_STATE' }, { type: 'PARTITION_AWARE' }],
  });
  for (const [name, states] of [
    ['running-task', ['TASK_RUNNING']],
    ['task-fail', ['TASK_RUNNING', 'TASK_FAILED']],
  ] as const) {
    tasks.push(await taskOf(meta, log, name, states));
  }
  const agent = {
    id: agentId,
    registered: true,
    master: makeMasterInfo('m', 'localhost', '127.0.0.1', 15_070),
    settings,
    tasks: new Map(tasks.map((task) => [task.taskId, task])),
    frameworks: new Map([[frameworkId, framework]]),
  };
  const flags = parseFlags(agentFlags, [...recordedFlags()], {});
  server = await listen(ip, 0, (incoming, response) =>
    handleAgentRequest(
      { agent, flags, authentication: agentAuthentication(flags), startedAt: Date.now() },
      incoming,
      response,
    ),
  );
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  port = address.port;
});

afterAll(async () => {
  for (const task of tasks) task.leave();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

/** A task whose executor is this process, and has written these states. */
async function taskOf(
  meta: AgentMeta,
  log: SilentLog,
  name: string,
  states: readonly ('TASK_RUNNING' | 'TASK_FAILED')[],
): Promise<TaskRun> {
  const containerId = randomUUID();
  const run = meta.runDir(agentId, frameworkId, name, containerId);
  const sandbox = meta.sandbox(agentId, frameworkId, name, containerId);
  const scalar = (resource: string, value: number) => ({
    name: resource,
    type: 'SCALAR',
    role: '*',
    scalar: { value },
  });
  const options = { run, agentIp: '127.0.0.1', log, send: () => undefined, settled: () => undefined };
  TaskRun.create(options, {
    container_id: containerId,
    framework_id: frameworkId,
    task_id: name,
    agent_id: agentId,
    sandbox,
    shell: true,
    value: 'sleep 1000',
    arguments: [],
    environment: {},
    grace_ms: 5_000,
    tell_killing: true,
    task: readMessage(taskInfoKind, {
      name,
      task_id: { value: name },
      agent_id: { value: agentId },
      resources: [scalar('cpus', 0.5), scalar('mem', 32)],
      command: { value: 'sleep 1000' },
    }),
  });
  const files = containerFiles(run);
  writeAtomically(files.executor, readProcess(process.pid));
  for (const [index, state] of states.entries()) {
    writeAtomically(path.join(files.statuses, `${index}.json`), {
      uuid: updateUuid(),
      state,
      timestamp: 1_795_337_715 + index,
      ...(state === 'TASK_FAILED' && { message: 'Command exited with status 3' }),
    });
  }
  const task = TaskRun.load(options);
  if (task === undefined) throw new Error('the task is not there');
  await task.recover();
  return task;
}

/** The flags of the recorded agent. */
function recordedFlags(): string[] {
  return [
    ...['--master=zk://127.0.0.1:21810/mesos', '--ip=127.0.0.1', '--port=15051', '--hostname=127.0.0.1'],
    ...['--work_dir=/w', '--runtime_dir=/r', '--log_dir=/l', '--launcher_dir=/x'],
    ...['--resources=cpus:2', '--attributes=rack:r1;zone:z1'],
  ];
}

async function ask(
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
): Promise<Answer> {
  const sent = request({ host: ip, port, method, path: url, headers: { ...headers }, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(chunks).toString(),
  };
}

describe('agent-endpoints.txt', () => {
  it.each(exchanges('agent-endpoints.txt').map((exchange) => [exchange.title, exchange] as const))(
    '%s',
    async (_title, exchange) => {
      const { method, path: url, headers, body } = exchange;
      expectSame(exchange, await ask(method, url, headers, body));
    },
  );
});

it('a task update has the shape of the recorded ones', () => {
  const recorded = (state: string) =>
    recordedStream
      .map((event) => at(event, 'update', 'status'))
      .find((status) => at(status, 'state') === state && at(status, 'uuid') !== undefined);
  const own = (state: string): TaskStatus | undefined =>
    tasks.flatMap((task) => task.updates.statuses).find((status) => status.state === state);
  for (const state of ['TASK_RUNNING', 'TASK_FAILED']) {
    expect(shapeOf(own(state))).toEqual(shapeOf(recorded(state)));
  }
});
