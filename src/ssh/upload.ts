import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { SFTPWrapper } from 'ssh2';
import { messageOf, PerijoveError } from '../errors/error.js';
import { abortable } from '../net/abortable.js';
import { classifySshError } from './classify.js';
import type { DownloadOptions, ExecOptions, ExecResult, UploadOptions, UploadSource } from './connection.js';
import { successOf } from './exec.js';
import { quote } from './shell.js';

const settleTimeoutMs = 120_000;

/** What an upload needs from a connection. */
export interface UploadVia {
  readonly host: string;
  /** The file must be written as root, which SFTP cannot do. */
  readonly become: boolean;
  /** Runs `work` in an SFTP session, and resolves when the session has ended. */
  withSftp(work: (sftp: SFTPWrapper) => Promise<void>): Promise<void>;
  exec(script: string, options: ExecOptions): Promise<ExecResult>;
}

/** Documented at `HostConnection.upload`. */
export async function uploadFile(
  via: UploadVia,
  source: UploadSource,
  target: string,
  { mode, signal }: UploadOptions,
): Promise<void> {
  const sha256 = await sha256Of(source);
  const unique = randomBytes(6).toString('hex');
  const directory = path.posix.dirname(target);
  const beside = `${directory}/.${path.posix.basename(target)}.${unique}.upload`;
  const arrival = via.become ? `/tmp/.perijove.${unique}.upload` : beside;

  await transfer(via, source, arrival, signal);
  const script = settleScript({ arrival, beside, target, mode, sha256 });
  const result = await via.exec(script, {
    become: via.become,
    timeoutMs: settleTimeoutMs,
    ...(signal === undefined ? {} : { signal }),
  });
  if (result.code === corruptExit) {
    throw new PerijoveError('UPLOAD_CORRUPT', `the checksum of ${target} does not match after the upload`, {
      host: via.host,
      subject: target,
    });
  }
  throwUnwritable(via.host, target, result);
  successOf(result);
}

const corruptExit = 65;

/** Copies the upload next to the target, verifies it, and renames it. Removes all other copies. */
function settleScript(upload: {
  readonly arrival: string;
  readonly beside: string;
  readonly target: string;
  readonly mode: number;
  readonly sha256: string;
}): string {
  const { arrival, beside, target, mode, sha256 } = upload;
  const directory = path.posix.dirname(target);
  const stale = `.${path.posix.basename(target).replace(/[*?[\]\\]/g, '\\$&')}.*.upload`;
  return [
    `trap ${quote(`rm -f ${quote(arrival)} ${quote(beside)}`)} EXIT`,
    'set -e',
    ...(arrival === beside ? [] : [`cp ${quote(arrival)} ${quote(beside)}`]),
    `[ "$(sha256sum < ${quote(beside)})" = '${sha256}  -' ] || exit ${corruptExit}`,
    `chmod ${mode.toString(8)} ${quote(beside)}`,
    // Without it, a power failure can leave an empty file under the final name.
    `sync ${quote(beside)} 2>/dev/null || sync`,
    `mv -fT ${quote(beside)} ${quote(target)}`,
    `find ${quote(directory)} -maxdepth 1 -name ${quote(stale)} -mmin +10 -exec rm -f {} + 2>/dev/null || :`,
  ].join('\n');
}

async function transfer(
  via: UploadVia,
  source: UploadSource,
  arrival: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  try {
    await via.withSftp((sftp) => abortable(write(sftp, source, arrival), signal));
  } catch (error) {
    if (hasStatus(error)) throw await explain(via, arrival, error);
    if (signal?.aborted === true) {
      void via.exec(`rm -f ${quote(arrival)}`, { become: false }).catch(() => undefined);
      throw error;
    }
    // What remains is a lost connection, or a local file that cannot be read.
    throw error instanceof Error && 'syscall' in error ? error : classifySshError(error, via.host, via.host);
  }
}

/** Documented at `HostConnection.download`. */
export async function downloadFile(
  via: Pick<UploadVia, 'host' | 'withSftp'>,
  path: string,
  file: string,
  { signal }: DownloadOptions,
): Promise<void> {
  signal?.throwIfAborted();
  try {
    await via.withSftp((sftp) =>
      abortable(
        settled(sftp, (done) => sftp.fastGet(path, file, done)),
        signal,
      ),
    );
  } catch (error) {
    if (signal?.aborted === true || (error instanceof Error && 'syscall' in error)) throw error;
    throw classifySshError(error, via.host, via.host);
  }
}

function write(sftp: SFTPWrapper, source: UploadSource, arrival: string): Promise<void> {
  return settled(sftp, (done) => {
    if (Buffer.isBuffer(source)) sftp.writeFile(arrival, source, { mode: 0o600, flag: 'wx' }, done);
    else sftp.fastPut(source.file, arrival, { mode: 0o600 }, done);
  });
}

function settled(sftp: SFTPWrapper, start: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new Error('the connection was lost during a transfer'));
    sftp.once('end', lost);
    sftp.once('close', lost);
    sftp.on('error', reject);
    start((error) => (error ? reject(error) : resolve()));
  });
}

/** The server itself refused: ssh2 uses the SFTP status number as the code of such errors. */
function hasStatus(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}

/**
 * SFTP reports a full disk, like most errors, only as "Failure" (draft 02, section 7), so the host is probed
 * for the reason. The partial upload is removed after the probe: it may be what filled the disk.
 */
async function explain(via: UploadVia, arrival: string, error: unknown): Promise<PerijoveError> {
  const probe = `${arrival}.probe`;
  const result = await via.exec(
    [
      `trap ${quote(`rm -f ${quote(arrival)} ${quote(probe)}`)} EXIT`,
      `head -c 65536 /dev/zero > ${quote(probe)}`,
    ].join('\n'),
    { become: false },
  );
  throwUnwritable(via.host, arrival, result);
  return new PerijoveError('SSH_LOST', `an upload failed: ${messageOf(error)}`, {
    host: via.host,
    cause: error,
  });
}

function throwUnwritable(host: string, target: string, { code, stderr }: ExecResult): void {
  if (code === 0) return;
  const directory = path.posix.dirname(target);
  const why = stderr.trim().split('\n').at(-1) ?? '';
  if (/no space left on device|disk quota exceeded/i.test(stderr)) {
    throw new PerijoveError('DISK_FULL', `no space left for ${target}: ${why}`, {
      host,
      subject: directory,
    });
  }
  if (
    /permission denied|read-only file system|no such file or directory|directory nonexistent|not a directory/i.test(
      stderr,
    )
  ) {
    throw new PerijoveError('DIR_NOT_WRITABLE', `cannot write to ${directory}: ${why}`, {
      host,
      subject: directory,
    });
  }
}

async function sha256Of(source: UploadSource): Promise<string> {
  const hash = createHash('sha256');
  if (Buffer.isBuffer(source)) hash.update(source);
  else await pipeline(createReadStream(source.file), hash);
  return hash.digest('hex');
}
