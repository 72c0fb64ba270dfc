/** The image of the nodes on a worker's machine: built there if it has Docker, and kept compressed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import * as z from 'zod';
import { messageOf, PerijoveError } from '../../errors/error.js';
import { cacheDir } from '../../hosts/artifacts.js';
import type { ImageSizes } from './plan.js';

export interface ImageArchive extends ImageSizes {
  /** Of `docker save`, compressed with gzip. */
  readonly file: string;
}

/** How work on an image is cancelled, and reports its progress. */
export interface ImageWork {
  readonly signal: AbortSignal;
  /** Progress, for operators. */
  readonly report: (what: string) => void;
}

const factsSchema = z.object({ imageBytes: z.int().positive() });
/** Fast: hosts and workers are close to each other, and it is sent once. */
const gzipLevel = 1;
const questionMs = 10_000;
/** An archive without a write for this long was abandoned. */
const abandonedMs = 24 * 60 * 60_000;
/** Archives in progress: several hosts want the same one. */
const underWay = new Map<string, Promise<ImageArchive>>();

/** Whether a Docker server responds on this machine. */
export async function hasLocalDocker(): Promise<boolean> {
  const { code } = await docker(['version'], { signal: AbortSignal.timeout(questionMs) });
  return code === 0;
}

/**
 * Builds an image on this machine, unless it exists.
 *
 * @throws PerijoveError IMAGE_BUILD_FAILED
 */
export async function buildLocally(reference: string, context: string, work: ImageWork): Promise<void> {
  if ((await localBytes(reference, work)) !== undefined) return;
  const { code, tail } = await docker(['build', '--tag', reference, context], work);
  work.signal.throwIfAborted();
  if (code !== 0) {
    throw new PerijoveError('IMAGE_BUILD_FAILED', `docker build ${context} failed:\n${tail}`, {
      subject: reference,
    });
  }
}

/** Size of an image in this machine's Docker; undefined without the image or without Docker. */
export async function localBytes(
  reference: string,
  { signal }: Pick<ImageWork, 'signal'>,
): Promise<number | undefined> {
  const { code, stdout } = await docker(['image', 'inspect', '--format={{.Size}}', reference], { signal });
  return code === 0 ? Number(stdout) : undefined;
}

/** The archive of an image if this machine has it. */
export async function keptArchive(reference: string): Promise<ImageArchive | undefined> {
  const file = archiveFile(reference);
  try {
    const { imageBytes } = factsSchema.parse(JSON.parse(await readFile(`${file}.json`, 'utf8')));
    return { file, imageBytes, archiveBytes: (await stat(file)).size };
  } catch {
    return undefined;
  }
}

/**
 * Keeps the archive that `write` writes and replaces those of other versions; one at a time.
 *
 * @throws PerijoveError DISK_FULL, and those of `write`
 */
export async function keepArchive(
  reference: string,
  write: (file: string) => Promise<{ readonly imageBytes: number }>,
): Promise<ImageArchive> {
  let made = underWay.get(reference);
  if (made === undefined) {
    made = makeArchive(reference, write).finally(() => underWay.delete(reference));
    underWay.set(reference, made);
  }
  return made;
}

async function makeArchive(
  reference: string,
  write: (file: string) => Promise<{ readonly imageBytes: number }>,
): Promise<ImageArchive> {
  const kept = await keptArchive(reference);
  if (kept) return kept;
  const file = archiveFile(reference);
  const temporary = `${file}.${process.pid}.new`;
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    const facts = await write(temporary);
    await rename(temporary, file);
    await writeFile(`${file}.json`, JSON.stringify(facts));
    await removeOthers(file);
    return { file, ...facts, archiveBytes: (await stat(file)).size };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') {
      throw new PerijoveError('DISK_FULL', `no space is left for ${file} on the worker's machine`, {
        file,
        cause: error,
      });
    }
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Removes archives of other versions and the remains of killed workers, but none that is being written. */
async function removeOthers(file: string): Promise<void> {
  const directory = path.dirname(file);
  for (const name of await readdir(directory)) {
    if (name.startsWith(path.basename(file))) continue;
    const other = path.join(directory, name);
    if (name.endsWith('.new')) {
      const written = await stat(other).catch(() => undefined);
      if (written === undefined || Date.now() - written.mtimeMs < abandonedMs) continue;
    }
    await rm(other, { force: true });
  }
}

/** Writes the archive of an image in this machine's Docker. @throws PerijoveError IMAGE_NOT_HERE */
export async function saveLocally(
  reference: string,
  file: string,
  work: ImageWork,
): Promise<{ imageBytes: number }> {
  const imageBytes = await localBytes(reference, work);
  if (imageBytes === undefined) throw notHere(reference);
  work.report(`saving ${reference}`);
  const child = spawn('docker', ['save', reference], {
    stdio: ['ignore', 'pipe', 'ignore'],
    signal: work.signal,
  });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  await pipeline(child.stdout, createGzip({ level: gzipLevel }), createWriteStream(file, { mode: 0o600 }), {
    signal: work.signal,
  });
  const [code] = await ended;
  if (code !== 0) throw notHere(reference);
  return { imageBytes };
}

export function notHere(reference: string): PerijoveError {
  return new PerijoveError(
    'IMAGE_NOT_HERE',
    `${reference} was removed from the worker's machine a moment ago`,
    {
      subject: reference,
    },
  );
}

function archiveFile(reference: string): string {
  return path.join(cacheDir(), 'images', `${reference.replace(/[^\w.-]/g, '_')}.tar.gz`);
}

/** Runs the local `docker`, and reports each line that it prints. Never rejects. */
async function docker(
  args: readonly string[],
  { signal, report }: Partial<ImageWork>,
): Promise<{ readonly code: number; readonly stdout: string; readonly tail: string }> {
  const child = spawn('docker', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal }),
  });
  let stdout = '';
  let all = '';
  const take = (text: string) => {
    all = `${all}${text}`.slice(-4_000);
    const line = text.trim().split('\n').at(-1);
    if (line) report?.(line.slice(0, 200));
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = `${stdout}${text}`.slice(-100_000);
    take(text);
  });
  child.stderr.setEncoding('utf8').on('data', take);
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, stdout, tail: messageOf(error) }));
    child.on('close', (code) => {
      resolve({ code: code ?? 1, stdout: stdout.trim(), tail: all.trim().split('\n').slice(-8).join('\n') });
    });
  });
}
