import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import proto from '@temporalio/proto';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNoticeActivities } from '../../src/activities/notices.js';
import type { Receiver } from '../../src/activities/receivers.js';
import { taskQueue, workflowIds } from '../../src/temporal/contract.js';
import { watchNotices } from '../../src/worker/notices.js';
import { bundleOf } from '../support/bundles.js';
import { eventually } from '../support/eventually.js';
import { record, recorded } from '../support/histories.js';
import {
  createTestWorker,
  freePort,
  startTestServer,
  type TestServer,
  type TestWorker,
} from '../support/temporal.js';

const { History } = proto.temporal.api.history.v1;
const address = '127.94.17.1';
const secret = 'Bearer of-the-webhook';
const workflowsPath = fileURLToPath(new URL('notices.workflows.ts', import.meta.url));
const directory = mkdtempSync(path.join(tmpdir(), 'perijove-notices-'));
const received: { readonly url: string; readonly body: Record<string, string> }[] = [];
const ending = new AbortController();
let server: TestServer;
let worker: TestWorker;
let hook: Server;
let receivers: readonly Receiver[];
let watches: Promise<void>[];

/** `/late` is busy once, `/closed` refuses. */
async function startHook(port: number): Promise<Server> {
  let isBusy = true;
  const answer = async (request: IncomingMessage): Promise<number> => {
    const { url = '', headers } = request;
    const body = await text(request);
    if (headers.authorization !== secret || url === '/closed') return 401;
    if (url === '/late' && isBusy) {
      isBusy = false;
      return 503;
    }
    received.push({ url, body: JSON.parse(body) as Record<string, string> });
    return 204;
  };
  const listening = createServer((request, response) => {
    void answer(request).then((status) => response.writeHead(status).end());
  });
  listening.listen(port, address);
  await once(listening, 'listening');
  return listening;
}

beforeAll(async () => {
  const port = await freePort(address);
  hook = await startHook(port);
  const headers = { Authorization: secret };
  receivers = [
    { name: 'prompt', url: `http://${address}:${port}/prompt`, headers },
    { name: 'late', url: `http://${address}:${port}/late`, headers },
    { name: 'closed', url: `http://${address}:${port}/closed`, headers },
    { name: 'pager', command: ['/bin/sh', '-c', `cat > ${directory}/$PERIJOVE_NOTICE`] },
  ];
  server = await startTestServer();
  worker = await createTestWorker({
    server,
    workflowsPath,
    activities: createNoticeActivities({ receivers }),
  });
}, 120_000);
afterAll(async () => {
  ending.abort();
  await Promise.all(watches ?? []);
  await worker?.stop();
  await server?.stop();
  hook?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The workflows of the notices, by receiver. */
async function workflows(kind: string) {
  const query = `WorkflowType = 'notify' AND WorkflowId STARTS_WITH '${workflowIds.notify('noticed', '')}'`;
  const all = [];
  for await (const { workflowId, status } of server.client.workflow.list({ query })) {
    const handle = server.client.workflow.getHandle(workflowId);
    const history = Buffer.from(History.encode(await handle.fetchHistory()).finish()).toString();
    all.push({ handle, status: status.name, history });
  }
  return all.filter(({ history }) => history.includes(kind));
}

it('notifies each receiver once of what happened, and keeps no secret', { timeout: 120_000 }, async () => {
  const { workflow } = server.client;
  const at = new Date().toISOString();
  const incidents = [
    { at, what: 'node1 ended', tookMs: 900 },
    { at, what: 'an election', tookMs: 90, routine: true },
    { at: '2026-01-01T00:00:00.000Z', what: 'long ago', tookMs: 90 },
  ];
  const keeper = { workflowId: workflowIds.keeper('noticed'), taskQueue, args: [incidents] };
  await workflow.start('keeper', keeper);
  const deploy = await workflow.start('deploy', { workflowId: workflowIds.deploy('noticed'), taskQueue });
  await expect(deploy.result()).rejects.toThrow();

  const logger = pino({ level: 'silent' });
  // As two workers would.
  watches = [1, 2].map(() =>
    watchNotices({ client: server.client, receivers, logger, signal: ending.signal }),
  );
  const ended = await eventually(
    'all notices are sent or refused',
    async () => {
      const all = [...(await workflows('node1 ended')), ...(await workflows('DISK_FULL'))];
      return all.length === 8 && all.every(({ status }) => status !== 'RUNNING') && all;
    },
    60_000,
  );
  expect(ended.map(({ status }) => status).toSorted()).toEqual(
    [...Array<string>(6).fill('COMPLETED'), ...Array<string>(2).fill('FAILED')].toSorted(),
  );
  for (const { history, status } of ended) {
    expect(history).not.toContain('of-the-webhook');
    expect(history).not.toContain(address);
    if (status === 'FAILED') expect(history).toContain('NOTIFICATION_REFUSED');
  }

  for (const url of ['/prompt', '/late']) {
    const bodies = received.filter((each) => each.url === url).map(({ body }) => body);
    expect(bodies).toHaveLength(2);
    expect(bodies).toContainEqual({
      ...{ cluster: 'noticed', kind: 'incident', at },
      ...{ what: 'node1 ended', text: 'noticed: node1 ended' },
    });
    const failed = bodies.find(({ kind }) => kind === 'deployment-failed');
    expect(failed?.['what']).toBe('the deployment failed: h2: 3 MiB are free (DISK_FULL)');
  }
  const paged = JSON.parse(readFileSync(path.join(directory, 'incident'), 'utf8')) as object;
  expect(paged).toMatchObject({ what: 'node1 ended' });

  const [first] = ended.filter(({ status }) => status === 'COMPLETED');
  const [refused] = ended.filter(({ status }) => status === 'FAILED');
  if (first) await record(first.handle, 'notify');
  if (refused) await record(refused.handle, 'notify-refused');
});

it.each(['notify', 'notify-refused'])('%s is replayed', async (name) => {
  await Worker.runReplayHistory(
    { workflowBundle: await bundleOf(workflowsPath) },
    await recorded(name),
    'notify:any',
  );
});
