import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/**
 * This package as `npm pack` makes it from `dist/`, in a directory of its own outside of the repository, beside
 * links to its dependencies alone: a file that is not packed, or a package that only development has, is
 * missing there. Nothing is there until `install`.
 */
export class PackedPackage {
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'perijove-packed-'));
  readonly path = path.join(this.directory, 'node_modules', 'perijove');
  /** What `npx perijove` runs. */
  readonly bin = path.join(this.path, 'bin', 'perijove.js');

  install(): void {
    const npm = (...args: readonly string[]) =>
      execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    npm('pack', '--ignore-scripts', '--pack-destination', this.directory);
    const [tarball] = readdirSync(this.directory).filter((name) => name.endsWith('.tgz'));
    if (tarball === undefined) throw new Error('npm pack wrote no tarball');
    mkdirSync(this.path, { recursive: true });
    execFileSync('tar', [
      '-xzf',
      path.join(this.directory, tarball),
      '-C',
      this.path,
      '--strip-components=1',
    ]);
    const packages = npm('ls', '--omit=dev', '--all', '--parseable').trim().split('\n');
    for (const target of packages.filter((name) => path.dirname(name).startsWith(root))) this.link(target);
  }

  /** Packages inside of other packages come with those. */
  private link(target: string): void {
    const name = path.relative(path.join(root, 'node_modules'), target);
    if (name.startsWith('..') || name.includes('node_modules')) return;
    const link = path.join(path.dirname(this.path), name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(target, link);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
