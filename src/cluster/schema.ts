/**
 * The zod schema of `cluster.yaml`. `schema/cluster.schema.json` and the tables of `docs/reference/spec.md`
 * are generated from it; `normalize.ts` turns its output into a `ClusterSpec`.
 *
 * Metadata: `kind` names the kind of value; `description` is what the docs and editors show; `examples[0]` is
 * a valid value; `otherwise` describes the default if it is not a fixed value.
 */
import * as z from 'zod';
import {
  aptUrl,
  asciiPath,
  count,
  debianPackage,
  debianVersion,
  duration,
  durationOrNever,
  executable,
  fingerprint,
  flag,
  flagName,
  flagValue,
  hostIpv4,
  hostKey,
  hostPath,
  image,
  ipv4,
  line,
  linkName,
  localPath,
  mesosRole,
  name,
  oneOf,
  openPgpKey,
  port,
  reachable,
  sha256,
  size,
  sshAddress,
  subnet,
  suite,
  url,
  word,
  zkPath,
} from './values.js';

const meta = (description: string, example?: unknown, otherwise?: string) => ({
  description,
  ...(example !== undefined && { examples: [example] }),
  ...(otherwise !== undefined && { otherwise }),
});

const section = <T extends z.core.$ZodLooseShape>(shape: T, description: string, example?: unknown) =>
  z
    .strictObject(shape, {
      error: (issue) => (issue.code === 'invalid_type' ? 'a mapping' : undefined),
    })
    .meta(meta(description, example));

// --- SSH and hosts --------------------------------------------------------------------------------------

/** `other`: where the values come from if these keys are absent. */
const sshKeys = (other?: string) => ({
  user: word.meta(meta('User to log in as.', 'ops', other ?? '`root`')).optional(),
  port: port.meta(meta('SSH port.', 22, other ?? '`22`')).optional(),
  key: localPath
    .meta(
      meta(
        "Path of the private key on the worker's machine. `~` and paths relative to the spec are resolved.",
        '~/.ssh/id_ed25519',
        other,
      ),
    )
    .optional(),
  agent: flag
    .meta(meta('Use the SSH agent at `SSH_AUTH_SOCK`.', true, other ?? '`true` without `key`'))
    .optional(),
  knownHosts: localPath
    .meta(
      meta(
        "Path of a `known_hosts` file on the worker's machine. Without it, and without `hostKeys`, the key of each host is trusted at first sight.",
        '~/.ssh/known_hosts',
        other ?? 'pinned keys',
      ),
    )
    .optional(),
  loginTimeout: duration
    .meta(
      meta(
        'Time limit for a login, after TCP has connected: 1s to 5m. Raise it for hosts with a slow directory or name service.',
        '1m',
        other ?? '`30s`',
      ),
    )
    .optional(),
  config: z
    .union([z.boolean(), localPath], { error: '`true`, `false` or a path on this machine' })
    .meta({
      ...meta(
        "Connect as `ssh NAME` would, where NAME is the SSH address: `true` reads `~/.ssh/config` and the system's ssh_config, a path that file. Keys of the spec override it. See [ssh_config](#ssh_config).",
        true,
        other ?? '`false`',
      ),
      kind: '`true`, `false`, local path',
    })
    .optional(),
});

const hostKeys = z
  .array(hostKey, { error: 'a list of public keys' })
  .min(1, { error: 'at least one public key' })
  .meta(
    meta(
      'SSH keys of the host, which it must present: all workers and command lines then trust only these. `perijove host-keys` prints them. `knownHosts` overrides it.',
      ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfBDNDvJWJBKFCMDaa5f9JYN+OAi1+vFdOs2yWvNnWT'],
      'trusted at first sight, once for the deployment',
    ),
  )
  .optional();

const jump = section(
  {
    address: sshAddress.meta(meta('Address of the jump host.', 'gate.example.org')),
    ...sshKeys('same as the host'),
    port: sshKeys().port,
    hostKeys,
  },
  'Jump host. All keys but `port` and `hostKeys` default to those of the host behind it; `port` defaults to 22.',
);

