import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import type { Client, ClientChannel } from 'ssh2';
import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { placeInSshConfig } from '../cluster/ssh-config.js';
import { classifySshError } from './classify.js';
import { readCredentials } from './credentials.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import { dialledWithin } from '../net/deadline.js';
import { hostKeyCheck, type HostKeyCheck } from './host-keys.js';
import { connected, logIn } from './login.js';

/** OpenSSH allows 10 sessions per connection (`MaxSessions`); two are reserved for ones that are ending. */
const sessionsPerConnection = 8;
const defaultDialTimeoutMs = 10_000;
const closedByWorker = 'the connection was closed by this worker';
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
  /** Time limit for TCP to connect, from here or from the jump host; 10 000 by default. */
  readonly dialTimeoutMs?: number;
  /** Name of the host, for errors and logs. */
  readonly host: string;
  readonly target: SshTarget;
  /** Connect through this jump host. */
  readonly through?: SshTransport;
  readonly knownHostsDir: string;
  /** In place of the check against the known keys. */
  readonly hostKeys?: HostKeyCheck;
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
    this.peer = `${user}@${address.includes(':') ? `[${address}]` : address}:${port}`;
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
    this.#closing.abort(this.#lost(closedByWorker));
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

  /** Connects TCP, from here or from the jump host. A kernel alone would try for two minutes. */
  async #dialTarget(): Promise<Duplex> {
    const { host, target, through, dialTimeoutMs = defaultDialTimeoutMs } = this.#options;
    const within = `within ${dialTimeoutMs / 1_000} s`;
    const { address, port } = target;
    if (through === undefined) {
      const socket = connect({ host: address, port, noDelay: true });
      // An error between two listeners must not end the process.
      socket.on('error', () => undefined);
      this.#socket = socket;
      const tooLong = () =>
        new PerijoveError('SSH_TIMEOUT', `${this.peer}: TCP did not connect ${within}`, {
          ...{ host, subject: this.peer },
        });
      const dialled = connected(socket, this.#closing.signal);
      return dialledWithin(dialTimeoutMs, dialled, tooLong).catch((error: unknown) => {
        socket.destroy();
        throw unresolved(error, this.#options, this.peer) ?? classifySshError(error, host, this.peer);
      });
    }
    const tooLong = () =>
      new PerijoveError('SSH_TIMEOUT', `the jump host ${through.peer} cannot reach it ${within}`, { host });
    // Its own login has its own limit.
    await through.client();
    try {
      return await dialledWithin(dialTimeoutMs, through.dial(address, port), tooLong);
    } catch (error) {
      if (!(error instanceof PerijoveError)) throw error;
      const code = codesOfJumpHost[error.code];
      throw code === undefined
        ? error
        : new PerijoveError(code, `the jump host ${through.peer}: ${error.message}`, { host, cause: error });
    }
  }

  async #handshake(): Promise<Client> {
    const { host, target, knownHostsDir } = this.#options;
    const { signal } = this.#closing;
    const [credentials, hostKeys] = await Promise.all([
      readCredentials(host, target, { signal }),
      this.#options.hostKeys ?? hostKeyCheck(host, target, knownHostsDir),
    ]);
    const socket = await this.#dialTarget();
    this.#socket = socket;
    const login = { host, peer: this.peer, target, socket, credentials, hostKeys, signal };
    return logIn({ ...login, logger: this.#logger });
  }
}

/** The error if the address does not resolve; undefined for any other error. */
function unresolved(
  error: unknown,
  { host, target: { address } }: TransportOptions,
  peer: string,
): PerijoveError | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOTFOUND' && code !== 'EAI_AGAIN') return undefined;
  const options = { host, subject: peer, cause: error };
  const alias = placeInSshConfig(address);
  if (alias !== undefined) {
    return new PerijoveError(
      'SSH_UNKNOWN_HOST',
      `${peer}: the host name does not resolve; ssh_config is not read, which has ${address} (${alias})`,
      { ...options, remedy: 'Set `ssh.config: true` in the spec, so that ssh_config is read.' },
    );
  }
  if (code === 'ENOTFOUND') return undefined;
  return new PerijoveError('SSH_TIMEOUT', `${peer}: the name service did not answer`, {
    ...options,
    remedy: "Check this machine's name service (`getent hosts NAME`), or use an IP address.",
  });
}
