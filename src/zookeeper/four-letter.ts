import { connect } from 'node:net';
import { PerijoveError } from '../errors/error.js';
import type { Endpoint } from '../ssh/connection.js';

/** The four-letter words that `zoo.cfg` allows. */
export type FourLetterWord = 'srvr' | 'ruok' | 'mntr';

export interface ServerStatus {
  /** `not-serving` while the member has no quorum. */
  readonly mode: 'leader' | 'follower' | 'observer' | 'standalone' | 'not-serving';
  readonly version?: string;
  /** Client connections, this one included. */
  readonly connections?: number;
  readonly zxid?: string;
  readonly nodeCount?: number;
}

/**
 * Sends a four-letter word to a server and resolves to its whole reply.
 *
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE if nothing responds within `timeoutMs`
 */
export async function fourLetter(
  endpoint: Endpoint,
  word: FourLetterWord,
  timeoutMs = 2_000,
): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
    const socket = connect(endpoint.port, endpoint.host);
    const chunks: Buffer[] = [];
    const deadline = setTimeout(
      () => socket.destroy(new Error(`no response within ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.on('connect', () => socket.write(word));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', (error) => {
      clearTimeout(deadline);
      reject(
        new PerijoveError('ZOOKEEPER_UNREACHABLE', `ZooKeeper does not respond: ${error.message}`, {
          subject: `${endpoint.host}:${endpoint.port}`,
          cause: error,
        }),
      );
    });
    socket.on('close', (hadError) => {
      clearTimeout(deadline);
      if (!hadError) resolve(Buffer.concat(chunks).toString('utf8'));
    });
  });
}

/** Whether the server is running (`ruok`); it need not serve. */
export async function isRunning(endpoint: Endpoint, timeoutMs?: number): Promise<boolean> {
  return (await fourLetter(endpoint, 'ruok', timeoutMs)) === 'imok';
}

/**
 * A server's own status (`srvr`).
 *
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE
 */
export async function serverStatus(endpoint: Endpoint, timeoutMs?: number): Promise<ServerStatus> {
  return parseServerStatus(await fourLetter(endpoint, 'srvr', timeoutMs));
}

/** Parses the reply to `srvr`: a single sentence without a quorum, nothing from a server that is starting. */
export function parseServerStatus(reply: string): ServerStatus {
  const values = new Map(
    reply.split('\n').flatMap((line) => {
      const colon = line.indexOf(': ');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 2).trim()] as const];
    }),
  );
  const text = (key: string) => values.get(key);
  const number = (key: string) => (values.has(key) ? Number(values.get(key)) : undefined);
  const version = text('Zookeeper version');
  const connections = number('Connections');
  const zxid = text('Zxid');
  const nodeCount = number('Node count');
  return {
    mode: modeOf(text('Mode')),
    ...(version !== undefined && { version }),
    ...(connections !== undefined && { connections }),
    ...(zxid !== undefined && { zxid }),
    ...(nodeCount !== undefined && { nodeCount }),
  };
}

function modeOf(word: string | undefined): ServerStatus['mode'] {
  switch (word) {
    case 'leader':
    case 'follower':
    case 'observer':
    case 'standalone':
      return word;
    default:
      return 'not-serving';
  }
}