const become = oneOf('none', 'sudo').meta(
  meta('How to become root on the host.', 'sudo', '`none` for root, `sudo` for other users'),
);

const ssh = section(
  { ...sshKeys(), jump: jump.optional(), become: become.optional() },
  'How to reach the hosts by SSH. A host can override each key.',
);

const role = oneOf('zookeeper', 'master', 'agent', 'proxy');

const hostPorts = section(
  {
    zookeeper: port.meta(meta('ZooKeeper client port.')).default(2181),
    zookeeperPeer: port.meta(meta('ZooKeeper peer port: followers connect to the leader.')).default(2888),
    zookeeperElection: port.meta(meta('ZooKeeper election port.')).default(3888),
    master: port.meta(meta('Port of the Mesos master.')).default(5050),
    agent: port.meta(meta('Port of the Mesos agent.')).default(5051),
    proxy: port.meta(meta('Port where users reach Jupyter.')).default(8888),
    proxyApi: port
      .meta(
        meta(
          "Port of the proxy's API. It listens on 127.0.0.1, or on `address` if that is a loopback address.",
        ),
      )
      .default(8887),
  },
  'Ports of the services on the host.',
);

const host = section(
  {
    name: name.meta(meta('Unique name of the host, as in `perijove ssh h1`.', 'h1')),
    address: hostIpv4.meta(
      meta('Unique address that the services bind and that other hosts connect to.', '172.16.6.103'),
    ),
    sshAddress: sshAddress
      .meta(
        meta(
          'Name, IPv4 or IPv6 address for SSH, if it differs from `address`; with `config`, also an alias.',
          'oo-lab.example.org',
          '`address`',
        ),
      )
      .optional(),
    hostname: reachable
      .meta(meta('Host name that Mesos shows (`--hostname`).', '162.105.174.32', '`address`'))
      .optional(),
    ...sshKeys('same as `ssh`'),
    hostKeys,
    jump: jump.optional(),
    become: become.optional(),
    dir: asciiPath
      .meta(meta('Base directory. Everything that Perijove puts on the host is below it.', '/opt/perijove'))
      .default('/opt/perijove'),
    init: oneOf('auto', 'systemd', 'runit')
      .meta(
        meta('Init system that supervises the services. `auto` uses systemd if it is running, else runit.'),
      )
      .default('auto'),
    roles: z
      .array(role, { error: 'a list of roles' })
      .min(1, { error: 'at least one role' })
      .meta(
        meta(
          'Services that run on the host: `zookeeper`, `master`, `agent`, `proxy`. Removing a role from a host stops its service.',
          ['master', 'proxy'],
        ),
      )
      .default(['zookeeper', 'master', 'agent', 'proxy']),
    ports: hostPorts.prefault({}),
  },
  'The hosts. `user`, `port`, `key`, `agent`, `knownHosts`, `loginTimeout`, `config`, `jump` and `become` override those of `ssh`.',
);

// --- programs -------------------------------------------------------------------------------------------

