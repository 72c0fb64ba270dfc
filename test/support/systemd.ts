/** A Debian server in a container that systemd runs, without a network and without anything of Perijove. */
import { execFile } from 'node:child_process';
import { docker, dockerRemove, hasDocker } from './docker.js';
import { eventually } from './eventually.js';

const image = 'perijove-host:bare';

/** Whether the image is here. */
export const hasSystemdImage = hasDocker && docker('images', '--quiet', image) !== '';
if (!hasSystemdImage)
  process.stderr.write(`SKIPPED: no image ${image} is here; docker-compose.yml builds it\n`);

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SystemdContainer {
  /** Starts it, and resolves when systemd has booted. */
  start(...options: readonly string[]): Promise<void>;
  /** Runs a script as root in it; `path` is put before PATH. */
  readonly exec: (script: string, path?: string) => Promise<ExecResult>;
  remove(): void;
}

export function systemdContainer(name: string): SystemdContainer {
  const exec = (script: string, path = '') =>
    new Promise<ExecResult>((resolve) => {
      const child = execFile('docker', ['exec', '-i', name, 'sh'], (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
      child.stdin?.end(`PATH=${path}$PATH\n${script}\n`);
    });
  return {
    async start(...options) {
      docker(
        ...['run', '--detach', '--rm', '--name', name, '--network', 'none'],
        ...['--cap-add', 'SYS_ADMIN', '--cap-add', 'NET_ADMIN', '--cap-add', 'SYS_PTRACE'],
        ...['--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined'],
        ...['--tmpfs', '/run', '--tmpfs', '/run/lock', ...options, image],
      );
      await eventually('systemd runs', async () =>
        ['running', 'degraded'].includes((await exec('systemctl is-system-running')).stdout.trim()),
      );
    },
    exec,
    remove: () => dockerRemove('container', name),
  };
}
