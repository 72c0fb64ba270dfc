import http from 'node:http';
import type { Socket } from 'node:net';
import { messageOf } from '../../errors/error.js';
import { gatePath, gateStatusSchema } from '../../node/api.js';
import { DialAgent, PreparedAgent } from './agents.js';
import type { RouteNode } from '../api.js';
import type { GateView } from './decide.js';
import { nodeWay, type Ways } from './ways.js';

const maxAnswerBytes = 16 * 1024;

/** Minimum time between two polls, also when each one ends its connection. */
const leastMs = 20;

/** Time limit for a late reply over a silent tunnel. */
const deadTunnelMs = 1_500;

/** Poll interval and reply deadline of a gate. */
export interface Pace {
  readonly everyMs: number;
  readonly deadlineMs: number;
}

/**
 * Polls one node's gate over one keep-alive connection, and immediately when that connection ends. Polls
 * never overlap.
 */
export class GateWatch {
  #agent: DialAgent;
  #pace: Pace | undefined;
  #running = false;
  #wake: (() => void) | undefined;
  #hurry = false;
  #way: string | undefined;
  #socket: Socket | undefined;

  /** @param report called with each reply; `asked` is the time of the request, by `performance.now()` */
  constructor(
    readonly node: RouteNode,
    private readonly ways: Ways,
    private readonly report: (view: GateView, asked: number) => void,
  ) {
    this.#agent = this.#newAgent();
  }

  /** Starts polling or changes the pace; undefined stops it after the current poll. */
  set pace(pace: Pace | undefined) {
    const faster = pace !== undefined && (this.#pace === undefined || pace.everyMs < this.#pace.everyMs);
    this.#pace = pace;
    if (pace === undefined || faster) this.#wake?.();
    if (pace !== undefined && !this.#running) void this.#run();
  }

  /** Polls as soon as the current poll has ended. */
  hurry(): void {
    this.#hurry = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#pace !== undefined) {
      this.#hurry = false;
      const asked = performance.now();
      this.report(await this.#ask(this.#pace.deadlineMs), asked);
      for (;;) {
        const everyMs = this.#pace?.everyMs ?? 0;
        const left = asked + (this.#hurry ? Math.min(leastMs, everyMs) : everyMs) - performance.now();
        if (left <= 0) break;
        await this.#pause(left);
      }
    }
    this.#running = false;
    this.#agent.destroy();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wake = wake;
    });
  }

  async #connect(): Promise<Socket> {
    const dialled = await this.ways.dial(this.node);
    if (dialled.kind === 'refused') throw new GateError('it refuses connections', 'shut');
    if (dialled.kind === 'unreachable') throw new GateError(dialled.reason, 'silent');
    const { socket, way } = dialled;
    this.#way = way;
    this.#socket = socket;
    socket.once('close', () => {
      // An abandoned connection says nothing about the current one.
      if (this.#socket !== socket) return;
      this.#way = undefined;
      // How a gate that shuts in order reports it: until it replies, no request goes there.
      this.report({ kind: 'unknown' }, performance.now());
      this.hurry();
    });
    return socket;
  }

  async #ask(deadlineMs: number): Promise<GateView> {
    const begun = performance.now();
    for (;;) {
      const leftMs = Math.ceil(deadlineMs - (performance.now() - begun));
      if (leftMs <= 0) return silent(deadlineMs);
      const agent = this.#agent;
      const tunnel = this.#way !== undefined && this.#way !== nodeWay(this.node) ? this.#way : undefined;
      const asking = new AbortController();
      const answer = question(this.node, agent, asking.signal).then(
        (text): GateView | undefined => viewOf(this.node.name, text),
        (error: unknown): GateView | undefined => {
          // The kept connection had ended: only a new one shows the gate's current state.
          if (error instanceof StaleConnection) return undefined;
          if (error instanceof GateError) return { kind: error.view, reason: error.message };
          return { kind: 'shut', reason: messageOf(error) };
        },
      );
      const late = await Promise.race([answer, inTime(leftMs)]);
      if (late === 'late') {
        if (tunnel === undefined) asking.abort();
        else this.#leave(tunnel, agent, answer, asking);
        return silent(deadlineMs);
      }
      if (late !== undefined) return late;
    }
  }

  /**
   * A tunnel was silent: the next poll goes another way. If the current one stays unanswered, the tunnel is
   * dead, and so are earlier ones over the same way.
   */
  #leave(way: string, agent: DialAgent, answer: Promise<unknown>, asking: AbortController): void {
    const since = performance.now();
    this.ways.suspect(way, this.node);
    this.#agent = this.#newAgent();
    this.#way = undefined;
    this.#socket = undefined;
    void Promise.race([answer, inTime(deadTunnelMs)]).then((last) => {
      if (last === 'late') this.ways.dead(way, since);
      asking.abort();
      agent.destroy();
    });
  }

  #newAgent(): DialAgent {
    return new DialAgent(() => this.#connect(), { maxSockets: 1 });
  }
}

function silent(deadlineMs: number): GateView {
  return { kind: 'silent', reason: `no response within ${deadlineMs} ms` };
}

/** A reply that arrived while this process was busy is read before it counts as late. */
function inTime(ms: number): Promise<'late'> {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(resolve, 'late' as const), ms).unref();
  });
}

class GateError extends Error {
  constructor(
    message: string,
    readonly view: 'shut' | 'silent',
  ) {
    super(message);
  }
}

class StaleConnection extends Error {}

function question(node: RouteNode, agent: http.Agent, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: node.name, path: gatePath, agent, signal }, (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes > maxAnswerBytes) request.destroy(new Error('the response is too long'));
      });
      answer.once('error', reject);
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve(Buffer.concat(chunks).toString('utf8'));
        else reject(new Error(`status ${answer.statusCode}`));
      });
    });
    request.on('error', (error) => reject(request.reusedSocket ? new StaleConnection() : error));
  });
}

function viewOf(node: string, text: string): GateView {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { kind: 'shut', reason: 'the server there is not a gate' };
  }
  const parsed = gateStatusSchema.safeParse(body);
  if (!parsed.success) return { kind: 'shut', reason: 'the server there is not a gate' };
  const status = parsed.data;
  if (status.node !== node) return { kind: 'shut', reason: `${status.node} responded` };
  if (!status.open) return { kind: 'shut', reason: 'the gate reported it' };
  return { kind: 'open', term: status.term, closing: status.closing };
}

/**
 * Whether the node's machine shows any sign of life: a reply from its gate, or a refused connection, which a
 * dead machine cannot send.
 */
export async function lives(node: RouteNode, ways: Ways, deadlineMs: number): Promise<boolean> {
  const signal = AbortSignal.timeout(Math.ceil(deadlineMs));
  const dialled = await ways.dial(node, { deadlineMs });
  if (dialled.kind !== 'connected') return dialled.kind === 'refused';
  const { socket } = dialled;
  try {
    await question(node, new PreparedAgent(socket), signal);
    return true;
  } catch {
    return !signal.aborted;
  } finally {
    socket.destroy();
  }
}
