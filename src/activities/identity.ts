import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { hostKeysOf, withHostKeys, type HostKeys } from '../cluster/host-keys.js';
import type { ClusterIdentity, ClusterMark } from '../cluster/identity.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { decideIdentity, type IdentityObservation } from '../deployment/identity.js';
import { messageOf } from '../errors/error.js';
import { hostTaken, markFile, readMark, writeMark } from '../hosts/identity.js';
import type { Change } from '../hosts/items.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { SshPool } from '../ssh/connection.js';
import { fingerprint, keyOfLine } from '../ssh/known-hosts.js';
import { memoKeys, workflowIds } from '../temporal/contract.js';
import { ask } from './asking.js';
import type { ActivityDeps } from './deps.js';

export interface IdentityInput {
  readonly spec: ClusterSpec;
}

export interface CheckInput extends IdentityInput {
  /** The keys that the command line has seen. */
  readonly seen?: HostKeys;
}

export interface CheckedIdentity {
  /** Undefined: the cluster has none yet, or hosts that might have it are not known. */
  readonly id?: string;
  /** Every host is marked with it. */
  readonly isMarked: boolean;
  /**
   * The SSH keys for the hosts of which the spec has none: of the running deployment, else those that the command line
   * has seen, else those that this worker saw first. Absent: there are none.
   */
  readonly hostKeys?: HostKeys;
  /** For operators, those that this worker saw first: `address:port` and fingerprints. */
  readonly firstSeen?: readonly string[];
}

type IdentityDeps = Pick<ActivityDeps, 'client' | 'pool'>;

export function createIdentityActivities(deps: IdentityDeps) {
  return {
    /**
     * See `requireOwn`. To be called before anything is touched. Hosts whose keys the spec lacks must present those of
     * the running deployment, or those that were seen.
     */
    checkIdentity: (input: CheckInput): Promise<CheckedIdentity> => check(deps, input),

    /**
     * Marks every host as one of the cluster: with its ID, or with `proposed` if no host and no workflow has one.
     * Repeated, it changes nothing.
     *
     * @throws PerijoveError CLUSTER_HOSTS_TAKEN, CLUSTER_NAME_TAKEN, OBSERVATION_INCOMPLETE, SSH_*, COMMAND_FAILED,
     *   DISK_FULL
     */
    claimHosts: ({
      spec,
      proposed,
    }: IdentityInput & { readonly proposed: string }): Promise<{
      readonly id: string;
      readonly changes: readonly Change[];
    }> => claim(deps, spec, proposed),
  };
}

async function check(deps: IdentityDeps, { spec, seen }: CheckInput): Promise<CheckedIdentity> {
  const { client, pool } = deps;
  const keyed = withHostKeys(spec, { ...seen, ...(await deployedKeys(client, spec.name)) });
  const checked = await requireOwn(deps, keyed);
  const first = await pool.pinned(keyed.hosts);
  const given = hostKeysOf(spec.hosts);
  const found = Object.entries({ ...first, ...hostKeysOf(keyed.hosts) });
  const hostKeys = Object.fromEntries(found.filter(([place]) => given[place] === undefined));
  const firstSeen = Object.entries(first).map(
    ([place, lines]) => `${place} ${lines.map((line) => fingerprint(keyOfLine(line).key)).join(', ')}`,
  );
  return {
    ...checked,
    ...(Object.keys(hostKeys).length > 0 && { hostKeys }),
    ...(firstSeen.length > 0 && { firstSeen }),
  };
}

/** The keys with which the running framework reaches the hosts; reading its memo needs no worker. */
async function deployedKeys(client: Client, cluster: string): Promise<HostKeys> {
  const workflowId = workflowIds.framework(cluster);
  const { status, memo } = (await describedIfThere(client, workflowId)) ?? {};
  if (status?.name !== 'RUNNING') return {};
  return hostKeysOf((memo?.[memoKeys.hosts] as readonly HostSpec[] | undefined) ?? []);
}

/**
 * Checks that the hosts of a spec, as far as they can be read, and the running workflows of its name belong to one
 * cluster. A host that cannot be read is not known: it is neither another cluster's nor unmarked.
 *
 * @throws PerijoveError CLUSTER_HOSTS_TAKEN, CLUSTER_NAME_TAKEN, WORKFLOW_NOT_ANSWERING; the cancellation
 */
export async function requireOwn(deps: IdentityDeps, spec: ClusterSpec): Promise<CheckedIdentity> {
  const { id, marks } = await observeIdentity(deps, spec);
  const isMarked = id !== undefined && spec.hosts.every(({ name }) => hasMark(marks[name], id));
  return { ...(id !== undefined && { id }), isMarked };
}

/** @throws PerijoveError as `requireOwn` */
async function observeIdentity({ client, pool }: IdentityDeps, spec: ClusterSpec) {
  const [found, running] = await Promise.all([marksOf(pool, spec), runningIdentity(client, spec.name)]);
  return { ...found, id: decideIdentity(spec, { marks: found.marks, ...(running && { running }) }) };
}

async function claim(
  deps: IdentityDeps,
  spec: ClusterSpec,
  proposed: string,
): Promise<{ readonly id: string; readonly changes: readonly Change[] }> {
  const { cancellationSignal: signal } = Context.current();
  const { marks, errors, id: found } = await observeIdentity(deps, spec);
  // A host that cannot be read might have the ID.
  if (found === undefined && errors.length > 0) throw errors[0];
  const id = found ?? proposed;
  const unmarked = spec.hosts.filter(({ name }) => !hasMark(marks[name], id));
  await Promise.all(
    unmarked.map(async (host) => {
      const mark = await writeMark(await deps.pool.get(host), { name: spec.name, id }, signal);
      if (mark.name !== spec.name || mark.id !== id) throw hostTaken(host, mark, { name: spec.name, id });
    }),
  );
  return {
    id,
    changes: unmarked.map((host) => ({ host: host.name, what: `wrote ${markFile(host)} (${id})` })),
  };
}

function hasMark(mark: Observation<ClusterMark | undefined> | undefined, id: string): boolean {
  return mark?.known === true && mark.value?.id === id;
}

async function marksOf(
  pool: SshPool,
  { hosts }: ClusterSpec,
): Promise<Pick<IdentityObservation, 'marks'> & { readonly errors: readonly unknown[] }> {
  const { cancellationSignal: signal } = Context.current();
  const errors: unknown[] = [];
  const marks = await Promise.all(
    hosts.map(async (host) => {
      try {
        return [host.name, known(await readMark(await pool.get(host), signal))] as const;
      } catch (error) {
        signal.throwIfAborted();
        errors.push(error);
        return [host.name, notKnown(messageOf(error))] as const;
      }
    }),
  );
  return { marks: Object.fromEntries(marks), errors };
}

/** As the running workflows of a name have stored it; reading their memos needs no worker. */
async function runningIdentity(client: Client, cluster: string): Promise<ClusterIdentity | undefined> {
  const found = await Promise.all(
    [workflowIds.keeper(cluster), workflowIds.framework(cluster)].map(async (workflowId) => {
      const { status, memo } = (await describedIfThere(client, workflowId)) ?? {};
      return status?.name === 'RUNNING'
        ? (memo?.[memoKeys.identity] as ClusterIdentity | undefined)
        : undefined;
    }),
  );
  return found.find((each) => each !== undefined);
}

async function describedIfThere(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await ask(client, workflowId, () => client.workflow.getHandle(workflowId).describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
