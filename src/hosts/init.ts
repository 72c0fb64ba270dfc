import type { ServiceItem } from './items.js';
import type { Observation } from './observation.js';

export type InitSystem = 'systemd' | 'runit';

export interface ServiceStatus {
  readonly name: string;
  /** `restarting`: its program ended, and it waits to be started again. */
  readonly state: 'absent' | 'stopped' | 'running' | 'restarting';
  /** Of the service's own process, while it runs. */
  readonly pid?: number;
  /** ISO 8601: since when it is in this state. */
  readonly since?: string;
  /** What it was started with (`record.ts`). Absent when it never started, or could not write it. */
  readonly record?: string;
}

/** A file that an init system reads. */
export interface RenderedFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** The commands of one init system: pure, as data and as idempotent POSIX shell. */
export interface InitDriver {
  readonly init: InitSystem;
  render(service: ServiceItem): readonly RenderedFile[];
  installScript(service: ServiceItem): string;
  /** Ends with an error when the service does not come up within 15 s. */
  startScript(name: string): string;
  /** Ends with an error unless the init system confirms that it is stopped. */
  stopScript(name: string): string;
  restartScript(name: string): string;
  removeScript(name: string): string;
  /** Removes all services of the cluster, and the supervisor where it is ours. */
  removeAllScript(): string;
  statusScript(names: readonly string[]): string;
  /** Not known unless there was an answer about each of the services. */
  parseStatus(output: string, names: readonly string[], now: Date): Observation<ServiceStatus[]>;
  logsScript(name: string, lines: number): string;
  killScript(name: string, signal: string): string;
}
