import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { errorOfEvent, subscribe, type Subscription } from '../../../src/mesos/scheduler/client.js';
import type { FrameworkInfo, SchedulerEvent } from '../../../src/mesos/scheduler/types.js';
import { masterReach } from '../../../src/mesos/masters/http.js';
import { directReach } from '../../../src/ssh/reach.js';
import { makeHost, makeSpec } from '../../support/spec.js';
import { RecordedMaster } from '../../support/recorded-master.js';

const recording = (name: string) =>
  readFileSync(new URL(`../../fixtures/mesos/${name}`, import.meta.url), 'utf8');
const framework: FrameworkInfo = {
  user: 'root',
  name: 'probe-framework',
  role: '*',
  failover_timeout: 3_600,
  checkpoint: true,
  hostname: 'probe-host',
  capabilities: [],
  labels: { labels: [] },
};

let subscriptions: Subscription[] = [];
afterEach(async () => {
  for (const subscription of subscriptions) subscription.close();
  await RecordedMaster.stopAll();
  subscriptions = [];
});

async function connect(master: RecordedMaster, more: Partial<Parameters<typeof subscribe>[0]> = {}) {
  const subscription = await subscribe({
    master: await master.start(),
    dial: async (address) => address,
    framework,
    signal: new AbortController().signal,
    ...more,
  });
  subscriptions.push(subscription);
  return subscription;
}

