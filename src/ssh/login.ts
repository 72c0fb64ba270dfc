import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import ssh2, { type Client, type ServerHostKeyAlgorithm } from 'ssh2';
import { PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { classifySshError } from './classify.js';
import type { Credentials } from './credentials.js';
import type { HostKeyCheck } from './host-keys.js';
import {
  acceptHostCertificates,
  isCertificateAlgorithm,
  onRejection,
  sendCompleteSignatures,
} from './ssh2-internals.js';

/** A directory service, a slow name service or a busy machine may take long to let a user in. */
export const defaultLoginTimeoutMs = 30_000;

const keepAlive = { keepaliveInterval: 5_000, keepaliveCountMax: 3 } as const;
/** Banners may be pages of legal text. */
const longestBanner = 300;

export interface LoginOptions {
  /** Name of the host, for errors. */
  readonly host: string;
  /** `user@address:port`, for errors. */
  readonly peer: string;
  readonly target: SshTarget;
  /** Connected to the SSH server. */
  readonly socket: Duplex;
  readonly credentials: Credentials;
  readonly hostKeys: HostKeyCheck;
  /** Aborts the login with its reason. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** What is known about a login when it fails. */
interface Progress {
  phase: 'greeting' | 'key exchange' | 'authentication';
  /** The first that the server sent. */
  greeting: string;
  banner: string;
  /** What the host accepts, as far as it said. */
  methods: readonly string[];
  /** A key was accepted, and the host requires more. */
  partial: boolean;
}

/** Logs in over a connected socket, which it destroys on failure. @throws PerijoveError SSH_* */
export function logIn(options: LoginOptions): Promise<Client> {
  const { target, socket, credentials, hostKeys, signal, logger } = options;
  const { identities } = credentials;
  const limitMs = target.loginTimeoutMs ?? defaultLoginTimeoutMs;
  const progress: Progress = { phase: 'greeting', greeting: '', banner: '', methods: [], partial: false };

  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    let refused: unknown;
    let accepted: Buffer | undefined;
    const fail = (error: unknown) => {
      reject(refused === undefined ? failure(error, options, progress, limitMs) : asError(refused, options));
      socket.destroy();
    };
    const close = () => fail(signal.reason);
    signal.addEventListener('abort', close, { once: true });
    client.once('close', () => signal.removeEventListener('abort', close));
    if (signal.aborted) return close();

    client.on('error', (error) => {
      logger.debug({ err: error }, 'SSH error');
      // ssh2 reports a failure of the agent as an error and continues with the next key.
      if (error.level !== 'agent') fail(error);
    });
    client.once('handshake', () => (progress.phase = 'authentication'));
    client.on('banner', (text) => (progress.banner = text));
    client.once('ready', () => resolve(client));
    client.once('close', () =>
      fail(new Error(`the host closed the connection during the ${progress.phase}`)),
    );
    client.connect({
      ...keepAlive,
      username: credentials.username,
      host: target.address,
      port: target.port,
      readyTimeout: limitMs,
      algorithms: {
        serverHostKey: hostKeys.algorithms.filter(
          (each): each is ServerHostKeyAlgorithm => !isCertificateAlgorithm(each),
        ),
      },
      sock: socket,
      hostVerifier: (key: Buffer, answer: (accepted: boolean) => void) => {
        // When the session keys are renewed: at once, since ssh2 loses what arrives while it waits.
        if (accepted !== undefined) return answer(accepted.equals(key));
        const settle = (error: unknown) => {
          refused = error;
          if (error === undefined) accepted = Buffer.from(key);
          answer(error === undefined);
        };
        hostKeys.verify(key).then(settle, settle);
      },
      // The types lack `false`, which ends the login.
      authHandler: (_methods, _partial, next) => next(attempts.shift() ?? (false as never)),
    });
    const { username } = credentials;
    const attempts = ['none' as const, { type: 'agent' as const, username, agent: identities }];
    socket.once('data', (chunk: Buffer) => {
      progress.greeting = chunk.toString('latin1', 0, 200);
      if (progress.phase === 'greeting') progress.phase = 'key exchange';
    });
    onRejection(client, (methods, accepted) => {
      progress.methods = methods;
      progress.partial ||= accepted;
    });
    sendCompleteSignatures(client, (key) => identities.offering(key));
    acceptHostCertificates(client, hostKeys.algorithms);
  });
}

function asError(refused: unknown, { host, peer }: LoginOptions): PerijoveError {
  return classifySshError(refused, host, peer);
}

/** Fields that ssh2 adds to errors: a number as `code` is the reason of the host (RFC 4253, 11.1). */
interface LoginError extends Error {
  readonly level?: string;
  readonly code?: number | string;
}

/** Reasons of a host to end a connection that no repetition changes. */
const finalReasons: readonly unknown[] = [1, 2, 13, 14, 15];

function failure(error: unknown, options: LoginOptions, progress: Progress, limitMs: number): PerijoveError {
  const { host, peer, credentials } = options;
  if (!(error instanceof Error) || error instanceof PerijoveError) return classifySshError(error, host, peer);
  const { level, code, message } = error as LoginError;
  if (level === 'client-timeout') return tooSlow(options, progress, limitMs, error);
  if (level === 'client-authentication') return rejected(options, progress, error);
  if (typeof code === 'number') {
    const { offered } = credentials.identities;
    const place = { host, subject: peer, cause: error };
    if (/too many authentication failures/i.test(message)) return tooManyKeys(options, message, error);
    return progress.phase === 'authentication' && finalReasons.includes(code)
      ? new PerijoveError('SSH_AUTH_FAILED', `${peer}: the host said "${message}"${tried(offered)}`, place)
      : new PerijoveError('SSH_LOST', `${peer}: the host said "${message}"`, place);
  }
  return foreign(options, progress, error) ?? classifySshError(error, host, peer);
}

