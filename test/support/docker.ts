import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Whether a Docker server responds to this user; reports if not, and tests are then skipped. */
export const hasDocker: boolean = (() => {
  const { status } = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], {
    timeout: 10_000,
  });
  if (status !== 0) process.stderr.write('SKIPPED: no Docker server answers here\n');
  return status === 0;
})();

/** Output of `docker`. */
export function docker(...args: readonly string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** Removes what a test has made, if it exists. */
export function dockerRemove(what: 'container' | 'network' | 'image', ...names: readonly string[]): void {
  if (names.length === 0) return;
  const force = what === 'network' ? [] : ['--force'];
  spawnSync('docker', [what, 'rm', ...force, ...names], { stdio: 'ignore' });
}

/** A small image (some MiB) made from this machine's programs and their libraries, without a registry. */
export function makeTinyImage(name: string, programs: readonly string[]): void {
  const root = mkdtempSync(path.join(tmpdir(), 'perijove-image-'));
  try {
    mkdirSync(path.join(root, 'usr/bin'), { recursive: true });
    mkdirSync(path.join(root, 'tmp'));
    for (const directory of ['bin', 'sbin']) symlinkSync('usr/bin', path.join(root, directory));
    for (const program of programs) {
      const file = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
      cpSync(realpathSync(file), path.join(root, 'usr/bin', program));
      const { stdout } = spawnSync('ldd', [file], { encoding: 'utf8' });
      for (const [library] of stdout.matchAll(/\/\S+/g)) {
        cpSync(realpathSync(library), path.join(root, library), { recursive: true });
      }
    }
    execFileSync('sh', ['-c', `tar -C "$0" -c . | docker import - "$1"`, root, name], { stdio: 'ignore' });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
