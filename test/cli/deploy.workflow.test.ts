import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { taskQueue, workflowIds } from '../../src/temporal/contract.js';
import { cli } from '../support/cli.js';
import { eventually } from '../support/eventually.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const workflowsPath = new URL('deploy.workflows.ts', import.meta.url).pathname;
let server: TestServer;
let worker: TestWorker | undefined;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-cli-'));
  server = await startTestServer();
  worker = await startWorker();
});
afterAll(async () => {
  await worker?.stop();
  await server.stop();
  await rm(directory, { recursive: true });
});
afterEach(async () => {
  for (const name of ['endless', 'endless2']) {
    await server.client.workflow
      .getHandle(workflowIds.deploy(name))
      .terminate()
      .catch(() => undefined);
  }
});

/** Whether the host of `reach` is up and apt of `install` is unlocked. */
let fair = true;
const activities = {
  async reach() {
    if (fair) return;
    throw new PerijoveError('SSH_REFUSED', 'root@127.0.1.2:2200: the connection was refused', { host: 'h2' });
  },
  async install() {
    const { cancellationSignal: signal } = Context.current();
    Context.current().heartbeat('apt on h1 is held by apt-get (process 12)');
    while (!fair) await delay(20, undefined, { signal });
  },
};
const startWorker = () => createTestWorker({ server, activities, workflowsPath });

/** The lab's example with another name, which selects the deployment's behaviour. */
async function specOf(name: string, edit: (text: string) => string = (text) => text): Promise<string> {
  const file = path.join(directory, `${name}.yaml`);
  const text = await readFile('examples/lab.yaml', 'utf8');
  await writeFile(file, edit(text.replace('name: lab', `name: ${name}`)));
  return file;
}

const run = (words: readonly string[], file: string, signal = new AbortController().signal) =>
  cli([...words, '--file', file, '--temporal', server.address], { cwd: directory, signal });

const isRunning = async (name: string) =>
  (await server.client.workflow.getHandle(workflowIds.deploy(name)).describe()).status.name === 'RUNNING';

