import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeLayout, type NodeLayout } from '../../../src/node/layout.js';
import { noteLostKernels, readLostKernels } from '../../../src/node/runtime/lost-kernels.js';

const first = new Date('2026-11-30T12:00:00.000Z');
const second = new Date('2026-11-30T13:00:00.000Z');

let layout: NodeLayout;
let records: string;

beforeEach(() => {
  layout = nodeLayout(mkdtempSync(path.join(tmpdir(), 'perijove-lost-')));
  records = `${layout.jupyterRun}/kernels`;
  mkdirSync(layout.data, { recursive: true });
});
afterEach(() => rmSync(layout.base, { recursive: true, force: true }));

function record(id: string, paths: readonly string[] | null): void {
  mkdirSync(records, { recursive: true });
  const sessions = paths?.map((each, index) => ({ id: `${id}-${index}`, path: each })) ?? null;
  writeFileSync(`${records}/${id}.json`, JSON.stringify({ pid: 1, sessions }));
}

it('are those with a record, with their notebooks, each once', async () => {
  record('k1', ['b.ipynb', 'console']);
  record('k2', ['a.ipynb']);
  record('k3', ['a.ipynb']);
  record('k4', null);
  const lost = {
    at: first.toISOString(),
    kernels: 4,
    notebooks: ['a.ipynb', 'b.ipynb', 'console'],
  };
  expect(await noteLostKernels(layout, first)).toEqual(lost);
  expect(await readLostKernels(layout)).toEqual(lost);
});

it('are noted once where the node ends again before its Jupyter has run', async () => {
  record('k1', ['a.ipynb']);
  await noteLostKernels(layout, first);
  expect(await noteLostKernels(layout, second)).toBeUndefined();
  record('k2', ['b.ipynb']);
  expect(await noteLostKernels(layout, second)).toMatchObject({ kernels: 1, notebooks: ['b.ipynb'] });
});

it('are none without records, and an earlier note stays', async () => {
  expect(await noteLostKernels(layout, first)).toBeUndefined();
  expect(await readLostKernels(layout)).toBeUndefined();
  record('k1', ['a.ipynb']);
  await noteLostKernels(layout, first);
  rmSync(records, { recursive: true });
  expect(await noteLostKernels(layout, second)).toBeUndefined();
  expect(await readLostKernels(layout)).toMatchObject({ at: first.toISOString(), kernels: 1 });
});

it('are not sought in what is no record: garbage, links, pipes, floods', async () => {
  record('k1', ['a.ipynb']);
  writeFileSync(`${records}/garbage.json`, '{"sessions":');
  writeFileSync(`${records}/other.json`, '[]');
  writeFileSync(`${records}/k9.output`, 'text');
  writeFileSync(`${layout.base}/elsewhere`, JSON.stringify({ sessions: [{ path: 'secret' }] }));
  symlinkSync(`${layout.base}/elsewhere`, `${records}/link.json`);
  execFileSync('mkfifo', [`${records}/pipe.json`]);
  writeFileSync(`${records}/flood.json`, JSON.stringify({ sessions: [{ path: 'x'.repeat(100_000) }] }));
  record('long', [`${'y'.repeat(500)}.ipynb`]);
  expect(await noteLostKernels(layout, first)).toMatchObject({
    kernels: 2,
    notebooks: ['a.ipynb', 'y'.repeat(200)],
  });
});
