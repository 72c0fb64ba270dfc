/** Jupyter as a user reaches it: on a node, or through any host's proxy. */
import { randomUUID } from 'node:crypto';
import type { Agent } from 'node:http';
import { WebSocket } from 'ws';
import * as z from 'zod';
import { messageOf, PerijoveError } from '../errors/error.js';
import { limit, type Limit } from '../net/deadline.js';
import { httpRequest, textOf } from '../net/http.js';
import { CellRun } from './cell.js';

export interface JupyterClientOptions {
  /** For the whole call; 5,000 for `jupyterStatus`, 30,000 for `runCell` by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Whose connections are used, as of `ProxyAddress`. */
  readonly agent?: Agent | undefined;
}

const statusSchema = z.object({
  /** ISO 8601. */
  started: z.string(),
  last_activity: z.string(),
  connections: z.number(),
  kernels: z.number(),
});

export interface JupyterServerStatus {
  /** ISO 8601: when this server started. */
  readonly started: string;
  readonly lastActivity: string;
  /** Open websockets. */
  readonly connections: number;
  readonly kernels: number;
}

/**
 * Requests the server's status. `baseUrl` is, for example, `http://127.0.1.1:8888`. Throws
 * JUPYTER_UNREACHABLE if no Jupyter responds in time (a proxy's waiting page does not count),
 * JUPYTER_AUTH_FAILED if it rejects the token.
 */
export async function jupyterStatus(
  baseUrl: string,
  token: string,
  { timeoutMs = 5_000, signal, agent }: JupyterClientOptions = {},
): Promise<JupyterServerStatus> {
  const call = new Call({ baseUrl, token, agent }, timeoutMs, signal);
  const status = await call.ask('GET', '/api/status', statusSchema).finally(() => call.end());
  return {
    started: status.started,
    lastActivity: status.last_activity,
    connections: status.connections,
    kernels: status.kernels,
  };
}

const sessionSchema = z.object({ id: z.string(), path: z.string(), kernel: z.object({ id: z.string() }) });

/**
 * Runs one cell in its own kernel, over a websocket as the browser does, and deletes the kernel unless that request
 * is lost. Resolves to the `text/plain` of the cell's value, or to an empty text if it has none. Throws like
 * `jupyterStatus`, and JUPYTER_CELL_FAILED with the last line of the traceback.
 *
 * @param options `session`: the name of the kernel's session, by which `endSessions` finds it; random by default
 */
export async function runCell(
  baseUrl: string,
  token: string,
  code: string,
  {
    timeoutMs = 30_000,
    signal,
    agent,
    session = `perijove-cell-${randomUUID()}`,
  }: JupyterClientOptions & { readonly session?: string } = {},
): Promise<string> {
  const call = new Call({ baseUrl, token, agent }, timeoutMs, signal);
  try {
    const { id, kernel } = await call.ask('POST', '/api/sessions', sessionSchema, {
      path: session,
      name: session,
      type: 'console',
      kernel: {},
    });
    try {
      return await call.runIn(kernel.id, code);
    } finally {
      // An earlier failure takes precedence; a remaining kernel ends with its server, or by `endSessions`.
      const farewell = new Call({ baseUrl, token, agent }, 5_000, undefined);
      await farewell.ask('DELETE', `/api/sessions/${id}`, undefined).catch(() => undefined);
      farewell.end();
    }
  } finally {
    call.end();
  }
}

/**
 * Runs one cell in a kernel that is there, and leaves it. Resolves and throws like `runCell`; a cell that never begins
 * takes the whole time.
 */
export async function runCellIn(
  baseUrl: string,
  token: string,
  kernel: string,
  code: string,
  { timeoutMs = 30_000, signal, agent }: JupyterClientOptions = {},
): Promise<string> {
  const call = new Call({ baseUrl, token, agent }, timeoutMs, signal);
  return await call.runIn(kernel, code).finally(() => call.end());
}

/**
 * Deletes the sessions of that name and their kernels, and no others. Resolves when the server has none of them. Throws
 * like `jupyterStatus`.
 */
export async function endSessions(
  baseUrl: string,
  token: string,
  name: string,
  { timeoutMs = 10_000, signal, agent }: JupyterClientOptions = {},
): Promise<void> {
  const call = new Call({ baseUrl, token, agent }, timeoutMs, signal);
  try {
    for (;;) {
      const sessions = await call.ask('GET', '/api/sessions', z.array(sessionSchema));
      const left = sessions.filter(({ path }) => path === name);
      if (left.length === 0) return;
      // Another attempt may end one at the same time; the list tells.
      for (const { id } of left) {
        await call.ask('DELETE', `/api/sessions/${id}`, undefined).catch((error: unknown) => {
          if (call.isOver) throw error;
        });
      }
    }
  } finally {
    call.end();
  }
}