/** Ways to install a program, with examples for it. */
const installs = (
  examples: {
    readonly package: string;
    readonly path: string;
    readonly archive: string;
  },
  path = hostPath,
) => ({
  package: debianPackage.meta(meta('Debian package.', examples.package)).optional(),
  path: path.meta(meta('Directory of an existing installation on the hosts.', examples.path)).optional(),
  tarball: url
    .meta(
      meta('URL of an archive. It requires `sha256`.', `https://downloads.example.org/${examples.archive}`),
    )
    .optional(),
  sha256: sha256
    .meta(meta('SHA-256 of the archive.', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'))
    .optional(),
});

const zookeeperInstall = section(
  installs(
    {
      package: 'zookeeper',
      path: '/opt/zookeeper',
      archive: 'apache-zookeeper-3.8.4-bin.tar.gz',
    },
    asciiPath,
  ),
  'How to install ZooKeeper. Set exactly one of `package`, `path`, `tarball`.',
);

const aptSource = section(
  {
    source: aptUrl.meta(meta('URL of the source, as the hosts reach it.', 'https://apt.example.org/debian')),
    suite: suite.meta(meta('Suite of the source.', 'bookworm')),
    component: suite.meta(meta('Component of the suite.', 'main')),
    key: openPgpKey
      .meta(meta('The public key that signs the source, ASCII-armored, as a block of text (`key: |`).'))
      .optional(),
    keyUrl: url
      .meta(meta('Instead of `key`: where a worker fetches it.', 'https://apt.example.org/key.asc'))
      .optional(),
    fingerprint: fingerprint.meta(
      meta(
        'Fingerprint of that key. A key with another one is refused.',
        '0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567',
      ),
    ),
  },
  'The apt source of `package`, signed by this key alone. It requires `version`. Set exactly one of `key`, `keyUrl`.',
);

const mesosInstall = z
  .union(
    [
      z.literal('lab'),
      section(
        {
          ...installs({ package: 'mesos', path: '/usr/local/mesos', archive: 'mesos-1.11.0.tar.gz' }),
          version: debianVersion
            .meta(
              meta(
                'Version of `package`. It is installed in this version and held: `apt-get upgrade` leaves it alone.',
                '1.11.0-0.9.0',
                'whatever the host has, or installs',
              ),
            )
            .optional(),
          apt: aptSource.optional(),
          image: image.meta(meta('Docker image.', 'mesos/mesos-centos:latest')).optional(),
        },
        'Set exactly one of `package`, `path`, `tarball`, `image`.',
      ),
    ],
    { error: '`lab`, or one of the keys package, path, tarball, image' },
  )
  .meta({
    ...meta(
      'How to install Mesos: `lab` (the stand-in), or exactly one of `package`, `path`, `tarball`, `image`.',
      'lab',
    ),
    kind: '`lab`, keys',
  });

const flags = z.record(flagName, flagValue, { error: 'flags with values' }).meta(
  meta(
    'Extra flags, named without dashes. They override those that Perijove sets. Numbers are passed on as they are written.',
    {
      offer_timeout: '30secs',
    },
  ),
);

const withFlags = (program: string) => section({ flags: flags.default({}) }, `Options of each ${program}.`);

// --- the file -------------------------------------------------------------------------------------------

const zookeeper = section(
  {
    install: zookeeperInstall.default({ package: 'zookeeper' }),
    tickTime: duration
      .meta(meta('ZooKeeper tick (`tickTime`). Sessions last from 2 to 20 ticks.'))
      .default('2s'),
    initLimit: count(1, 1000)
      .meta(meta('How long a follower may take to connect and synchronize, in ticks (`initLimit`).'))
      .default(10),
    syncLimit: count(1, 1000)
      .meta(meta('How far a follower may lag behind the leader, in ticks (`syncLimit`).'))
      .default(5),
    heap: size.meta(meta('JVM heap size of each server.')).default('512MiB'),
    digest: flag
      .meta(
        meta(
          'Protect the znodes of Mesos with a digest ACL: anyone can read them, only masters can write.',
          true,
          '`true`, unless `mesos.security` is `open`',
        ),
      )
      .optional(),
  },
  'The ZooKeeper ensemble. It runs on all hosts with the role `zookeeper`.',
);

const mesos = section(
  {
    install: mesosInstall,
    cluster: line
      .meta(meta('Name of the Mesos cluster (`--cluster`).', 'mesos_with_zookeeper', '`name`'))
      .optional(),
    quorum: count(1, 99)
      .meta(meta('Quorum of the masters (`--quorum`).', 2, 'the majority of the masters'))
      .optional(),
    zkPath: zkPath.meta(meta('ZooKeeper path of the masters.')).default('/mesos'),
    sessionTimeout: duration
      .meta(
        meta(
          'ZooKeeper session timeout of the masters (`--zk_session_timeout`). It accounts for most of the duration of a master failover.',
        ),
      )
      .default('10s'),
    agentPingTimeout: duration
      .meta(
        meta(
          'How long a master waits for an agent to answer a ping (`--agent_ping_timeout`), from 1s to 15m.',
        ),
      )
      .default('15s'),
    maxAgentPingTimeouts: count(1, 1000)
      .meta(
        meta(
          'Number of consecutive unanswered pings after which the tasks of an agent are unreachable (`--max_agent_ping_timeouts`).',
        ),
      )
      .default(5),
    framework: line.meta(meta('Name of the framework.', 'Final', '`name`')).optional(),
    security: z
      .enum(['authenticated', 'open'])
      .meta(
        meta(
          'Who may use the APIs of masters and agents. `authenticated`: whoever has the secret of `principal` (HTTP basic). `open`: whoever reaches their ports, which lets everyone on the network run commands on the hosts.',
        ),
      )
      .default('authenticated'),
    principal: word
      .meta(meta('Principal of the framework.', 'perijove', '`perijove`, or none if `security` is `open`'))
      .optional(),
    role: mesosRole.meta(meta('Role of the framework.', 'jupyter')).default('*'),
    failoverTimeout: duration
      .meta(meta('How long Mesos keeps the tasks without a connected scheduler.'))
      .default('1w'),
    fenceAfter: durationOrNever
      .meta(
        meta(
          'How long a host must be silent (its agent, SSH, and the address of its node) before Perijove declares it dead and launches its nodes elsewhere. `never`: only `perijove fence` declares a host dead.',
        ),
      )
      .default('5m'),
    master: withFlags('master').prefault({}),
    agent: withFlags('agent').prefault({}),
  },
  'Mesos masters and agents, and the framework that runs the nodes.',
);

const vxlan = section(
  {
    name: linkName.meta(meta('Name of the Docker network and of its bridge.')).default('perijove'),
    id: count(1, 16_777_215).meta(meta('VXLAN network identifier.')).default(42),
    mtu: count(576, 9000).meta(meta("MTU of the nodes' interfaces.")).default(1450),
  },
  'A VXLAN between the hosts, created by Perijove.',
);

const network = section(
  {
    subnet: subnet.meta(meta('Subnet of the nodes.', '192.168.0.0/24')),
    existing: word
      .meta(meta('Name of an existing Docker network on every agent host.', 'calico_net', 'a flat network'))
      .optional(),
    vxlan: vxlan.optional(),
  },
  "The network of the nodes: an existing Docker network, a VXLAN, or neither. With neither, the network is flat: node addresses are addresses of the hosts' own network or of loopback.",
);

const gluster = section(
  {
    volume: word.meta(meta('Name of the volume.', 'notebooks')),
    brick: hostPath.meta(
      meta(
        'Parent directory of the brick on each host. Perijove creates a directory with the name of the volume in it.',
        '/srv/brick',
      ),
    ),
    mount: hostPath.meta(meta('Mount point of the volume on each agent host.', '/srv/notebooks')),
    pingTimeout: duration
      .meta(
        meta(
          'How long a brick may be silent before the volume continues without it (`network.ping-timeout`), in whole seconds. When a host fails, reads and writes block for at most twice as long.',
        ),
      )
      .default('3s'),
    force: flag
      .meta(meta('Allow a brick on the root file system, which GlusterFS refuses otherwise.'))
      .default(false),
  },
  'A GlusterFS volume with three replicas, on the first three agent hosts.',
);

const storage = section(
  {
    path: hostPath
      .meta(
        meta(
          'Directory that all agent hosts share, such as a mount. Mount it first: a missing directory is created as a plain one.',
          '/srv/notebooks',
        ),
      )
      .optional(),
    gluster: gluster.optional(),
    takeOwnership: flag
      .meta(
        meta(
          'Give all existing notebooks to `nodes.user`, whenever a Jupyter starts. Meant for a cluster whose nodes ran as root; reads the whole directory each time.',
        ),
      )
      .default(false),
  },
  'Where notebooks are stored. Set exactly one of `path` and `gluster`.',
  { path: '/srv/notebooks' },
);

const user = section(
  {
    uid: count(0, 4_294_967_293).meta(meta('User ID. `0`: everything in a node runs as root.', 60_801)),
    gid: count(1, 4_294_967_293)
      .meta(meta('Group ID.', 60_801, 'the user ID'))
      .optional(),
  },
  'Who runs Jupyter, kernels, terminals and SSH sessions in a node, and owns new notebooks. Only with `containerizer: mesos`. It needs no account on hosts: take an ID that none of theirs has. Where the SSH user of a host is not root, its nodes run as that user instead.',
  { uid: 60_801 },
);

const nodes = section(
  {
    count: count(1, 99).meta(meta('Number of nodes. Each is an etcd member.')).default(5),
    cpus: z
      .number({ error: 'a number above 0' })
      .positive({ error: 'a number above 0' })
      .meta(meta('CPUs of each node.', 0.5))
      .default(1),
    memory: size.meta(meta('Memory of each node.')).default('512MiB'),
    firstAddress: ipv4
      .meta(
        meta(
          'Address of `node0`. The other nodes get the addresses that follow it.',
          '192.168.0.10',
          "the subnet's address plus 10",
        ),
      )
      .optional(),
    containerizer: oneOf('docker', 'mesos')
      .meta(meta('`docker`: nodes are containers of `image`. `mesos`: nodes are process trees on the hosts.'))
      .default('docker'),
    image: image
      .meta(
        meta(
          'Image of the Docker nodes. `perijove-node` is the image of this package: it is built once and copied to every host. Each host pulls any other image, which must contain etcd, `sshd`, runit, `tini` and JupyterLab.',
          'registry.example.org/perijove-node:1',
        ),
      )
      .default('perijove-node'),
    user: user.meta({ otherwise: 'root' }).optional(),
    sshPort: port.meta(meta("Port of each node's sshd.")).default(22),
    controlPort: port.meta(meta("Port of each node's control API.")).default(8889),
    allowMajorityOnOneHost: flag
      .meta(meta('Accept that losing one host can lose the majority of etcd.'))
      .default(false),
  },
  'The nodes. Each is a Mesos task at a fixed address, with an etcd member, an sshd and Jupyter.',
);

const etcd = section(
  {
    token: word
      .meta(meta('Token of the etcd cluster (`--initial-cluster-token`).', 'final', '`name`'))
      .optional(),
    timing: oneOf('lan', 'busy', 'wan')
      .meta(
        meta(
          'Heartbeat and election timeout. `lan` (50ms and 500ms): the hosts have time to spare, and a failover takes about a second. `busy` (200ms and 2s): the hosts are often overloaded, and a leader that is only late shall stay. `wan` (500ms and 5s): the hosts are in different places.',
        ),
      )
      .default('lan'),
    heartbeat: duration
      .meta(meta('Heartbeat interval (`--heartbeat-interval`).', '50ms', 'by `timing`'))
      .optional(),
    election: duration
      .meta(
        meta(
          'Election timeout (`--election-timeout`), at least 5 heartbeats. It accounts for most of the duration of a Jupyter failover.',
          '500ms',
          'by `timing`',
        ),
      )
      .optional(),
    security: z
      .enum(['authenticated', 'transition', 'open'])
      .meta(
        meta(
          'Who may read and change etcd. `authenticated`: members and programs of this cluster, by certificates that this cluster issues, over TLS. `open`: whoever reaches its ports, without TLS. `transition`: as `open`, but members can reach others by TLS; `up` has it for a moment on the way from one to the other.',
        ),
      )
      .default('authenticated'),
    clientPort: port.meta(meta('Client port.')).default(2379),
    peerPort: port.meta(meta('Peer port.')).default(2380),
    executable: executable
      .meta(meta('The etcd program, on the host or in the image.', '/usr/bin/etcd'))
      .default('etcd'),
  },
  'The etcd cluster. Its leader determines which node serves Jupyter.',
);

const jupyter = section(
  {
    port: port.meta(meta('Port of Jupyter on the node.')).default(8888),
    standby: oneOf('warm', 'cold')
      .meta(
        meta(
          '`warm`: Jupyter runs on every node, and one of them serves. `cold`: Jupyter runs only on the serving node, and each move waits until it has started.',
        ),
      )
      .default('warm'),
    follow: oneOf('leader', 'sticky')
      .meta(
        meta(
          '`leader`: Jupyter moves with etcd leadership. `sticky`: if leadership drifts away from a healthy Jupyter, it is moved back, so kernels keep running.',
        ),
      )
      .default('leader'),
    reflexes: flag
      .meta(
        meta(
          'Nodes and proxies fail over automatically, even without a worker. This requires `standby: warm` and `follow: leader`; otherwise, only the keeper moves Jupyter.',
        ),
      )
      .default(true),
    kernels: section(
      {
        placement: oneOf('spread', 'leader')
          .meta(
            meta(
              '`spread`: a new kernel starts on the node with the fewest kernels, and on the serving node only while no other has room. `leader`: on the serving node. Either way it stays on its node, whoever serves. This requires `standby: warm`; a cold Jupyter has its kernels with it.',
            ),
          )
          .default('spread'),
      },
      'Where the kernels of notebooks run.',
    ).prefault({}),
    executable: executable
      .meta(meta('The JupyterLab program, on the host or in the image.', '/opt/jupyter/bin/jupyter-lab'))
      .default('jupyter-lab'),
  },
  'JupyterLab on the nodes.',
);

const ownTls = section(
  {
    certificate: localPath.meta(
      meta(
        "PEM file on the worker's machine with the certificate of the server first, then those that issued it. `~` and paths relative to the spec are resolved.",
        '/etc/ssl/jupyter/fullchain.pem',
      ),
    ),
    key: localPath.meta(
      meta(
        "PEM file on the worker's machine with the private key of the certificate, without a passphrase. On the hosts it is a secret, with mode 0600.",
        '/etc/ssl/jupyter/privkey.pem',
      ),
    ),
    hsts: duration
      .meta(
        meta(
          'How long browsers that were here once use nothing but HTTPS for this host name, on all of its ports (`Strict-Transport-Security`).',
          '30d',
          'not asked for',
        ),
      )
      .optional(),
  },
  'A certificate of yours.',
  { certificate: '/etc/ssl/jupyter/fullchain.pem', key: '/etc/ssl/jupyter/privkey.pem' },
);

const tls = z
  .union([z.literal('cluster'), ownTls], { error: '`cluster`, or the keys certificate and key' })
  .meta({
    ...meta(
      'Serve HTTPS instead of plain HTTP on the port where users reach Jupyter: with a certificate that an authority of this cluster issues (`cluster`), or with one of yours. Plain requests are redirected. See `docs/how-to/https.md`.',
      'cluster',
      'plain HTTP',
    ),
    kind: '`cluster`, keys',
  });

const proxy = section(
  {
    topology: oneOf('direct', 'owner', 'chain')
      .meta(
        meta(
          '`direct`: every proxy routes to the serving node. `owner`: proxies route through the proxy of the host that runs the node. `chain`: each proxy routes through the next ones. A proxy that does not respond is skipped.',
        ),
      )
      .default('direct'),
    drain: duration
      .meta(
        meta(
          'How long open connections to a live node that no longer serves may continue before they are closed.',
        ),
      )
      .default('30s'),
    tls: tls.optional(),
  },
  'The proxies. They run on all hosts with the role `proxy`.',
);

export const clusterFile = section(
  {
    name: name.meta(meta('Identity of the cluster. Workflows and services are named after it.', 'lab')),
    ssh: ssh.prefault({}),
    hosts: z
      .array(host, { error: 'a list of hosts' })
      .min(1, { error: 'at least one host' })
      .meta(meta('The hosts of the cluster.', [{ name: 'h1', address: '172.16.6.103' }])),
    zookeeper: zookeeper.prefault({}),
    mesos,
    network,
    storage,
    nodes: nodes.prefault({}),
    etcd: etcd.prefault({}),
    jupyter: jupyter.prefault({}),
    proxy: proxy.prefault({}),
  },
  'A Perijove cluster: hosts, ZooKeeper, Mesos, and nodes with etcd and Jupyter.',
);

export type ClusterFile = z.output<typeof clusterFile>;
