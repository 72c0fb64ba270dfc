/** What a Temporal server stores of encrypted workflows, and who can read it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { heartbeat } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import proto from '@temporalio/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitsOf } from '../../src/cli/waits.js';
import { clientOf } from '../../src/temporal/connect.js';
import { payloadCodec } from '../../src/temporal/payload-codec.js';
import { createPayloadKeys, type PayloadKeys } from '../../src/temporal/payload-keys.js';
import { eventually } from '../support/eventually.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const perijove = path.resolve('bin/perijove.js');
const secret = 'a-host-name-that-nobody-else-may-read';
const taskQueue = 'encrypted';
const workflowsPath = fileURLToPath(new URL('payload-codec.workflows.ts', import.meta.url));

let directory: string;
let keys: PayloadKeys;
let server: TestServer;
let worker: TestWorker;
let codecServer: ChildProcess | undefined;
/** What `waits` does next. */
let turn: 'heartbeat' | 'fail' | 'end' = 'heartbeat';

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-codec-'));
  keys = await createPayloadKeys({ PERIJOVE_PAYLOAD_KEYS: path.join(directory, 'keys') });
  server = await startTestServer();
  worker = await createTestWorker({
    ...{ server, taskQueue, workflowsPath },
    activities: {
      waits: async () => {
        if (turn === 'fail') {
          throw ApplicationFailure.create({
            type: 'SSH_TIMEOUT',
            message: 'no answer',
            details: [{ place: { host: secret } }],
          });
        }
        while (turn === 'heartbeat') {
          heartbeat(`waiting for ${secret}`);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        if (turn !== 'end') throw ApplicationFailure.create({ message: 'once more' });
        return { secret };
      },
    },
    options: { dataConverter: { payloadCodecs: [payloadCodec(keys)] } },
  });
}, 120_000);
afterAll(async () => {
  codecServer?.kill('SIGKILL');
  await worker?.stop();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

it('stores nothing in clear that a workflow is about, and reads it with the key alone', async () => {
  const client = clientOf(server.connection, 'default', { keys, identity: 'reader' });
  const handle = await client.workflow.start('encrypted', {
    ...{ taskQueue, workflowId: 'encrypted', args: [{ secret }], memo: { secret } },
    staticSummary: secret,
  });
  await eventually('the heartbeat is read', async () =>
    (await waitsOf(client, 'encrypted')).includes(`waiting for ${secret}`),
  );
  turn = 'fail';
  await eventually('the failure is read', async () =>
    (await waitsOf(client, 'encrypted')).some((text) => text.startsWith(`${secret}: no answer`)),
  );
  turn = 'end';
  expect(await handle.result()).toEqual({ secret });
  expect((await handle.describe()).memo).toEqual({ secret });

  const { History } = proto.temporal.api.history.v1;
  const history = Buffer.from(History.encode(await handle.fetchHistory()).finish());
  expect(history.includes('binary/encrypted')).toBe(true);
  expect(history.includes(secret)).toBe(false);
  const described = await server.connection.workflowService.describeWorkflowExecution({
    namespace: 'default',
    execution: { workflowId: 'encrypted' },
  });
  expect(JSON.stringify(described)).not.toContain(secret);

  const stranger = clientOf(server.connection, 'default', { identity: 'stranger' });
  await expect(stranger.workflow.getHandle('encrypted').result()).rejects.toThrow(keys.keys[0].id);
});

it('decrypts for pages of the Web UI alone', async () => {
  const [encrypted] = await payloadCodec(keys).encode([
    { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from(JSON.stringify(secret)) },
  ]);
  const json = (payload: typeof encrypted) => ({
    metadata: Object.fromEntries(
      Object.entries(payload?.metadata ?? {}).map(([name, value]) => [
        name,
        Buffer.from(value).toString('base64'),
      ]),
    ),
    data: Buffer.from(payload?.data ?? []).toString('base64'),
  });
  const env = { ...process.env, PERIJOVE_PAYLOAD_KEYS: keys.file };
  const listen = '127.22.41.1:8234';
  const args = [perijove, 'codec-server', '--listen', listen, '--origin', 'http://ui.test:8233'];
  codecServer = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  if (codecServer.stdout === null) expect.unreachable('it has a pipe');
  await once(codecServer.stdout, 'data');
  const ask = (
    headers: Readonly<Record<string, string>>,
    payloads: unknown = [json(encrypted)],
    method = 'POST',
  ) =>
    fetch(`http://${listen}/decode`, {
      ...{ method, headers: { 'content-type': 'application/json', ...headers } },
      ...(method === 'POST' && { body: JSON.stringify({ payloads }) }),
    });

  const answer = await ask({ origin: 'http://ui.test:8233' });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('access-control-allow-origin')).toBe('http://ui.test:8233');
  const { payloads } = (await answer.json()) as { payloads: { data: string }[] };
  expect(Buffer.from(payloads[0]?.data ?? '', 'base64').toString()).toBe(JSON.stringify(secret));

  const foreign = await ask({ origin: 'http://evil.test' });
  expect(foreign.status).toBe(403);
  expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  expect((await ask({ origin: 'http://ui.test:8233' }, undefined, 'OPTIONS')).status).toBe(204);
  expect((await ask({}, undefined, 'GET')).status).toBe(404);
  expect((await ask({}, 'nothing')).status).toBe(400);
  const unknown = {
    ...json(encrypted),
    metadata: { ...json(encrypted).metadata, 'encryption-key-id': 'AAAA' },
  };
  const missing = await ask({}, [unknown]);
  expect(missing.status).toBe(422);
  expect(await missing.json()).toMatchObject({ code: 'PAYLOAD_KEY_MISSING' });

  const ended = once(codecServer, 'exit');
  codecServer.kill('SIGINT');
  expect((await ended)[0]).toBe(0);

  await expect(
    promisify(execFile)(process.execPath, [perijove, 'codec-server', '--listen', '0.0.0.0:8234'], { env }),
  ).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('--token-file') as string });
});
