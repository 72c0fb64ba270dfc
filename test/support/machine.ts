import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { HostSpec } from '../../src/cluster/spec.js';
import { eventually } from './eventually.js';
import { makeHost } from './spec.js';
import { makeKey } from './sshd.js';

const namespaces = ['--mount', '--pid', '--fork', '--kill-child'];
const enter = `
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount -t proc none "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/tmp"; chmod 1777 "$1/root/tmp"
mount -t tmpfs none "$1/root/run"
exec chroot "$1/root" /bin/sh -c "$2"
`;

/** Whether tests can copy this machine: root, namespaces, overlays. */
export const canCopyMachine =
  process.getuid?.() === 0 &&
  spawnSync('unshare', [...namespaces, 'sh', '-c', enter, 'sh', '/mnt', 'command -v sshd']).status === 0;

/** A throw-away copy of this machine, in separate namespaces, with an sshd. It shares the network. */
export interface TestMachine {
  host(overrides?: Partial<HostSpec>): HostSpec;
  /** Its file system, as seen from this machine. */
  readonly root: string;
  /** Runs a script in it as root, without SSH. */
  run(script: string): Promise<string>;
  /** Ends everything in it, which removes it. */
  remove(): Promise<void>;
}

/** `setup` runs in it as root before its sshd starts; `environment` is for its sessions (`SetEnv`). */
export async function startMachine(options: {
  readonly address: string;
  readonly setup: string;
  readonly user?: string;
  readonly environment?: string;
  /** Options of sshd_config, which take precedence over the machine's own. */
  readonly config?: readonly string[];
}): Promise<TestMachine> {
  const { address, setup, user = 'root', environment = 'SHLVL=1', config = [] } = options;
  const sftp = config.some((option) => option.startsWith('Subsystem='))
    ? []
    : ['Subsystem=sftp internal-sftp'];
  const sshdOptions = [...config, ...sftp].map((option) => `-o '${option}'`).join(' ');
  const directory = await mkdtemp(path.join(tmpdir(), 'perijove-machine-'));
  const keys = await mkdtemp(path.join(tmpdir(), 'perijove-keys-'));
  const keyFile = path.join(keys, 'id');
  await makeKey(keyFile);
  const publicKey = (await promisify(execFile)('cat', [`${keyFile}.pub`])).stdout.trim();
  const inside = `
set -e
exec 1>&2
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
mkdir -p /run/sshd /run/lock /etc/perijove-test
echo '${publicKey}' > /etc/perijove-test/authorized
ssh-keygen -q -t ed25519 -N '' -f /etc/perijove-test/host
${setup}
exec /usr/sbin/sshd -D -e -f /dev/null ${sshdOptions} -o ListenAddress=${address} -o Port=2200 -o HostKey=/etc/perijove-test/host \
  -o AuthorizedKeysFile=/etc/perijove-test/authorized -o PidFile=none -o UsePAM=no -o StrictModes=no \
  -o PermitRootLogin=yes -o 'SetEnv=${environment}'
`;
  const unshare: ChildProcess = spawn(
    'unshare',
    [...namespaces, 'sh', '-c', enter, 'sh', directory, inside],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let said = '';
  unshare.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(unshare, 'exit');
  const remove = async () => {
    unshare.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
    await rm(keys, { recursive: true, force: true });
  };
  try {
    const gone = ended.then(() => {
      throw new Error(`the machine ended: ${said}`);
    });
    gone.catch(() => undefined);
    await Promise.race([gone, eventually(() => said.includes('Server listening'), 55_000)]);
  } catch (error) {
    await remove();
    throw new Error(`the machine does not come up; it said: ${said}`, { cause: error });
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', String(unshare.pid)]);
  const first = stdout.trim();
  return {
    root: `/proc/${first}/root`,
    host: (overrides = {}) =>
      makeHost('machine', {
        ssh: { address, port: 2200, user, keyFile, agent: false },
        address,
        dir: '/opt/perijove',
        init: 'auto',
        roles: [],
        ...overrides,
      }),
    run: async (script) => {
      const nsenter = ['-t', first, '-m', '-p', '-r', '-w', 'sh', '-c', script];
      return (await promisify(execFile)('nsenter', nsenter)).stdout;
    },
    remove,
  };
}