describe('up', () => {
  it('follows the deployment to its end, with one line per event', async () => {
    const { code, stdout, stderr } = await run(['up'], await specOf('done'));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('preflight: done, nothing to change (1.2s)\n');
    expect(stdout).toContain('zookeeper: h1: restarted zookeeper\n');
    expect(stdout).toMatch(/done: 1 change made, in 3.7s\n$/);
  });

  it('ends with one JSON document', async () => {
    const { code, stdout } = await run(['up', '--json'], await specOf('done'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      result: 'done',
      changed: 1,
      stages: [
        { name: 'preflight', changed: 0, ms: 1200 },
        { name: 'zookeeper', changed: 1, ms: 2500 },
        { name: 'masters', changed: 0, ms: 0 },
      ],
    });
  });

  it("renders the deployment's failure, and exits with the code's kind", async () => {
    const { code, stderr } = await run(['up'], await specOf('fails'));
    expect(code).toBe(1);
    expect(stderr).toBe('error: h2: 3 MiB are free\n  do     Free some space on h2.\n  code   DISK_FULL\n');
    const json = await run(['up', '--json'], await specOf('fails'));
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      result: 'failed',
      changed: 1,
      error: { code: 'DISK_FULL', place: { host: 'h2' }, remedy: 'Free some space on h2.' },
    });
  });

  it('detaches on Ctrl-C, and the deployment continues; a second `up` attaches to it', async () => {
    const file = await specOf('endless');
    const interrupt = new AbortController();
    const first = run(['up'], file, interrupt.signal);
    await eventually(() => isRunning('endless').catch(() => false));
    interrupt.abort();
    expect(await first).toMatchObject({ code: 130, stderr: '' });
    expect((await first).stdout).toMatch(
      /The deployment continues as the workflow deploy:endless\.\n.*perijove up/,
    );

    const { firstExecutionRunId } = await server.client.workflow
      .getHandle(workflowIds.deploy('endless'))
      .describe()
      .then(({ runId }) => ({ firstExecutionRunId: runId }));
    expect(await run(['up', '--detach'], file)).toMatchObject({ code: 0, stderr: '' });
    const { runId } = await server.client.workflow.getHandle(workflowIds.deploy('endless')).describe();
    expect(runId).toBe(firstExecutionRunId);
    expect(await isRunning('endless')).toBe(true);
  });

  it('exits on Ctrl-C, however long the deployment continues', async () => {
    const words = ['up', '--file', await specOf('endless'), '--temporal', server.address];
    const left = spawn(process.execPath, [path.resolve('bin/perijove.js'), ...words]);
    const exited = once(left, 'exit');
    let stdout = '';
    left.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
    try {
      await eventually('it follows', () => stdout.includes('zookeeper'));
      left.kill('SIGINT');
      // A long poll of the server lasts 20 s.
      await eventually('it has left', () => left.exitCode !== null, 10_000);
      expect(await exited).toEqual([130, null]);
      expect(stdout).toContain('The deployment continues');
      expect(await isRunning('endless')).toBe(true);
    } finally {
      left.kill('SIGKILL');
      await exited;
    }
  });

  it('is rejected while another spec is deployed', async () => {
    const file = await specOf('endless');
    await run(['up', '--detach'], file);
    const other = await specOf('endless', (text) => text.replace('election: 500ms', 'election: 600ms'));
    const { code, stderr } = await run(['up'], other);
    expect(code).toBe(4);
    expect(stderr).toContain('a deployment of endless with another spec is already running');
    expect(stderr).toContain('SPEC_DIFFERS');
  });

  it('lists every problem that blocks the deployment, each with its remedy', async () => {
    const { code, stderr } = await run(['up'], await specOf('blocked'));
    expect(code).toBe(1);
    expect(stderr).toBe(
      [
        'error: 2 problems block this deployment',
        '',
        'h2: 3 MiB are free  DISK_FULL',
        '  → Free some.',
        '',
        'the clock of h1 is 5.0 s ahead  CLOCK_SKEW',
        '  → Set it.',
        '',
        'code DISK_FULL',
        '',
      ].join('\n'),
    );
    const json = await run(['up', '--json'], await specOf('blocked'));
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: 'DISK_FULL', problems: [{ host: 'h2' }, { code: 'CLOCK_SKEW' }] },
    });
  });

  it('reports what it waits for, also on the hosts, and then continues', async () => {
    fair = false;
    let stdout = '';
    const running = cli(['up', '--file', await specOf('waits'), '--temporal', server.address], {
      stdout: { write: (text) => (stdout += text) },
    });
    try {
      await eventually(() => stdout.includes('apt on h1') && stdout.includes('h2: root@'), 20_000);
    } finally {
      fair = true;
    }
    expect(await running).toMatchObject({ code: 0, stderr: '' });
    expect(
      stdout
        .split('\n')
        .filter((line) => line.includes('waiting: '))
        .toSorted(),
    ).toEqual([
      'zookeeper: waiting: apt on h1 is held by apt-get (process 12)',
      'zookeeper: waiting: h2: root@127.0.1.2:2200: the connection was refused (SSH_REFUSED); retrying',
    ]);
  });

  it('creates the search attributes in a namespace that lacks them', async () => {
    await server.connection.operatorService.removeSearchAttributes({
      namespace: 'default',
      searchAttributes: ['PerijoveCluster'],
    });
    expect(await run(['up'], await specOf('done'))).toMatchObject({ code: 0, stderr: '' });
  });

  it('calls a worker that was there a moment ago slow, and continues when it is back', async () => {
    await worker?.stop();
    let stderr = '';
    const running = cli(['up', '--file', await specOf('done'), '--temporal', server.address], {
      stderr: { write: (text) => (stderr += text) },
    });
    await eventually(() => stderr.includes('\n'), 30_000);
    expect(stderr).toMatch(/^the worker \d+@\S+ is slow, or has just ended\n/);
    worker = await startWorker();
    expect(await running).toMatchObject({ code: 0 });
  });

  it('reports that no worker is responding where there is none', async () => {
    const lonely = await startTestServer();
    let stderr = '';
    const interrupt = new AbortController();
    const running = cli(['up', '--file', await specOf('done'), '--temporal', lonely.address], {
      stderr: { write: (text) => (stderr += text) },
      signal: interrupt.signal,
    });
    try {
      await eventually(() => stderr.includes('no worker is responding; start one'), 60_000);
    } finally {
      interrupt.abort();
      await running;
      await lonely.stop();
    }
  });

  it('attaches to a deployment that resumes after its workers were away', async () => {
    fair = false;
    const file = await specOf('waits');
    await run(['up', '--detach'], file);
    const handle = server.client.workflow.getHandle(workflowIds.deploy('waits'));
    const { runId } = await handle.describe();
    await worker?.stop();
    // Its workflow tasks fail again and again, so Temporal refuses updates of it.
    const failing = new URL('../support/failing-workflows.ts', import.meta.url).pathname;
    const broken = await createTestWorker({ server, activities: {}, workflowsPath: failing });
    await handle.signal('anything');
    await eventually(
      'its workflow task has failed',
      async () => ((await handle.describe()).raw.pendingWorkflowTask?.attempt ?? 0) >= 4,
      120_000,
    );
    await broken.stop();
    let stderr = '';
    const running = cli(['up', '--file', file, '--temporal', server.address], {
      stderr: { write: (text) => (stderr += text) },
    });
    try {
      await eventually(() => stderr.includes('\n'), 60_000);
      expect(stderr).toMatch(/^deploy:waits is resuming: /);
      expect(stderr).not.toContain('INTERNAL');
    } finally {
      fair = true;
      worker = await startWorker();
    }
    expect(await running).toMatchObject({ code: 0 });
    expect((await handle.describe()).runId).toBe(runId);
  }, 300_000);

  it('ends a deployment that does not fit the release of its workers, and begins it again', async () => {
    await worker?.stop();
    const other = new URL('../support/other-release.ts', import.meta.url).pathname;
    const earlier = await createTestWorker({ server, activities: {}, workflowsPath: other });
    const file = await specOf('done');
    const workflowId = workflowIds.deploy('done');
    const args = [{ spec: { name: 'done' }, digest: 'of another spec' }];
    const handle = await server.client.workflow.start('deploy', { workflowId, taskQueue, args });
    await eventually('it has begun', async () => (await handle.describe()).historyLength > 20);
    await earlier.stop();
    worker = await startWorker();
    await handle.signal('anything');
    await eventually(
      'its workflow task has failed',
      async () => ((await handle.describe()).raw.pendingWorkflowTask?.attempt ?? 0) >= 2,
      60_000,
    );
    const { code, stderr } = await run(['up'], file);
    expect(stderr).toBe(
      'deploy:done makes no step: its history does not fit the release of its workers (WORKFLOW_INCOMPATIBLE): ' +
        'it is ended, and begun again\n',
    );
    expect(code).toBe(0);
  }, 300_000);
});

