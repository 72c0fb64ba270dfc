import { once } from 'node:events';
import { connect } from 'node:net';
import { vi } from 'vitest';
import { taskStatusKind, type TaskStatus } from '../../src/stand-in/messages.js';
import { readMessage } from '../../src/stand-in/proto.js';
import { at } from './mesos.js';
import { exchanges, recordsOf, sections, type Exchange } from './mesos-recordings.js';
import { passTimeUntil, RecordedAgent, StandIn, type Answer, type Asked, type Stream } from './stand-in.js';

export type Json = Readonly<Record<string, unknown>>;

const schedulerApi = exchanges('scheduler-api.txt');
const firstRecordedOffer = 14;
const json = { 'content-type': 'application/json', accept: 'application/json' };

export const recordedStream = recordsOf('scheduler-stream-1.records.txt').map(
  (text) => JSON.parse(text) as Json,
);

/** Statuses of the recorded agent's tasks, without repetitions. */
const recordedStatuses: readonly TaskStatus[] = [
  ...recordedStream.map((event) => at(event, 'update', 'status')),
  at(replyJson('operator-api.txt', 'GET_TASKS'), 'get_tasks', 'tasks', 0, 'statuses', 0),
]
  .filter((status, index, all) => {
    const uuid = at(status, 'uuid');
    return uuid !== undefined && all.findIndex((other) => at(other, 'uuid') === uuid) === index;
  })
  .map((status) => readMessage(taskStatusKind, status));

function replyJson(file: string, title: string): Json {
  const text = exchanges(file).find((exchange) => exchange.title === title)?.reply.text;
  return JSON.parse(text ?? '{}') as Json;
}

/**
 * Sends the stand-in's masters all requests recorded from Apache Mesos 1.3.2: in the same order, at the same
 * times of a faked clock, with an agent that replays the recorded one. IDs of streams and offers, which each
 * master generates, are translated.
 */
export class Replay {
  /** The scheduler's streams in order: the first one, its two successors, the one after TEARDOWN. */
  readonly streams: Stream[] = [];
  /** Bytes received on the stream of `SUBSCRIBE … with curl --raw`. */
  rawStream = '';
  /** The answer to SUBSCRIBE of the operator API. */
  operatorSubscribe: Answer | undefined;
  readonly #standIn: StandIn;
  readonly #agent: RecordedAgent;
  readonly #answers = new Map<string, Answer>();

