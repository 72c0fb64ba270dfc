import { constants } from 'node:fs';
import { open, readdir, readFile } from 'node:fs/promises';
import * as z from 'zod';
import { isMissing, replaceFile } from '../../net/files.js';
import { jsonOf } from '../../net/json.js';
import { lostKernelsSchema, type LostKernels } from '../api.js';
import type { NodeLayout } from '../layout.js';

/** No record of a kernel is as long. */
const longestBytes = 64 * 1024;
/** So many records are read. */
const mostRecords = 1_000;
/** So many notebooks are named, and this much of each. */
const mostNotebooks = 20;
const longestPath = 200;

/** Of a record that `kept-kernels.ts` has written. */
const recordSchema = z.object({ sessions: z.array(z.object({ path: z.string().nullish() })).nullable() });
const noteSchema = lostKernelsSchema.extend({ ids: z.array(z.string()) });

/**
 * Notes the kernels that ended with the node's last life: those that have a record, which a kernel's own end, and a
 * Jupyter that stops in order, remove. Nothing of the node may run. A repeated call notes none of them twice.
 */
export async function noteLostKernels(layout: NodeLayout, now: Date): Promise<LostKernels | undefined> {
  const records = await recordsIn(`${layout.jupyterRun}/kernels`);
  const before = noteSchema.safeParse(await readNote(layout)).data;
  const lost = [...records].filter(([id]) => before?.ids.includes(id) !== true);
  if (lost.length === 0) return undefined;
  const notebooks = [...new Set(lost.flatMap(([, paths]) => paths))].toSorted();
  const found = {
    at: now.toISOString(),
    kernels: lost.length,
    notebooks: notebooks.slice(0, mostNotebooks),
  };
  await replaceFile(layout.kernelsLost, JSON.stringify({ ...found, ids: [...records.keys()] }));
  return found;
}

/** The last ones; undefined if there are none, or the note is unreadable. */
export async function readLostKernels(layout: NodeLayout): Promise<LostKernels | undefined> {
  return lostKernelsSchema.safeParse(await readNote(layout)).data;
}

async function readNote({ kernelsLost }: NodeLayout): Promise<unknown> {
  const text = await readFile(kernelsLost, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '';
    throw error;
  });
  return jsonOf(text);
}

/** The notebooks of each kernel, by its ID. What is no record counts for nothing. */
async function recordsIn(directory: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const records = new Map<string, readonly string[]>();
  for (const name of names.filter((each) => each.endsWith('.json')).slice(0, mostRecords)) {
    const record = recordSchema.safeParse(jsonOf(await readRegular(`${directory}/${name}`)));
    if (!record.success) continue;
    const paths = (record.data.sessions ?? []).flatMap(({ path }) =>
      path ? [path.slice(0, longestPath)] : [],
    );
    records.set(name.slice(0, -'.json'.length), paths);
  }
  return records;
}

/** The directory is a user's: nothing in it is followed or waited for. */
async function readRegular(file: string): Promise<string> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { size } = await handle.stat().then((found) => (found.isFile() ? found : { size: 0 }));
    return size === 0 || size > longestBytes ? '' : await handle.readFile('utf8');
  } catch {
    return '';
  }
}
