import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { HostSpec } from '../../src/cluster/spec.js';
import { docker, dockerRemove, hasDocker } from './docker.js';
import { eventually } from './eventually.js';
import { makeHost } from './spec.js';
import { makeKey } from './sshd.js';

const root = path.resolve(import.meta.dirname, '../..');
const image = 'perijove-host:ready';

const run = promisify(execFile);

/** Whether this machine can run the servers of docker-compose.yml in containers. */
export const canRunServers = hasDocker && process.getuid?.() === 0;

/** A Debian server in a container: systemd, sshd, and Docker and GlusterFS installed but stopped. */
export interface TestServer {
  host(overrides?: Partial<HostSpec>): HostSpec;
  /** Its file system, as seen from this machine. */
  readonly root: string;
  /** Runs a script in it as root, without SSH. */
  run(script: string): Promise<string>;
  remove(): Promise<void>;
}

/** `environment` is for its SSH sessions (`SetEnv`). */
export async function startServer(options: { readonly environment: string }): Promise<TestServer> {
  try {
    docker('image', 'inspect', image);
  } catch {
    // It takes minutes: the test runner wants to hear from this process meanwhile.
    await run(path.join(root, 'images/prepare'));
    await run('docker', ['build', '--target', 'ready', '--tag', image, path.join(root, 'images/host')]);
  }
  const keys = await mkdtemp(path.join(tmpdir(), 'perijove-server-'));
  const name = `perijove-test-${randomBytes(4).toString('hex')}`;
  const remove = async () => {
    dockerRemove('container', '--volumes', name);
    await rm(keys, { recursive: true, force: true });
  };
  try {
    const keyFile = path.join(keys, 'id');
    await makeKey(keyFile);
    await writeFile(path.join(keys, 'root'), await readFile(`${keyFile}.pub`), { mode: 0o644 });
    await writeFile(path.join(keys, 'environment.conf'), `SetEnv ${options.environment}\n`);
    docker(
      ...['run', '--detach', '--name', name, '--hostname', 'server'],
      ...['SYS_ADMIN', 'NET_ADMIN', 'NET_RAW', 'SYS_PTRACE', 'MKNOD'].flatMap((each) => ['--cap-add', each]),
      ...[
        '--device',
        '/dev/fuse',
        '--security-opt',
        'seccomp=unconfined',
        '--security-opt',
        'apparmor=unconfined',
      ],
      ...['--tmpfs', '/run', '--tmpfs', '/run/lock', '--volume', '/var/lib/docker', '--volume', '/srv'],
      ...['--volume', `${path.join(keys, 'root')}:/etc/ssh/authorized/root:ro`],
      ...['--volume', `${path.join(keys, 'environment.conf')}:/etc/ssh/sshd_config.d/environment.conf:ro`],
      image,
    );
    const [pid = '', address = ''] = docker(
      ...['inspect', '--format', '{{.State.Pid}} {{.NetworkSettings.Networks.bridge.IPAddress}}', name],
    ).split(' ');
    const runInside = async (script: string) => {
      const nsenter = ['-t', pid, '-m', '-p', '-n', '-u', '-i', '-C', '-r', '-w', 'sh', '-c', script];
      return (await run('nsenter', nsenter, { maxBuffer: 16 * 2 ** 20 })).stdout;
    };
    await eventually(
      'the server has booted',
      async () =>
        (await runInside('systemctl is-active ssh.service multi-user.target || :')) === 'active\nactive\n',
      60_000,
    );
    return {
      host: (overrides = {}) =>
        makeHost('server', {
          ssh: { address, port: 22, user: 'root', keyFile, agent: false },
          address,
          dir: '/opt/perijove',
          init: 'auto',
          ...overrides,
        }),
      root: `/proc/${pid}/root`,
      run: runInside,
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