describe('down', () => {
  it('reports what it waits for', async () => {
    fair = false;
    let stderr = '';
    const running = cli(['down', '--file', await specOf('waits'), '--temporal', server.address], {
      stderr: { write: (text) => (stderr += text) },
    });
    try {
      await eventually(() => stderr.includes('\n'), 20_000);
    } finally {
      fair = true;
    }
    expect(await running).toMatchObject({ code: 0 });
    expect(stderr).toBe(
      'waiting: h2: root@127.0.1.2:2200: the connection was refused (SSH_REFUSED); retrying\n',
    );
  });

  it('shows what was changed', async () => {
    const file = await specOf('done');
    expect(await run(['down'], file)).toEqual({
      code: 0,
      stdout:
        'h1: stopped zookeeper\ndone: 1 change made\nData and notebooks are kept. Resume with `perijove up`.\n',
      stderr: '',
    });
    const json = await run(['down', '--purge', '--json'], file);
    expect(JSON.parse(json.stdout)).toEqual({
      result: 'done',
      changed: 1,
      changes: [{ host: 'h1', what: 'removed /opt/perijove' }],
    });
  });
});

it('a server that does not respond is exit code 3', async () => {
  const { code, stderr } = await cli(['up', '--file', await specOf('done'), '--temporal', '127.21.0.3:1']);
  expect(code).toBe(3);
  expect(stderr).toContain('no Temporal server responds at 127.21.0.3:1');
});
