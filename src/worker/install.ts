import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { xdgDirectory } from '../cluster/home.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { unitMark, unitName } from './unit.js';

export interface UnitPlace {
  /** The unit file. */
  readonly file: string;
  /** Arguments of systemctl before the verb. */
  readonly manager: readonly string[];
}

const systemDirectory = '/etc/systemd/system';
/** There as long as systemd runs the machine (sd_booted(3)). */
const bootedMark = '/run/systemd/system';

/** Where the unit lies: for the manager of this user, below its configuration. */
export function unitPlace(isOfUser: boolean, env: NodeJS.ProcessEnv, home: string): UnitPlace {
  if (!isOfUser) return { file: path.join(systemDirectory, unitName), manager: [] };
  const base = xdgDirectory('XDG_CONFIG_HOME', env, () => home);
  return { file: path.join(base, 'systemd', 'user', unitName), manager: ['--user'] };
}

/** What this machine and this user must be. Tests have others. */
export interface Surroundings {
  readonly booted?: string;
  readonly uid?: number | undefined;
}

/** @throws PerijoveError WORKER_INSTALL_REFUSED without systemd, or without root where the unit is the system's */
export function requireSystemd(
  { manager }: UnitPlace,
  { booted = bootedMark, uid = process.getuid?.() }: Surroundings = {},
): void {
  if (!existsSync(booted)) {
    throw new PerijoveError('WORKER_INSTALL_REFUSED', 'systemd does not run this machine', {
      remedy:
        'Let another supervisor run `perijove worker` and start it again however it ends. `--print` prints the unit.',
    });
  }
  if (manager.length === 0 && uid !== 0) {
    throw new PerijoveError('WORKER_INSTALL_REFUSED', 'only root may install a unit of the system', {
      subject: systemDirectory,
      remedy: 'Run it with `sudo`, or pass `--user` for a unit of your own.',
    });
  }
}

/**
 * Writes the unit, enables it, and starts it anew.
 *
 * @throws PerijoveError WORKER_INSTALL_REFUSED for a unit of that name that Perijove did not write,
 *   WORKER_INSTALL_FAILED
 */
export async function installUnit(place: UnitPlace, text: string): Promise<void> {
  requireOurs(place);
  try {
    mkdirSync(path.dirname(place.file), { recursive: true });
    writeFileSync(place.file, text, { mode: 0o644 });
  } catch (cause) {
    throw new PerijoveError('WORKER_INSTALL_FAILED', messageOf(cause), { file: place.file, cause });
  }
  await systemctl(place, 'daemon-reload');
  await systemctl(place, 'enable', unitName);
  await systemctl(place, 'restart', unitName);
}

/**
 * Stops the worker, and removes the unit. Resolves to whether there was one.
 *
 * @throws PerijoveError as `installUnit` does
 */
export async function uninstallUnit(place: UnitPlace): Promise<boolean> {
  requireOurs(place);
  if (!existsSync(place.file)) return false;
  await systemctl(place, 'disable', '--now', unitName);
  try {
    rmSync(place.file);
  } catch (cause) {
    throw new PerijoveError('WORKER_INSTALL_FAILED', messageOf(cause), { file: place.file, cause });
  }
  await systemctl(place, 'daemon-reload');
  return true;
}

function requireOurs({ file }: UnitPlace): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return;
    throw new PerijoveError('WORKER_INSTALL_FAILED', messageOf(cause), { file, cause });
  }
  if (text.startsWith(unitMark)) return;
  throw new PerijoveError('WORKER_INSTALL_REFUSED', `${file} was not written by Perijove`, {
    file,
    remedy: 'Remove or rename it, then run the command again.',
  });
}

async function systemctl({ manager }: UnitPlace, ...words: readonly string[]): Promise<void> {
  const args = [...manager, ...words];
  try {
    await promisify(execFile)('systemctl', args, { timeout: 60_000 });
  } catch (cause) {
    const stderr = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    const why = stderr === '' ? messageOf(cause) : stderr;
    throw new PerijoveError('WORKER_INSTALL_FAILED', `systemctl ${args.join(' ')}: ${why}`, { cause });
  }
}
