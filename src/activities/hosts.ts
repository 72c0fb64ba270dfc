import { Context } from '@temporalio/activity';
import { hostOf } from '../cluster/host-of.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { desiredItems, unwantedItems } from '../deployment/desired.js';
import { withKnownServers, withObservedServers } from '../deployment/ensemble.js';
import { surveyOf, type HostSurvey } from '../deployment/host-survey.js';
import type { ConvergingStage } from '../deployment/stages.js';
import { converge, type ConvergeDeps } from '../hosts/converge.js';
import type { Change } from '../hosts/items.js';
import { removeItems } from '../hosts/remove.js';
import { observeMesos, requireInstallation } from '../mesos/installation/installation.js';
import type { HostInput } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';

export function createHostActivities({ pool, artifacts }: Pick<ActivityDeps, 'pool' | 'artifacts'>) {
  const convergeDeps = (spec: ClusterSpec): ConvergeDeps => {
    const context = Context.current();
    return {
      artifacts,
      cluster: spec.name,
      signal: context.cancellationSignal,
      onWait: (what) => context.heartbeat(what),
    };
  };

  const connect = (host: HostSpec) => pool.get(host);
  const isServer = (host: HostSpec) => host.roles.includes('zookeeper');

  return {
    /**
     * Observes a host and changes nothing.
     *
     * @throws PerijoveError SSH_*, SUDO_REFUSED, ZOOKEEPER_NUMBER_TAKEN
     */
    surveyHost: async ({
      spec,
      host: name,
      dirs,
    }: HostInput & {
      /** Of other hosts on the same machine. */
      readonly dirs?: readonly string[];
    }): Promise<HostSurvey> => {
      const host = hostOf(spec, name);
      const connection = await pool.get(host);
      const full = isServer(host) ? await withKnownServers(connect, spec) : spec;
      return surveyOf(connection, full, convergeDeps(spec), dirs);
    },

    /**
     * Brings a host to what a stage requires there. Repeated, it finds its work done and returns nothing.
     *
     * @throws PerijoveError SSH_*, WAY_IN_LOST, COMMAND_FAILED, DISK_FULL, DIR_NOT_WRITABLE, PACKAGE_*,
     * SERVICE_FAILED, MESOS_NOT_FOUND, MESOS_NOT_RUNNABLE, MESOS_FLAG_UNKNOWN
     */
    convergeHost: async ({
      spec,
      host: name,
      stage,
    }: HostInput & { readonly stage: ConvergingStage }): Promise<readonly Change[]> => {
      const host = hostOf(spec, name);
      const connection = await pool.get(host);
      const deps = convergeDeps(spec);
      const mesos = mesosStages.has(stage)
        ? await observeMesos(connection, spec, { signal: Context.current().cancellationSignal })
        : undefined;
      requireInstallation(spec, host, mesos);
      const unwanted = unwantedItems(host, stage);
      const removed =
        unwanted.services.length === 0 ? [] : await removeItems(connection, unwanted, { cluster: spec.name });
      // A host of the ensemble keeps its number.
      const isNumbered = stage === 'zookeeper' && isServer(host);
      const full = isNumbered ? await withObservedServers(connect, spec) : spec;
      return [...removed, ...(await converge(connection, desiredItems(full, host, stage, mesos), deps))];
    },
  };
}

/** Stages that start programs of Mesos, and so need their paths. */
const mesosStages: ReadonlySet<ConvergingStage> = new Set(['masters', 'agents']);
