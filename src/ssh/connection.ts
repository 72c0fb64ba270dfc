import type { Duplex } from 'node:stream';
import type { HostSpec } from '../cluster/spec.js';

/** The one shape of every command's result, whatever its exit code. */
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
  /** After this the command is ended on the host, and `exec` rejects with COMMAND_TIMEOUT. 60 000 by default. */
  readonly timeoutMs?: number;
  /** When it aborts, the command is ended on the host and `exec` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Run as root through `sudo -n`; by default, what the host's `become` says. */
  readonly become?: boolean;
}

/** A TCP endpoint that can be dialled from this machine. */
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
 * A host, as one worker reaches it. It outlives the SSH connection below it: when that broke, the next use
 * connects again. All methods reject with a PerijoveError SSH_* when the host cannot be reached.
 */
export interface HostConnection {
  readonly host: HostSpec;

  /**
   * Runs a POSIX shell script, sent over stdin; the script's own stdin is empty. Nothing of the script runs
   * before all of it has arrived. It resolves for any exit code. When the connection, the time or the signal
   * ends first, the script and all processes of its process group get SIGTERM on the host, then SIGKILL.
   *
   * @throws PerijoveError SSH_*, SUDO_REFUSED, COMMAND_TIMEOUT, OUTPUT_TOO_LARGE (over 8 MiB)
   */
  exec(script: string, options?: ExecOptions): Promise<ExecResult>;

  /**
   * Like `exec`, for scripts that must succeed: resolves to stdout.
   *
   * @throws PerijoveError also DISK_FULL, and COMMAND_FAILED with the tail of stderr for any exit code but 0
   */
  run(script: string, options?: ExecOptions): Promise<string>;

  /**
   * Writes a file: by SFTP under a temporary name, its SHA-256 checked on the host, synced, then renamed. At
   * `path` there is either what was there before or all of the new content. The directory must exist.
   *
   * @throws PerijoveError SSH_*, DISK_FULL, DIR_NOT_WRITABLE, UPLOAD_CORRUPT
   */
  upload(source: UploadSource, path: string, options: UploadOptions): Promise<void>;

  /**
   * Reads a file that the SSH user may read into a local one, by SFTP. When it fails, part of it may be there.
   *
   * @throws PerijoveError SSH_*
   */
  download(path: string, file: string, options?: DownloadOptions): Promise<void>;

  /**
   * A TCP connection to `address:port` as seen from the host.
   *
   * @throws PerijoveError SSH_*, TUNNEL_REFUSED when the host cannot connect there
   */
  dial(address: string, port: number): Promise<Duplex>;

  /**
   * A listener on 127.0.0.1 of this machine that leads to `address:port` as seen from the host. The same
   * endpoint each time it is asked for; it stays when the connection breaks and ends with the pool.
   */
  forward(address: string, port: number): Promise<Endpoint>;

  /**
   * Opens another SSH connection, runs an empty script over it and closes it. A connection that is already open does
   * not prove that the host accepts new ones.
   *
   * @throws PerijoveError SSH_*, COMMAND_FAILED, COMMAND_TIMEOUT
   */
  login(): Promise<void>;
}

export interface SshPool {
  /** The connection to the host, connected now. Concurrent calls share one attempt. */
  get(host: HostSpec): Promise<HostConnection>;
  /**
   * A listener on 127.0.0.1 of this machine that joins each TCP connection with a stream that `dial` opens for
   * it. The same one for the same key; it ends with the pool.
   */
  listen(key: string, dial: () => Promise<Duplex>): Promise<Endpoint>;
  /** Ends all connections and listeners. */
  close(): Promise<void>;
}
