import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, expect, test } from 'vitest';
import { recorded } from '../support/histories.js';
import { bundleOf } from '../support/bundles.js';
import { quiet } from '../support/temporal.js';

const right = fileURLToPath(new URL('../../src/workflows/framework.ts', import.meta.url));
const broken = fileURLToPath(new URL('./framework-broken.ts', import.meta.url));

/** Recorded by the tests of the framework, with PERIJOVE_RECORD_HISTORIES=1. */
const names = readdirSync(path.join(import.meta.dirname, 'histories'))
  .filter((file) => file.startsWith('framework-'))
  .map((file) => path.parse(file).name);

beforeAll(() => quiet());

test('there is a history for each shape of control flow', () => {
  expect(names.toSorted()).toEqual([
    'framework-configured-anew',
    'framework-continued',
    'framework-fenced',
    'framework-forgot-a-host',
    'framework-gave-up',
    'framework-grown',
    'framework-launched-and-stopped',
    'framework-not-torn-down',
    'framework-relaunched',
    'framework-removed-and-registered-anew',
    'framework-retried',
    'framework-saw-mesos',
    'framework-taken-over',
  ]);
});

test.each(names)('%s is replayed', async (name) => {
  await Worker.runReplayHistory(
    { workflowBundle: await bundleOf(right) },
    await recorded(name),
    'framework:any',
  );
});

test.each(names)('%s is rejected by a framework with one more step', async (name) => {
  await expect(
    Worker.runReplayHistory(
      { workflowBundle: await bundleOf(broken) },
      await recorded(name),
      'framework:any',
    ),
  ).rejects.toThrow(DeterminismViolationError);
});
