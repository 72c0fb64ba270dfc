import type { HostSpec } from '../cluster/spec.js';

/** Paths below a host's base directory. */
export function hostPaths(host: Pick<HostSpec, 'dir'>) {
  const { dir } = host;
  return {
    bin: `${dir}/bin`,
    etc: `${dir}/etc`,
    data: `${dir}/data`,
    log: `${dir}/log`,
    run: `${dir}/run`,
    service: `${dir}/service`,
    secrets: `${dir}/etc/secrets`,
    /** Copies of the secrets that nodes need: all that a container sees of them. */
    nodeSecrets: `${dir}/etc/node-secrets`,
    /** The user of the nodes, as of the last deployment. */
    nodesUser: `${dir}/etc/nodes-user`,
    node: `${dir}/bin/node`,
    /** Base directory of a cluster node that runs as a process tree: its etcd data, sshd and hosts file. */
    clusterNode: (name: string) => `${dir}/data/nodes/${name}`,
  };
}

const systemDirectories = new Set(
  [
    '/',
    '/bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var',
    '/usr/bin /usr/lib /usr/lib64 /usr/libexec /usr/local /usr/sbin /usr/share /usr/src',
    '/usr/local/bin /usr/local/etc /usr/local/lib /usr/local/sbin /usr/local/share',
    '/var/cache /var/lib /var/local /var/lock /var/log /var/mail /var/run /var/spool /var/tmp',
  ].flatMap((line) => line.split(' ')),
);

/**
 * Whether a base directory is a system or shared directory, whose contents must not be removed: a well-known
 * one, anything in the trees of the kernel and the boot loader, or a home directory.
 */
export function isSystemDirectory(dir: string): boolean {
  const parts = dir.split('/').filter((part) => part !== '' && part !== '.');
  if (!dir.startsWith('/') || parts.includes('..')) return true;
  const [first = ''] = parts;
  return (
    systemDirectories.has(`/${parts.join('/')}`) ||
    ['bin', 'boot', 'dev', 'etc', 'lib', 'lib32', 'lib64', 'proc', 'sbin', 'sys'].includes(first) ||
    (first === 'home' && parts.length === 2)
  );
}
