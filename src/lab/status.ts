import { notebookUser, type NotebookUser } from '../cluster/exposure.js';
import { loadSpec } from '../cluster/load.js';
import { PerijoveError } from '../errors/error.js';
import { choices } from '../cluster/nearest.js';
import { sshdProcess } from './machine.js';
import { isAlive } from './processes.js';
import { existingLab, labPaths, type LabHost } from './state.js';

/** Schema of `lab status --json`. */
export interface LabStatus {
  readonly stateDir: string;
  readonly name: string;
  readonly subnet: string;
  readonly spec: string;
  /** Who runs notebooks; null if the spec cannot be read. */
  readonly notebooks: NotebookUser | null;
  readonly temporal: {
    readonly address: string;
    readonly ui: string;
    readonly pid: number;
    readonly up: boolean;
  } | null;
  /** Running workers. */
  readonly workers: readonly { readonly pid: number }[];
  readonly hosts: readonly { readonly name: string; readonly address: string; readonly up: boolean }[];
}

/** @throws PerijoveError LAB_ABSENT, LAB_STATE_UNREADABLE */
export async function labStatus(stateDir: string): Promise<LabStatus> {
  const { name, subnet, temporal, workers, hosts } = existingLab(stateDir);
  const notebooks = await loadSpec(labPaths(stateDir).spec).then(notebookUser, () => null);
  return {
    notebooks,
    stateDir,
    name,
    subnet,
    spec: labPaths(stateDir).spec,
    temporal: temporal
      ? { address: temporal.address, ui: temporal.ui, pid: temporal.pid, up: isAlive(temporal) }
      : null,
    workers: workers.filter(isAlive).map(({ pid }) => ({ pid })),
    hosts: hosts.map((host) => ({
      name: host.name,
      address: host.address,
      up: sshdProcess(stateDir, host) !== undefined,
    })),
  };
}

/** @throws PerijoveError LAB_ABSENT, LAB_HOST_UNKNOWN, LAB_STATE_UNREADABLE */
export function labHost(stateDir: string, name: string): LabHost {
  const { hosts } = existingLab(stateDir);
  const host = hosts.find((candidate) => candidate.name === name);
  if (host) return host;
  const names = hosts.map((candidate) => candidate.name);
  throw new PerijoveError('LAB_HOST_UNKNOWN', `the lab has no host \`${name}\``, {
    host: name,
    remedy: choices(name, names),
  });
}
