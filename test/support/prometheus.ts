/** Prometheus and promtool of Debian's package `prometheus`, unpacked: installing it would start a server. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { cacheDir } from '../../src/hosts/artifacts.js';
import { findProgram, hostPath } from '../../src/lab/programs.js';

export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/** The programs, or why there are none. */
export function prometheusPrograms(): PrometheusPrograms | string {
  const [prometheus, promtool] = ['prometheus', 'promtool'].map((name) => findProgram(name, hostPath));
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  const unpacked = path.join(cacheDir(), 'prometheus');
  try {
    if (!existsSync(unpacked)) unpack(unpacked);
  } catch (error) {
    return `Debian's package prometheus cannot be had: ${String(error)}`;
  }
  const bin = path.join(unpacked, 'usr/bin');
  return { prometheus: path.join(bin, 'prometheus'), promtool: path.join(bin, 'promtool') };
}

function unpack(target: string): void {
  mkdirSync(path.dirname(target), { recursive: true });
  const directory = mkdtempSync(`${target}-`);
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { cwd: directory, stdio: 'pipe', timeout: 120_000 });
  try {
    try {
      run('apt-get', '-q', 'download', 'prometheus');
    } catch {
      // A bare image has no lists of packages.
      run('apt-get', '-q', 'update');
      run('apt-get', '-q', 'download', 'prometheus');
    }
    const [archive] = readdirSync(directory).filter((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new Error('nothing was downloaded');
    run('dpkg-deb', '--extract', archive, 'root');
    renameSync(path.join(directory, 'root'), target);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
