import type { HostConnection } from '../ssh/connection.js';
import type { HostSpec } from '../cluster/spec.js';
import type { ServiceItem } from './items.js';
import { known, notKnown, observedOn } from './observation.js';
import { runit } from './runit.js';
import { systemd } from './systemd.js';
import type { InitDriver, InitSystem, ServiceStatus } from './init.js';

/** The services of one host. Every method may be repeated; all reject with what `HostConnection.run` does. */
export interface HostServices {
  readonly init: InitSystem;
  /** Writes the definition. Starts and restarts nothing. */
  install(service: ServiceItem): Promise<void>;
  /** Resolves when the service's process runs. @throws PerijoveError SERVICE_FAILED */
  start(name: string): Promise<void>;
  /** Ends it (SIGTERM, then SIGKILL after 15 s) and keeps it stopped, also after a boot. */
  stop(name: string): Promise<void>;
  restart(name: string): Promise<void>;
  /** Stops it and takes its definition away. */
  remove(name: string): Promise<void>;
  /** @throws PerijoveError OBSERVATION_INCOMPLETE */
  status(names: readonly string[]): Promise<ServiceStatus[]>;
  /** The newest lines of its output, oldest first. */
  logs(name: string, lines: number): Promise<string>;
  /** Sends a signal (`KILL`, `STOP`, …) to the service's own process. */
  kill(name: string, signal: string): Promise<void>;
}

export function initDriver(host: HostSpec, cluster: string, init: InitSystem): InitDriver {
  return init === 'systemd' ? systemd(host, cluster) : runit(host);
}

/**
 * Which init system the host's services run under: what the spec says, else systemd where it is PID 1.
 *
 * @throws PerijoveError SSH_*, OBSERVATION_INCOMPLETE
 */
export async function observeInit(connection: HostConnection): Promise<InitSystem> {
  const { init } = connection.host;
  if (init !== 'auto') return init;
  const found = (await connection.run(detectInit, { become: false })).trim();
  const answered = found === 'systemd' || found === 'runit';
  return observedOn(
    connection.host.name,
    answered ? known(found) : notKnown('no response on whether systemd is running'),
  );
}

/** Prints `systemd` or `runit`; the directory is what sd_booted(3) looks for. */
export const detectInit = 'if [ -d /run/systemd/system ]; then echo systemd; else echo runit; fi';

/** Services as the commands of `perijove logs` and the drills use them; `converge` brings them in line. */
export async function hostServices(connection: HostConnection, cluster: string): Promise<HostServices> {
  const init = await observeInit(connection);
  const driver = initDriver(connection.host, cluster, init);
  const run = async (script: string) => {
    await connection.run(script);
  };
  return {
    init,
    install: (service) => run(driver.installScript(service)),
    start: (name) => run(driver.startScript(name)),
    stop: (name) => run(driver.stopScript(name)),
    restart: (name) => run(driver.restartScript(name)),
    remove: (name) => run(driver.removeScript(name)),
    status: async (names) =>
      observedOn(
        connection.host.name,
        driver.parseStatus(await connection.run(driver.statusScript(names)), names, new Date()),
      ),
    logs: (name, lines) => connection.run(driver.logsScript(name, lines)),
    kill: (name, signal) => run(driver.killScript(name, signal)),
  };
}
