/** The file that a maintainer needs of an error that is a bug. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { CommandContext } from './command.js';
import { stateDir } from './hosts.js';
import { redacted, redactedText } from './redact.js';
import type { Report } from './report.js';
import { packageVersion } from './version.js';

/** Of each log. */
const lastLines = 50;

/**
 * Writes what is known of an error INTERNAL, without secrets: versions, the command, the error with its stack, the spec
 * and the last lines of the logs of a lab's workers. Resolves to the file: below the state directory, or else among
 * the temporary files; undefined where neither can be written.
 */
export async function writeReport(
  context: Pick<CommandContext, 'env' | 'cwd' | 'argv'>,
  report: Report,
): Promise<string | undefined> {
  const { argv } = context;
  const specFile = await specFileOf(context, argv);
  const text = redactedText(
    [
      '# Report of an unexpected error. Passwords, keys and tokens are left out: check that before you send it.',
      `date: ${new Date().toISOString()}`,
      `perijove: ${packageVersion()}`,
      `node: ${process.version} (${process.platform} ${process.arch}, ${os.release()})`,
      `command: perijove ${commandOf(argv)}`,
      '',
      `${report.code}: ${report.detail ?? report.message}`,
      report.stack ?? '',
      '',
      ...(specFile === undefined ? [] : [`## ${specFile}`, specText(specFile), '']),
      ...(specFile === undefined ? [] : logs(path.join(path.dirname(specFile), 'workers'))),
    ].join('\n'),
  );
  const name = `internal-${new Date().toISOString().replace(/[:.]/g, '-')}-${process.pid}.txt`;
  for (const directory of [() => path.join(stateDir(context.env), 'reports'), () => os.tmpdir()]) {
    try {
      const file = path.join(directory(), name);
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, `${text}\n`, { mode: 0o600, flag: 'wx' });
      return file;
    } catch {
      // The next one may do.
    }
  }
  return undefined;
}

/** What follows `--` runs on a host, and may hold anything. */
function commandOf(argv: readonly string[]): string {
  const end = argv.indexOf('--');
  return end === -1 ? argv.join(' ') : [...argv.slice(0, end), '--', '[left out]'].join(' ');
}

async function specFileOf(
  context: Pick<CommandContext, 'env' | 'cwd'>,
  argv: readonly string[],
): Promise<string | undefined> {
  const { findSpecFile } = await import('./spec-file.js');
  const flag = argv.findIndex((word) => word === '-f' || word === '--file');
  const given = flag === -1 ? argv.find((word) => /\.ya?ml$/.test(word)) : argv[flag + 1];
  try {
    return findSpecFile(context, given);
  } catch {
    return undefined;
  }
}

function specText(file: string): string {
  try {
    return stringify(redacted(parse(readFileSync(file, 'utf8'))));
  } catch (error) {
    return `cannot be read: ${String(error)}`;
  }
}

function logs(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.log'))
      .flatMap((name) => {
        const lines = readFileSync(path.join(directory, name), 'utf8').trimEnd().split('\n');
        return [`## workers/${name}`, ...lines.slice(-lastLines), ''];
      });
  } catch {
    return [];
  }
}

/** Of an error that is a bug, the same report with the file that it is to be reported with. */
export async function withReport(context: CommandContext, report: Report): Promise<Report> {
  if (report.code !== 'INTERNAL') return report;
  const file = await writeReport(context, report);
  if (file === undefined) return report;
  return { ...report, remedy: `Report it, and attach ${file}. It should hold no secret: check that first.` };
}
