import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { xdgDirectory } from '../cluster/home.js';
import { readKeyAndCertificates } from '../cluster/certificate-files.js';
import type { HostConnection, UploadSource } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { checksumFunctions, sha256OfText } from './checksum.js';
import type { WantedFile } from './diff.js';
import type { FileSource } from './items.js';
import { hostPaths } from './paths.js';

/** Where a worker finds the files that it copies to hosts. */
export interface Artifacts {
  /** `dist/programs` of this package. */
  readonly programsDir: string;
  /** The Node.js binary that the worker runs on: `process.execPath`. */
  readonly nodeBinary: string;
}

/** This machine's cache directory: `$XDG_CACHE_HOME/perijove`, or `~/.cache/perijove`. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return path.join(xdgDirectory('XDG_CACHE_HOME', env), 'perijove');
}

const copyTimeoutMs = 120_000;
const sums = new Map<string, string>();

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** SHA-256 of a file's desired content. A local file is hashed once per version. */
export async function sourceSha256(source: FileSource, artifacts: Artifacts): Promise<string> {
  if (source.kind === 'text') return sha256OfText(source.text);
  if (source.kind === 'certificate') return sha256OfText(readKeyAndCertificates(source));
  const file = localFile(source, artifacts);
  const { size, mtimeMs, ino } = await stat(file);
  const version = JSON.stringify([file, size, mtimeMs, ino]);
  let sum = sums.get(version);
  if (sum === undefined) {
    sum = await sha256OfFile(file);
    sums.set(version, sum);
  }
  return sum;
}

/** Copies a file to a host. Its directory must exist. */
export async function bringFile(
  connection: HostConnection,
  file: WantedFile,
  artifacts: Artifacts,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { source, path: target, mode } = file;
  const options = signal === undefined ? {} : { signal };
  if (source.kind === 'node' && (await copiedOnHost(connection, file, artifacts, options))) return;
  await connection.upload(contentOf(source, artifacts), target, { mode, ...options });
}

function contentOf(source: FileSource, artifacts: Artifacts): UploadSource {
  switch (source.kind) {
    case 'text':
      return Buffer.from(source.text);
    case 'certificate':
      return Buffer.from(readKeyAndCertificates(source));
    default:
      return { file: localFile(source, artifacts) };
  }
}

function localFile(source: Extract<FileSource, { kind: 'program' | 'node' }>, artifacts: Artifacts): string {
  return source.kind === 'node' ? artifacts.nodeBinary : path.join(artifacts.programsDir, source.name);
}

/** Copies the host's own Node.js if it is the same binary at the same path, to avoid sending 100 MB. */
async function copiedOnHost(
  connection: HostConnection,
  { path: target, mode, sha256 }: WantedFile,
  { nodeBinary }: Artifacts,
  options: { readonly signal?: AbortSignal },
): Promise<boolean> {
  const result = await connection.exec(
    `${checksumFunctions(hostPaths(connection.host).run)}
[ -f ${quote(nodeBinary)} ] || exit 64
temporary=${quote(target)}.$$
trap 'rm -f "$temporary"' EXIT
cp ${quote(nodeBinary)} "$temporary" || exit 64
[ "$(sha256sum < "$temporary")" = '${sha256}  -' ] || exit 64
chmod ${mode.toString(8)} "$temporary" && sync "$temporary" && mv -fT "$temporary" ${quote(target)} || exit 64
remember ${quote(target)} ${sha256} || :`,
    { timeoutMs: copyTimeoutMs, ...options },
  );
  return result.code === 0;
}
