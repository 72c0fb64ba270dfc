import { startCentral } from './central.js';
import { isAlive, type ProcessIdentity } from './processes.js';
import { labPaths, type LabState } from './state.js';

/** Where `perijove ui` listens by default, and the page of the default lab. */
const defaultPort = 8490;

/** `address:port` of a lab's status page; that of the lab 127.K is K higher than the default. */
export function pageAddress(subnet: string): string {
  return `127.0.0.1:${defaultPort + Number(subnet.split('.')[1])}`;
}

/**
 * The lab's status page: the recorded process if alive, else a new one. A lab does without it: where it cannot listen, its
 * log says why.
 *
 * @param entry the program to run with the argument `ui`
 */
export function providePage(
  stateDir: string,
  lab: LabState,
  entry: string,
  address: string,
): ProcessIdentity | undefined {
  if (lab.page && isAlive(lab.page)) return lab.page;
  const { spec, pageLog } = labPaths(stateDir);
  const words = [entry, 'ui', '--file', spec, '--listen', pageAddress(lab.subnet)];
  // It prints its link, and with it the token.
  return startCentral({ stateDir, address, logFile: pageLog, words, isSilent: true });
}
