import { accessSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PerijoveError, messageOf } from '../errors/error.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { loadSpec } from '../cluster/load.js';
import { withLock } from './lock.js';
import { bootHost, provideKeys } from './machine.js';
import { providePage } from './page.js';
import { isAlive, killAll } from './processes.js';
import { labSubnet, renderLabSpec } from './spec.js';
import { labPaths, readLab, writeAtomically, writeLab, type LabHost, type LabState } from './state.js';
import { centralProcesses } from './sweep.js';
import { provideTemporal } from './temporal.js';
import type { Tools } from './tools.js';
import { provideWorkers, workerCount, workersAtWork } from './workers.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));
const exampleSpec = path.join(packageRoot, 'examples', 'lab.yaml');
const perijove = path.join(packageRoot, 'bin', 'perijove.js');

export interface LabUpOptions {
  readonly stateDir: string;
  /** `127.K`; when absent, that of the existing lab, else `127.0`. */
  readonly subnet?: string;
  /** Replaces the example and the lab's existing spec. */
  readonly file?: string;
  readonly tools: Tools;
  readonly report: (line: string) => void;
  /** Stops the start between two steps; whatever has started stays, and the next start resumes from there. */
  readonly signal: AbortSignal;
}

/** A running lab: Temporal server, workers and hosts. */
export interface RunningLab {
  readonly specFile: string;
  readonly spec: ClusterSpec;
  /** `host:port` of the Temporal server. */
  readonly address: string;
  /** URL of its Web UI. */
  readonly ui: string;
}

/**
 * Starts those hosts, workers, the Temporal server and the status page of a lab that are not running. Deploys nothing. May be
 * interrupted at any time and run again.
 *
 * @throws PerijoveError LAB_BUSY, LAB_EXISTS, LAB_SPEC_NOT_LOCAL, LAB_HOST_NOT_STARTED, LAB_WORKER_NOT_STARTED,
 *   LAB_STATE_UNREADABLE, LOCAL_FILE, SPEC_*, PORT_IN_USE, TEMPORAL_START_FAILED; the signal's reason when it aborts
 */
export async function startLab(options: LabUpOptions): Promise<RunningLab> {
  const { stateDir, signal, report } = options;
  const paths = labPaths(stateDir);
  makeStateDir(stateDir);
  return withLock(paths.lock, {}, async () => {
    const before = readLab(stateDir);
    const subnet = chooseSubnet(options, before);
    const spec = await provideSpec(options, subnet);
    const hosts = labHosts(spec);
    let lab: LabState = {
      version: 1,
      name: spec.name,
      subnet,
      // A host removed from the spec may still run, and must be found when the lab stops.
      hosts: [
        ...hosts,
        ...(before?.hosts ?? []).filter(({ name }) => !hosts.some((host) => host.name === name)),
      ],
      workers: before?.workers.filter(isAlive) ?? [],
      ...(before?.temporal && { temporal: before.temporal }),
      ...(before?.page && { page: before.page }),
    };
    const store = (change: Partial<LabState>) => {
      lab = { ...lab, ...change };
      writeLab(stateDir, lab);
      signal.throwIfAborted();
    };
    store({});
    await endForgotten(stateDir, lab);

    report(
      `starting hosts ${hosts.map(({ name, address, port }) => `${name} ${address}:${port}`).join(', ')}`,
    );
    mkdirSync(paths.notebooks, { recursive: true });
    await provideKeys(stateDir, hosts);
    for (const { dir } of hosts) mkdirSync(dir, { recursive: true });
    await Promise.all(hosts.map((host) => bootHost(stateDir, host)));
    signal.throwIfAborted();

    report('starting the Temporal server');
    const temporal = await provideTemporal(stateDir, lab, options.tools.temporal);
    store({ temporal });

    report(`starting ${workerCount} workers`);
    const workers = provideWorkers(stateDir, lab, perijove, temporal.address);
    const page = providePage(stateDir, lab, perijove, temporal.address);
    store({ workers: workers.map((worker) => worker.process), ...(page && { page }) });
    await workersAtWork(workers, temporal.address, signal);
    return { specFile: paths.spec, spec, address: temporal.address, ui: temporal.ui };
  });
}

function makeStateDir(stateDir: string): void {
  if (/[\s'"\\$`%;:,]/.test(stateDir)) {
    throw new PerijoveError(
      'USAGE',
      'the path of the state directory contains a character that a spec cannot contain',
      {
        subject: stateDir,
        remedy: 'Name another directory with --state-dir.',
      },
    );
  }
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    accessSync(stateDir, constants.W_OK);
  } catch (cause) {
    throw new PerijoveError('LOCAL_FILE', `cannot use the state directory: ${messageOf(cause)}`, {
      file: stateDir,
      remedy: 'Make it writable, or choose another one with `--state-dir` or XDG_STATE_HOME.',
      cause,
    });
  }
}

function chooseSubnet(options: LabUpOptions, before: LabState | undefined): string {
  const subnet = labSubnet(options.subnet ?? before?.subnet ?? '127.0');
  if (before && before.subnet !== subnet) {
    throw new PerijoveError(
      'LAB_EXISTS',
      `the lab in ${options.stateDir} has the subnet ${before.subnet}, not ${subnet}`,
    );
  }
  return subnet;
}

async function provideSpec(options: LabUpOptions, subnet: string): Promise<ClusterSpec> {
  const target = labPaths(options.stateDir).spec;
  if (options.file === undefined && existsSync(target)) {
    options.report(`using the spec ${target}`);
  } else {
    const source = path.resolve(options.file ?? exampleSpec);
    // Loaded so that errors refer to lines of the user's file.
    await loadSpec(source, source, { files: true });
    const place = {
      stateDir: options.stateDir,
      subnet,
      user: userInfo().username,
      jupyterLab: options.tools.jupyterLab,
    };
    writeAtomically(target, renderLabSpec(readFileSync(source, 'utf8'), place));
    options.report(`wrote the spec ${target} from ${source}`);
  }
  return loadSpec(target, target, { files: true });
}

function labHosts(spec: ClusterSpec): LabHost[] {
  return spec.hosts.map(({ name, ssh, address, dir }) => {
    if (!address.startsWith('127.') || !ssh.address.startsWith('127.')) {
      throw new PerijoveError('LAB_SPEC_NOT_LOCAL', `host ${name} of the spec has the address ${address}`, {
        host: name,
      });
    }
    return { name, address: ssh.address, port: ssh.port, dir };
  });
}

/** Ends processes that an interrupted start left unrecorded. */
async function endForgotten(stateDir: string, lab: LabState): Promise<void> {
  const known = [lab.temporal, lab.page, ...lab.workers]
    .filter((process) => process !== undefined)
    .filter(isAlive);
  await killAll(() =>
    [...centralProcesses(stateDir)].filter((pid) => !known.some((process) => process.pid === pid)),
  );
}
