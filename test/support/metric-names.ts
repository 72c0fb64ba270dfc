import { readFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** The metrics of workers that docs/reference/metrics.md documents, with their types. */
export async function workerMetrics(): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(path.join(root, 'docs/reference/metrics.md'), 'utf8');
  const [, table = ''] = /<!-- metrics of workers -->([^]*?)<!-- end -->/.exec(text) ?? [];
  const rows = [...table.matchAll(/^\| `(temporal_\w+)` *\| (\w+)/gm)];
  return new Map(rows.map(([, name = '', type = '']) => [name, type]));
}
