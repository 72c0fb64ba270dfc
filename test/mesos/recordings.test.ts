import fc from 'fast-check';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { candidates } from '../../src/mesos/masters/candidates.js';
import { masterInfoSchema } from '../../src/mesos/masters/detector.js';
import type { MasterAddress } from '../../src/mesos/masters/http.js';
import {
  masterHealth,
  masterLeader,
  masterState,
  masterVersion,
  recoveredState,
} from '../../src/mesos/masters/operator-client.js';
import { RecordDecoder } from '../../src/mesos/scheduler/recordio.js';
import { subscribe, type Subscription } from '../../src/mesos/scheduler/client.js';
import {
  parseEvent,
  type FrameworkInfo,
  type SchedulerEvent,
  type TaskInfo,
} from '../../src/mesos/scheduler/types.js';
import { at } from '../support/mesos.js';
import {
  exchanges,
  recording,
  recordsOf,
  replyOf,
  sections,
  type Exchange,
} from '../support/mesos-recordings.js';
import { RecordedMaster } from '../support/recorded-master.js';

/** Perijove's client gets the responses of Apache Mesos 1.3.2, byte by byte. */

const schedulerApi = exchanges('scheduler-api.txt');
const chunkedStream = recording('scheduler-stream-chunked.raw').toString();
const framework: FrameworkInfo = {
  user: 'root',
  name: 'probe-framework',
  role: '*',
  failover_timeout: 3_600,
  checkpoint: true,
  hostname: 'probe-host',
  capabilities: [{ type: 'TASK_KILLING_STATE' }],
  labels: { labels: [{ key: 'k', value: 'v' }] },
};

let subscriptions: Subscription[] = [];
afterEach(async () => {
  for (const subscription of subscriptions) subscription.close();
  subscriptions = [];
  await RecordedMaster.stopAll();
});

type Answer = string | ((socket: Socket) => void);

/** Subscribes at a master that gives these responses; `dialled` are the masters that were tried. */
async function subscribeAt(answers: readonly Answer[], frameworkId?: string) {
  const master = new RecordedMaster(...answers);
  const endpoint = await master.start();
  const dialled: MasterAddress[] = [];
  const subscription = subscribe({
    master: endpoint,
    dial: async (address) => {
      dialled.push(address);
      return endpoint;
    },
    framework,
    ...(frameworkId === undefined ? {} : { frameworkId }),
    signal: new AbortController().signal,
  });
  return { master, dialled, subscription: subscription.then((each) => (subscriptions.push(each), each)) };
}

/** The recorded reply to SUBSCRIBE with a body that ends with the connection, as the recording has it. */
const streamOf = (raw: string) => raw.replace('Transfer-Encoding: chunked', 'Connection: close');

interface Call {
  readonly type?: string;
  readonly accept?: {
    readonly offer_ids: readonly { readonly value: string }[];
    readonly operations: readonly [{ readonly launch: { readonly task_infos: readonly TaskInfo[] } }];
  };
  readonly decline?: {
    readonly offer_ids: readonly { readonly value: string }[];
    readonly filters: { readonly refuse_seconds: number };
  };
  readonly acknowledge?: Record<'agent_id' | 'task_id', { readonly value: string }> & {
    readonly uuid: string;
  };
  readonly reconcile?: { readonly tasks: readonly Task[] };
  readonly kill?: Task;
}
interface Task {
  readonly task_id: { readonly value: string };
  readonly agent_id?: { readonly value: string };
}

const taskOf = ({ task_id, agent_id }: Task) => ({
  taskId: task_id.value,
  ...(agent_id === undefined ? {} : { agentId: agent_id.value }),
});
const valuesOf = (ids: readonly { readonly value: string }[]) => ids.map(({ value }) => value);

