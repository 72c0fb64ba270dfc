/** Ends a cluster on hosts that its spec no longer contains. */
import { hostOf } from '../cluster/host-of.js';
import { secretNames } from '../cluster/secrets.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { unwantedServices } from '../deployment/desired.js';
import { hostsThatLeave, withLeaving, type LeavingHost } from '../deployment/leaving.js';
import { serviceStages } from '../deployment/stages.js';
import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { hostSecrets, type HostSecrets } from '../hosts/secrets.js';
import { hostServices } from '../hosts/services.js';
import { nodesOn } from '../mesos/scheduler/cordons.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { memoKeys, workflowIds, type FrameworkState } from '../temporal/contract.js';
import { storedState } from '../temporal/running.js';
import { ask, askRunning } from './asking.js';
import type { ActivityDeps } from './deps.js';
import { clearHost } from './teardown.js';
import { frameworkStateOf } from './workflow-state.js';

export interface LeavingInput {
  readonly spec: ClusterSpec;
  readonly host: HostSpec;
}

export function createRemovalActivities({
  client,
  pool,
  logger,
}: Pick<ActivityDeps, 'client' | 'pool' | 'logger'>) {
  return {
    /**
     * The hosts that the spec lacks and the framework has, without those that an operator declared never to come
     * back. None if no framework runs, or if it was started by a release that did not store its hosts.
     */
    findLeaving: async ({ spec }: { readonly spec: ClusterSpec }): Promise<readonly HostSpec[]> => {
      const workflowId = workflowIds.framework(spec.name);
      if (!(await askRunning(client, workflowId))) return [];
      const described = await ask(client, workflowId, () => client.workflow.getHandle(workflowId).describe());
      const deployed = described.memo?.[memoKeys.hosts] as readonly HostSpec[] | undefined;
      if (deployed === undefined) logger.warn('the hosts of the last deployment are not stored');
      const { forgotten = {} } = storedState<FrameworkState>(described) ?? {};
      return hostsThatLeave(spec, deployed ?? [], Object.keys(forgotten));
    },

    /**
     * Which services a host that leaves still has. Changes nothing.
     *
     * @throws PerijoveError REMOVED_HOST_FOREIGN, SSH_*, SUDO_REFUSED, OBSERVATION_INCOMPLETE
     */
    observeLeaving: ({ spec, host }: LeavingInput): Promise<LeavingHost> => observe(pool, spec, host),

    /**
     * Ends and removes everything of the cluster on a host that leaves, with `purge` also data, secrets and logs.
     * Repeated, it finds nothing and returns nothing.
     *
     * @throws PerijoveError REMOVED_HOST_IN_USE, REMOVED_HOST_FOREIGN, and as `clearHost`
     */
    clearLeaving: async ({
      spec,
      host,
      purge,
    }: LeavingInput & { readonly purge: boolean }): Promise<readonly Change[]> => {
      await observe(pool, spec, host);
      const state = await frameworkStateOf(client, spec);
      const nodes = state === undefined ? [] : nodesOn(state, host.name);
      if (nodes.length > 0) {
        const message = `${host.name} still has ${nodes.join(', ')}`;
        throw new PerijoveError('REMOVED_HOST_IN_USE', message, { host: host.name });
      }
      return await clearHost(pool, { spec: withLeaving(spec, [host]), host: host.name, purge });
    },
  };
}

async function observe(pool: SshPool, spec: ClusterSpec, given: HostSpec): Promise<LeavingHost> {
  const host = hostOf({ hosts: [given] }, given.name);
  const connection = await pool.get(host);
  const services = await hostServices(connection, spec.name);
  const unwanted = unwantedServices({ ...host, roles: [] });
  const found = await services.status(unwanted.map(({ service }) => service));
  const present = unwanted.filter(({ service }) =>
    found.some(({ name, state }) => name === service && state !== 'absent'),
  );
  await requireOurs(pool, spec, connection, present.length > 0);
  const stages = serviceStages.map(({ name }) => name);
  return { host, services: stages.filter((name) => present.some(({ stage }) => stage === name)) };
}

/**
 * A host of this cluster has its secrets. One that has none, and no service, has nothing that could be ended.
 *
 * @throws PerijoveError REMOVED_HOST_FOREIGN; the error of the last host of the spec when none of them responds
 */
async function requireOurs(
  pool: SshPool,
  spec: ClusterSpec,
  connection: HostConnection,
  hasServices: boolean,
): Promise<void> {
  const { values: held } = await hostSecrets(connection, secretNames);
  if (Object.keys(held).length === 0 && !hasServices) return;
  const ours = await clusterSecrets(pool, spec);
  const isOurs = secretNames.some((name) => held[name] !== undefined && held[name] === ours[name]);
  if (isOurs) return;
  const { name } = connection.host;
  const why = Object.keys(held).length === 0 ? 'has no secrets of it' : 'has the secrets of another cluster';
  const message = `${name} does not belong to ${spec.name}: ${connection.host.dir} ${why}`;
  throw new PerijoveError('REMOVED_HOST_FOREIGN', message, { host: name });
}

async function clusterSecrets(pool: SshPool, spec: ClusterSpec): Promise<HostSecrets['values']> {
  const reads = spec.hosts.map(async (host) => hostSecrets(await pool.get(host), secretNames));
  const settled = await Promise.allSettled(reads);
  const found = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value.values] : []));
  const some = found.find((values) => Object.keys(values).length > 0);
  const failed = settled.find((each) => each.status === 'rejected');
  if (some === undefined && failed !== undefined) throw failed.reason;
  return some ?? {};
}
