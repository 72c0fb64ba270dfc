import { constants } from 'node:fs';
import { access, open, readFile, rm, stat } from 'node:fs/promises';
import { isMissing, replaceFile } from '../../net/files.js';

export interface ServiceState {
  readonly state: 'up' | 'ending' | 'down';
  /** Of the service's process; absent while its `finish` script runs. */
  readonly pid?: number;
  /** When that process was started, in ms since the epoch. */
  readonly startedAt?: number;
}

/**
 * What `runsv` says of the service, in the files that runsv(8) documents. A service that never had a
 * supervisor is down; of one whose supervisor was killed this is the last that is known, until the supervisor
 * is restarted within seconds. Rejects where it cannot be read: that is no service that is down.
 */
export async function serviceState(directory: string): Promise<ServiceState> {
  let text: string;
  try {
    text = await readFile(`${directory}/supervise/stat`, 'utf8');
  } catch (error) {
    if (isMissing(error)) return { state: 'down' };
    throw error;
  }
  if (text.startsWith('down')) return { state: 'down' };
  const [pid, { mtimeMs }] = await Promise.all([
    readFile(`${directory}/supervise/pid`, 'utf8'),
    // Written anew when the process starts.
    stat(`${directory}/supervise/pid`),
  ]);
  if (!text.startsWith('run') || pid.trim() === '') return { state: 'ending' };
  const up = !text.includes('want down') && !text.includes('got TERM');
  return { state: up ? 'up' : 'ending', pid: Number(pid), startedAt: mtimeMs };
}

/**
 * Asks `runsv` for one of its commands (`u` up, `d` down). False when no supervisor listens, which passes: ask
 * again.
 */
export async function tellSupervisor(directory: string, command: 'u' | 'd'): Promise<boolean> {
  try {
    await using control = await open(
      `${directory}/supervise/control`,
      constants.O_WRONLY | constants.O_NONBLOCK,
    );
    await control.write(command);
    return true;
  } catch {
    return false;
  }
}

/** Whether a supervisor that starts anew starts the service. Writes nothing when that is so already. */
export async function startWithSupervisor(directory: string, start: boolean): Promise<void> {
  const file = `${directory}/down`;
  if (start) {
    await rm(file, { force: true });
  } else {
    const isDown = await access(file).then(
      () => true,
      () => false,
    );
    if (!isDown) await replaceFile(file, '');
  }
}
