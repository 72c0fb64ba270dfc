import { randomUUID } from 'node:crypto';
import { createEtcdClient } from '../etcd/client.js';
import { PerijoveError } from '../errors/error.js';
import { hostPaths } from '../hosts/paths.js';
import { hostServices } from '../hosts/services.js';
import { processInContainer } from '../mesos/installation/container.js';
import { agentService, masterService } from '../mesos/installation/items.js';
import { nodeLayout, type ServiceName } from '../node/layout.js';
import { pidFunction } from '../node/scripts.js';
import { nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import { brickPath } from '../storage/gluster.js';
import { zookeeperService } from '../zookeeper/items.js';
import type { DrillDefinition } from './catalogue.js';
import {
  cutOff,
  fillDisk,
  freeDisk,
  mend,
  planDiskFill,
  planPartition,
  planReboot,
  reboot,
  untilBooted,
} from './host-faults.js';
import type { LabFaults } from './lab.js';
import { isSame, sameScript } from './marks.js';
import type { Fault, ProcessMark } from './model.js';
import type { Roles } from './target.js';

/*
 * Each fault names the very process that it is about. So an injection whose answer was lost may be repeated: it
 * finds that process gone, or stopped, and leaves alone what has taken its place. The same holds for healing.
 */

export interface FaultDeps {
  readonly spec: ClusterSpec;
  readonly pool: SshPool;
  readonly reach: Reach;
  /** Where the worker runs in a lab. */
  readonly lab?: LabFaults;
}

const proxyService = 'proxy';

// --- planned ----------------------------------------------------------------------------------------------

/**
 * The fault that the drill does to the target, with everything in it that injecting and healing need.
 *
 * @throws PerijoveError DRILL_NOT_POSSIBLE, DRILL_UNSAFE; SSH_*; COMMAND_FAILED when the process does not run
 */
export async function planFault(
  deps: FaultDeps,
  definition: DrillDefinition,
  roles: Roles,
  target: string,
): Promise<Fault> {
  const { name } = definition;
  switch (name) {
    case 'node-kill':
    case 'node-kill-follower': {
      const { host, base } = treeOf(deps.spec, roles, target);
      const owner = await readMark(deps, host, base, nodeLayout(base).owner);
      return { kind: 'node-kill', node: target, host: host.name, base, owner };
    }
    case 'etcd-pause':
      return { kind: 'process-signal', signal: 'STOP', ...(await nodeService(deps, roles, target, 'etcd')) };
    case 'jupyter-kill':
      return {
        kind: 'process-signal',
        signal: 'KILL',
        ...(await nodeService(deps, roles, target, 'jupyter')),
      };
    case 'etcd-move':
      return { kind: 'etcd-move', from: roles.leader, to: target, term: roles.term };
    case 'proxy-kill':
      return { kind: 'process-signal', signal: 'KILL', ...(await hostService(deps, target, proxyService)) };
    case 'zookeeper-kill-leader':
      return {
        kind: 'process-signal',
        signal: 'KILL',
        ...(await hostService(deps, target, zookeeperService)),
      };
    case 'master-suspend':
      return { kind: 'process-signal', signal: 'STOP', ...(await hostService(deps, target, masterService)) };
    case 'master-kill':
      return { kind: 'process-signal', signal: 'KILL', ...(await hostService(deps, target, masterService)) };
    case 'agent-kill':
      return { kind: 'process-signal', signal: 'KILL', ...(await hostService(deps, target, agentService)) };
    case 'agent-stop': {
      const { host, process, service } = await hostService(deps, target, agentService);
      return { kind: 'service-stop', host, id: randomUUID(), process, service };
    }
    case 'worker-kill': {
      const worker = target === 'keeper' ? roles.keeper : roles.scheduler;
      if (worker === undefined) throw absent(`no worker holds the ${target}`);
      if (labOf(deps, name).workers() < 2) {
        throw new PerijoveError('DRILL_UNSAFE', 'only one worker runs, and nobody would go on');
      }
      return { kind: 'worker-kill', worker };
    }
    case 'host-crash':
      if (deps.lab) return { kind: 'host-crash', host: target };
      return planReboot(deps.pool, hostNamed(deps.spec, target));
    case 'gluster-brick-down':
      return planBrick(deps, hostNamed(deps.spec, target));
    case 'partition':
    case 'partition-peers':
      return planPartition(deps, hostNamed(deps.spec, target), name === 'partition' ? 'all' : 'peers');
    case 'disk-full':
      return planDiskFill(deps, hostNamed(deps.spec, target));
  }
}

function labOf({ lab }: FaultDeps, drill: string): LabFaults {
  if (lab) return lab;
  throw new PerijoveError('DRILL_NOT_POSSIBLE', `${drill} can be done in a lab alone`);
}

function absent(message: string): PerijoveError {
  return new PerijoveError('DRILL_UNHEALTHY', message);
}

function treeOf(spec: ClusterSpec, roles: Roles, node: string): { host: HostSpec; base: string } {
  const host = hostNamed(spec, roles.hostOf[node] ?? '');
  return { host, base: hostPaths(host).clusterNode(node) };
}

function hostNamed(spec: ClusterSpec, name: string): HostSpec {
  const host = spec.hosts.find((each) => each.name === name);
  if (!host) throw absent(`no host \`${name}\` is known`);
  return host;
}

async function nodeService(deps: FaultDeps, roles: Roles, node: string, service: ServiceName) {
  const { host, base } = treeOf(deps.spec, roles, node);
  const file = `${nodeLayout(base).service}/${service}/supervise/pid`;
  return { host: host.name, process: await readMark(deps, host, base, file) };
}

async function servicesOf({ pool, spec }: FaultDeps, hostName: string) {
  const connection = await pool.get(hostNamed(spec, hostName));
  return { connection, services: await hostServices(connection, spec.name) };
}

/** But not on a host that was taken down meanwhile, and not what was stopped on purpose, unless it was `ours`. */
async function startAgain(
  deps: FaultDeps,
  host: string,
  service: string,
  { ours }: { readonly ours: boolean },
): Promise<void> {
  const { services } = await servicesOf(deps, host);
  const [status] = await services.status([service]);
  if (status === undefined) throw absent(`${host} does not tell what ${service} does`);
  if (status.state === 'absent' || (status.state === 'stopped' && !ours)) return;
  await services.start(service);
}

/** On the host, for as long as a service is stopped by a drill. */
const stopMark = (host: HostSpec, id: string) => quote(`${hostPaths(host).run}/service-stop-${id}`);

/** Whether the drill came to stop the service. */
async function wasStopped(
  { pool, spec }: FaultDeps,
  { host: name, id }: Extract<Fault, { kind: 'service-stop' }>,
): Promise<boolean> {
  if (id === undefined) return true;
  const host = hostNamed(spec, name);
  const script = `if [ -e ${stopMark(host, id)} ]; then echo ours; else echo none; fi`;
  const answer = (await (await pool.get(host)).run(script)).trim();
  if (answer !== 'ours' && answer !== 'none') throw absent(`${name} does not tell what was done to it`);
  return answer === 'ours';
}

async function hostService(deps: FaultDeps, hostName: string, service: string) {
  const { connection, services } = await servicesOf(deps, hostName);
  const [status] = await services.status([service]);
  if (status?.pid === undefined) throw absent(`${service} does not run on ${hostName}`);
  const isMesos = service === masterService || service === agentService;
  const inside = isMesos ? processInContainer(deps.spec, connection.host, service) : undefined;
  const seen = await connection.run(`${sameScript}
clock=$(date +%s) || exit 1
pid=${inside === undefined ? status.pid : `$(${inside}) || exit 1`}
stat_of "$pid" || { echo 'it has ended' >&2; exit 1; }
echo "$clock $pid $start"`);
  const [clock, pid, start] = seen.trim().split(' ').map(Number);
  if (!clock || !pid || !start) throw absent(`${hostName} does not tell which process ${service} is`);
  return { host: hostName, process: { pid, start }, service, clock };
}

async function planBrick({ pool, spec }: FaultDeps, host: HostSpec): Promise<Fault> {
  const { storage } = spec;
  if (storage.kind !== 'gluster') throw absent('notebooks do not lie on a GlusterFS volume');
  const connection = await pool.get(host);
  const output = await connection.run(`${sameScript}
for pid in $(pidof glusterfsd); do
  if tr '\\0' ' ' < "/proc/$pid/cmdline" | grep -qF ${quote(` ${brickPath(storage)} `)}; then
    stat_of "$pid" && echo "$pid $start"
  fi
done`);
  const [pid, start] = output.trim().split(' ').map(Number);
  if (!pid || !start) throw absent(`no brick of ${storage.volume} runs on ${host.name}`);
  return { kind: 'brick-kill', host: host.name, volume: storage.volume, process: { pid, start } };
}

async function readMark(
  { pool }: FaultDeps,
  host: HostSpec,
  base: string,
  file: string,
): Promise<ProcessMark> {
  const connection = await pool.get(host);
  const output = await connection.run(`${sameScript}
${pidFunction(base)}
pid=$(pid_of ${quote(file)}) || { echo 'it does not run' >&2; exit 1; }
stat_of "$pid" || { echo 'it has ended' >&2; exit 1; }
echo "$pid $start"`);
  const [pid, start] = output.trim().split(' ').map(Number);
  if (!pid || !start) throw absent(`${file} on ${host.name} names no process`);
  return { pid, start };
}

// --- injected ---------------------------------------------------------------------------------------------

/** Does it, unless it was done before. */
export async function inject(deps: FaultDeps, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'node-kill': {
      const { pid, start } = fault.owner;
      // Stopped first, the owner cannot tidy up after the others, and a repetition still finds it.
      await onHost(deps, fault.host, [
        `same ${pid} ${start} || exit 0`,
        `kill -s STOP ${pid}`,
        `${quote(`${nodeLayout(fault.base).bin}/sweep`)} node KILL 0`,
        `kill -s KILL ${pid} 2>/dev/null || :`,
      ]);
      return;
    }
    case 'process-signal': {
      const { pid, start } = fault.process;
      await onHost(deps, fault.host, [`same ${pid} ${start} || exit 0`, `kill -s ${fault.signal} ${pid}`]);
      return;
    }
    case 'brick-kill': {
      const { pid, start } = fault.process;
      await onHost(deps, fault.host, [`same ${pid} ${start} || exit 0`, `kill -s KILL ${pid}`]);
      return;
    }
    case 'service-stop': {
      const { connection, services } = await servicesOf(deps, fault.host);
      if (!(await isSame(connection, fault.process))) return;
      // First, so that a stop whose answer is lost is known to be ours.
      if (fault.id !== undefined) await connection.run(`: > ${stopMark(connection.host, fault.id)}`);
      await services.stop(fault.service);
      return;
    }
    case 'etcd-move':
      return moveLeadership(deps, fault);
    case 'worker-kill':
      return labOf(deps, fault.kind).killWorker(fault.worker);
    case 'host-crash':
      return labOf(deps, fault.kind).crashHost(fault.host);
    case 'host-reboot':
      return reboot(deps.pool, hostNamed(deps.spec, fault.host), fault);
    case 'partition':
      return cutOff(deps.pool, hostNamed(deps.spec, fault.host), fault);
    case 'disk-fill':
      return fillDisk(deps.pool, hostNamed(deps.spec, fault.host), fault);
  }
}

