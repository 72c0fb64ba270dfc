import path from 'node:path';
import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { orFail, quote } from '../ssh/shell.js';
import { archiveMarker, unpackArchive } from './archives.js';
import { bringFile, sourceSha256, type Artifacts } from './artifacts.js';
import { sha256OfText } from './checksum.js';
import { enableDaemonScript, startDaemon, stopOwnDaemons } from './daemons.js';
import { describeStep, diff, type Step, type WantedState } from './diff.js';
import type { InitDriver } from './init.js';
import type { Change, HostItems, ServiceItem } from './items.js';
import { observedOn } from './observation.js';
import { observeScript, parseObserved, runitPackage, observationRequest } from './observe.js';
import { installPackages } from './packages.js';
import { hostPaths } from './paths.js';
import { pinPackage } from './pin-package.js';
import { reloadScript } from './record.js';
import { initDriver, observeInit } from './services.js';
import { keepWayIn, type Undo } from './way-in.js';

/** Time for a service to stop, killed if necessary, and to start again. */
const serviceTimeoutMs = 90_000;

export type { Artifacts };

export interface ConvergeDeps {
  readonly artifacts: Artifacts;
  /** Name of the cluster, part of the names of systemd units. */
  readonly cluster: string;
  readonly signal?: AbortSignal;
  /** Called while it waits, for instance for another program's lock on apt. */
  readonly onWait?: (what: string) => void;
  /** Pauses between attempts to log in again; about 30 s in total by default. */
  readonly loginPausesMs?: readonly number[];
}

/**
 * Brings a host to its desired state: observes it with one command, computes the differences, applies them,
 * and returns the changes. If nothing differs, it changes nothing and returns `[]`. Safe to repeat after any
 * interruption. If the host accepts no new SSH connection afterwards, reversible changes are undone.
 *
 * @throws PerijoveError WAY_IN_LOST, SSH_*, COMMAND_FAILED, OBSERVATION_INCOMPLETE, DISK_FULL,
 *   DIR_NOT_WRITABLE, PACKAGE_*, APT_*, DAEMON_*, SERVICE_FAILED
 */
export async function converge(
  connection: HostConnection,
  items: HostItems,
  deps: ConvergeDeps,
): Promise<Change[]> {
  const { steps, driver } = await compare(connection, items, deps);
  const notes = await perform(connection, steps, driver, deps);
  // Check even without steps: an earlier attempt may have made changes before its result was lost.
  await keepWayIn(connection, {
    done: steps.map((step) => undoOf(step, connection, driver)),
    ...(deps.signal === undefined ? {} : { signal: deps.signal }),
    ...(deps.loginPausesMs === undefined ? {} : { pausesMs: deps.loginPausesMs }),
  });
  return [...steps.map((step) => describeStep(step, 'done')), ...notes].map((what) => ({
    host: connection.host.name,
    what,
  }));
}

/** The changes that `converge` would make. */
export async function planChanges(
  connection: HostConnection,
  items: HostItems,
  deps: ConvergeDeps,
): Promise<Change[]> {
  const { steps } = await compare(connection, items, deps);
  return steps.map((step) => ({ host: connection.host.name, what: describeStep(step, 'plan') }));
}

async function compare(
  connection: HostConnection,
  items: HostItems,
  { artifacts, cluster, signal }: ConvergeDeps,
): Promise<{ steps: Step[]; driver: InitDriver }> {
  const driver = initDriver(connection.host, cluster, await observeInit(connection));
  if (isNothing(items) && items.packages.length === 0) return { steps: [], driver };
  const wanted = await wantedState(connection.host.dir, items, artifacts, driver);
  const request = observationRequest(wanted);
  const output = await connection.run(observeScript(connection.host.dir, request, driver), {
    ...(signal === undefined ? {} : { signal }),
  });
  const observed = observedOn(connection.host.name, parseObserved(output, request, driver, new Date()));
  return { steps: diff(wanted, observed), driver };
}

async function wantedState(
  dir: string,
  items: HostItems,
  artifacts: Artifacts,
  driver: InitDriver,
): Promise<WantedState> {
  const { pinned = [] } = items;
  // Several subjects may list the same file, for instance the Node.js binary.
  const byPath = new Map(items.files.map((file) => [file.path, file]));
  const files = await Promise.all(
    [...byPath.values()].map(async (file) => ({
      ...file,
      sha256: await sourceSha256(file.source, artifacts),
    })),
  );
  const paths = hostPaths({ dir });
  const base = [dir, paths.bin, paths.etc, paths.data, paths.log, paths.run, paths.service];
  const archives = (items.archives ?? []).map((archive) => {
    const marker = archiveMarker(archive);
    return { archive, marker: marker.path, sha256: sha256OfText(marker.text) };
  });
  const placed = [...files, ...archives.map(({ archive }) => archive)].map((item) =>
    path.posix.dirname(item.path),
  );
  return {
    packages: [
      ...items.packages.filter((name) => !pinned.some((item) => item.name === name)),
      ...(driver.init === 'runit' && items.services.length > 0 ? [runitPackage] : []),
    ],
    pinned,
    directories: items.directories,
    parents: isNothing(items) ? [] : [...new Set([...base, ...placed])],
    archives,
    files,
    daemons: items.daemons ?? [],
    services: items.services.map((item) => ({
      item,
      files: driver.render(item).map((file) => ({ ...file, sha256: sha256OfText(file.text) })),
    })),
    conditions: items.conditions ?? [],
  };
}

function isNothing(items: HostItems): boolean {
  const { directories, archives = [], files, daemons = [], services, conditions = [] } = items;
  return [directories, archives, files, daemons, services, conditions].every(({ length }) => length === 0);
}

