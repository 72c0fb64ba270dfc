import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { beforeAll, expect, test } from 'vitest';
import { recorded } from '../support/histories.js';
import { bundleOf } from '../support/bundles.js';
import { quiet, workflowsPath } from '../support/temporal.js';

const broken = fileURLToPath(new URL('../support/deploy-broken.ts', import.meta.url));

/** Recorded by the tests of deploy, its children and teardown, with PERIJOVE_RECORD_HISTORIES=1. */
const names = readdirSync(path.join(import.meta.dirname, 'histories'))
  .filter((file) => /^(deploy|host|teardown)/.test(file))
  .map((file) => path.parse(file).name)
  .sort();

beforeAll(() => quiet());

test('there is a history for each shape of control flow', () => {
  expect(names).toEqual([
    'deploy-attached',
    'deploy-by-its-id',
    'deploy-cancelled',
    'deploy-etcd-transition',
    'deploy-failed',
    'deploy-first',
    'deploy-image',
    'deploy-leaving',
    'deploy-leaving-silent',
    'deploy-member-ended',
    'deploy-principal',
    'deploy-rolling',
    'deploy-started-elsewhere',
    'deploy-unchanged',
    'host',
    'host-failed',
    'teardown',
    'teardown-drill',
    'teardown-failed',
    'teardown-started-elsewhere',
  ]);
});

test.each(names)('%s is replayed', async (name) => {
  await Worker.runReplayHistory({ workflowBundle: await bundleOf(workflowsPath) }, await recorded(name));
});

test.each(names)('%s is rejected by a workflow with one more step', async (name) => {
  await expect(
    Worker.runReplayHistory({ workflowBundle: await bundleOf(broken) }, await recorded(name)),
  ).rejects.toThrow(DeterminismViolationError);
});
