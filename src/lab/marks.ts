import { marks } from '../node/layout.js';
import { startVariable } from './processes.js';
import { hostMarker } from './state.js';

/**
 * Tasks do not inherit their agent's environment. They are recognized by the Mesos or node directory, which
 * is below the host's directory.
 */
const taskMarkers = ['MESOS_DIRECTORY', marks.tree];

/**
 * Whether a process was started on the lab host with this `labPaths().host(name)`, or on any lab host below
 * this directory: from the environment that it was started with.
 */
export function isOfHost(pid: number, directory: string): boolean {
  return [hostMarker, ...taskMarkers].some((name) =>
    `${startVariable(pid, name) ?? ''}/`.startsWith(`${directory}/`),
  );
}
