import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { Artifacts } from '../hosts/artifacts.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { kindOf, type NodeTask } from '../mesos/scheduler/tasks.js';
import { makeNodePlan } from '../node/plan.js';
import { startSecretsDigest } from '../node/start-secrets.js';
import type { SshPool } from '../ssh/connection.js';

/** The running nodes that a deployment by this release replaces, because what they were started with has changed. */
export async function nodesToReplace(
  pool: SshPool,
  spec: ClusterSpec,
  artifacts: Artifacts,
  tasks: Readonly<Record<string, Pick<NodeTask, 'state' | 'config'>>>,
): Promise<Observation<readonly string[]>> {
  if (Object.keys(tasks).length === 0) return known([]);
  try {
    const { digests } = await makeNodePlan(spec, artifacts, await startSecretsDigest(pool, spec));
    return known(
      nodeNames(spec).filter((node, index) => {
        const task = tasks[node];
        return task !== undefined && kindOf(task.state) === 'live' && task.config !== digests[index];
      }),
    );
  } catch (error) {
    if (error instanceof PerijoveError) return notKnown(messageOf(error));
    throw error;
  }
}
