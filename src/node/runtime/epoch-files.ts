import { readFile, rm } from 'node:fs/promises';
import type { SeedSource } from '../../etcd/decide.js';
import { highestEpoch } from '../../etcd/term.js';
import { isMissing, replaceFile } from '../../net/files.js';

/** Of a file with a number in decimal; 0 without a file. Rejects when the file cannot be read, or has no number. */
export async function readEpoch(file: string): Promise<number> {
  const text = await textOf(file);
  if (text === undefined) return 0;
  const epoch = parseEpoch(text);
  if (epoch === undefined) throw new Error(`${file} contains no epoch`);
  return epoch;
}

/** Writes nothing if the file has this epoch or a higher one. */
export async function raiseEpoch(file: string, epoch: number): Promise<void> {
  if (epoch > (await readEpoch(file))) await replaceFile(file, `${epoch}\n`);
}

export interface Seed {
  /** That begins with this node. */
  readonly epoch: number;
  readonly from: SeedSource;
}

/** Undefined if the node is no seed. Rejects when that cannot be told. */
export async function readSeed(file: string): Promise<Seed | undefined> {
  const text = await textOf(file);
  if (text === undefined) return undefined;
  const [number = '', from] = text.trim().split(' ');
  const epoch = parseEpoch(number);
  if (epoch === undefined || (from !== 'data' && from !== 'nothing')) {
    throw new Error(`${file} contains no epoch and source`);
  }
  return { epoch, from };
}

export async function forgetSeed(file: string): Promise<void> {
  await rm(file, { force: true });
}

function parseEpoch(text: string): number | undefined {
  const digits = text.trim();
  const epoch = Number(digits);
  return /^\d+$/.test(digits) && epoch <= highestEpoch ? epoch : undefined;
}

async function textOf(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}
