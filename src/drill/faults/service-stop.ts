import { randomUUID } from 'node:crypto';
import type { HostSpec } from '../../cluster/spec.js';
import { hostPaths } from '../../hosts/paths.js';
import { agentService } from '../../mesos/installation/items.js';
import { quote } from '../../ssh/shell.js';
import { isSame, type ProcessMark } from '../marks.js';
import type { DrillOf, FaultDeps, FaultKind } from './kind.js';
import { absent, hostNamed, hostService, onHost, servicesOf, startAgain } from './reaching.js';

/** Stops a service until healed. */
export interface ServiceStop {
  readonly kind: 'service-stop';
  readonly host: string;
  /**
   * Unique to this stop: services stopped by others are not started. Absent in drills of earlier versions.
   */
  readonly id?: string;
  readonly service: string;
  readonly process: ProcessMark;
}

/** Exists on the host while a drill has a service stopped. */
const stopMark = (host: HostSpec, id: string) => quote(`${hostPaths(host).run}/service-stop-${id}`);

/** Whether the drill actually stopped the service. */
async function wasStopped({ pool, spec }: FaultDeps, { host: name, id }: ServiceStop): Promise<boolean> {
  if (id === undefined) return true;
  const host = hostNamed(spec, name);
  const script = `if [ -e ${stopMark(host, id)} ]; then echo ours; else echo none; fi`;
  const answer = (await (await pool.get(host)).run(script)).trim();
  if (answer !== 'ours' && answer !== 'none')
    throw absent(`${name} did not report whether the drill stopped its service`);
  return answer === 'ours';
}

export const serviceStopDrills = [
  {
    name: 'agent-stop',
    what:
      'a Mesos agent is stopped until the master marks its tasks unreachable; the tasks keep running, fencing leaves ' +
      'them alone, and the agent recovers them when it is started',
    target: 'agent',
    expects: 'agent-unreachable',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'agent-patience',
    needs: 'ssh',
    plan: async (deps, _roles, target) => {
      const { host, process, service } = await hostService(deps, target, agentService);
      return { kind: 'service-stop', host, id: randomUUID(), process, service };
    },
  },
] as const satisfies readonly DrillOf<ServiceStop>[];

export const serviceStop: FaultKind<ServiceStop> = {
  kind: 'service-stop',
  async inject(deps, fault) {
    const { connection, services } = await servicesOf(deps, fault.host);
    if (!(await isSame(connection, fault.process))) return;
    // Written first, so that a stop whose reply is lost is still recognized as ours.
    if (fault.id !== undefined) await connection.run(`: > ${stopMark(connection.host, fault.id)}`);
    await services.stop(fault.service);
  },
  async heal(deps, fault) {
    if (!(await wasStopped(deps, fault))) return;
    await startAgain(deps, fault.host, fault.service, { ours: true });
    if (fault.id !== undefined) {
      const host = hostNamed(deps.spec, fault.host);
      await onHost(deps, fault.host, [`rm -f ${stopMark(host, fault.id)}`]);
    }
  },
  injected: ({ service, host }) => `stopped ${service} on ${host} until the drill heals it`,
  healed: ({ service, host }) => `started ${service} on ${host}`,
};