/** The same call by Perijove's client; undefined for one that it never makes. */
function made(subscription: Subscription, call: Call): Promise<void> | undefined {
  switch (call.type) {
    case 'ACCEPT':
      return subscription.accept(
        valuesOf(call.accept?.offer_ids ?? []),
        call.accept?.operations[0].launch.task_infos ?? [],
      );
    case 'DECLINE':
      return subscription.decline(
        valuesOf(call.decline?.offer_ids ?? []),
        call.decline?.filters.refuse_seconds ?? 0,
      );
    case 'ACKNOWLEDGE': {
      const { task_id, agent_id, uuid } = call.acknowledge ?? {};
      return subscription.acknowledge(task_id?.value ?? '', agent_id?.value ?? '', uuid ?? '');
    }
    case 'RECONCILE':
      return subscription.reconcile((call.reconcile?.tasks ?? []).map(taskOf));
    case 'KILL':
      return call.kill && subscription.kill(taskOf(call.kill));
    case 'SUPPRESS':
      return subscription.suppress();
    case 'REVIVE':
      return subscription.revive();
    case 'TEARDOWN':
      return subscription.teardown();
    default:
      return undefined;
  }
}

const callOf = ({ body }: Exchange): Call => {
  try {
    return JSON.parse(body ?? '{}') as Call;
  } catch {
    return {};
  }
};

/** The error code for each refusal. */
const refusals: Readonly<Record<string, string>> = {
  'wrong Mesos-Stream-Id': 'MESOS_STREAM_LOST',
  "a call with the old stream's id": 'MESOS_STREAM_LOST',
  'a call on the closed stream': 'MESOS_STREAM_LOST',
  'call of an unknown framework': 'MESOS_STREAM_LOST',
  'a call after TEARDOWN': 'MESOS_STREAM_LOST',
  'Mesos-Stream-Id missing': 'MESOS_BAD_REQUEST',
  'SUBSCRIBE with a Mesos-Stream-Id header': 'MESOS_BAD_REQUEST',
  'malformed JSON': 'MESOS_BAD_REQUEST',
  'JSON that is no object': 'MESOS_BAD_REQUEST',
  'empty body': 'MESOS_BAD_REQUEST',
  'JSON object without type': 'MESOS_BAD_REQUEST',
  'unknown type': 'MESOS_BAD_REQUEST',
  'field of a wrong kind': 'MESOS_BAD_REQUEST',
  'SUBSCRIBE without subscribe': 'MESOS_BAD_REQUEST',
  'SUBSCRIBE without the required user': 'MESOS_BAD_REQUEST',
  'call without framework_id': 'MESOS_BAD_REQUEST',
  'ACKNOWLEDGE with a bad uuid': 'MESOS_BAD_REQUEST',
  'SUBSCRIBE with framework_info.id that differs from framework_id': 'MESOS_BAD_REQUEST',
  'GET instead of POST': 'MESOS_BAD_REQUEST',
  'wrong Content-Type': 'MESOS_BAD_REQUEST',
  'no Content-Type header': 'MESOS_BAD_REQUEST',
  'Accept of another media type': 'MESOS_BAD_REQUEST',
  'Content-Type protobuf with a JSON body': 'MESOS_BAD_REQUEST',
  'POST to a path under the endpoint': 'MESOS_BAD_REQUEST',
  "POST to /master/api/v1/scheduler (the endpoint's other name)": 'MESOS_BAD_REQUEST',
};

