import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { recorded } from '../support/histories.js';
import { bundleOf } from '../support/bundles.js';
import { quiet } from '../support/temporal.js';

const right = fileURLToPath(new URL('../../src/workflows/recovery.ts', import.meta.url));
const broken = fileURLToPath(new URL('../support/recovery-broken.ts', import.meta.url));

/** Recorded by the tests of the recovery, with PERIJOVE_RECORD_HISTORIES=1. */
const names = readdirSync(path.join(import.meta.dirname, 'histories'))
  .filter((file) => file.startsWith('recovery'))
  .map((file) => path.parse(file).name);

beforeAll(() => quiet());

test('there is a history for each shape of control flow', () => {
  expect(names.toSorted()).toEqual(['recovery', 'recovery-refused']);
});

test.each(names)('%s is replayed', async (name) => {
  await Worker.runReplayHistory(
    { workflowBundle: await bundleOf(right) },
    await recorded(name),
    'recovery:any',
  );
});

test.each(names)('%s is rejected by a recovery with one more step', async (name) => {
  await expect(
    Worker.runReplayHistory({ workflowBundle: await bundleOf(broken) }, await recorded(name), 'recovery:any'),
  ).rejects.toThrow(DeterminismViolationError);
});
