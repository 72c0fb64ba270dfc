import { Agent } from 'node:http';
import { messageOf, PerijoveError } from '../../errors/error.js';
import { scope } from '../../net/scope.js';
import { chunksOf, httpRequest, textOf as bodyOf, type HttpResponse } from '../../net/http.js';
import type { Endpoint } from '../../ssh/connection.js';
import {
  authorization,
  redirectTarget,
  refusal,
  type Credential,
  type MasterAddress,
} from '../masters/http.js';
import { RecordDecoder } from './recordio.js';
import { parseEvent, type FrameworkInfo, type SchedulerEvent, type TaskInfo } from './types.js';

/** The connection counts as lost after this many missed heartbeats. */
export const heartbeatsMissed = 5;
const connectTimeoutMs = 5_000;
const answerTimeoutMs = 10_000;
const longestRedirects = 5;

export interface SubscribeOptions {
  /** The master to ask first; redirects are followed. */
  readonly master: MasterAddress;
  /** Rejects for a master that must not get the credential (`masterReach`). */
  readonly dial: (master: MasterAddress) => Promise<Endpoint>;
  readonly framework: FrameworkInfo;
  /** From an earlier subscription; absent for a new framework. */
  readonly frameworkId?: string;
  readonly credential?: Credential;
  /** Ends the subscription when aborted. */
  readonly signal: AbortSignal;
}

export interface TaskReference {
  readonly taskId: string;
  readonly agentId?: string;
}

/**
 * A framework's subscription to the leading master: an event stream, and the calls that belong to it. Calls
 * arrive in the order in which they were made. Each resolves when the master has accepted it (202), and
 * rejects with MESOS_STREAM_LOST when the master has another subscription, MESOS_UNREACHABLE when nothing (or
 * no leading master) responds in time, MESOS_CREDENTIAL_REFUSED, MESOS_REFUSED, or MESOS_BAD_REQUEST.
 */
export interface Subscription {
  readonly frameworkId: string;
  readonly master: MasterAddress;
  /** ID of the master, as in its znode; absent when it did not report it. */
  readonly masterId: string | undefined;
  /**
   * Events in order, including heartbeats. Iterate it once. It ends by throwing MESOS_UNREACHABLE when the
   * master closed the stream or five heartbeats were missed, MESOS_BAD_STREAM when the data are invalid, or
   * the reason of the signal.
   */
  readonly events: AsyncGenerator<SchedulerEvent, never>;
  /** Launches tasks on the resources of these offers of one agent; the rest is offered again. */
  accept(offerIds: readonly string[], tasks: readonly TaskInfo[]): Promise<void>;
  /** The agents' resources are not offered again for that long, unless `revive` is called. */
  decline(offerIds: readonly string[], refuseSeconds: number): Promise<void>;
  /** Answers requests to leave agents; declined ones come again after that time, while they hold. */
  acceptInverse(offerIds: readonly string[]): Promise<void>;
  declineInverse(offerIds: readonly string[], refuseSeconds: number): Promise<void>;
  /** No offers until `revive`. */
  suppress(): Promise<void>;
  revive(): Promise<void>;
  /** @param uuid of the update, in base64 */
  acknowledge(taskId: string, agentId: string, uuid: string): Promise<void>;
  /** Requests the states of these tasks; of all tasks of the framework when there are none. */
  reconcile(tasks: readonly TaskReference[]): Promise<void>;
  kill(task: TaskReference): Promise<void>;
  /** Ends the framework and all its tasks for good. */
  teardown(): Promise<void>;
  /** Closes the connections. The framework remains until its failover time-out. */
  close(): void;
}

/**
 * Subscribes a framework (SUBSCRIBE), following redirects to the leading master.
 *
 * @throws PerijoveError MESOS_UNREACHABLE (also for a 503 of a master that does not lead yet),
 * MESOS_FRAMEWORK_REMOVED, MESOS_CREDENTIAL_REFUSED, MESOS_REFUSED, MESOS_BAD_REQUEST, MESOS_BAD_STREAM; what
 * `dial` throws, for a redirect too
 */
