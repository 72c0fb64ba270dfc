import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Context } from '@temporalio/activity';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadSpec } from '../../../src/cluster/load.js';
import {
  claimScheduler,
  frameworkState,
  stopFramework,
  storeIntents,
  storeTaskUpdates,
  taskQueue,
  workflowIds,
  workflowNames,
  type TaskState,
} from '../../../src/temporal/contract.js';
import { cli } from '../../support/cli.js';
import { eventually } from '../../support/eventually.js';
import {
  createTestWorker,
  startTestServer,
  type TestServer,
  type TestWorker,
} from '../../support/temporal.js';

let server: TestServer;
let worker: TestWorker;
let directory: string;
let file: string;

/** Schedules nothing: the tests set what Mesos reported. */
const activities = {
  runScheduler: async () => {
    await Context.current().cancelled;
  },
  teardownFramework: async () => undefined,
};

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-cli-'));
  file = path.join(directory, 'cluster.yaml');
  await writeFile(file, await readFile('examples/lab.yaml', 'utf8'));
  server = await startTestServer();
  const workflowsPath = fileURLToPath(new URL('../../../src/workflows/framework.ts', import.meta.url));
  worker = await createTestWorker({ server, activities, workflowsPath });
});
afterAll(async () => {
  await worker?.stop();
  await server?.stop();
  await rm(directory, { recursive: true });
});

const handle = () => server.client.workflow.getHandle(workflowIds.framework('lab'));
const lease = { run: 1, attempt: 1 };

/** A framework whose node0 is in this state on h2. */
async function startFramework(state: TaskState, host = 'h2'): Promise<void> {
  const spec = await loadSpec(file);
  await server.client.workflow.start(workflowNames.framework, {
    workflowId: workflowIds.framework('lab'),
    taskQueue,
    args: [{ spec }],
  });
  // The scheduler can be claimed only once the workflow has counted its start.
  await eventually('the scheduler is claimed', async () => {
    await handle().executeUpdate(claimScheduler, { args: [lease, '1@here'] });
    return true;
  });
  const intent = { node: 'node0', taskId: 'node0.1', agentId: 'a', host, config: 'c' };
  await handle().executeUpdate(storeIntents, { args: [lease, [intent]] });
  await handle().executeUpdate(storeTaskUpdates, { args: [lease, [{ taskId: 'node0.1', state }]] });
}
afterEach(async () => {
  const stopped = handle().executeUpdate(stopFramework);
  await stopped.then(() => handle().result()).catch(() => undefined);
});

const fence = (...words: readonly string[]) =>
  cli(['fence', ...words, '--file', file, '--temporal', server.address], { cwd: directory });

describe('fence', () => {
  it('names the rescheduled nodes, and the same when repeated', async () => {
    await startFramework('TASK_UNREACHABLE');
    expect(await fence('h2')).toEqual({
      code: 0,
      stdout: 'done: h2 is fenced; rescheduling node0\n',
      stderr: '',
    });
    const stored = await handle().query(frameworkState);
    expect(stored.fences?.['h2']?.nodes).toEqual(['node0']);
    const again = await fence('h2', '--json');
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toEqual({
      result: 'done',
      host: 'h2',
      changed: false,
      nodes: ['node0'],
    });
  });

  it('is rejected for a host with a live node, and for one that no node waits for', async () => {
    await startFramework('TASK_RUNNING');
    for (const host of ['h2', 'h3']) {
      const { code, stdout } = await fence(host, '--json');
      expect(code).toBe(4);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'HOST_NOT_LOST' } });
    }
    expect((await fence('h2')).stderr).toMatch(
      /^error: h2 has nodes that are alive .*: node0 \(TASK_RUNNING\)\n/,
    );
    expect((await handle().query(frameworkState)).fences).toBeUndefined();
  });

  it('names the hosts of the cluster for an unknown one', async () => {
    await startFramework('TASK_UNREACHABLE');
    const { code, stderr } = await fence('h9');
    expect(code).toBe(2);
    expect(stderr).toMatch(/lab has no host `h9`[^]*Use one of h1, h2, h3\.[^]*UNKNOWN_TARGET/);
  });

  it('accepts a host removed from the spec while a node waits for it', async () => {
    await startFramework('TASK_UNREACHABLE', 'h9');
    expect(await fence('h9')).toMatchObject({ code: 0, stderr: '' });
  });

  it('reports that no framework runs', async () => {
    const { code, stdout } = await fence('h2', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'FRAMEWORK_ABSENT' } });
  });
});