async function onHost({ pool, spec }: FaultDeps, name: string, lines: readonly string[]): Promise<void> {
  const connection = await pool.get(hostNamed(spec, name));
  await connection.run([sameScript, ...lines].join('\n'));
}

/**
 * Starts the bricks of a volume that do not run, and leaves the others alone; also the whole volume, where it was
 * stopped or deleted meanwhile. Fails when that cannot be told.
 */
export function startBricksScript(volume: string): string {
  return `
info=$(gluster --mode=script volume info ${quote(volume)} 2>&1) || {
  case $info in *'does not exist'*) exit 0 ;; esac
  echo "$info" >&2
  exit 1
}
case $info in
*'Status: Started'*) gluster --mode=script volume start ${quote(volume)} force ;;
*'Status: Stopped'* | *'Status: Created'*) ;;
*) echo ${quote(`gluster does not tell how ${volume} is`)} >&2; exit 1 ;;
esac`.trim();
}

async function moveLeadership(
  { spec, reach }: FaultDeps,
  { from, to, term }: Extract<Fault, { kind: 'etcd-move' }>,
): Promise<void> {
  const address = nodeAddress(spec, nodeNames(spec).indexOf(from));
  const client = createEtcdClient(await reach.any(address, spec.etcd.clientPort), { deadlineMs: 3_000 });
  try {
    const status = await client.status();
    if (status.leader !== status.memberId || status.term !== term) return;
    const { members } = await client.memberList();
    const target = members.find(({ name }) => name === to);
    if (!target) throw absent(`etcd has no member ${to}`);
    await client.moveLeader(target.id);
  } finally {
    client.close();
  }
}