describe('calls of the scheduler API', () => {
  const taken = schedulerApi.filter(({ reply }) => reply.status === 202);
  const redirected = schedulerApi.filter(({ reply }) => reply.status === 307);
  const refused = schedulerApi.filter(({ reply }) => reply.status >= 400);

  it('are all covered', () => {
    expect(refused.map(({ title }) => title).toSorted()).toEqual(Object.keys(refusals).toSorted());
    const others = schedulerApi.filter(({ reply }) => reply.status === 200).map(({ title }) => title);
    expect(others.map((title) => title.split(' (')[0])).toEqual([
      // The event streams below.
      'SUBSCRIBE',
      // Perijove reads `/state` instead.
      "stream 2's connection was closed by the client; operator call GET_FRAMEWORKS",
    ]);
    expect(taken.length + redirected.length + refused.length + others.length).toBe(schedulerApi.length);
  });

  it.each(taken.map((exchange) => [exchange.title, exchange] as const))(
    '%s: is sent as recorded, and accepted',
    async (_title, exchange) => {
      const { master, subscription } = await subscribeAt([
        (socket) => socket.write(chunkedStream),
        exchange.reply.raw,
      ]);
      const call = callOf(exchange);
      const answer = made(await subscription, call);
      if (answer === undefined) {
        expect(['REQUEST', 'MESSAGE', 'SHUTDOWN']).toContain(call.type);
        await expect((await subscription).revive()).resolves.toBeUndefined();
        return;
      }
      await expect(answer).resolves.toBeUndefined();
      const [, sent] = master.received;
      const recorded = JSON.parse(exchange.body ?? '') as Record<string, Record<string, unknown>>;
      // Perijove lets the master decide how long the rest of an accepted offer stays away.
      if (recorded['accept']) delete recorded['accept']['filters'];
      const framework_id = { value: (await subscription).frameworkId };
      expect(sent?.body).toEqual({ ...recorded, framework_id });
      expect(sent?.head.split('\r\n')[0]).toBe(`${exchange.method} ${exchange.path} HTTP/1.1`);
      const names = (sent?.head ?? '').toLowerCase();
      for (const name of Object.keys(exchange.headers)) expect(names).toContain(`\r\n${name}: `);
    },
  );

  it.each(refused.map((exchange) => [exchange.title, exchange] as const))(
    '%s: has its code',
    async (title, { reply }) => {
      const { subscription } = await subscribeAt([(socket) => socket.write(chunkedStream), reply.raw]);
      await expect((await subscription).revive()).rejects.toMatchObject({ code: refusals[title] });
      const first = await subscribeAt([reply.raw]);
      await expect(first.subscription).rejects.toMatchObject({ code: refusals[title] });
    },
  );

  it.each(redirected.map((exchange) => [exchange.title, exchange] as const))(
    '%s: is followed, or ends the subscription',
    async (_title, { reply }) => {
      const first = await subscribeAt([reply.raw, (socket) => socket.write(chunkedStream)]);
      await expect(first.subscription).resolves.toMatchObject({
        master: { host: '127.0.0.1', port: 15_070 },
      });
      expect(first.dialled[1]).toEqual({ host: '127.0.0.1', port: 15_070 });
      const { subscription } = await subscribeAt([(socket) => socket.write(chunkedStream), reply.raw]);
      await expect((await subscription).revive()).rejects.toMatchObject({ code: 'MESOS_UNREACHABLE' });
    },
  );

  it('SUBSCRIBE is sent as recorded, at first and again', async () => {
    for (const [title, id] of [
      ['SUBSCRIBE (stream 1', undefined],
      ['SUBSCRIBE again', 'b0adfe1d-25db-405f-87b8-ae8a5847391d-0005'],
    ] as const) {
      const { master, subscription } = await subscribeAt([(socket) => socket.write(chunkedStream)], id);
      await subscription;
      const section = sections('scheduler-api.txt').find((each) => each.title.startsWith(title));
      const body = /--data-binary '([^']*)'/.exec(section?.text ?? '')?.[1] ?? '';
      const recorded = JSON.parse(body) as { subscribe: { framework_info: Record<string, unknown> } };
      delete recorded.subscribe.framework_info['webui_url'];
      expect(master.received[0]?.body).toEqual(recorded);
    }
  });

  it('headers may be in any case', async () => {
    const upper = (raw: string) =>
      raw.replace(/^[^]*?\r\n\r\n/, (head) =>
        head.replace(/^([-\w]+):/gm, (_, name: string) => `${name.toUpperCase()}:`),
      );
    const redirect = upper(redirected[0]?.reply.raw ?? '');
    expect(redirect).toContain('LOCATION: //127.0.0.1:15070');
    const { subscription } = await subscribeAt([redirect, (socket) => socket.write(upper(chunkedStream))]);
    await expect(subscription).resolves.toMatchObject({ master: { port: 15_070 } });
    const lower = chunkedStream.replace('Mesos-Stream-Id:', 'mesos-stream-id:');
    const { subscription: second } = await subscribeAt([(socket) => socket.write(lower)]);
    await expect(second).resolves.toBeDefined();
  });
});

