import { patched, type ActivityOptions } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { ServiceMember } from '../../deployment/members.js';
import type { Change } from '../../hosts/items.js';
import { patient, quick } from '../../temporal/options.js';
import { specOfStep, type EnsembleStep } from '../../zookeeper/servers.js';
import { inParallel } from '../parallel.js';
import { growingActivities } from '../growing.js';
import { converge, convergeRolling } from './converge.js';
import type { Deployment, Stage } from './stage.js';

const { planEnsemble, zookeeperMembers } = growingActivities<Activities>(quick);
const { awaitZookeeper } = growingActivities<Activities>(patient);

/**
 * A membership that changes is changed by one server at a time, and all servers restart with it; other changes roll
 * as in any other stage.
 */
export const zookeeper = {
  name: 'zookeeper',
  title: 'Form the ensemble, with one leader',
  async run(deployment) {
    const { whole: spec } = deployment;
    const isPending = deployment.pending('zookeeper').length > 0;
    const stepped = isPending && patched('zookeeper-one-at-a-time') ? await changeMembers(deployment) : [];
    const rolled = await convergeRolling(deployment, {
      stage: 'zookeeper',
      members: () => membersOf(spec),
      whole: (limits) => whole(spec, limits),
    });
    return [...stepped, ...rolled];
  },
} as const satisfies Stage;

const membersOf = (spec: ClusterSpec): Promise<readonly ServiceMember[]> =>
  zookeeperMembers.executeWithOptions({ summary: 'find running servers' }, [{ spec }]);
/** Before a change a server listens where its configuration of before says. */
const whole = (spec: ClusterSpec, limits?: ActivityOptions) =>
  awaitZookeeper.executeWithOptions({ ...limits, summary: 'the ensemble is healthy' }, [
    { spec, ...(limits && { atAnyPort: true }) },
  ]);

async function changeMembers(deployment: Deployment): Promise<readonly Change[]> {
  const { whole: spec } = deployment;
  const { steps, numbers } = await planEnsemble.executeWithOptions({ summary: 'members of the ensemble' }, [
    { spec },
  ]);
  const changes: Change[] = [];
  for (const [index, step] of steps.entries()) {
    deployment.note(`${titleOf(step)} (${index + 1} of ${steps.length})`);
    changes.push(...(await carryOut(spec, step, numbers)));
  }
  return changes;
}

function titleOf({ joins, leaves }: EnsembleStep): string {
  if (joins !== undefined) return `server ${joins} joins the ensemble`;
  if (leaves !== undefined) return `server ${leaves} leaves the ensemble`;
  return 'all servers restart with their new addresses';
}

async function carryOut(
  spec: ClusterSpec,
  step: EnsembleStep,
  numbers: Readonly<Record<string, number>>,
): Promise<readonly Change[]> {
  const during = specOfStep(spec, step, numbers);
  const changing = during.hosts.filter(
    ({ name, roles }) =>
      roles.includes('zookeeper') || (step.leaves !== undefined && numbers[name] === step.leaves),
  );
  const changes = await inParallel(changing, (host) => converge(during, host, 'zookeeper'));
  await whole(during);
  return changes.flat();
}
