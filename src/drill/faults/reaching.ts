/** How faults reach hosts, services and specific processes. */
import { nodeLayout, type ServiceName } from '../../node/layout.js';
import { pidFunction } from '../../node/scripts.js';
import { PerijoveError } from '../../errors/error.js';
import { hostPaths } from '../../hosts/paths.js';
import { hostServices } from '../../hosts/services.js';
import { processInContainer } from '../../mesos/installation/container.js';
import { agentService, masterService } from '../../mesos/installation/items.js';
import { hostOf } from '../../cluster/host-of.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import { quote } from '../../ssh/shell.js';
import type { LabFaults } from '../lab.js';
import { processesOfKernels, sameScript, type ProcessMark } from '../marks.js';
import type { Roles } from '../roles.js';
import type { FaultDeps } from './kind.js';

export function labOf({ lab }: FaultDeps, drill: string): LabFaults {
  if (lab) return lab;
  throw new PerijoveError('DRILL_NOT_POSSIBLE', `${drill} is only possible in a lab`);
}

export function absent(message: string): PerijoveError {
  return new PerijoveError('DRILL_UNHEALTHY', message);
}

/** @throws PerijoveError DRILL_UNHEALTHY */
export function hostNamed(spec: ClusterSpec, name: string): HostSpec {
  return hostOf(spec, name, 'DRILL_UNHEALTHY');
}

export function treeOf(spec: ClusterSpec, roles: Roles, node: string): { host: HostSpec; base: string } {
  const name = roles.hostOf[node];
  if (name === undefined) throw absent(`${node} runs on no known host`);
  const host = hostNamed(spec, name);
  return { host, base: hostPaths(host).clusterNode(node) };
}

export async function onHost(
  { pool, spec }: FaultDeps,
  name: string,
  lines: readonly string[],
): Promise<void> {
  const connection = await pool.get(hostNamed(spec, name));
  await connection.run([sameScript, ...lines].join('\n'));
}

/** Sends a signal to this exact process; does nothing if it has ended. */
export async function signalProcess(
  deps: FaultDeps,
  host: string,
  { pid, start }: ProcessMark,
  signal: 'CONT' | 'KILL' | 'STOP',
): Promise<void> {
  await onHost(deps, host, [`same ${pid} ${start} || exit 0`, `kill -s ${signal} ${pid}`]);
}

export async function servicesOf({ pool, spec }: FaultDeps, hostName: string) {
  const connection = await pool.get(hostNamed(spec, hostName));
  return { connection, services: await hostServices(connection, spec.name) };
}

/** Not on a host that was taken down meanwhile, nor a service stopped on purpose, unless it was `ours`. */
export async function startAgain(
  deps: FaultDeps,
  host: string,
  service: string,
  { ours }: { readonly ours: boolean },
): Promise<void> {
  const { services } = await servicesOf(deps, host);
  const [status] = await services.status([service]);
  if (status === undefined) throw absent(`${host} did not report the status of ${service}`);
  if (status.state === 'absent' || (status.state === 'stopped' && !ours)) return;
  await services.start(service);
}

export async function hostService(deps: FaultDeps, hostName: string, service: string) {
  const { connection, services } = await servicesOf(deps, hostName);
  const [status] = await services.status([service]);
  if (status?.pid === undefined) throw absent(`${service} is not running on ${hostName}`);
  const isMesos = service === masterService || service === agentService;
  const inside = isMesos ? processInContainer(deps.spec, connection.host, service) : undefined;
  const seen = await connection.run(`${sameScript}
clock=$(date +%s) || exit 1
pid=${inside === undefined ? status.pid : `$(${inside}) || exit 1`}
stat_of "$pid" || { echo 'it has ended' >&2; exit 1; }
echo "$clock $pid $start"`);
  const [clock, pid, start] = seen.trim().split(' ').map(Number);
  if (!clock || !pid || !start) throw absent(`${hostName} did not report the process of ${service}`);
  return { host: hostName, process: { pid, start }, service, clock };
}

export async function nodeService(deps: FaultDeps, roles: Roles, node: string, service: ServiceName) {
  const { host, base } = treeOf(deps.spec, roles, node);
  const file = `${nodeLayout(base).service}/${service}/supervise/pid`;
  return { host: host.name, process: await readMark(deps, host, base, file) };
}

/** The process of the drill's own kernel on a node. */
export async function kernelOn(deps: FaultDeps, node: string) {
  const { counters = [], without = {} } = (await deps.kernels?.()) ?? {};
  const counter = counters.find((each) => each.node === node);
  if (!counter) {
    const why = without[node] ?? 'the drill has none there';
    throw new PerijoveError('DRILL_NOT_POSSIBLE', `no kernel to kill on ${node}: ${why}`);
  }
  const connection = await deps.pool.get(hostNamed(deps.spec, counter.host));
  const found = await connection.run(`${sameScript}
${processesOfKernels([counter.kernel])} |
while read -r kernel pid; do stat_of "$pid" && echo "$pid $start"; done`);
  const [pid, start, ...more] = found.trim().split(/\s+/).map(Number);
  if (!pid || !start || more.length > 0) throw absent(`the kernel on ${node} is not one process`);
  return { host: counter.host, process: { pid, start } };
}

export async function readMark(
  { pool }: FaultDeps,
  host: HostSpec,
  base: string,
  file: string,
): Promise<ProcessMark> {
  const connection = await pool.get(host);
  const output = await connection.run(`${sameScript}
${pidFunction(base)}
pid=$(pid_of ${quote(file)}) || { echo 'it is not running' >&2; exit 1; }
stat_of "$pid" || { echo 'it has ended' >&2; exit 1; }
echo "$pid $start"`);
  const [pid, start] = output.trim().split(' ').map(Number);
  if (!pid || !start) throw absent(`${file} on ${host.name} does not name a process`);
  return { pid, start };
}