describe('event streams', () => {
  const events = async (subscription: Subscription): Promise<SchedulerEvent[]> => {
    const found: SchedulerEvent[] = [];
    await (async () => {
      for await (const event of subscription.events) found.push(event);
    })().catch(() => undefined);
    return found;
  };
  const bodyOf = (raw: Buffer) => raw.subarray(raw.indexOf('\r\n\r\n') + 4);

  it.each([
    ['scheduler-stream-1.raw', 'scheduler-stream-1.records.txt'],
    ['operator-subscribe.raw', 'operator-subscribe.records.txt'],
  ])('%s: is decoded into its records, wherever it is cut', (raw, records) => {
    const body = bodyOf(recording(raw));
    const wanted = recordsOf(records);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: body.length }), { maxLength: 30 }), (places) => {
        const decoder = new RecordDecoder();
        const cuts = [0, ...places.toSorted((a, b) => a - b), body.length];
        const found = cuts.flatMap((cut, index) => decoder.push(body.subarray(cuts[index - 1] ?? 0, cut)));
        decoder.end();
        expect(found.map(String)).toEqual(wanted);
      }),
    );
  });

  it('in single bytes: the subscription has the same events', async () => {
    const raw = streamOf(recording('scheduler-stream-2.raw').toString('latin1'));
    const whole = await subscribeAt([(socket) => socket.end(raw, 'latin1')]);
    const { subscription } = await subscribeAt([
      (socket) => {
        socket.setNoDelay();
        const send = (index: number): void => {
          if (index === raw.length) socket.end();
          else socket.write(raw.charAt(index), 'latin1', () => setImmediate(send, index + 1));
        };
        send(0);
      },
    ]);
    expect(await events(await subscription)).toEqual(await events(await whole.subscription));
  });

  it('in the chunked coding', async () => {
    const { subscription } = await subscribeAt([(socket) => socket.end(`${chunkedStream}0\r\n\r\n`)]);
    expect((await subscription).frameworkId).toBe('b0adfe1d-25db-405f-87b8-ae8a5847391d-0006');
    expect(await events(await subscription)).toEqual([{ kind: 'heartbeat' }]);
  });

  it('of a framework that was torn down: there is none', async () => {
    const section = sections('scheduler-api.txt').find(({ title }) => title.endsWith('that was torn down'));
    const raw = streamOf(replyOf(section?.text ?? '').raw);
    const { subscription } = await subscribeAt([(socket) => socket.end(raw)]);
    await expect(subscription).rejects.toMatchObject({ code: 'MESOS_FRAMEWORK_REMOVED' });
  });

  it('in protobuf: are refused, and not decoded', async () => {
    const section = sections('scheduler-api.txt').find(({ title }) => title.includes('x-protobuf'));
    const bytes = [...(section?.text ?? '').matchAll(/^[0-9a-f]{8} ((?: {1,2}[0-9a-f]{2})+)/gm)].flatMap(
      ([, hex]) => (hex ?? '').trim().split(/ +/),
    );
    const raw = streamOf(Buffer.from(bytes.join(''), 'hex').toString('latin1'));
    const { subscription } = await subscribeAt([(socket) => socket.end(raw, 'latin1')]);
    await expect(subscription).rejects.toMatchObject({ code: 'MESOS_BAD_STREAM' });
  });

  it('of the next leader: the framework ID stays, and its task is reported', () => {
    const section = sections('failover.txt').find(({ title }) => title.startsWith('stream 2'));
    const found = [...(section?.text ?? '').matchAll(/^\{.*\}(?=\d*$)/gm)].map(([record]) =>
      parseEvent(record),
    );
    expect(found[0]).toMatchObject({
      kind: 'subscribed',
      frameworkId: '4162c27d-207d-4fd5-8ea3-a4870afe237f-0000',
      masterId: '5f2c17d8-113b-49a4-8c10-aaf9a142fb56',
    });
    expect(found).toContainEqual(
      expect.objectContaining({
        kind: 'update',
        status: expect.objectContaining({
          state: 'TASK_RUNNING',
          reason: 'REASON_RECONCILIATION',
        }) as unknown,
      }),
    );
  });
});

