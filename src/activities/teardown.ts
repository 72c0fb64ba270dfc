import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import { stopOwnDaemons } from '../hosts/daemons.js';
import { dockerDaemon, needsDocker } from '../hosts/docker.js';
import type { Change } from '../hosts/items.js';
import { removePinned } from '../hosts/pin-package.js';
import { hostPaths } from '../hosts/paths.js';
import { containerLabels, marks } from '../node/layout.js';
import { markedFunction } from '../node/scripts.js';
import { removeHost } from '../hosts/remove.js';
import { keepWayIn } from '../hosts/way-in.js';
import { removeNetwork } from '../network/remove.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { glusterDaemon } from '../storage/items.js';
import { unmountVolume } from '../storage/volume.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { workflowIds } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import { endDrills, type EndedDrill } from './drill-end.js';
import { hostOf } from '../cluster/host-of.js';
import { until } from './poll.js';
import { ask, askRunning } from './asking.js';

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

const sweepTimeoutMs = 180_000;
/** How long a teardown waits for the faults of drills to be healed; a host that is away may never come back. */
const healPatienceMs = 180_000;

export function createTeardownActivities(
  { client, pool }: Pick<ActivityDeps, 'client' | 'pool'>,
  { drillPatienceMs = healPatienceMs }: { readonly drillPatienceMs?: number } = {},
) {
  return {
    /** @throws PerijoveError TEARDOWN_RUNNING, never retried */
    checkNoTeardown: async ({ cluster }: ClusterInput): Promise<void> => {
      if (await askRunning(client, workflowIds.teardown(cluster))) {
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
      if (!(await askRunning(client, workflowId))) return { cancelled: false };
      try {
        await ask(client, workflowId, () => client.workflow.getHandle(workflowId).cancel());
      } catch (error) {
        // It ended meanwhile.
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
      return until(async () =>
        (await askRunning(client, workflowId))
          ? {
              not: new PerijoveError('DEPLOY_NOT_ENDING', `the deployment of ${cluster} has not ended yet`, {
                subject: workflowId,
              }),
            }
          : { done: { cancelled: true } },
      );
    },

    /**
     * Cancels the running drills of the cluster and waits until their faults are healed, for at most three minutes.
     * Returns all of them.
     */
    endDrills: ({ cluster }: ClusterInput): Promise<readonly EndedDrill[]> =>
      endDrills(client, cluster, drillPatienceMs),

    /**
     * Ends the nodes on the host, including those that no agent knows any more, and removes their network,
     * services and programs; with `purge` it removes everything below the base directory, and stops the
     * daemons that Perijove started. Repeated, it finds nothing and returns nothing. Finally checks a new
     * login: its failure is reported, though nothing of this can be rolled back.
     *
     * @throws PerijoveError WAY_IN_LOST, DIR_REFUSED, NETWORK_IN_USE, DAEMON_FAILED, SSH_*, COMMAND_FAILED
     */
    clearHost: (input: ClearHostInput): Promise<readonly Change[]> => clearHost(pool, input),
  };
}

/** As the activity `clearHost`. */
export async function clearHost(
  pool: SshPool,
  { spec, host: name, purge }: ClearHostInput,
): Promise<readonly Change[]> {
  const host = hostOf(spec, name);
  const connection = await pool.get(host);
  const signal = Context.current().cancellationSignal;
  const ended = await connection.run(endNodesScript(host, { docker: needsDocker(spec, host) }), {
    signal,
    timeoutMs: sweepTimeoutMs,
  });
  const changes: Change[] = ended
    .split('\n')
    .filter((line) => line !== '')
    .map((node) => ({ host: name, what: `ended ${node}` }));
  const unmounted = spec.storage.kind === 'gluster' ? await unmountVolume(connection, spec.storage) : [];
  const unlinked = spec.network.kind === 'vxlan' ? await removeNetwork(connection, spec.name) : [];
  const stopped = purge ? await stopOwnDaemons(connection, [dockerDaemon, glusterDaemon]) : [];
  const unpinned = purge ? await removePinned(connection, { cluster: spec.name }) : [];
  changes.push(
    ...unpinned,
    ...unmounted,
    ...unlinked,
    ...stopped.map((what) => ({ host: name, what })),
    ...(await removeHost(connection, { purge, cluster: spec.name })),
  );
  await keepWayIn(connection, { done: changes, signal });
  return changes;
}

/** Containers of nodes, running or not: they hold addresses and a network. */
function removeContainers(data: string, needed: boolean): string {
  return `# Sets \`containers\` to those of a tree, once two answers of Docker agree on how many it has in all.
containers_of() {
  for try in 1 2 3; do
    listed=$(timeout 60 docker ps --all --format '{{.ID}} {{.Label "${containerLabels.tree}"}}') || return 1
    count=$(timeout 60 docker info --format '{{.Containers}}') || return 1
    containers= listing=0
    while read -r id tree_of; do
      [ -n "$id" ] || continue
      listing=$((listing + 1))
      [ "$tree_of" != "$1" ] || containers="$containers $id"
    done <<LISTED
$listed
LISTED
    [ "$listing" != "$count" ] || return 0
    sleep 1
  done
  return 1
}
if command -v docker >/dev/null; then
  for tree in ${quote(`${data}/nodes`)}/*; do
    [ -d "$tree" ] || continue
    # Without nodes in containers, a Docker that does not answer has none of ours.
    containers_of "$tree" || { ${needed ? `echo "Docker did not list the containers of $tree" >&2; exit 1` : 'break'}; }
    [ -n "$containers" ] || continue
    docker rm --force --volumes $containers >/dev/null && containers_of "$tree" || exit 1
    [ -z "$containers" ] || { echo "these containers of $tree are still there:" $containers >&2; exit 1; }
  done
fi`;
}

/**
 * Ends what Mesos may have left: executors first, so that none restarts its task, then the trees of nodes,
 * each with its own `sweep`. Prints the names of nodes that still ran. Fails unless it observed that nothing
 * is left.
 */
export function endNodesScript(
  host: Pick<HostSpec, 'dir'>,
  { docker }: { readonly docker: boolean },
): string {
  const paths = hostPaths(host);
  const work = `MESOS_DIRECTORY=${paths.data}/mesos-agent/`;
  const nodes = `${paths.data}/nodes`;
  const executors = `find_marked ${quote(work)} ${quote(`^${asPattern(work)}`)} z`;
  const ofTree = `find_marked "${marks.tree}=$tree" "${marks.tree}=$tree" zxF`;
  return `${markedFunction}
# Sets \`pids\` to the processes that were started with such a variable in their environment.
find_marked() {
  files=$(marked "$@" /proc/[0-9]*/environ) || { echo 'the processes of the host could not be read' >&2; return 1; }
  pids=$(pids_of "$files")
}
${executors} || exit 1
[ -z "$pids" ] || kill $pids 2>/dev/null
for tree in ${quote(nodes)}/*; do
  [ -x "$tree/bin/sweep" ] || continue
  ${ofTree} || exit 1
  [ -z "$pids" ] || printf '%s\\n' "\${tree##*/}"
  "$tree/bin/sweep" node TERM 50 || exit 1
done
${removeContainers(paths.data, docker)}
# Looked for again: a number may be another process's by now.
${executors} || exit 1
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
for tree in ${quote(nodes)}/*; do
  [ -d "$tree" ] || continue
  tries=0
  while ${ofTree} || exit 1; [ -n "$pids" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || { echo "these processes of $tree do not end:" $pids >&2; exit 1; }
    sleep 0.1
  done
done
exit 0`;
}

/** A text as grep's basic regular expression. */
function asPattern(text: string): string {
  return text.replaceAll(/[\\.*[\]^$]/g, '\\$&');
}
