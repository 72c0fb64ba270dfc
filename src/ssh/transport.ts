import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import ssh2, { type Client, type ClientChannel } from 'ssh2';
import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { classifySshError } from './classify.js';
import { readCredentials, type Credentials } from './credentials.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import { dialledWithin } from '../net/deadline.js';
import { hostKeyCheck } from './host-keys.js';

/** OpenSSH allows 10 sessions per connection (`MaxSessions`); two are reserved for ones that are ending. */
const sessionsPerConnection = 8;
const defaultReadyTimeoutMs = 10_000;
const closedByWorker = 'the connection was closed by this worker';
const keepAlive = { keepaliveInterval: 5_000, keepaliveCountMax: 3 } as const;
const reconnectBackOff: BackOff = { firstMs: 100, longestMs: 2_000 };

/** After so many sessions, one more is tried at a time, up to the limit. */
const sessionsPerTrial = 50;
const sessionBackOff: BackOff = { firstMs: 20, longestMs: 500 };
/** About ten seconds, including pauses. */
const sessionAttempts = 25;

/** Codes for the target, by the jump host's. */
const codesOfJumpHost: Partial<Record<ErrorCode, ErrorCode>> = {
  TUNNEL_REFUSED: 'SSH_REFUSED',
  TUNNEL_PROHIBITED: 'TUNNEL_PROHIBITED',
};

type Answer<T> = (error: Error | undefined, channel: T) => void;

class SessionRefused extends Error {}

/** ssh2's error for a channel that the server refused: RFC 4254, section 5.1. */
type ChannelRefusal = Error & { readonly reason?: unknown };
/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED */
const prohibited = 1;
/** ssh2's message if the server opened a session, but did not start the command. */
const unableToExec = 'Unable to exec';

/** A session that runs a command. */
export interface Session {
  readonly channel: ClientChannel;
  /** Whether it ended with its connection, and not by itself. */
  readonly isLost: () => boolean;
}

/** The sessions of one connection. */
interface OpenedSessions {
  opening: number;
  open: number;
  granted: number;
  /** The connection has ended. */
  lost: boolean;
}

const noSessions = (): OpenedSessions => ({ opening: 0, open: 0, granted: 0, lost: false });

export interface TransportOptions {
  /** Time limit for the connection and login; 10 000 by default. */
  readonly readyTimeoutMs?: number;
  /** Time limit for the jump host to connect to the target; 10 000 by default. */
  readonly dialTimeoutMs?: number;
  /** Name of the host, for errors and logs. */
  readonly host: string;
  readonly target: SshTarget;
  /** Connect through this jump host. */
  readonly through?: SshTransport;
  readonly knownHostsDir: string;
  readonly logger: Logger;
}

/**
 * One SSH connection to one target. `client` connects if necessary, so that a lost connection is restored on
 * its next use. After a failure the next attempt waits at least 100 ms, doubled each time up to 2 s.
 * Concurrent callers share an attempt.
 */
export class SshTransport {
  /** `user@address:port`, for messages. */
  readonly peer: string;
  /** Equal for the same target reached in the same way. */
  readonly identity: string;
  /** Limits concurrent sessions (commands); open each one in here. */
  readonly sessions = pLimit(sessionsPerConnection);
  /** The sessions of the present connection. */
  #opened = noSessions();
  readonly #options: TransportOptions;
  readonly #logger: Logger;
  #client: Client | undefined;
  #socket: Duplex | undefined;
  #attempt: Promise<Client> | undefined;
  #failures = 0;
  #closed = false;
  readonly #closing = new AbortController();

  constructor(options: TransportOptions) {
    const { user, address, port } = options.target;
    this.#options = options;
    this.peer = `${user}@${address}:${port}`;
    this.identity = JSON.stringify([options.target, options.through?.identity]);
    this.#logger = options.logger.child({ host: options.host, peer: this.peer });
  }

