import type { Duplex } from 'node:stream';
import type { HostKeys } from '../cluster/host-keys.js';
import type { HostSpec } from '../cluster/spec.js';

/** The result of a command, whatever its exit code. */
export interface ExecResult {
  /** Name of the host in the spec. */
  readonly host: string;
  /** Exit code, or null when a signal ended the shell. */
  readonly code: number | null;
  /** Name of the signal that ended the shell, such as `TERM`. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

export interface ExecOptions {
  /** Then the command is killed on the host and `exec` rejects with COMMAND_TIMEOUT. 60 000 by default. */
  readonly timeoutMs?: number;
  /** On abort the command is killed on the host, and `exec` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Run as root through `sudo -n`; the host's `become` by default. */
  readonly become?: boolean;
}

/** A TCP endpoint that this machine can connect to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export type UploadSource = Buffer | { readonly file: string };

export interface UploadOptions {
  /** Octal, such as 0o644. */
  readonly mode: number;
  readonly signal?: AbortSignal;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal;
}

/**
 * A host as one worker reaches it. It outlives its SSH connection: after a loss, the next call reconnects.
 * All methods reject with a PerijoveError SSH_* if the host cannot be reached.
 */
export interface HostConnection {
  readonly host: HostSpec;

  /**
   * Runs a POSIX shell script, sent over stdin; the script's own stdin is empty. No part of the script runs
   * before all of it has arrived. Resolves for any exit code. If the connection, the time or the signal ends
   * first, the script's process group gets SIGTERM on the host, then SIGKILL.
   *
   * @throws PerijoveError SSH_*, SHELL_REFUSED, PASSWORD_EXPIRED, SUDO_REFUSED, COMMAND_TIMEOUT, OUTPUT_TOO_LARGE
   *   (over 8 MiB), COMMAND_FAILED if the script did not start
   */
  exec(script: string, options?: ExecOptions): Promise<ExecResult>;

  /**
   * Like `exec`, for scripts that must succeed: resolves to stdout.
   *
   * @throws PerijoveError also DISK_FULL, and COMMAND_FAILED with the tail of stderr for a non-zero exit code
   */
  run(script: string, options?: ExecOptions): Promise<string>;

  /**
   * Writes a file atomically, over the stdin of a script: under a temporary name beside it, then its SHA-256 is
   * verified on the host, and it is synced and renamed. The directory must exist. COMMAND_TIMEOUT after two
   * minutes without progress.
   *
   * @throws PerijoveError those of `exec`; DISK_FULL, DIR_NOT_WRITABLE, UPLOAD_CORRUPT, COMMAND_FAILED
   */
  upload(source: UploadSource, path: string, options: UploadOptions): Promise<void>;

  /**
   * Downloads a file over the stdout of a script. If it fails, part of the file may remain. COMMAND_TIMEOUT after
   * two minutes without progress.
   *
   * @throws PerijoveError those of `exec`; COMMAND_FAILED
   */
  download(path: string, file: string, options?: DownloadOptions): Promise<void>;

  /**
   * A TCP connection to `address:port` as seen from the host.
   *
   * @throws PerijoveError SSH_*, TUNNEL_REFUSED if the host cannot connect, TUNNEL_PROHIBITED if sshd does not
   *   forward to there
   */
  dial(address: string, port: number): Promise<Duplex>;

  /**
   * A listener on 127.0.0.1 of this machine that leads to `address:port` as seen from the host. Every call
   * returns the same endpoint; it survives a lost connection and ends with the pool.
   */
  forward(address: string, port: number): Promise<Endpoint>;

  /**
   * Opens another SSH connection, runs an empty script over it and closes it. An open connection does not
   * prove that the host accepts new ones.
   *
   * @throws PerijoveError SSH_*, COMMAND_FAILED, COMMAND_TIMEOUT
   */
  login(): Promise<void>;
}

export interface SshPool {
  /** Connects to the host now. Concurrent calls share one attempt. */
  get(host: HostSpec): Promise<HostConnection>;
  /**
   * A listener on 127.0.0.1 of this machine that joins each TCP connection to a stream from `dial`. One
   * listener per key; it ends with the pool.
   */
  listen(key: string, dial: () => Promise<Duplex>): Promise<Endpoint>;
  /** See `pinnedKeys`. */
  pinned(hosts: readonly HostSpec[]): Promise<HostKeys>;
  /** Closes all connections and listeners. */
  close(): Promise<void>;
}
