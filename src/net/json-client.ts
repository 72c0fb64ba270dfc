import { messageOf } from '../errors/error.js';
import { limit } from './deadline.js';
import { jsonOf } from './json.js';
import { httpRequest, textOf } from './http.js';

export interface CallOptions {
  /** For one request, from connecting to the last byte of the response. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface JsonAnswer {
  readonly status: number;
  readonly text: string;
  /** Undefined if the text is not JSON. */
  readonly body: unknown;
}

export interface JsonClientOptions {
  /** Such as `http://127.0.2.10:2400`. */
  readonly base: string;
  readonly token: string;
  /** Default for calls without their own. */
  readonly timeoutMs: number;
  /** The error of a call without a response, with the reason. */
  readonly unreachable: (why: string, cause: unknown) => Error;
}

/** Sends a GET request to a path, or a PUT request with an order. */
export type JsonClient = (path: string, options: CallOptions, order?: unknown) => Promise<JsonAnswer>;

/**
 * The client of a `jsonServer`. A call rejects with the error of `unreachable` if no response arrives in
 * time, and with the reason of its signal.
 */
export function jsonClient({ base, token, unreachable, ...defaults }: JsonClientOptions): JsonClient {
  return async (path, { timeoutMs = defaults.timeoutMs, signal }, order) => {
    const time = limit(timeoutMs, signal);
    try {
      const answer = await httpRequest(`${base}${path}`, {
        method: order === undefined ? 'GET' : 'PUT',
        headers: {
          authorization: `Bearer ${token}`,
          ...(order !== undefined && { 'content-type': 'application/json' }),
        },
        ...(order !== undefined && { body: JSON.stringify(order) }),
        signal: time.signal,
      });
      const text = await textOf(answer);
      return { status: answer.status, text, body: jsonOf(text) };
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(time.passed ? `no answer within ${timeoutMs} ms` : messageOf(error), error);
    } finally {
      time.end();
    }
  };
}
