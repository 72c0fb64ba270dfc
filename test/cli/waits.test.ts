import proto from '@temporalio/proto';
import { expect, it } from 'vitest';
import { whySilent } from '../../src/cli/waits.js';

const { PENDING_WORKFLOW_TASK_STATE_STARTED: started, PENDING_WORKFLOW_TASK_STATE_SCHEDULED: scheduled } =
  proto.temporal.api.enums.v1.PendingWorkflowTaskState;
const askedAt = 1_000_000;
const lately = { identity: '7@w', at: askedAt - 30_000 };
const since = { identity: '7@w', at: askedAt + 1 };

it('advises to start a worker only where there is none', () => {
  expect(whySilent({ state: scheduled }, undefined, askedAt)).toMatch(/start one/);
  expect(whySilent(undefined, undefined, askedAt)).toMatch(/start one/);
  expect(whySilent({ state: scheduled }, lately, askedAt)).toBe('the worker 7@w is slow, or has just ended');
});

it('calls a worker slow that polls, or that has the step', () => {
  expect(whySilent(undefined, since, askedAt)).toBe('the worker 7@w is slow and has not answered yet');
  expect(whySilent({ state: started }, undefined, askedAt)).toBe(
    'its worker is slow and has not answered yet',
  );
});

it('reports a step that is being retried', () => {
  expect(whySilent({ state: started, attempt: 3 }, since, askedAt)).toBe(
    'the worker 7@w is retrying its last step, which failed or timed out',
  );
});