export async function subscribe(options: SubscribeOptions): Promise<Subscription> {
  const over = scope(options.signal);
  const { signal } = over;
  const close = () => over.abort(new PerijoveError('MESOS_STREAM_LOST', 'the subscription was closed'));
  try {
    const stream = await openStream(options, signal);
    const heard = { at: performance.now(), intervalMs: answerTimeoutMs / heartbeatsMissed };
    const events = eventsOf(stream, heard, signal);
    const first = await events.next();
    if (first.value.kind === 'error') throw errorOfEvent(first.value.message, stream.master);
    if (first.value.kind !== 'subscribed') {
      throw new PerijoveError(
        'MESOS_BAD_STREAM',
        `the first event of a Mesos master was ${first.value.kind}`,
        {
          subject: nameOf(stream.master),
        },
      );
    }
    heard.intervalMs = first.value.heartbeatMs;
    return new HttpSubscription(stream, first.value, events, options.credential, signal, close);
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * The error for an ERROR event. "Framework failed over" is MESOS_STREAM_LOST: another scheduler has
 * subscribed with the same framework ID.
 */
export function errorOfEvent(message: string, master: MasterAddress): PerijoveError {
  const subject = nameOf(master);
  const text = `the Mesos master at ${subject} reported: ${message}`;
  if (/failed over/i.test(message)) return new PerijoveError('MESOS_STREAM_LOST', text, { subject });
  if (/has been removed|completed framework/i.test(message)) {
    return new PerijoveError('MESOS_FRAMEWORK_REMOVED', text, { subject });
  }
  if (/authori[sz]|principal/i.test(message)) return new PerijoveError('MESOS_REFUSED', text, { subject });
  return new PerijoveError('MESOS_BAD_REQUEST', text, { subject });
}

interface Stream {
  readonly master: MasterAddress;
  readonly endpoint: Endpoint;
  readonly streamId: string;
  readonly body: HttpResponse['body'];
}

async function openStream(options: SubscribeOptions, signal: AbortSignal): Promise<Stream> {
  const { framework, frameworkId } = options;
  const call = {
    type: 'SUBSCRIBE',
    ...(frameworkId === undefined ? {} : { framework_id: { value: frameworkId } }),
    subscribe: {
      framework_info: { ...framework, ...(frameworkId === undefined ? {} : { id: { value: frameworkId } }) },
    },
  };
  let { master } = options;
  for (let redirects = 0; redirects <= longestRedirects; redirects += 1) {
    const endpoint = await options.dial(master);
    const answer = await post(
      lineTo(endpoint, signal),
      master,
      call,
      authorization(options.credential),
      signal,
    );
    const streamId = answer.headers['mesos-stream-id'];
    if (answer.status === 200 && typeof streamId === 'string') {
      return { master, endpoint, streamId, body: answer.body };
    }
    const body = await textOf(answer, master, 'SUBSCRIBE', signal);
    const location = answer.headers['location'];
    const next = answer.status === 307 ? redirectTarget(String(location)) : undefined;
    if (next === undefined) throw refusal(answer.status, body, master, 'SUBSCRIBE');
    master = next;
  }
  throw new PerijoveError(
    'MESOS_UNREACHABLE',
    'the Mesos masters redirect in a loop: none of them is leading',
    {
      subject: nameOf(master),
    },
  );
}

/** A connection of its own, so that requests go out one after the other. It ends with the signal. */
interface Line {
  readonly endpoint: Endpoint;
  readonly agent: Agent;
}

function lineTo(endpoint: Endpoint, signal: AbortSignal): Line {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const destroy = () => agent.destroy();
  if (signal.aborted) destroy();
  else signal.addEventListener('abort', destroy, { once: true });
  return { endpoint, agent };
}

async function post(
  { endpoint, agent }: Line,
  master: MasterAddress,
  call: { readonly type: string },
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<HttpResponse> {
  try {
    return await httpRequest(`http://${endpoint.host}:${endpoint.port}/api/v1/scheduler`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(call),
      agent,
      connectTimeoutMs,
      headTimeoutMs: answerTimeoutMs,
      signal,
    });
  } catch (cause) {
    throw unanswered(cause, master, call.type, signal);
  }
}

async function textOf(
  answer: HttpResponse,
  master: MasterAddress,
  type: string,
  signal: AbortSignal,
): Promise<string> {
  try {
    return await bodyOf(answer);
  } catch (cause) {
    throw unanswered(cause, master, type, signal);
  }
}

function unanswered(cause: unknown, master: MasterAddress, type: string, signal: AbortSignal): PerijoveError {
  signal.throwIfAborted();
  return new PerijoveError(
    'MESOS_UNREACHABLE',
    `the Mesos master at ${nameOf(master)} does not respond to ${type}: ${messageOf(cause)}`,
    { subject: nameOf(master), cause },
  );
}

/** When the last message arrived, and the heartbeat interval that the master announced. */
interface Heard {
  at: number;
  intervalMs: number;
}

async function* eventsOf(
  { body, master }: Stream,
  heard: Heard,
  signal: AbortSignal,
): AsyncGenerator<SchedulerEvent, never> {
  const decoder = new RecordDecoder();
  const gone = (why: string, cause?: unknown) =>
    new PerijoveError('MESOS_UNREACHABLE', `the Mesos master at ${nameOf(master)} ${why}`, {
      subject: nameOf(master),
      cause,
    });
  heard.at = performance.now();
  let silence: PerijoveError | undefined;
  const watchdog = setInterval(() => {
    const silentMs = performance.now() - heard.at;
    if (silentMs < heartbeatsMissed * heard.intervalMs) return;
    silence = gone(`has sent nothing for ${Math.round(silentMs / 1_000)} s`);
    body.destroy(silence);
  }, 250);
  // A caller that does not read to the end closes the stream.
  const stop = () => clearInterval(watchdog);
  signal.addEventListener('abort', stop, { once: true });
  try {
    // Its heartbeats are watched above.
    for await (const chunk of chunksOf({ body }, { idleMs: Infinity })) {
      heard.at = performance.now();
      for (const record of decoder.push(chunk)) yield parseEvent(record.toString('utf8'));
    }
    decoder.end();
  } catch (cause) {
    signal.throwIfAborted();
    if (silence !== undefined) throw silence;
    if (cause instanceof PerijoveError) throw cause;
    throw gone(`broke the connection (${messageOf(cause)})`, cause);
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
  signal.throwIfAborted();
  throw gone('closed the connection');
}

class HttpSubscription implements Subscription {
  readonly frameworkId: string;
  readonly master: MasterAddress;
  readonly masterId: string | undefined;
  readonly #line: Line;
  readonly #headers: Record<string, string>;
  readonly #signal: AbortSignal;

  constructor(
    stream: Stream,
    subscribed: Extract<SchedulerEvent, { readonly kind: 'subscribed' }>,
    readonly events: AsyncGenerator<SchedulerEvent, never>,
    credential: Credential | undefined,
    signal: AbortSignal,
    readonly close: () => void,
  ) {
    this.frameworkId = subscribed.frameworkId;
    this.master = stream.master;
    this.masterId = subscribed.masterId;
    this.#line = lineTo(stream.endpoint, signal);
    this.#headers = { ...authorization(credential), 'mesos-stream-id': stream.streamId };
    this.#signal = signal;
  }

  async accept(offerIds: readonly string[], tasks: readonly TaskInfo[]): Promise<void> {
    const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }];
    await this.#call('ACCEPT', { accept: { offer_ids: values(offerIds), operations } });
  }

  async decline(offerIds: readonly string[], refuseSeconds: number): Promise<void> {
    const filters = { refuse_seconds: refuseSeconds };
    await this.#call('DECLINE', { decline: { offer_ids: values(offerIds), filters } });
  }

  async acceptInverse(offerIds: readonly string[]): Promise<void> {
    await this.#call('ACCEPT_INVERSE_OFFERS', {
      accept_inverse_offers: { inverse_offer_ids: values(offerIds) },
    });
  }

  async declineInverse(offerIds: readonly string[], refuseSeconds: number): Promise<void> {
    const filters = { refuse_seconds: refuseSeconds };
    await this.#call('DECLINE_INVERSE_OFFERS', {
      decline_inverse_offers: { inverse_offer_ids: values(offerIds), filters },
    });
  }

  async suppress(): Promise<void> {
    await this.#call('SUPPRESS');
  }

  async revive(): Promise<void> {
    await this.#call('REVIVE');
  }

  async acknowledge(taskId: string, agentId: string, uuid: string): Promise<void> {
    const acknowledge = { agent_id: { value: agentId }, task_id: { value: taskId }, uuid };
    await this.#call('ACKNOWLEDGE', { acknowledge });
  }

  async reconcile(tasks: readonly TaskReference[]): Promise<void> {
    await this.#call('RECONCILE', { reconcile: { tasks: tasks.map(reference) } });
  }

  async kill(task: TaskReference): Promise<void> {
    await this.#call('KILL', { kill: reference(task) });
  }

  async teardown(): Promise<void> {
    await this.#call('TEARDOWN');
  }

  async #call(type: string, body: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const call = { framework_id: { value: this.frameworkId }, type, ...body };
    const answer = await post(this.#line, this.master, call, this.#headers, this.#signal);
    const text = await textOf(answer, this.master, type, this.#signal);
    if (answer.status !== 202) throw refusal(answer.status, text, this.master, type);
  }
}

function values(ids: readonly string[]) {
  return ids.map((value) => ({ value }));
}

function reference({ taskId, agentId }: TaskReference) {
  return {
    task_id: { value: taskId },
    ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
  };
}

function nameOf({ host, port }: MasterAddress): string {
  return `${host}:${port}`;
}
