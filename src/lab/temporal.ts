import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { startDevServer } from '../temporal/server.js';
import { identify, isAlive } from './processes.js';
import { requireFreePort } from './sockets.js';
import { labMarker, labPaths, type LabState } from './state.js';

/**
 * The parts of the dev server (1.9.1) connect to each other at this address, even if it listens on another.
 */
const ip = '127.0.0.1';
/** Temporal's defaults. */
const defaultPorts = { frontend: 7233, ui: 8233 } as const;

/**
 * Ports of a lab's server. The default lab uses Temporal's default ports, so that `temporal` and `perijove`
 * find it without an option; those of the lab 127.K are K higher.
 */
export function temporalPorts(subnet: string): { readonly frontend: number; readonly ui: number } {
  const offset = Number(subnet.split('.')[1]);
  return { frontend: defaultPorts.frontend + offset, ui: defaultPorts.ui + offset };
}

/**
 * The lab's Temporal server: the recorded one if alive, else a new one on the lab's database file.
 *
 * @throws PerijoveError PORT_IN_USE, TEMPORAL_START_FAILED
 */
export async function provideTemporal(
  stateDir: string,
  lab: LabState,
  executable: string,
): Promise<NonNullable<LabState['temporal']>> {
  if (lab.temporal && isAlive(lab.temporal)) return lab.temporal;
  const paths = labPaths(stateDir);
  const ports = temporalPorts(lab.subnet);
  requireFreePort(ip, ports.frontend, "the lab's Temporal server");
  requireFreePort(ip, ports.ui, "the Web UI of the lab's Temporal server");
  mkdirSync(path.dirname(paths.temporalDb), { recursive: true });
  const server = await startDevServer({
    executable,
    port: ports.frontend,
    uiPort: ports.ui,
    dbFile: paths.temporalDb,
    logFile: paths.temporalLog,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], [labMarker]: stateDir },
  });
  const identity = identify(server.pid);
  if (!identity) throw new Error(`the Temporal server exited after its start; see ${paths.temporalLog}`);
  return { ...identity, address: server.address, ui: server.ui ?? '' };
}
