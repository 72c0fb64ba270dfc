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
 * What `runsv` reports about the service, in the files that runsv(8) documents. A service that never had a
 * supervisor is down; if its supervisor was killed, this is the last known state, until the supervisor is
 * restarted within seconds. Rejects when they cannot be read: that does not mean it is down.
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
    // Rewritten when the process starts.
    stat(`${directory}/supervise/pid`),
  ]);
  if (!text.startsWith('run') || pid.trim() === '') return { state: 'ending' };
  const up = !text.includes('want down') && !text.includes('got TERM');
  return { state: up ? 'up' : 'ending', pid: Number(pid), startedAt: mtimeMs };
}

/**
 * Sends `runsv` one of its commands (`u` up, `d` down, `t` terminate and start again). False when no supervisor listens, which is temporary:
 * try again.
 */
export async function commandSupervisor(directory: string, command: 'u' | 'd' | 't'): Promise<boolean> {
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

/** Sets whether a new supervisor starts the service. Writes nothing if that is set already. */
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
