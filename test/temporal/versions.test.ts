import { expect, it } from 'vitest';
import proto from '@temporalio/proto';
import { misfit } from '../../src/temporal/incompatibility.js';
import { isVersioning, pinnedTo } from '../../src/temporal/versions.js';

const { EventType, WorkflowTaskFailedCause, VersioningBehavior } = proto.temporal.api.enums.v1;

it.each([
  ['1.32.0', true],
  ['1.28.0-rc.1', true],
  ['2.0.0', true],
  ['1.27.2', false],
  ['1.9.1', false],
  ['', false],
])('a server %s tells builds apart: %s', (server, expected) => {
  expect(isVersioning(server)).toBe(expected);
});

it('knows what a run is pinned to, unless an operator lets it follow the current build', () => {
  const described = (versioningInfo: object) =>
    ({ raw: { workflowExecutionInfo: { versioningInfo } } }) as unknown as Parameters<typeof pinnedTo>[0];
  const { VERSIONING_BEHAVIOR_PINNED: behavior, VERSIONING_BEHAVIOR_AUTO_UPGRADE: follows } =
    VersioningBehavior;
  const deploymentVersion = { buildId: 'a', deploymentName: 'perijove' };
  expect(pinnedTo(described({ behavior, deploymentVersion }))).toBe('a');
  expect(pinnedTo(described({ behavior: follows, deploymentVersion }))).toBeUndefined();
  expect(
    pinnedTo(described({ behavior, deploymentVersion, versioningOverride: { autoUpgrade: true } })),
  ).toBeUndefined();
  expect(
    pinnedTo(
      described({
        behavior,
        deploymentVersion,
        versioningOverride: { pinned: { version: { buildId: 'b' } } },
      }),
    ),
  ).toBe('b');
});

it('finds a history that does not fit the code, and nothing else', () => {
  const failed = (cause: number) => ({
    eventType: EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    workflowTaskFailedEventAttributes: { cause, failure: { message: 'TMPRL1100' } },
  });
  const { WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR: misfits } = WorkflowTaskFailedCause;
  const other = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE;
  const signal = { eventType: EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED };
  const done = { eventType: EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED };
  expect(misfit([signal, failed(misfits), done])).toBe('TMPRL1100');
  expect(misfit([done, failed(misfits)])).toBeUndefined();
  expect(misfit([failed(other), failed(misfits)])).toBeUndefined();
  expect(misfit([signal])).toBeUndefined();
});