/** A sequence of requests under one deadline. */
class Call {
  private readonly base: string;
  private readonly token: string;
  private readonly agent: Agent | undefined;
  readonly #time: Limit;

  constructor(
    server: { readonly baseUrl: string; readonly token: string; readonly agent: Agent | undefined },
    private readonly timeoutMs: number,
    private readonly given: AbortSignal | undefined,
  ) {
    this.base = server.baseUrl.replace(/\/+$/, '');
    this.token = server.token;
    this.agent = server.agent;
    this.#time = limit(timeoutMs, given);
  }

  /** Must be called: nothing of it stays at the signal that was given. */
  end(): void {
    this.#time.end();
  }

  /** Whether its time is over, or its caller gave up. */
  get isOver(): boolean {
    return this.#time.signal.aborted;
  }

  async ask<Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    schema: z.ZodType<Answer>,
    body?: unknown,
  ): Promise<Answer>;
  async ask(method: 'DELETE', path: string, schema: undefined): Promise<undefined>;
  async ask<Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    schema: z.ZodType<Answer> | undefined,
    body?: unknown,
  ): Promise<Answer | undefined> {
    let status: number;
    let text: string;
    try {
      const response = await httpRequest(`${this.base}${path}`, {
        method,
        headers: { authorization: `token ${this.token}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: this.#time.signal,
        agent: this.agent,
      });
      status = response.status;
      text = await textOf(response);
    } catch (error) {
      throw this.unreachable(error);
    }
    if (status < 200 || status > 299) throw this.refused(status);
    if (schema === undefined) return undefined;
    try {
      return schema.parse(JSON.parse(text));
    } catch (error) {
      throw this.notJupyter(error);
    }
  }

  async runIn(kernel: string, code: string): Promise<string> {
    const session = randomUUID();
    const url = `${this.base.replace(/^http/, 'ws')}/api/kernels/${kernel}/channels?session_id=${session}`;
    const socket = new WebSocket(url, {
      headers: { authorization: `token ${this.token}` },
      ...(this.agent !== undefined && { agent: this.agent }),
    });
    const cell = new CellRun(code, session);
    const give = () => socket.terminate();
    this.#time.signal.addEventListener('abort', give, { once: true });
    try {
      return await new Promise<string>((resolve, reject) => {
        socket.on('unexpected-response', (_request, response) => {
          response.resume();
          reject(this.refused(response.statusCode ?? 0));
          socket.terminate();
        });
        socket.on('error', (error) => reject(this.unreachable(error)));
        socket.on('close', (status) =>
          reject(this.unreachable(undefined, `the websocket to ${this.base} was closed (${status})`)),
        );
        socket.on('open', () => socket.send(JSON.stringify(cell.request)));
        socket.on('message', (data, binary) => {
          // Frames with buffers are binary; a cell's value and its errors never have any.
          if (binary || !Buffer.isBuffer(data)) return;
          try {
            const end = cell.take(data.toString());
            if (end?.ok === true) resolve(end.result);
            if (end?.ok === false) {
              throw new PerijoveError('JUPYTER_CELL_FAILED', `the cell failed: ${end.lastLine}`, {
                subject: this.base,
              });
            }
          } catch (error) {
            reject(error instanceof PerijoveError ? error : this.notJupyter(error));
          }
        });
      });
    } finally {
      this.#time.signal.removeEventListener('abort', give);
      socket.terminate();
    }
  }

  private refused(status: number): PerijoveError {
    return status === 401 || status === 403
      ? new PerijoveError('JUPYTER_AUTH_FAILED', `Jupyter at ${this.base} rejected the token (${status})`, {
          subject: this.base,
        })
      : new PerijoveError('JUPYTER_UNREACHABLE', `Jupyter at ${this.base} responded with status ${status}`, {
          subject: this.base,
        });
  }

  private notJupyter(error: unknown): PerijoveError {
    return this.unreachable(error, `the server at ${this.base} is not Jupyter`);
  }

  private unreachable(error: unknown, what = `Jupyter at ${this.base} does not respond`): PerijoveError {
    if (this.given?.aborted === true) this.given.throwIfAborted();
    const why = this.#time.passed ? `no response within ${this.timeoutMs} ms` : messageOf(error);
    const message = error === undefined && !this.#time.passed ? what : `${what}: ${why}`;
    return new PerijoveError('JUPYTER_UNREACHABLE', message, { subject: this.base, cause: error });
  }
}
