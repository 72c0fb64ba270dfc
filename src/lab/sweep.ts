import path from 'node:path';
import { isOfHost } from './marks.js';
import { allProcesses, startVariable, withDescendants } from './processes.js';
import { labMarker, labPaths } from './state.js';

/** The Temporal server and the workers of a lab, recorded or not. */
export function centralProcesses(stateDir: string): Set<number> {
  return new Set(
    allProcesses()
      .map(({ pid }) => pid)
      .filter((pid) => startVariable(pid, labMarker) === stateDir),
  );
}

/** Every process that bears a mark of the lab, with all descendants, recorded or not. */
export function labProcesses(stateDir: string): Set<number> {
  const hosts = path.dirname(labPaths(stateDir).host('any'));
  const processes = allProcesses();
  const marked = processes.filter(
    ({ pid }) => startVariable(pid, labMarker) === stateDir || isOfHost(pid, hosts),
  );
  return withDescendants(
    marked.map(({ pid }) => pid),
    processes,
  );
}
