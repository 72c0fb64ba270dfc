import http, { type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { RouteNode } from '../../api.js';
import { DialAgent } from '../agents.js';
import { NotConnected, Upstream } from '../upstream.js';
import { authorityOf, nodeWay, type Ways } from '../ways.js';
import { enterDoor } from './enter.js';

const enterMs = 1_000;
/** Longer than the list of a thousand kernels. */
const longestBytes = 4 * 1024 * 1024;

/** The node's Jupyter does not listen, and has no kernels. */
export class NoKernels extends NotConnected {}
/** The node is there, and its Jupyter does not listen or its program does not answer: it may have kernels. */
export class NotReady extends NotConnected {}
/** What answers at the node's control port is of an earlier release. */
export class NoDoor extends NotConnected {}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Question {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body?: string;
  readonly deadlineMs: number;
}

/** The node as its control port is reached: the ways are those to its gate, but for the last. */
export function doorNode(node: RouteNode, port: number): RouteNode {
  const { hostname } = new URL(nodeWay(node));
  return { ...node, ways: [...node.ways.slice(0, -1), `http://${hostname}:${port}`] };
}

/** The way to one node's Jupyter that is open whether it serves or not. */
export class Door {
  /** Connections to Jupyter. */
  readonly upstream: Upstream;
  /** Connections to the node's own program. */
  readonly #agent: DialAgent;

  constructor(
    readonly node: RouteNode,
    ways: Ways,
    private readonly token: string,
    report: (error?: NotConnected) => void,
  ) {
    this.upstream = new Upstream(node, ways, (socket) => this.#enter(socket), report);
    this.#agent = new DialAgent(() => new Upstream(node, ways).connect(), { timeout: 4_000 });
  }

  /** Asks Jupyter. @throws NotConnected, Error if no answer comes in time */
  askJupyter(question: Question): Promise<Answer> {
    return ask(this.upstream.agent, question);
  }

  /** Asks the node's program. @throws NotConnected, Error if no answer comes in time */
  askNode(question: Omit<Question, 'headers'>): Promise<Answer> {
    const headers = {
      host: authorityOf(nodeWay(this.node)),
      authorization: `Bearer ${this.token}`,
      ...(question.body !== undefined && { 'content-type': 'application/json' }),
    };
    return ask(this.#agent, { ...question, headers });
  }

  async #enter(socket: Socket): Promise<Socket> {
    const { name } = this.node;
    const entry = await enterDoor(socket, this.token, enterMs);
    switch (entry.kind) {
      case 'entered':
        return entry.jupyter;
      case 'no-kernels':
        throw new NoKernels('ECONNREFUSED', `Jupyter on ${name} does not run`);
      case 'refused':
        throw new NotReady('ECONNREFUSED', `the door of ${name}: status ${entry.status}`);
      case 'silent':
        throw new NotReady('ETIMEDOUT', `the door of ${name} does not answer`);
      case 'no-door':
        throw new NoDoor('ECONNREFUSED', `${name}: ${entry.why}`);
    }
  }
}

/** @throws NotConnected, Error if no answer comes in time */
export function ask(
  agent: http.Agent,
  { method = 'GET', path, headers, body, deadlineMs }: Question,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const request = http.request(
      {
        ...{ method, path, agent, headers: { ...headers, ...length } },
        signal: AbortSignal.timeout(Math.max(1, Math.ceil(deadlineMs))),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        answer.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > longestBytes) request.destroy(new Error('the response is too long'));
        });
        answer.once('error', reject);
        answer.once('end', () => {
          const { statusCode: status = 0, headers: received } = answer;
          resolve({ status, headers: received, body: Buffer.concat(chunks) });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
