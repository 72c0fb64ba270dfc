import { marks } from '../node/layout.js';
import { startVariable } from './processes.js';
import { hostMarker } from './state.js';

/**
 * Tasks have nothing of their agent's environment. They are known by where Mesos, or the node that they are,
 * has its files: below the host's own directory.
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
