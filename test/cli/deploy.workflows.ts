/** Deployments with the real one's interface but no hosts, to test the command line. */
import {
  ApplicationFailure,
  condition,
  executeChild,
  proxyActivities,
  setHandler,
  upsertMemo,
} from '@temporalio/workflow';
import {
  attachDeploy,
  deployProgress,
  memoKeys,
  type DeployInput,
  type DeployProgress,
  type DeployResult,
  type TeardownInput,
  type TeardownResult,
} from '../../src/temporal/contract.js';

const { reach, install } = proxyActivities<{ reach(): Promise<void>; install(): Promise<void> }>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '5s',
  retry: { initialInterval: 200, maximumInterval: 200 },
});

/** The cluster's name selects the behaviour. */
export async function deploy({ spec, digest = '' }: DeployInput): Promise<DeployResult> {
  const progress: DeployProgress = {
    cluster: spec.name,
    digest,
    stages: [
      { name: 'preflight', state: 'done', changed: 0, changes: [], ms: 1200 },
      {
        name: 'zookeeper',
        state: spec.name === 'fails' ? 'failed' : 'running',
        changed: 1,
        changes: [{ host: 'h1', what: 'restarted zookeeper' }],
        ms: 2500,
        ...(spec.name === 'fails' && { note: 'h2: 3 MiB are free' }),
      },
      { name: 'masters', state: 'waiting', changed: 0, changes: [], ms: 0 },
    ],
  };
  setHandler(deployProgress, () => progress);
  setHandler(attachDeploy, () => ({ digest }), {
    validator(asked) {
      if (asked !== digest) {
        throw ApplicationFailure.create({
          type: 'SPEC_DIFFERS',
          message: `a deployment of ${spec.name} with another spec is already running`,
        });
      }
    },
  });
  upsertMemo({ [memoKeys.state]: progress });
  if (spec.name === 'fails') {
    throw ApplicationFailure.create({
      type: 'DISK_FULL',
      message: 'h2: 3 MiB are free',
      details: [{ place: { host: 'h2' }, remedy: 'Free some space on h2.' }],
    });
  }
  if (spec.name === 'blocked') {
    const problem = { code: 'DISK_FULL', host: 'h2', message: 'h2: 3 MiB are free', remedy: 'Free some.' };
    const other = { code: 'CLOCK_SKEW', message: 'the clock of h1 is 5.0 s ahead', remedy: 'Set it.' };
    throw ApplicationFailure.create({
      type: problem.code,
      message: `2 problems block this deployment, the first: ${problem.message}`,
      details: [{ place: { host: 'h2' }, remedy: problem.remedy, problems: [problem, other] }],
    });
  }
  if (spec.name === 'waits') {
    await Promise.all([reach(), executeChild('host', { workflowId: `host:${spec.name}/h1`, args: [] })]);
  }
  if (spec.name === 'endless') await condition(() => false);
  return {
    cluster: spec.name,
    changed: 1,
    stages: progress.stages.map(({ name, changed, ms }) => ({ name, changed, ms })),
  };
}

/** A deployment's child workflow on one host. */
export async function host(): Promise<void> {
  await install();
}

export async function teardown({ spec, purge }: TeardownInput): Promise<TeardownResult> {
  if (spec.name === 'waits') await reach();
  return { changes: [{ host: 'h1', what: purge ? 'removed /opt/perijove' : 'stopped zookeeper' }] };
}
