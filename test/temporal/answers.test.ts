import {
  QueryNotRegisteredError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { whyUnanswered } from '../../src/temporal/answers.js';
import { failureOf } from '../../src/temporal/failure.js';

/** As the connection of a client or of a worker throws it. */
function grpcError(code: number, details: string, message = `${code}: ${details}`): Error {
  return Object.assign(new Error(message), { code, details, metadata: {} });
}
const query = (cause: Error) => new ServiceError('Failed to query Workflow', { cause });
const failedTask = 'Unable to query workflow due to Workflow Task in failed state.';

const unanswered: Readonly<Record<string, Error>> = {
  'a deadline of a client': query(grpcError(4, 'Deadline exceeded')),
  'a deadline of a worker': query(grpcError(1, '')),
  'a server that is gone': query(grpcError(14, 'connection refused')),
  'a server that is overloaded': query(grpcError(8, 'namespace rate limit exceeded')),
  'a server that fails': query(grpcError(2, 'context deadline exceeded')),
  'an operation that was aborted': query(grpcError(10, 'workflow is closing')),
  'a workflow task in failed state': query(grpcError(9, failedTask)),
  'a workflow without a first task': query(
    grpcError(9, 'Workflow must handle at least one workflow task before it can be queried'),
  ),
  'an update with start of which only the message tells': grpcError(
    9,
    'Update-with-Start could not be executed.',
    'Unable to perform workflow execution update due to Workflow Task in failed state.',
  ),
  'an update that timed out': new WorkflowUpdateRPCTimeoutOrCancelledError('Deadline exceeded'),
  'a query that is not registered yet': new QueryNotRegisteredError(
    'Workflow did not register a handler for state',
    3,
  ),
};

const answers: Readonly<Record<string, unknown>> = {
  'a workflow that has ended': new WorkflowNotFoundError('not found', 'keeper:lab', undefined),
  'a refused update': new WorkflowUpdateFailedError('refused', ApplicationFailure.nonRetryable('no', 'NO')),
  'a refused credential': query(grpcError(16, 'unauthenticated')),
  'a lack of permission': query(grpcError(7, 'denied')),
  'an invalid request': query(grpcError(3, 'invalid')),
  'another precondition': query(grpcError(9, 'the namespace is deleted')),
  'a bug': new TypeError('undefined is not a function'),
  'a text': 'text',
};

describe('whyUnanswered', () => {
  it.each(Object.keys(unanswered))('says why there is no answer yet: %s', (name) => {
    expect(whyUnanswered(unanswered[name])).toMatch(/\S/);
  });

  it.each(Object.keys(answers))('is undefined for an answer: %s', (name) => {
    expect(whyUnanswered(answers[name])).toBeUndefined();
  });
});

describe('an activity whose question was not answered', () => {
  it('is retried with a code that says so, never as a bug', () => {
    for (const error of Object.values(unanswered)) {
      const failure = failureOf(error, { number: 5, elapsedMs: 60_000, endless: false });
      expect(failure).toMatchObject({ type: 'WORKFLOW_NOT_ANSWERING', nonRetryable: false });
    }
  });

  it('names whom it asked', () => {
    const error = new PerijoveError('WORKFLOW_NOT_ANSWERING', 'keeper:lab is not answering yet: busy');
    expect(failureOf(error, { number: 1, elapsedMs: 0, endless: false }).message).toContain('keeper:lab');
  });
});
