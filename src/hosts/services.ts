import type { HostConnection } from '../ssh/connection.js';
import type { HostSpec } from '../cluster/spec.js';
import type { ServiceItem } from './items.js';
import { known, notKnown, observedOn } from './observation.js';
import { runit } from './runit.js';
import { systemd } from './systemd.js';
import type { InitDriver, InitSystem, ServiceStatus } from './init.js';

/** The services of one host. All methods may be repeated and reject like `HostConnection.run`. */
export interface HostServices {
  readonly init: InitSystem;
  /** Writes the definition. Starts and restarts nothing. */
  install(service: ServiceItem): Promise<void>;
  /** Resolves when the service's process is running. @throws PerijoveError SERVICE_FAILED */
  start(name: string): Promise<void>;
  /** Stops it (SIGTERM, then SIGKILL after 15 s) and keeps it stopped, also after a reboot. */
  stop(name: string): Promise<void>;
  restart(name: string): Promise<void>;
  /** Stops it and removes its definition. */
  remove(name: string): Promise<void>;
  /** @throws PerijoveError OBSERVATION_INCOMPLETE */
  status(names: readonly string[]): Promise<ServiceStatus[]>;
  /** The most recent lines of its output, oldest first. */
  logs(name: string, lines: number): Promise<string>;
  /** Sends a signal (`KILL`, `STOP`, …) to the service's main process. */
  kill(name: string, signal: string): Promise<void>;
}

export function initDriver(host: HostSpec, cluster: string, init: InitSystem): InitDriver {
  return init === 'systemd' ? systemd(host, cluster) : runit(host);
}

/**
 * The init system that runs the host's services: the one in the spec, or systemd if it is PID 1, or runit.
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

/** Prints `systemd` or `runit`; sd_booted(3) checks the same directory. */
export const detectInit = 'if [ -d /run/systemd/system ]; then echo systemd; else echo runit; fi';

/** The services of a host, for `perijove logs` and the drills; `converge` installs and updates them. */
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
