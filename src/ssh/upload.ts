/** Files travel over the streams of a command: not every host offers SFTP, and shells that print disturb it. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { PerijoveError } from '../errors/error.js';
import type { DownloadOptions, ExecOptions, ExecResult, UploadOptions, UploadSource } from './connection.js';
import { isNoSpace, successOf, type ScriptRun } from './exec.js';
import { quote } from './shell.js';

/** Without progress, or for the checksum and the sync of a whole file. */
const stalledTimeoutMs = 120_000;

export type StreamedOptions = ExecOptions & Pick<ScriptRun, 'input' | 'sink'>;

/** What a transfer needs from a connection. */
export interface TransferVia {
  readonly host: string;
  exec(script: string, options: StreamedOptions): Promise<ExecResult>;
}

/** Documented at `HostConnection.upload`. */
export async function uploadFile(
  via: TransferVia,
  source: UploadSource,
  target: string,
  { mode, signal }: UploadOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const sha256 = await sha256Of(source);
  const bytes = Buffer.isBuffer(source) ? source.length : (await stat(source.file)).size;
  const unique = randomBytes(6).toString('hex');
  const arrival = `${path.posix.dirname(target)}/.${path.posix.basename(target)}.${unique}.upload`;
  const result = await via.exec(settleScript({ arrival, target, mode, sha256 }), {
    timeoutMs: stalledTimeoutMs,
    ...(signal === undefined ? {} : { signal }),
    input: {
      receive: receiveScript(arrival, bytes),
      open: () => (Buffer.isBuffer(source) ? Readable.from([source]) : createReadStream(source.file)),
    },
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
const notReceivedExit = 66;

/** Stores exactly that many bytes, or nothing: the session may end before all have arrived. */
function receiveScript(arrival: string, bytes: number): string {
  return [
    `(umask 077; set -C; head -c ${bytes} <&3 >${quote(arrival)}); perijove_received=$?`,
    `[ "$(stat -c %s ${quote(arrival)} 2>/dev/null)" = ${bytes} ] || { rm -f ${quote(arrival)}; [ "$perijove_received" != 0 ] || perijove_received=short; }`,
  ].join('\n');
}

/** Verifies what has arrived next to the target, and renames it. Removes it if that fails. */
function settleScript(upload: {
  readonly arrival: string;
  readonly target: string;
  readonly mode: number;
  readonly sha256: string;
}): string {
  const { arrival, target, mode, sha256 } = upload;
  const directory = path.posix.dirname(target);
  const stale = `.${path.posix.basename(target).replace(/[*?[\]\\]/g, '\\$&')}.*.upload`;
  return [
    `trap ${quote(`rm -f ${quote(arrival)}`)} EXIT`,
    `case $perijove_received in 0) ;; short) exit ${corruptExit} ;; *) exit ${notReceivedExit} ;; esac`,
    'set -e',
    `[ "$(sha256sum < ${quote(arrival)})" = '${sha256}  -' ] || exit ${corruptExit}`,
    `chmod ${mode.toString(8)} ${quote(arrival)}`,
    // Without it, a power failure can leave an empty file under the final name.
    `sync ${quote(arrival)} 2>/dev/null || sync`,
    `mv -fT ${quote(arrival)} ${quote(target)}`,
    `find ${quote(directory)} -maxdepth 1 -name ${quote(stale)} -mmin +10 -exec rm -f {} + 2>/dev/null || :`,
  ].join('\n');
}

/** Documented at `HostConnection.download`. */
export async function downloadFile(
  via: TransferVia,
  remote: string,
  file: string,
  { signal }: DownloadOptions,
): Promise<void> {
  const sink = createWriteStream(file);
  const written = finished(sink);
  written.catch(() => undefined);
  try {
    const result = await via.exec(`cat < ${quote(remote)}`, {
      timeoutMs: stalledTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
      sink,
    });
    successOf(result);
    sink.end();
    await written;
  } finally {
    sink.destroy();
  }
}

function throwUnwritable(host: string, target: string, { code, stderr }: ExecResult): void {
  if (code === 0) return;
  const directory = path.posix.dirname(target);
  const why = stderr.trim().split('\n').at(-1) ?? '';
  if (isNoSpace(stderr)) {
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