/** The recorded head says chunked, but the recording is decoded: the stream ends with the connection. */
const stream = (name: string) => recording(name).replace('Transfer-Encoding: chunked', 'Connection: close');
const chunked = recording('scheduler-stream-chunked.raw');
const accepted = 'HTTP/1.1 202 Accepted\r\nDate: Sun, 22 Nov 2026 08:54:41 GMT\r\nContent-Length: 0\r\n\r\n';
const answer = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe('a recorded subscription', () => {
  // Retried: a timer of something else in this process may end meanwhile. A leaked one stays each time.
  it('without a reader leaves no timer when it is closed', { retry: 3 }, async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const subscription = await connect(new RecordedMaster((socket) => void socket.write(chunked)));
    expect(timers()).toBeGreaterThan(before);
    subscription.close();
    await vi.waitFor(() => expect(timers()).toBe(before));
  });

  it('returns its events in order, then reports that the master closed it', async () => {
    const master = new RecordedMaster((socket) => socket.end(stream('scheduler-stream-1.raw')));
    const subscription = await connect(master);
    expect(subscription).toMatchObject({
      frameworkId: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-0005',
      masterId: 'b0adfe1d-25db-405f-87b8-ae8a5847391d',
    });
    const events: SchedulerEvent[] = [];
    const ended = (async () => {
      for await (const event of subscription.events) events.push(event);
    })();
    await expect(ended).rejects.toMatchObject({ code: 'MESOS_UNREACHABLE', retryable: true });
    expect(events).toHaveLength(26);
    expect(events[1]).toEqual({
      kind: 'offers',
      offers: [
        {
          id: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-O14',
          agentId: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-S0',
          hostname: '127.0.0.1',
          address: { ip: '127.0.0.1', port: 15051 },
          attributes: { rack: 'r1', zone: 'z1' },
          resources: [
            { name: 'cpus', role: '*', type: 'SCALAR', scalar: { value: 2 } },
            { name: 'mem', role: '*', type: 'SCALAR', scalar: { value: 1024 } },
            { name: 'disk', role: '*', type: 'SCALAR', scalar: { value: 2048 } },
            { name: 'ports', role: '*', type: 'RANGES' },
          ],
        },
      ],
    });
    expect(events[2]).toEqual({
      kind: 'update',
      status: {
        taskId: 'task-1',
        state: 'TASK_RUNNING',
        agentId: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-S0',
        uuid: '0qJJUd8DTvipYFN3P5m6Qg==',
      },
    });
    expect(events).toContainEqual({
      kind: 'update',
      status: {
        taskId: 'no-such-task',
        state: 'TASK_LOST',
        message: 'Reconciliation: Task is unknown',
        reason: 'REASON_RECONCILIATION',
      },
    });
    expect(events.at(-1)).toEqual({ kind: 'error', message: 'Framework failed over' });
  });

  it('may be chunked', async () => {
    const master = new RecordedMaster((socket) => socket.write(chunked));
    const subscription = await connect(master);
    expect(subscription.frameworkId).toBe('b0adfe1d-25db-405f-87b8-ae8a5847391d-0006');
    await expect(subscription.events.next()).resolves.toMatchObject({ value: { kind: 'heartbeat' } });
  });

  it('sends the framework ID, and the stream ID on every later call', async () => {
    const master = new RecordedMaster((socket) => socket.write(chunked), ...Array<string>(8).fill(accepted));
    const subscription = await connect(master, {
      frameworkId: 'F',
      credential: { principal: 'perijove', secret: 's3cret' },
    });
    await subscription.revive();
    await subscription.reconcile([{ taskId: 'node0.1', agentId: 'A' }, { taskId: 'node1.2' }]);
    await subscription.acknowledge('node0.1', 'A', 'dXVpZA==');
    await subscription.decline(['O1'], 600);
    await subscription.kill({ taskId: 'node0.1' });
    await subscription.suppress();
    await subscription.teardown();
    const [first, ...calls] = master.received;
    expect(first?.head).toMatch(/^POST \/api\/v1\/scheduler HTTP\/1.1/);
    expect(first?.head.toLowerCase()).not.toContain('mesos-stream-id');
    expect(first?.body).toEqual({
      type: 'SUBSCRIBE',
      framework_id: { value: 'F' },
      subscribe: { framework_info: { ...framework, id: { value: 'F' } } },
    });
    const basic = Buffer.from('perijove:s3cret').toString('base64');
    for (const { head } of master.received) expect(head).toContain(`authorization: Basic ${basic}`);
    for (const { head } of calls) {
      expect(head.toLowerCase()).toContain('mesos-stream-id: 77832b5a-c7f9-4f22-a5d8-ce64d52e9da4');
      expect(head.toLowerCase()).toContain('content-type: application/json');
    }
    const framework_id = { value: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-0006' };
    expect(calls.map(({ body }) => body)).toEqual([
      { framework_id, type: 'REVIVE' },
      {
        framework_id,
        type: 'RECONCILE',
        reconcile: {
          tasks: [
            { task_id: { value: 'node0.1' }, agent_id: { value: 'A' } },
            { task_id: { value: 'node1.2' } },
          ],
        },
      },
      {
        framework_id,
        type: 'ACKNOWLEDGE',
        acknowledge: { agent_id: { value: 'A' }, task_id: { value: 'node0.1' }, uuid: 'dXVpZA==' },
      },
      {
        framework_id,
        type: 'DECLINE',
        decline: { offer_ids: [{ value: 'O1' }], filters: { refuse_seconds: 600 } },
      },
      { framework_id, type: 'KILL', kill: { task_id: { value: 'node0.1' } } },
      { framework_id, type: 'SUPPRESS' },
      { framework_id, type: 'TEARDOWN' },
    ]);
  });

  it('follows the redirect of a master that does not lead', async () => {
    const leader = new RecordedMaster((socket) => socket.write(chunked));
    const { port } = await leader.start();
    const follower = new RecordedMaster(
      `HTTP/1.1 307 Temporary Redirect\r\nLocation: //leader.example:${port}/master/api/v1/scheduler\r\nContent-Length: 0\r\n\r\n`,
    );
    const dialled: string[] = [];
    const subscription = await connect(follower, {
      dial: async (master) => {
        dialled.push(master.host);
        return { host: '127.24.3.1', port: master.port };
      },
    });
    expect(dialled).toEqual(['127.24.3.1', 'leader.example']);
    expect(subscription.master).toEqual({ host: 'leader.example', port });
  });

  it('sends nothing to an address outside the spec that a master redirects to', async () => {
    const stranger = new RecordedMaster((socket) => socket.write(chunked));
    const { host, port } = await stranger.start();
    const follower = new RecordedMaster(
      `HTTP/1.1 307 Temporary Redirect\r\nLocation: //${host}:${port}/master/api/v1/scheduler\r\nContent-Length: 0\r\n\r\n`,
    );
    const { port: own } = await follower.start();
    const spec = makeSpec({
      hosts: [makeHost('h1', { address: host, ports: { ...makeHost('h1').ports, master: own } })],
    });
    const subscribed = subscribe({
      master: { host, port: own },
      dial: masterReach(spec, directReach),
      framework,
      credential: { principal: 'perijove', secret: 's3cret' },
      signal: new AbortController().signal,
    });
    await expect(subscribed).rejects.toMatchObject({
      code: 'MESOS_ADDRESS_REFUSED',
      message: `${host}:${port} is named as a Mesos master, and is none of the spec`,
    });
    expect(follower.received.map(({ head }) => /^authorization: Basic/im.test(head))).toEqual([true]);
    expect(stranger.connections).toBe(0);
  });
});