describe('an event with more or fewer fields', () => {
  const records = [
    ...recordsOf('scheduler-stream-1.records.txt'),
    '{"type":"RESCIND","rescind":{"offer_id":{"value":"O1"}}}',
  ].filter((record, index, all) => all.indexOf(record) === index);

  /** Adds an unknown field to every object. */
  const withMore = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(withMore);
    if (typeof value !== 'object' || value === null) return value;
    const fields = Object.entries(value).map(([name, field]) => [name, withMore(field)]);
    return { ...Object.fromEntries(fields), added_later: { type: 'NEW', value: [1, { value: 'x' }] } };
  };

  it.each(records.map((record) => [record.slice(0, 90), record]))('%s…: unknown fields', (_start, record) => {
    expect(parseEvent(JSON.stringify(withMore(JSON.parse(record))))).toEqual(parseEvent(record));
  });

  /** Fields that Mesos' protobuf files call required, or that define an event of its type. */
  const required = new Set([
    ...[
      '.type',
      '.subscribed',
      '.offers',
      '.update',
      '.error',
      '.rescind',
      '.update.status',
      '.error.message',
    ],
    ...['.subscribed.framework_id', '.subscribed.master_info.id', '.subscribed.master_info.ip'],
    ...['.subscribed.master_info.port', '.subscribed.master_info.address.port', '.rescind.offer_id'],
    ...['.offers.offers[].id', '.offers.offers[].framework_id', '.offers.offers[].agent_id'],
    ...[
      '.offers.offers[].hostname',
      '.offers.offers[].resources[].name',
      '.offers.offers[].resources[].type',
    ],
    ...['.offers.offers[].attributes[].name', '.offers.offers[].attributes[].type'],
    ...['.offers.offers[].url.scheme', '.offers.offers[].url.address', '.offers.offers[].url.address.port'],
    ...[
      '.offers.offers[].resources[].ranges.range[].begin',
      '.offers.offers[].resources[].ranges.range[].end',
    ],
    ...['.update.status.task_id', '.update.status.state'],
  ]);

  const optionalFields = (value: unknown, path = ''): string[] => {
    if (Array.isArray(value)) return value.flatMap((item: unknown) => optionalFields(item, `${path}[]`));
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([name, field]) => {
      const here = `${path}.${name}`;
      // An ID or a scalar consists only of its `value`.
      return [...(required.has(here) || name === 'value' ? [] : [here]), ...optionalFields(field, here)];
    });
  };
  const without = (value: unknown, gone: string, path = ''): unknown => {
    if (Array.isArray(value)) return value.map((item: unknown) => without(item, gone, `${path}[]`));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => `${path}.${name}` !== gone)
        .map(([name, field]) => [name, without(field, gone, `${path}.${name}`)]),
    );
  };

  it.each(records.map((record) => [record.slice(0, 90), record]))(
    '%s…: without a field',
    (_start, record) => {
      const json: unknown = JSON.parse(record);
      const { kind } = parseEvent(record);
      for (const field of new Set(optionalFields(json))) {
        expect(parseEvent(JSON.stringify(without(json, field))).kind).toBe(kind);
      }
    },
  );
});