  /** @param ip used only by this test file, in 127.0.0.0/8 */
  constructor(ip: string) {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
      now: Date.parse('2026-11-22T08:54:30Z'),
    });
    this.#standIn = new StandIn(ip);
    this.#agent = new RecordedAgent(this.#standIn.master, recordedStatuses);
  }

  async run(): Promise<void> {
    await this.#standIn.start();
    this.#standIn.master.start({ agents: [], unreachable: [], windows: [] });
    await this.#agent.register();
    await this.#earlierFrameworks();
    await this.#schedulerApi();
    await this.#runningTask();
    for (const file of ['master-endpoints.txt', 'operator-api.txt', 'outage.txt']) {
      for (const exchange of exchanges(file)) {
        const { method, path, headers, body } = exchange;
        await this.#keep(exchange, this.#standIn.ask(whom(exchange), method, path, headers, body));
      }
    }
    const body = '{"type":"SUBSCRIBE"}';
    this.operatorSubscribe = await this.#standIn.ask('leader', 'POST', '/api/v1', json, body);
  }

  async stop(): Promise<void> {
    this.#agent.remove();
    await this.#standIn.stop();
    vi.useRealTimers();
  }

  /** The stand-in's reply, with recorded IDs. */
  answerTo({ file, title }: Exchange): Answer {
    const answer = this.#answers.get(`${file}: ${title}`);
    if (answer === undefined) throw new Error(`never asked: ${title}`);
    return { ...answer, text: this.inRecordedIds(answer.text) };
  }

  /** The stand-in's text, with the recorded IDs of streams and offers in place of its own. */
  inRecordedIds(text: string): string {
    const offers = this.#offers().map(
      (id, index) => [id, `${idOfMaster}-O${firstRecordedOffer + index}`] as const,
    );
    const streams = recordedStreamIds.map((id, index) => [this.streams[index]?.id ?? '', id] as const);
    // In reverse, because one offer ID may be a prefix of another.
    return [...offers.toReversed(), ...streams].reduce((so, [own, recorded]) => {
      return own === '' ? so : so.replaceAll(own, recorded);
    }, text);
  }

  /**
   * Frameworks 0000 to 0004, which the recorded master had seen before: two of them with everything ours
   * have.
   */
  async #earlierFrameworks(): Promise<void> {
    for (const index of [0, 1, 2, 3, 4]) {
      if (index % 2 === 1) await this.#shortFramework();
      else await this.#framework(bodyOf('SUBSCRIBE (stream 1'), `earlier-task-${index}`, true);
    }
  }

  /** A framework that subscribes and disconnects. */
  async #shortFramework(): Promise<void> {
    const stream = await this.#standIn.subscribe(
      JSON.stringify({
        type: 'SUBSCRIBE',
        subscribe: { framework_info: { user: 'root', name: 'probe-raw' } },
      }),
    );
    await passTimeUntil('subscribed', () => stream.records.length > 0);
    const id = frameworkIdOf(stream);
    stream.close();
    await passTimeUntil(`${id} is gone`, () => !this.#standIn.master.cluster.frameworks.has(id));
  }

  async #schedulerApi(): Promise<void> {
    const subscribe = async (body: string) => {
      const stream = await this.#standIn.subscribe(body);
      this.streams.push(stream);
      await passTimeUntil('an event', () => stream.records.length > 0);
    };
    for (const { title, text } of sections('scheduler-api.txt')) {
      const exchange = schedulerApi.find((each) => each.title === title);
      // The recorded dates are truncated to seconds.
      const date = Date.parse(/^Date: (.*)$/m.exec(text)?.[1] ?? '') + 900;
      if (date > Date.now()) await vi.advanceTimersByTimeAsync(date - Date.now());
      if (title.startsWith('SUBSCRIBE (stream 1')) await subscribe(exchange?.body ?? '');
      else if (title.includes('curl --raw')) await this.#rawFramework(bodyOf(title));
      else if (title.includes('x-protobuf')) await this.#shortFramework();
      else if (title.startsWith('SUBSCRIBE again')) await subscribe(bodyOf(title));
      else if (/^SUBSCRIBE (after|with the framework id)/.test(title)) {
        await subscribe(bodyOf('SUBSCRIBE again'));
      } else if (exchange !== undefined) {
        if (title.startsWith("stream 2's connection was closed")) this.streams[1]?.close();
        await this.#keep(exchange, this.#play(exchange));
      }
    }
  }

  /** The bytes of a stream, including the chunked coding. */
  async #rawFramework(body: string): Promise<void> {
    const socket = connect({ host: this.#standIn.ip, port: this.#standIn.portOf('leader') });
    socket.on('data', (chunk) => (this.rawStream += chunk.toString()));
    socket.write(
      [
        'POST /api/v1/scheduler HTTP/1.1',
        'Host: 127.0.0.1:15070',
        'Content-Type: application/json',
        'Accept: application/json',
        `Content-Length: ${body.length}`,
        '',
        body,
      ].join('\r\n'),
    );
    await passTimeUntil('two records', () => this.rawStream.includes('HEARTBEAT'));
    const id = /b0adfe1d-[-0-9a-f]{27}-\d{4}/.exec(this.rawStream)?.[0] ?? '';
    socket.destroy();
    await once(socket, 'close');
    await passTimeUntil(`${id} is gone`, () => !this.#standIn.master.cluster.frameworks.has(id));
  }

  async #play({ port, method, path, headers, body }: Exchange): Promise<Answer> {
    let translated = body;
    for (const [recorded, number] of (body ?? '').matchAll(/b0adfe1d-[-0-9a-f]+-O(\d+)/g)) {
      const index = Number(number) - firstRecordedOffer;
      await passTimeUntil(`offer ${index}`, () => this.#offers().length > index);
      translated = translated?.replaceAll(recorded, this.#offers()[index] ?? '');
    }
    const uuid = /"type":"ACKNOWLEDGE".*"uuid":"([^"]{24})"/.exec(body ?? '')?.[1];
    if (uuid !== undefined) {
      await passTimeUntil(`update ${uuid}`, () =>
        (this.streams[0]?.records ?? []).some((event) => at(event, 'update', 'status', 'uuid') === uuid),
      );
    }
    const sent = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => {
        const index = recordedStreamIds.indexOf(value);
        return [name, index < 0 ? value : (this.streams[index]?.id ?? '')];
      }),
    );
    const asked = port === leaderPort ? 'leader' : 'follower';
    return await this.#standIn.ask(asked, method, path, sent, translated);
  }

  /** The framework with one task that the master had when its endpoints were queried. */
  async #runningTask(): Promise<void> {
    const { framework_info: info } = at(
      replyJson('operator-api.txt', 'GET_FRAMEWORKS'),
      'get_frameworks',
      'frameworks',
      0,
    ) as { framework_info: Json };
    const body = { type: 'SUBSCRIBE', subscribe: { framework_info: { ...info, id: undefined } } };
    await this.#framework(JSON.stringify(body), 'running-task', false);
  }

  /** A framework that launches one task, acknowledges its updates, and optionally ends. */
  async #framework(body: string, task: string, ends: boolean): Promise<void> {
    const stream = await this.#standIn.subscribe(body);
    const find = (type: string) => stream.records.find((event) => event['type'] === type);
    const call = async (more: Json) => {
      const text = JSON.stringify({ framework_id: { value: frameworkIdOf(stream) }, ...more });
      const headers = { ...json, 'mesos-stream-id': stream.id };
      const { status } = await this.#standIn.ask('leader', 'POST', '/api/v1/scheduler', headers, text);
      if (status !== 202) throw new Error(`${status} to ${text}`);
    };
    await passTimeUntil('an offer', () => find('OFFERS') !== undefined);
    const [offer] = at(find('OFFERS'), 'offers', 'offers') as [Json];
    const scalar = (name: string, value: number) => ({ name, type: 'SCALAR', role: '*', scalar: { value } });
    const info = {
      name: task,
      task_id: { value: task },
      agent_id: offer['agent_id'],
      resources: [scalar('cpus', 0.5), scalar('mem', 32)],
      command: { value: 'sleep 1000' },
    };
    const operations = [{ type: 'LAUNCH', launch: { task_infos: [info] } }];
    await call({ type: 'ACCEPT', accept: { offer_ids: [offer['id']], operations } });
    if (!ends) {
      await passTimeUntil('it runs', () => find('UPDATE') !== undefined);
      const { agent_id, task_id, uuid } = at(find('UPDATE'), 'update', 'status') as Json;
      await call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } });
    }
    await call({ type: ends ? 'TEARDOWN' : 'SUPPRESS' });
  }

  async #keep({ file, title }: Exchange, answer: Promise<Answer>): Promise<void> {
    this.#answers.set(`${file}: ${title}`, await answer);
  }

  #offers(): string[] {
    return (this.streams[0]?.records ?? [])
      .filter(({ type }) => type === 'OFFERS')
      .map((event) => String(at(event, 'offers', 'offers', 0, 'id', 'value')));
  }
}

const idOfMaster = 'b0adfe1d-25db-405f-87b8-ae8a5847391d';
const leaderPort = 15_070;
const recordedStreamIds = sections('scheduler-api.txt')
  .filter(({ title }) => title.startsWith('everything that came over stream'))
  .map(({ text }) => /^Mesos-Stream-Id: (.*)$/m.exec(text)?.[1] ?? '');

function whom({ title, port }: Exchange): Asked {
  if (title.startsWith('ZooKeeper stopped')) return 'lonely';
  if (title.startsWith('alone with quorum 2')) return 'alone';
  return port === leaderPort ? 'leader' : 'follower';
}

function bodyOf(title: string): string {
  const section = sections('scheduler-api.txt').find((each) => each.title.startsWith(title));
  const body = /--data-binary '([^']*)'/.exec(section?.text ?? '')?.[1];
  if (body === undefined) throw new Error(`no body: ${title}`);
  return body;
}

function frameworkIdOf(stream: Stream): string {
  return String(at(stream.records[0], 'subscribed', 'framework_id', 'value'));
}