describe('no subscription:', () => {
  const circle =
    'HTTP/1.1 307 Temporary Redirect\r\nLocation: //a:1/master/api/v1/scheduler\r\nContent-Length: 0\r\n\r\n';

  it.each([
    [
      'no leader',
      answer('503 Service Unavailable', 'No leader elected'),
      'MESOS_UNREACHABLE',
      /No leader elected/,
    ],
    [
      'a leader that is not ready',
      answer('503 Service Unavailable', 'Master has not finished recovery'),
      'MESOS_UNREACHABLE',
      /not finished recovery/,
    ],
    ['unauthenticated', answer('401 Unauthorized', ''), 'MESOS_CREDENTIAL_REFUSED', /401/],
    [
      'of another principal',
      answer(
        '400 Bad Request',
        "Authenticated principal 'a' does not match principal 'b' set in `FrameworkInfo`",
      ),
      'MESOS_CREDENTIAL_REFUSED',
      /'a' does not match/,
    ],
    ['not allowed', answer('403 Forbidden', ''), 'MESOS_REFUSED', /403/],
    [
      'malformed',
      answer('400 Bad Request', "Failed to validate scheduler::Call: Expecting 'subscribe' to be present"),
      'MESOS_BAD_REQUEST',
      /Expecting 'subscribe'/,
    ],
    ['no master at all', answer('404 Not Found', ''), 'MESOS_BAD_STREAM', /404/],
    [
      'torn down before',
      'HTTP/1.1 200 OK\r\nMesos-Stream-Id: x\r\nConnection: close\r\n\r\n65\n{"error":{"message":"Framework has been removed"},"type":"ERROR"}',
      'MESOS_FRAMEWORK_REMOVED',
      /has been removed/,
    ],
    [
      'another protocol',
      'HTTP/1.1 200 OK\r\nMesos-Stream-Id: x\r\nConnection: close\r\n\r\n<html>',
      'MESOS_BAD_STREAM',
      /length/,
    ],
    ['silence, then the end', (socket: Socket) => void socket.end(), 'MESOS_UNREACHABLE', /does not respond/],
  ] as const)('%s', async (_what, reply, code, message) => {
    await expect(connect(new RecordedMaster(reply))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  it('masters that redirect in a loop', async () => {
    const master = new RecordedMaster(...Array<string>(9).fill(circle));
    const endpoint = await master.start();
    await expect(
      subscribe({
        master: endpoint,
        dial: async () => endpoint,
        framework,
        signal: new AbortController().signal,
      }),
    ).rejects.toMatchObject({
      code: 'MESOS_UNREACHABLE',
      message: expect.stringMatching(/loop/) as string,
    });
  });

  it('aborted by the caller', async () => {
    const over = new AbortController();
    const master = new RecordedMaster(() => over.abort(new Error('enough')));
    await expect(connect(master, { signal: over.signal })).rejects.toThrow('enough');
  });
});

describe('later calls', () => {
  it.each([
    [
      'another scheduler has subscribed',
      answer(
        '400 Bad Request',
        "The stream ID 'x' included in this request didn't match the stream ID currently associated with framework ID F",
      ),
      'MESOS_STREAM_LOST',
    ],
    ['the stream is closed', answer('403 Forbidden', 'Framework is not subscribed'), 'MESOS_STREAM_LOST'],
    ['the framework is unknown', answer('400 Bad Request', 'Framework cannot be found'), 'MESOS_STREAM_LOST'],
    ['the master no longer leads', answer('307 Temporary Redirect', ''), 'MESOS_UNREACHABLE'],
    ['the master is gone', (socket: Socket) => void socket.destroy(), 'MESOS_UNREACHABLE'],
    [
      'the call is malformed',
      answer('400 Bad Request', 'Failed to validate scheduler::Call: Not a valid UUID'),
      'MESOS_BAD_REQUEST',
    ],
  ] as const)('%s', async (_what, reply, code) => {
    const subscription = await connect(new RecordedMaster((socket) => socket.write(chunked), reply));
    await expect(subscription.revive()).rejects.toMatchObject({ code });
  });

  it('arrive in the order in which they were made', async () => {
    const master = new RecordedMaster((socket) => socket.write(chunked), ...Array<string>(5).fill(accepted));
    const subscription = await connect(master);
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((taskId) => subscription.kill({ taskId })));
    const killed = master.received
      .slice(1)
      .map(({ body }) => (body['kill'] as { task_id: { value: string } }).task_id.value);
    expect(killed).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

it('a master that misses five heartbeats counts as gone', async () => {
  const quick = chunked.replace('"heartbeat_interval_seconds":15.0', '"heartbeat_interval_seconds":0.05');
  const subscription = await connect(new RecordedMaster((socket) => socket.write(quick)));
  const heard: string[] = [];
  await expect(
    (async () => {
      for await (const event of subscription.events) heard.push(event.kind);
    })(),
  ).rejects.toMatchObject({
    code: 'MESOS_UNREACHABLE',
    message: expect.stringMatching(/has sent nothing/) as string,
  });
  expect(heard).toEqual(['heartbeat']);
});

it.each([
  ['Framework failed over', 'MESOS_STREAM_LOST'],
  ['Framework has been removed', 'MESOS_FRAMEWORK_REMOVED'],
  ["Framework 'x' is not authorized to use role 'y'", 'MESOS_REFUSED'],
  ["Role 'y' is not present in the master's --roles", 'MESOS_BAD_REQUEST'],
])('the event %j is %s', (message, code) => {
  expect(errorOfEvent(message, { host: 'm', port: 1 }).code).toBe(code);
});