describe('the public endpoints of a master', () => {
  const asked: Readonly<Record<string, (endpoint: { host: string; port: number }) => Promise<unknown>>> = {
    '/state': masterState,
    '/health': masterHealth,
    '/redirect': masterLeader,
    '/version': masterVersion,
  };
  const all = ['master-endpoints.txt', 'outage.txt'].flatMap(exchanges);
  const endpointOf = ({ path }: Exchange) => path.replace(/^\/master(?=\/)/, '');
  const used = all.filter(
    (exchange) => exchange.method === 'GET' && asked[endpointOf(exchange)] !== undefined,
  );

  it.each(used.map((exchange) => [`${exchange.file}: ${exchange.title}`, exchange] as const))(
    '%s',
    async (_title, exchange) => {
      const ask = asked[endpointOf(exchange)];
      const { reply } = exchange;
      const answer = ask?.(await new RecordedMaster(reply.raw).start());
      const leader = { host: '127.0.0.1', port: 15_070 };
      if (endpointOf(exchange) === '/health') await expect(answer).resolves.toBe(true);
      else if (reply.status === 200) await expect(answer).resolves.toMatchObject({ version: '1.3.2' });
      else if (endpointOf(exchange) !== '/redirect') {
        await expect(answer).rejects.toMatchObject({ code: 'MESOS_UNREACHABLE', retryable: true });
      } else if (reply.status === 503) await expect(answer).resolves.toBeUndefined();
      else if (exchange.title.startsWith('alone'))
        await expect(answer).resolves.toMatchObject({ port: 15_050 });
      else await expect(answer).resolves.toEqual(leader);
    },
  );

  it.each(
    all
      .filter(({ body }) => body?.includes('SUBSCRIBE') === true)
      .map((exchange) => [exchange.title, exchange] as const),
  )('%s: is retried', async (_title, { reply }) => {
    const { subscription } = await subscribeAt([reply.raw]);
    await expect(subscription).rejects.toMatchObject({ code: 'MESOS_UNREACHABLE', retryable: true });
  });

  it('are not trusted before it has read its registry, though its /state is well-formed', async () => {
    const find = (file: string, title: string) =>
      exchanges(file).find((exchange) => exchange.title.includes(title))?.reply.raw ?? '';
    const alone = [find('outage.txt', 'alone with quorum 2, 12 s after its start, port 15050: GET_HEALTH')];
    await expect(recoveredState(await new RecordedMaster(...alone).start())).rejects.toMatchObject({
      code: 'MESOS_UNREACHABLE',
      retryable: true,
      message: expect.stringMatching(/has not finished recovery/) as string,
    });
    const recovered = [find('operator-api.txt', 'GET_HEALTH'), find('master-endpoints.txt', 'GET /state')];
    const master = new RecordedMaster(...recovered);
    await expect(recoveredState(await master.start())).resolves.toMatchObject({ agents: [{ port: 15_051 }] });
    expect(master.received.map(({ head, body }) => [head.split(' HTTP')[0], body])).toEqual([
      ['POST /api/v1', { type: 'GET_HEALTH' }],
      ['GET /state', {}],
    ]);
  });

  it('are not all used: Perijove does not need the rest', () => {
    const names = all
      .filter((exchange) => !used.includes(exchange) && exchange.body?.includes('SUBSCRIBE') !== true)
      .map((exchange) =>
        exchange.body === undefined ? endpointOf(exchange) : String(at(JSON.parse(exchange.body), 'type')),
      );
    expect([...new Set(names)].toSorted()).toEqual([
      '/',
      '/flags',
      '/frameworks',
      '/health',
      '/logging/toggle',
      '/maintenance/schedule',
      '/maintenance/status',
      '/metrics/snapshot',
      '/no-such-path',
      '/processes',
      '/quota',
      '/redirect/master/state',
      '/roles',
      '/slaves',
      '/state',
      '/state-summary',
      '/state.json',
      '/state?jsonp=cb',
      '/system/stats.json',
      '/tasks',
      '/weights',
      'GET_HEALTH',
      'GET_MASTER',
      'GET_STATE',
    ]);
  });
});

describe('what a master writes into ZooKeeper', () => {
  it.each(sections('znodes.txt').map(({ title, text }) => [title, text]))('%s', (_title, text) => {
    const children = /^\[(.*)\]$/m.exec(text)?.[1]?.split(', ') ?? [];
    const contents = new Map(
      [...text.matchAll(/get -s \/mesos\/(json\.info_\d+)\n(\{.*\})$/gm)].map(([, name, data]) => [
        name ?? '',
        masterInfoSchema.parse(JSON.parse(data ?? '')),
      ]),
    );
    expect(children).toContain('log_replicas');
    expect(candidates(children)).toEqual([...contents.keys()]);
    const [leader] = candidates(children);
    expect(contents.get(leader ?? '')?.address).toEqual({
      hostname: '127.0.0.1',
      ip: '127.0.0.1',
      port: contents.size === 3 ? 15_070 : 15_060,
    });
  });
});
