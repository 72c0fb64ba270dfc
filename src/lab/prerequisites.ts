import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { PerijoveError } from '../errors/error.js';
import { aptScript, runAptScript } from './apt.js';
import { findProgram, hostPath } from './programs.js';
import { writeAtomically } from './state.js';
import { cacheDir } from '../hosts/artifacts.js';
import { installTools, installedTools, planTools, type Tools, type ToolsPlan } from './tools.js';

/** A requirement of the lab's hosts, and the Debian package that provides it. */
interface Requirement {
  readonly package: string;
  /** Programs, looked up on a host's PATH. */
  readonly programs: readonly string[];
  readonly files: readonly string[];
}

const requirements: readonly Requirement[] = [
  { package: 'zookeeper', programs: [], files: ['/usr/share/java/zookeeper.jar'] },
  { package: 'default-jre-headless', programs: ['java'], files: [] },
  { package: 'etcd-server', programs: ['etcd'], files: [] },
  { package: 'openssh-server', programs: ['sshd', 'ssh', 'ssh-keygen'], files: [] },
  { package: 'runit', programs: ['runsvdir', 'runsv', 'sv', 'svlogd', 'chpst'], files: [] },
  { package: 'socat', programs: ['socat'], files: [] },
];

/** The Debian packages that a lab may install. */
export const labPackages = [...requirements.map((each) => each.package), 'python3', 'python3-venv'];

/** Missing prerequisites. */
export interface Missing {
  /** Debian packages. */
  readonly packages: readonly string[];
  /** The virtual environment with Temporal and JupyterLab. */
  readonly tools: boolean;
}

/** How the user is informed and asked for consent. */
export interface Consent {
  readonly report: (line: string) => void;
  /** Absent without a terminal. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** Consent given in advance. */
  readonly yes: boolean;
  readonly signal: AbortSignal;
}

/** Checks this machine; changes nothing. */
async function findMissing(plan: ToolsPlan): Promise<Missing> {
  const packages = requirements
    .filter(
      ({ programs, files }) =>
        programs.some((name) => findProgram(name, hostPath) === undefined) ||
        !files.every((file) => existsSync(file)),
    )
    .map((requirement) => requirement.package);
  const tools = installedTools(plan) === undefined;
  return { packages: tools ? [...packages, ...(await missingForPython())] : packages, tools };
}

/** Debian packages what `python3 -m venv` needs separately. */
async function missingForPython(): Promise<string[]> {
  if (findProgram('python3') === undefined) return ['python3', 'python3-venv'];
  return promisify(execFile)('python3', ['-c', 'import ensurepip, venv']).then(
    () => [],
    () => ['python3-venv'],
  );
}

export type Decision =
  | { readonly do: 'nothing' }
  | { readonly do: 'install'; readonly apt: 'none' | 'as-root' | 'with-sudo'; readonly ask: boolean }
  /** It needs a user with more rights than this process has. */
  | { readonly do: 'refuse' };

/**
 * Who installs, and whether to ask the user. A sudo password is asked for only at a terminal; without one, a
 * process that is not root installs nothing that needs root.
 */
export function decideInstallation(
  missing: Missing,
  circumstances: {
    readonly root: boolean;
    readonly sudo: boolean;
    readonly terminal: boolean;
    readonly yes: boolean;
  },
): Decision {
  const { root, sudo, terminal, yes } = circumstances;
  const ask = terminal && !yes;
  if (missing.packages.length === 0)
    return missing.tools ? { do: 'install', apt: 'none', ask } : { do: 'nothing' };
  if (root) return { do: 'install', apt: 'as-root', ask };
  return terminal && sudo ? { do: 'install', apt: 'with-sudo', ask } : { do: 'refuse' };
}

/**
 * Installs the programs that the lab needs: lists the missing ones, asks once, and installs them.
 *
 * @throws PerijoveError PREREQUISITES_MISSING without consent, PREREQUISITES_FAILED when the installation
 *   fails, PROGRAM_CHECKSUM when a download is another one; the signal's reason when it aborts
 */
export async function ensurePrerequisites(consent: Consent): Promise<Tools> {
  const plan = await planTools();
  const missing = await findMissing(plan);
  const decision = decideInstallation(missing, {
    root: process.getuid?.() === 0,
    sudo: findProgram('sudo') !== undefined,
    terminal: consent.ask !== undefined,
    yes: consent.yes,
  });
  const tools = installedTools(plan);
  if (decision.do === 'nothing' && tools) return tools;

  for (const line of describeMissing(missing, plan)) consent.report(line);
  if (missing.packages.length > 0 && findProgram('apt-get') === undefined) {
    throw new PerijoveError('PREREQUISITES_MISSING', 'apt is not available on this machine', {
      remedy: `Install the programs of the Debian packages ${missing.packages.join(', ')}, then run this again.`,
    });
  }
  const script = path.join(cacheDir(), 'install-prerequisites.sh');
  if (missing.packages.length > 0) writeAtomically(script, aptScript(missing.packages), 0o755);
  const refusal = () =>
    new PerijoveError('PREREQUISITES_MISSING', 'programs that the lab needs are missing', {
      remedy:
        missing.packages.length > 0
          ? `Run \`sudo sh ${script}\`, then run this again.`
          : 'Run this again with --yes to install them.',
    });
  if (decision.do === 'refuse') throw refusal();
  if (decision.do === 'install') {
    if (decision.ask && consent.ask && !(await consent.ask('Install them now?'))) throw refusal();
    if (decision.apt !== 'none') {
      await runAptScript(
        script,
        consent.report,
        consent.signal,
        decision.apt === 'with-sudo' ? ['sudo', 'sh'] : ['sh'],
      );
    }
  }
  return tools ?? (await installTools(plan, consent.report, consent.signal));
}

function describeMissing(missing: Missing, plan: ToolsPlan): string[] {
  const lines = ['missing programs that the lab needs:'];
  if (missing.packages.length > 0) lines.push(`  Debian packages: ${missing.packages.join(', ')}`);
  if (missing.tools && plan.kind === 'own') {
    lines.push(`  Python packages: ${plan.packages.join(', ')}, in ${plan.directory}`);
  }
  return lines;
}