async function perform(
  connection: HostConnection,
  steps: readonly Step[],
  driver: InitDriver,
  deps: ConvergeDeps,
): Promise<readonly string[]> {
  const options = deps.signal === undefined ? {} : { signal: deps.signal };
  const notes: string[] = [];
  for (const step of steps) {
    if (step.kind === 'install-packages') {
      notes.push(...(await installPackages(connection, step.packages, deps)));
    }
    if (step.kind === 'pin-package') notes.push(...(await pinPackage(connection, step.item, deps)));
  }
  const modes = steps.flatMap(modeScript);
  if (modes.length > 0) await makeDirectories(connection, ['set -e', ...modes].join('\n'), options);
  for (const step of steps) {
    if (step.kind === 'unpack-archive') await unpackArchive(connection, step.archive, deps.signal);
  }
  await Promise.all(
    steps.map(async (step) => {
      if (step.kind === 'write-file') await bringFile(connection, step.file, deps.artifacts, deps.signal);
    }),
  );
  for (const step of steps) {
    if (step.kind === 'start-daemon') await startDaemon(connection, step.daemon, options);
    if (step.kind === 'enable-daemon') {
      await connection.run(enableDaemonScript(connection.host.dir, step.daemon), options);
    }
  }
  for (const step of steps) {
    if (step.kind === 'reload-service') await reload(connection, step.service, driver, options);
    const service = serviceScript(step, driver);
    if (service !== undefined) await runServiceScript(connection, service, driver, options);
  }
  for (const step of steps) {
    if (step.kind === 'act') {
      await connection.run(step.action.script, { timeoutMs: serviceTimeoutMs, ...options });
    }
  }
  return notes;
}

/** How to undo a step. Files, directories and packages stay: they do not block SSH. */
function undoOf(step: Step, connection: HostConnection, driver: InitDriver): Undo {
  const what = describeStep(step, 'done');
  const shell = (...scripts: readonly string[]) => ({
    what,
    undo: () => connection.run(scripts.map(orFail).join('\n'), { timeoutMs: serviceTimeoutMs }),
  });
  switch (step.kind) {
    case 'start-daemon':
      return { what, undo: () => stopOwnDaemons(connection, [step.daemon]) };
    case 'define-service': {
      const { name, effect } = step.service;
      const effects = effect?.remove === undefined ? [] : [effect.remove];
      return step.isNew ? shell(driver.removeScript(name), ...effects) : { what };
    }
    case 'start-service':
      return shell(driver.stopScript(step.name));
    case 'act':
      return step.action.undo === undefined ? { what } : shell(step.action.undo);
    default:
      return { what };
  }
}

/** What mkdir(1) reports of a directory that no later attempt will make, either. */
const cannotMake =
  /^mkdir: cannot create directory '(.*)': (?:File exists|Not a directory|Permission denied|Read-only file system)$/m;

/** @throws PerijoveError DIR_NOT_WRITABLE, and the errors of `run` */
async function makeDirectories(
  connection: HostConnection,
  script: string,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  try {
    await connection.run(script, options);
  } catch (error) {
    const [words, directory] = (error instanceof PerijoveError && cannotMake.exec(error.message)) || [];
    if (words === undefined || directory === undefined) throw error;
    const { name } = connection.host;
    throw new PerijoveError('DIR_NOT_WRITABLE', `cannot create ${directory}: ${words}`, {
      host: name,
      subject: directory,
      remedy:
        'If a disk should be mounted there, mount it. Otherwise remove what is in the way, change the owner of the directory above, or choose another path in the spec.',
      cause: error,
    });
  }
}

function modeScript(step: Step): string[] {
  if (step.kind === 'set-mode') return [`chmod ${step.mode.toString(8)} ${quote(step.path)}`];
  if (step.kind !== 'make-directory') return [];
  // Separate commands: `set -e` ignores the failure of `mkdir` in `mkdir && chmod`.
  const mode = step.mode === undefined ? [] : [`chmod ${step.mode.toString(8)} ${quote(step.path)}`];
  return [`mkdir -p ${quote(step.path)}`, ...mode];
}

function serviceScript(step: Step, driver: InitDriver): { name: string; script: string } | undefined {
  switch (step.kind) {
    case 'define-service':
      return { name: step.service.name, script: driver.installScript(step.service) };
    case 'start-service':
      return { name: step.name, script: driver.startScript(step.name) };
    case 'restart-service':
      return { name: step.name, script: driver.restartScript(step.name) };
    default:
      return undefined;
  }
}

/** Restarts a service that does not take over what changed. */
async function reload(
  connection: HostConnection,
  service: ServiceItem,
  driver: InitDriver,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  const { name } = service;
  const signal = driver.killScript(name, 'HUP');
  const script = reloadScript(connection.host, service, `( ${signal} )`);
  const result = await connection.exec(script, { timeoutMs: serviceTimeoutMs, ...options });
  if (result.code === 0) return;
  await runServiceScript(connection, { name, script: driver.restartScript(name) }, driver, options);
}

/** Reports a failed script as SERVICE_FAILED, with the last lines of the service's log. */
async function runServiceScript(
  connection: HostConnection,
  { name, script }: { readonly name: string; readonly script: string },
  driver: InitDriver,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  try {
    await connection.run(script, { timeoutMs: serviceTimeoutMs, ...options });
  } catch (error) {
    if (!(error instanceof PerijoveError) || error.code !== 'COMMAND_FAILED') throw error;
    const log = await connection.exec(driver.logsScript(name, 5), options);
    throw new PerijoveError(
      'SERVICE_FAILED',
      [`${name}: ${error.message}`, log.stdout.trim()].join('\n').trim(),
      {
        host: connection.host.name,
        subject: name,
        cause: error,
      },
    );
  }
}