// --- healed -----------------------------------------------------------------------------------------------

/** Undoes what the fault left, as far as nothing else does; may be repeated, and also without an injection. */
export async function heal(deps: FaultDeps, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'node-kill': {
      // One that an interrupted injection left stopped; the framework relaunches the node.
      const { pid, start } = fault.owner;
      await onHost(deps, fault.host, [
        `same ${pid} ${start} || exit 0`,
        `case $state in T) kill -s KILL ${pid} ;; esac`,
      ]);
      return;
    }
    case 'process-signal': {
      const { pid, start } = fault.process;
      if (fault.signal === 'STOP') {
        await onHost(deps, fault.host, [`same ${pid} ${start} || exit 0`, `kill -s CONT ${pid}`]);
      }
      if (fault.service !== undefined) {
        // Its supervisor starts it again; one that is stopped was stopped by somebody.
        await startAgain(deps, fault.host, fault.service, { ours: false });
      }
      return;
    }
    case 'brick-kill':
      await onHost(deps, fault.host, [startBricksScript(fault.volume)]);
      return;
    case 'service-stop': {
      if (!(await wasStopped(deps, fault))) return;
      await startAgain(deps, fault.host, fault.service, { ours: true });
      if (fault.id !== undefined) {
        const host = hostNamed(deps.spec, fault.host);
        await onHost(deps, fault.host, [`rm -f ${stopMark(host, fault.id)}`]);
      }
      return;
    }
    case 'etcd-move':
      return;
    case 'worker-kill':
      return labOf(deps, fault.kind).provideWorkers();
    case 'host-crash':
      return labOf(deps, fault.kind).bootHost(fault.host);
    case 'host-reboot':
      return untilBooted(deps.pool, hostNamed(deps.spec, fault.host));
    case 'partition':
      return mend(deps.pool, hostNamed(deps.spec, fault.host), fault);
    case 'disk-fill':
      return freeDisk(deps.pool, hostNamed(deps.spec, fault.host), fault);
  }
}
