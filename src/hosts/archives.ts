import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { messageOf, PerijoveError } from '../errors/error.js';
import { download as fetchFile } from '../net/http.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { ArchiveItem } from './items.js';
import { hostPaths } from './paths.js';

const unpackTimeoutMs = 300_000;

/** A file inside the unpacked directory that holds the checksum of its archive. */
export function archiveMarker(archive: ArchiveItem): { readonly path: string; readonly text: string } {
  return { path: `${archive.path}/.perijove-archive`, text: `${archive.sha256}\n` };
}

/**
 * Downloads an archive to this machine, verifies its checksum, and unpacks it on the host without its top
 * directory. Replaces what was at that path.
 *
 * @throws PerijoveError ARCHIVE_UNREACHABLE, ARCHIVE_CHECKSUM, and the errors of `HostConnection.upload` and
 *   `run`
 */
export async function unpackArchive(
  connection: HostConnection,
  archive: ArchiveItem,
  signal: AbortSignal | undefined,
): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'perijove-archive-'));
  const options = signal === undefined ? {} : { signal };
  try {
    const local = path.join(directory, 'archive');
    await download(archive, local, signal);
    const { run } = hostPaths(connection.host);
    const remote = `${run}/archive-${archive.sha256.slice(0, 16)}`;
    await connection.upload({ file: local }, remote, { mode: 0o600, ...options });
    const marker = archiveMarker(archive);
    const stage = quote(`${archive.path}.unpacking`);
    await connection.run(
      `
set -e
trap ${quote(`rm -rf ${quote(remote)} ${stage}`)} EXIT
rm -rf ${stage}; mkdir -p ${stage}
tar -xf ${quote(remote)} -C ${stage} --strip-components=1 --no-same-owner
set -- ${stage}/*; [ -e "$1" ] || { echo ${quote(`${archive.url} has no top directory`)} >&2; exit 1; }
printf '%s' ${quote(marker.text)} > ${stage}/${quote(path.posix.basename(marker.path))}
rm -rf ${quote(archive.path)}
mv -T ${stage} ${quote(archive.path)}`,
      { timeoutMs: unpackTimeoutMs, ...options },
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function download(
  archive: ArchiveItem,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = createHash('sha256');
  const each = (chunk: Buffer) => void hash.update(chunk);
  try {
    if (archive.url.startsWith('file:')) {
      const summed = async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          each(chunk);
          yield chunk;
        }
      };
      const source = createReadStream(fileURLToPath(archive.url));
      await pipeline(source, summed, createWriteStream(target), { ...(signal && { signal }) });
    } else await fetchFile(archive.url, target, { each, signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw new PerijoveError('ARCHIVE_UNREACHABLE', `cannot fetch ${archive.url}: ${messageOf(error)}`, {
      subject: archive.url,
      cause: error,
    });
  }
  const sha256 = hash.digest('hex');
  if (sha256 !== archive.sha256) {
    throw new PerijoveError(
      'ARCHIVE_CHECKSUM',
      `the SHA-256 of ${archive.url} is ${sha256}, not ${archive.sha256}`,
      {
        subject: archive.url,
      },
    );
  }
}
