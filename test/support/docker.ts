import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Whether a Docker server answers this user here. Says so where none does: tests are then skipped. */
export const hasDocker: boolean = (() => {
  const { status } = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], {
    timeout: 10_000,
  });
  if (status !== 0) process.stderr.write('SKIPPED: no Docker server answers here\n');
  return status === 0;
})();

/** What `docker` prints. */
export function docker(...args: readonly string[]): string {
  return execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** Ends what a test has made, whether or not it is there. */
export function dockerRemove(what: 'container' | 'network' | 'image', ...names: readonly string[]): void {
  if (names.length === 0) return;
  const force = what === 'network' ? [] : ['--force'];
  spawnSync('docker', [what, 'rm', ...force, ...names], { stdio: 'ignore' });
}

/**
 * An image of some MiB made of this machine's own programs, with all libraries that they need: no registry is
 * asked.
 */
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
