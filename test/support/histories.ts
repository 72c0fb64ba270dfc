/** Recorded histories of workflows: `test/workflows/histories/<name>.json`. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { temporal } from '@temporalio/proto';

const { History } = temporal.api.history.v1;
type History = temporal.api.history.v1.IHistory;

const directory = path.resolve(import.meta.dirname, '../workflows/histories');

/** Describe the recording machine; irrelevant to a replay. */
const ofTheMachine = new Set(['identity', 'stackTrace']);

/** Stores the history if PERIJOVE_RECORD_HISTORIES is set. */
export async function record(handle: WorkflowHandle, name: string): Promise<void> {
  if (!process.env['PERIJOVE_RECORD_HISTORIES']) return;
  const message = History.fromObject(await handle.fetchHistory());
  const plain = History.toObject(message, { longs: String, enums: String, bytes: String });
  const text = JSON.stringify(plain, (key, value: unknown) => (ofTheMachine.has(key) ? '' : value));
  await writeFile(path.join(directory, `${name}.json`), `${text}\n`);
}

export async function recorded(name: string): Promise<History> {
  const text = await readFile(path.join(directory, `${name}.json`), 'utf8');
  return History.fromObject(JSON.parse(text) as Record<string, unknown>);
}
