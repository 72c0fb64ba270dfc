import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import { stopOwnDaemons } from '../hosts/daemons.js';
import { dockerDaemon } from '../hosts/docker.js';
import type { Change } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { containerLabels, nodeLayout } from '../node/layout.js';
import { removeHost } from '../hosts/remove.js';
import { removeNetwork } from '../network/remove.js';
import type { ClusterSpec, HostSpec } from '../spec/cluster.js';
import { glusterDaemon } from '../storage/items.js';
import { unmountVolume } from '../storage/volume.js';
import { quote } from '../ssh/shell.js';
import { workflowIds } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import { hostOf } from './host-of.js';
import { until } from './poll.js';
import { isRunning } from './running.js';

export interface ClusterInput {
  /** Name of the cluster. */
  readonly cluster: string;
}

export interface ClearHostInput {
  readonly spec: ClusterSpec;
  /** Name of the host. */
  readonly host: string;
  /** Remove data, secrets and logs too. */
  readonly purge: boolean;
}

const sweepTimeoutMs = 60_000;

export function createTeardownActivities({ client, pool }: Pick<ActivityDeps, 'client' | 'pool'>) {
  return {
    /** @throws PerijoveError TEARDOWN_RUNNING, never retried */
    checkNoTeardown: async ({ cluster }: ClusterInput): Promise<void> => {
      if (await isRunning(client, workflowIds.teardown(cluster))) {
        throw new PerijoveError('TEARDOWN_RUNNING', `${cluster} is being taken down`, { subject: cluster });
      }
    },

    /**
     * Cancels the deploy of the cluster and waits for its end; returns at once when none runs.
     *
     * @throws PerijoveError DEPLOY_NOT_ENDING after two minutes
     */
    cancelDeploy: async ({ cluster }: ClusterInput): Promise<{ readonly cancelled: boolean }> => {
      const workflowId = workflowIds.deploy(cluster);
      if (!(await isRunning(client, workflowId))) return { cancelled: false };
      try {
        await client.workflow.getHandle(workflowId).cancel();
      } catch (error) {
        // It ended in between.
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
      return until(async () =>
        (await isRunning(client, workflowId))
          ? {
              not: new PerijoveError('DEPLOY_NOT_ENDING', `the deploy of ${cluster} has not ended yet`, {
                subject: workflowId,
              }),
            }
          : { done: { cancelled: true } },
      );
    },

    /**
     * Ends the nodes on the host, also those that no agent knows any more, and removes their network, services and
     * programs; with
     * `purge` everything below the base directory, and the daemons that Perijove started stop. Repeated, it finds
     * nothing and returns nothing.
     *
     * @throws PerijoveError DIR_REFUSED, NETWORK_IN_USE, DAEMON_FAILED, SSH_*, COMMAND_FAILED
     */
    clearHost: async ({ spec, host: name, purge }: ClearHostInput): Promise<readonly Change[]> => {
      const host = hostOf(spec, name);
      const connection = await pool.get(host);
      const ended = await connection.run(endNodesScript(host), {
        signal: Context.current().cancellationSignal,
        timeoutMs: sweepTimeoutMs,
      });
      const changes = ended
        .split('\n')
        .filter((line) => line !== '')
        .map((node) => ({ host: name, what: `ended ${node}` }));
      const unmounted = spec.storage.kind === 'gluster' ? await unmountVolume(connection, spec.storage) : [];
      const unlinked = spec.network.kind === 'vxlan' ? await removeNetwork(connection, spec.name) : [];
      const stopped = purge ? await stopOwnDaemons(connection, [dockerDaemon, glusterDaemon]) : [];
      return [
        ...changes,
        ...unmounted,
        ...unlinked,
        ...stopped.map((what) => ({ host: name, what })),
        ...(await removeHost(connection, { purge, cluster: spec.name })),
      ];
    },
  };
}

/** Containers of nodes, running or not: what holds an address, and a network. */
function removeContainers(data: string): string {
  return `if command -v docker >/dev/null; then
  for tree in ${quote(`${data}/nodes`)}/*; do
    containers=$(docker ps --all --quiet --filter "label=${containerLabels.tree}=$tree" 2>/dev/null)
    [ -z "$containers" ] || docker rm --force --volumes $containers >/dev/null || exit 1
  done
fi`;
}

/**
 * Ends what Mesos may have left: executors first, so that none starts its task again, then the trees of nodes,
 * each by its own `sweep`. Prints the names of the nodes that still ran.
 */
function endNodesScript(host: HostSpec): string {
  const paths = hostPaths(host);
  return `executors=$(grep -lsaz -e ${quote(`^MESOS_DIRECTORY=${paths.data}/mesos-agent/`)} /proc/[0-9]*/environ | cut -d/ -f3)
[ -z "$executors" ] || kill $executors 2>/dev/null
for tree in ${quote(`${paths.data}/nodes`)}/*; do
  [ -x "$tree/bin/sweep" ] || continue
  if grep -qsazxF -e "PERIJOVE_NODE_TREE=$tree" /proc/[0-9]*/environ; then printf '%s\\n' "\${tree##*/}"; fi
  "$tree/bin/sweep" node TERM 50 || exit 1
done
${removeContainers(paths.data)}
[ -z "$executors" ] || kill -KILL $executors 2>/dev/null
# The next framework counts its launches from the beginning.
rm -f ${quote(`${paths.data}/nodes`)}/*${nodeLayout('').fence}
exit 0`;
}
