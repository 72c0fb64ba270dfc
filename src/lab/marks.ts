import { marks } from '../node/layout.js';
import { startVariable } from './processes.js';
import { hostMarker } from './state.js';

/**
 * Tasks do not inherit the environment of their agent. They are recognised by the directory of Mesos, or of the node,
 * which is below that of the host.
 */
const taskMarkers = ['MESOS_DIRECTORY', marks.tree];

/**
 * Whether a process was started on the lab host with this `labPaths().host(name)`, or on any lab host below this
 * directory: by the environment that it was started with.
 */
export function isOfHost(pid: number, directory: string): boolean {
  return [hostMarker, ...taskMarkers].some((name) =>
    `${startVariable(pid, name) ?? ''}/`.startsWith(`${directory}/`),
  );
}