  /** @throws PerijoveError SSH_* */
  async client(): Promise<Client> {
    if (this.#closed) throw this.#lost(closedByWorker);
    if (this.#client !== undefined) return this.#client;
    this.#attempt ??= this.#connect().finally(() => (this.#attempt = undefined));
    return this.#attempt;
  }

  /**
   * Opens a TCP channel to an address as seen by the target.
   *
   * @throws PerijoveError SSH_*, TUNNEL_REFUSED, TUNNEL_PROHIBITED
   */
  async dial(address: string, port: number): Promise<ClientChannel> {
    const client = await this.client();
    const { host } = this.#options;
    const subject = `${address}:${port}`;
    const channel = await this.#open<ClientChannel>(
      (done) => client.forwardOut('127.0.0.1', 0, address, port, done),
      {
        failure: (error) =>
          error.reason === prohibited
            ? new PerijoveError(
                'TUNNEL_PROHIBITED',
                `${host} does not forward to ${subject}: forwarding is administratively prohibited`,
                { host, subject, cause: error },
              )
            : new PerijoveError('TUNNEL_REFUSED', `${host} cannot connect to ${subject}: ${error.message}`, {
                ...{ host, subject, cause: error },
              }),
      },
    );
    channel.stderr.resume();
    return channel;
  }

  /**
   * Opens a session that runs a command. If the server has none available, waits until one of this connection
   * ends, and keeps to that number for a while. OpenSSH counts ended sessions until it cleans them up, so it
   * may refuse one below its limit. A refused session has had no effect.
   *
   * @throws PerijoveError SSH_*; SSH_SESSION_REFUSED if the server allows no session at all
   */
  async exec(command: string): Promise<Session> {
    for (let refusals = 0, attempt = 1; ; attempt += 1) {
      const client = await this.client();
      const opened = this.#opened;
      opened.opening += 1;
      try {
        const channel = await this.#open<ClientChannel>((done) => client.exec(command, done), {
          failure: (error) => new SessionRefused(error.message),
        }).finally(() => (opened.opening -= 1));
        opened.open += 1;
        this.#granted(opened);
        channel.once('close', () => (opened.open -= 1));
        return { channel, isLost: () => opened.lost };
      } catch (error) {
        if (!(error instanceof SessionRefused)) throw error;
        const others = opened.open + opened.opening;
        if (others > 0) this.sessions.concurrency = Math.min(this.sessions.concurrency, others);
        else if (opened.granted === 0) throw this.#noSession(error);
        else refusals += 1;
        if (refusals === sessionAttempts) throw this.#lost(error.message);
        await delay(pauseAfter(attempt, sessionBackOff));
      }
    }
  }

  /** Tries one more at a time now and then: a slow host may only have cleaned up late. */
  #granted(opened: OpenedSessions): void {
    opened.granted += 1;
    if (opened.granted % sessionsPerTrial !== 0) return;
    this.sessions.concurrency = Math.min(this.sessions.concurrency + 1, sessionsPerConnection);
  }

  /** Closes it permanently, also while it connects, and even if the server does not respond. */
  async end(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    await this.#attempt?.catch(() => undefined);
    const client = this.#client;
    if (client === undefined) return;
    const closed = once(client, 'close').catch(() => undefined);
    // ssh2's own `destroy` does nothing once the server has ended its half.
    this.#socket?.destroy();
    await closed;
  }

  #lost(why: string): PerijoveError {
    return new PerijoveError('SSH_LOST', `${this.peer}: ${why}`, {
      host: this.#options.host,
      subject: this.peer,
    });
  }

  #notStarted(): PerijoveError {
    const { host } = this.#options;
    return new PerijoveError(
      'COMMAND_FAILED',
      `${this.peer} opened a session, but started no command in it`,
      {
        host,
        subject: this.peer,
      },
    );
  }

  #noSession(error: SessionRefused): PerijoveError {
    return new PerijoveError(
      'SSH_SESSION_REFUSED',
      `${this.peer} refuses to open a session: ${error.message}`,
      {
        host: this.#options.host,
        subject: this.peer,
        cause: error,
      },
    );
  }

  /**
   * Waits for the result of a channel request. A request that the server refuses fails with `failure`; any
   * other error is a lost connection.
   */
  #open<T>(
    request: (done: Answer<T>) => void,
    { failure }: { failure: (error: ChannelRefusal) => Error },
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      try {
        request((error, channel) => {
          if (error === undefined) resolve(channel);
          else if ('reason' in error) reject(failure(error));
          else if (error.message === unableToExec) reject(this.#notStarted());
          else reject(this.#lost(error.message));
        });
      } catch (error) {
        // ssh2 throws "Not connected" while a connection is ending.
        reject(classifySshError(error, this.#options.host, this.peer));
      }
    });
  }

  async #connect(): Promise<Client> {
    if (this.#failures > 0) {
      const pauseMs = pauseAfter(this.#failures, reconnectBackOff);
      await delay(pauseMs, undefined, { signal: this.#closing.signal }).catch(() => {
        throw this.#lost(closedByWorker);
      });
    }
    try {
      const client = await this.#handshake();
      this.#failures = 0;
      this.#client = client;
      const opened = noSessions();
      this.#opened = opened;
      this.sessions.concurrency = sessionsPerConnection;
      client.once('close', () => {
        opened.lost = true;
        if (this.#client === client) this.#client = undefined;
        this.#logger.debug('SSH connection ended');
      });
      if (this.#closed) {
        this.#socket?.destroy();
        throw this.#lost(closedByWorker);
      }
      this.#logger.debug('SSH connection established');
      return client;
    } catch (error) {
      this.#failures += 1;
      throw error;
    }
  }

  /** Connects through the jump host, if any: its kernel alone would try for two minutes. */
  async #dialThrough(): Promise<Duplex | undefined> {
    const { host, target, through, dialTimeoutMs = defaultReadyTimeoutMs } = this.#options;
    if (through === undefined) return undefined;
    const tooLong = () =>
      new PerijoveError(
        'SSH_TIMEOUT',
        `the jump host ${through.peer} cannot reach it within ${dialTimeoutMs / 1_000} s`,
        { host },
      );
    try {
      return await dialledWithin(dialTimeoutMs, through.dial(target.address, target.port), tooLong);
    } catch (error) {
      if (!(error instanceof PerijoveError)) throw error;
      const code = codesOfJumpHost[error.code];
      throw code === undefined
        ? error
        : new PerijoveError(code, `the jump host ${through.peer}: ${error.message}`, { host, cause: error });
    }
  }

  async #handshake(): Promise<Client> {
    const { host, target, knownHostsDir, readyTimeoutMs = defaultReadyTimeoutMs } = this.#options;
    const [credentials, hostKeys] = await Promise.all([
      readCredentials(host, target),
      hostKeyCheck(host, target, knownHostsDir),
    ]);
    const channel = await this.#dialThrough();

    return new Promise((resolve, reject) => {
      const client = new ssh2.Client();
      const socket = channel ?? connect({ host: target.address, port: target.port, noDelay: true });
      this.#socket = socket;
      let refused: unknown;
      let agentTrouble: Error | undefined;
      const fail = (error: unknown) => {
        const classified = classifySshError(refused ?? error, host, this.peer);
        const own = classified.code === 'SSH_AUTH_FAILED' && credentials.privateKey === undefined;
        reject((own ? agentInsufficient(host, target, credentials, agentTrouble) : undefined) ?? classified);
        socket.destroy();
      };
      const close = () => fail(this.#lost(closedByWorker));
      this.#closing.signal.addEventListener('abort', close, { once: true });
      client.once('close', () => this.#closing.signal.removeEventListener('abort', close));

      client.on('error', (error) => {
        this.#logger.debug({ err: error }, 'SSH error');
        // ssh2 reports a failure of the agent as an error and continues with the next key.
        if (error.level === 'agent') agentTrouble = error;
        else fail(error);
      });
      client.once('ready', () => {
        resolve(client);
      });
      client.once('close', () => fail(new Error('the connection was closed')));
      client.connect({
        ...keepAlive,
        ...credentials,
        host: target.address,
        port: target.port,
        readyTimeout: readyTimeoutMs,
        algorithms: { serverHostKey: hostKeys.algorithms },
        sock: socket,
        hostVerifier: (key: Buffer, answer: (accepted: boolean) => void) => {
          const settle = (error: unknown) => {
            refused = error;
            answer(error === undefined);
          };
          hostKeys.verify(key).then(settle, settle);
        },
      });
    });
  }
}

/** The error if a login with the agent alone was rejected because of the agent; undefined otherwise. */
function agentInsufficient(
  host: string,
  { keyFile }: SshTarget,
  { agent = '' }: Credentials,
  trouble: Error | undefined,
): PerijoveError | undefined {
  const silent = `the agent at ${agent} does not respond${trouble === undefined ? '' : ` (${trouble.message})`}`;
  if (keyFile !== undefined) {
    const why =
      trouble === undefined ? 'the host rejected all keys of the agent, which may not hold it' : silent;
    return new PerijoveError('SSH_KEY_ENCRYPTED', `${keyFile} has a passphrase, and ${why}`, {
      host,
      file: keyFile,
      cause: trouble,
    });
  }
  if (trouble === undefined) return undefined;
  return new PerijoveError('SSH_NO_AGENT', silent, { host, subject: agent, cause: trouble });
}