/** OpenSSH says these lines in place of its greeting when it is busy, or punishes an address for a while. */
const busy = /^(Exceeded MaxStartups|Not allowed at this time)/;

/** The error if the server does not speak SSH; undefined if it does, or said nothing. */
function foreign(
  { host, peer }: LoginOptions,
  { greeting }: Progress,
  cause: Error,
): PerijoveError | undefined {
  if (greeting === '' || /^SSH-/m.test(greeting)) return undefined;
  const line = (greeting.split(/\r?\n/)[0] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 80);
  const place = { host, subject: peer, cause };
  if (busy.test(line)) return new PerijoveError('SSH_LOST', `${peer}: the host said "${line}"`, place);
  return new PerijoveError('SSH_INCOMPATIBLE', `${peer} is not an SSH server: it sent "${line}"`, {
    ...place,
    remedy: 'Check `port` and `sshAddress` in the spec.',
  });
}

function tooSlow(
  { host, peer, credentials: { agent = '', identities } }: LoginOptions,
  { phase }: Progress,
  limitMs: number,
  cause: Error,
): PerijoveError {
  const seconds = `${limitMs / 1000} s`;
  if (identities.waiting) {
    return new PerijoveError('SSH_NO_AGENT', `the agent at ${agent} did not answer within ${seconds}`, {
      ...{ host, subject: agent, cause },
      remedy: 'Confirm what the agent asks, touch its token, or restart it.',
    });
  }
  const what =
    phase === 'greeting'
      ? `connected, but the server sent no SSH greeting within ${seconds}`
      : `connected, but the login took longer than ${seconds} (\`ssh.loginTimeout\`); it was in the ${phase}`;
  return new PerijoveError('SSH_TIMEOUT', `${peer}: ${what}`, {
    ...{ host, subject: peer, cause },
    remedy:
      phase === 'greeting'
        ? 'Check that `port` is that of an SSH server. If the host is only slow, raise `ssh.loginTimeout` in the spec.'
        : 'Raise `ssh.loginTimeout` in the spec, or find what delays logins on the host: its name service (`UseDNS no` in sshd_config), a directory service, PAM, load.',
  });
}

function tooManyKeys({ host, peer, credentials }: LoginOptions, said: string, cause: Error): PerijoveError {
  const { offered } = credentials.identities;
  return new PerijoveError('SSH_AUTH_FAILED', `${peer}: the host said "${said}"${tried(offered)}`, {
    ...{ host, subject: peer, cause },
    remedy:
      'Set `key: FILE` in the spec, which is offered first; with `agent: true`, the public key of one that the agent holds suffices. Or remove keys from the agent (`ssh-add -d`).',
  });
}

function tried(offered: readonly string[]): string {
  return offered.length === 0 ? '' : ` after it was offered ${offered.join(', ')}`;
}

/** The error of a host that lets nobody in, with all that is known about why. */
function rejected(options: LoginOptions, progress: Progress, cause: Error): PerijoveError {
  const { host, peer, target, credentials } = options;
  const { identities, lockedKey, agent = '' } = credentials;
  const { offered, notes, trouble } = identities;
  const silent = trouble && `the agent at ${agent} ${trouble.message}`;
  if (lockedKey !== undefined && !offered.includes(lockedKey)) {
    const why = silent ?? 'the host rejected all keys of the agent, which does not hold it';
    return new PerijoveError('SSH_KEY_ENCRYPTED', `${lockedKey} has a passphrase, and ${why}`, {
      ...{ host, file: lockedKey, cause: trouble },
    });
  }
  if (silent !== undefined && target.keyFile === undefined)
    return new PerijoveError('SSH_NO_AGENT', silent, { host, subject: agent, cause: trouble });
  const others = progress.methods.filter((method) => method !== 'publickey');
  const methods = progress.partial
    ? `it accepted a key, and requires ${progress.methods.join(', ')} too`
    : progress.methods.length > 0 && others.length === progress.methods.length
      ? `it accepts no keys, only ${others.join(', ')}`
      : undefined;
  const banner = progress.banner.trim().replace(/\s+/g, ' ');
  const details = [
    offered.length === 0 ? nothingOffered(options) : `it was offered ${offered.join(', ')}`,
    methods,
    ...notes,
    ...(silent === undefined ? [] : [silent]),
    banner === '' ? undefined : `its banner says "${banner.slice(0, longestBanner)}"`,
  ].filter((detail) => detail !== undefined);
  return new PerijoveError(
    'SSH_AUTH_FAILED',
    `${peer}: the server rejected the user or all offered keys: ${details.join('; ')}`,
    { host, subject: peer, cause },
  );
}

function nothingOffered({ target, credentials: { agent } }: LoginOptions): string {
  if (agent === undefined) return 'there was no key to offer';
  return target.keyFile === undefined && target.identityFiles === undefined
    ? `the agent at ${agent} holds no key`
    : `the agent at ${agent} does not hold the key`;
}

/** A TCP connection. Rejects with the error of the system, or the reason of the signal. */
export function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      signal.removeEventListener('abort', abort);
      socket.off('error', failed);
      settle();
    };
    const failed = (error: Error) => end(() => reject(error));
    const abort = () => {
      socket.destroy();
      end(() => reject(signal.reason as Error));
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', failed);
    socket.once('connect', () => end(() => resolve(socket)));
    if (signal.aborted) abort();
  });
}
