import type { ServiceItem } from './items.js';
import type { Observation } from './observation.js';

export type InitSystem = 'systemd' | 'runit';

export interface ServiceStatus {
  readonly name: string;
  /** `restarting`: the process has exited and will be started again. */
  readonly state: 'absent' | 'stopped' | 'running' | 'restarting';
  /** The service's main process, while it runs. */
  readonly pid?: number;
  /** Start of this state, in ISO 8601. */
  readonly since?: string;
  /** What the service was started with (`record.ts`). Absent if it never started or could not write it. */
  readonly record?: string;
}

/** A file that an init system reads. */
export interface RenderedFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** Renders the commands of one init system, as data and as idempotent POSIX shell. Pure. */
export interface InitDriver {
  readonly init: InitSystem;
  render(service: ServiceItem): readonly RenderedFile[];
  installScript(service: ServiceItem): string;
  /** Fails unless the service starts within 15 s. */
  startScript(name: string): string;
  /** Fails unless the init system confirms that the service has stopped. */
  stopScript(name: string): string;
  restartScript(name: string): string;
  removeScript(name: string): string;
  /** Removes all services of the cluster, and the supervisor if Perijove started it. */
  removeAllScript(): string;
  statusScript(names: readonly string[]): string;
  /** Not known unless every service was reported. */
  parseStatus(output: string, names: readonly string[], now: Date): Observation<ServiceStatus[]>;
  logsScript(name: string, lines: number): string;
  killScript(name: string, signal: string): string;
}
