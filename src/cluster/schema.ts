/**
 * What may stand in `cluster.yaml`, as a zod schema. `schema/cluster.schema.json` and the tables of
 * `docs/spec.md` are generated from it; `normalize.ts` turns its output into a `ClusterSpec`.
 *
 * Metadata: `kind` names the kind of value; `description` is one sentence; `examples[0]` is a valid value;
 * `otherwise` says what holds without the key when that is no fixed value.
 */
import { z } from 'zod';
import { parseSubnet } from './addresses.js';
import { durationPattern, sizePattern } from './units.js';

// --- kinds of values ------------------------------------------------------------------------------------
// Each kind has one text for what it expects; the loader says what it found instead.

const text = (kind: string, expected: string, pattern: RegExp) =>
  z.string({ error: expected }).regex(pattern, { error: expected }).meta({ kind });
const whole = (kind: string, from: number, to: number) => {
  const error = `a ${kind} from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error }).meta({ kind });
};
const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) => {
  const quoted = values.map((value) => `\`${value}\``);
  const error = values.length === 1 ? `${quoted[0]}` : `one of ${values.join(', ')}`;
  return z.enum(values, { error }).meta({ kind: quoted.join(', ') });
};

const word = text('word', 'text of letters, digits, `.`, `_` and `-`', /^[A-Za-z0-9][A-Za-z0-9._-]*$/);
const line = text('text', 'text on one line', /^\S.*$/);
const name = text(
  'name',
  'a name of at most 40 lower-case letters, digits and `-`',
  /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
);
const ipv4 = z.ipv4({ error: 'an IPv4 address, such as 172.16.6.103' }).meta({ kind: 'IPv4 address' });
const reachable = text(
  'address',
  'an IP address or a host name',
  /^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/,
);
const port = whole('port', 1, 65535);
const count = (from: number, to: number) => whole('whole number', from, to);
const duration = text('duration', 'a duration with its unit, such as 500ms, 2s or 1w', durationPattern);
const durationOrNever = text(
  'duration, `never`',
  'a duration with its unit, such as 5m, or `never`',
  new RegExp(`^never$|${durationPattern.source}`),
);
const size = text('size', 'a size with its unit, such as 512MiB', sizePattern);
const flag = z.boolean({ error: '`true` or `false`' }).meta({ kind: '`true`, `false`' });
/** Characters that shells, unit files and zoo.cfg give a meaning are refused, not quoted in five ways. */
const hostPath = text(
  'path on hosts',
  'an absolute path without spaces and quotes, such as /opt/perijove',
  /^(?:\/(?!\.\.?(?:\/|$))[^\s/'"\\$`%;:,]+)+\/?$/,
);
const localPath = text('local path', 'a path on this machine', /^\S.*$/);
const executable = text(
  'program',
  'the name of a program on PATH, or its absolute path',
  /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|(?:\/(?!\.\.?(?:\/|$))[^\s/'"\\$`%;:,]+)+)$/,
);
const image = text('image', 'the name of an image', /^[a-z0-9][\w./:@-]*$/);
const subnet = z
  .string({ error: 'a subnet, such as 192.168.0.0/24' })
  .regex(/^[\d.]+\/\d+$/, { error: 'a subnet, such as 192.168.0.0/24' })
  .refine((cidr) => parseSubnet(cidr) !== undefined, {
    error: 'a subnet whose address is its first one, such as 192.168.0.0/24',
  })
  .meta({ kind: 'subnet' });

const meta = (description: string, example?: unknown, otherwise?: string) => ({
  description,
  ...(example !== undefined && { examples: [example] }),
  ...(otherwise !== undefined && { otherwise }),
});

const section = <T extends z.core.$ZodLooseShape>(shape: T, description: string, example?: unknown) =>
  z
    .strictObject(shape, {
      error: (issue) => (issue.code === 'invalid_type' ? 'keys with values' : undefined),
    })
    .meta(meta(description, example));

// --- SSH and hosts --------------------------------------------------------------------------------------

/** `other`: whose values are taken where these are not given. */
const sshKeys = (other?: string) => ({
  user: word.meta(meta('User to log in as.', 'ops', other ?? '`root`')).optional(),
  port: port.meta(meta('Port of sshd.', 22, other ?? '`22`')).optional(),
  key: localPath
    .meta(
      meta(
        'Private key on the machine of the worker; `~` and paths relative to the spec are resolved.',
        '~/.ssh/id_ed25519',
        other,
      ),
    )
    .optional(),
  agent: flag
    .meta(meta('Use the SSH agent at `SSH_AUTH_SOCK`.', true, other ?? '`true` where there is no `key`'))
    .optional(),
  knownHosts: localPath
    .meta(
      meta(
        'A `known_hosts` file on the machine of the worker. Without it each key is pinned on the first `check` or `up`.',
        '~/.ssh/known_hosts',
        other ?? 'keys are pinned',
      ),
    )
    .optional(),
});

const jump = section(
  {
    address: reachable.meta(meta('Address of the jump host.', 'gate.example.org')),
    ...sshKeys('that of the host'),
    port: sshKeys().port,
  },
  'A host to go through. `user`, `key`, `agent` and `knownHosts` are those of the host itself where they are not given; `port` is 22.',
);

const become = oneOf('none', 'sudo').meta(
  meta('How commands become root on the host.', 'sudo', '`none` for root, `sudo` for other users'),
);

const ssh = section(
  { ...sshKeys(), jump: jump.optional(), become: become.optional() },
  'How hosts are reached, for all hosts that do not say otherwise.',
);

const role = oneOf('zookeeper', 'master', 'agent', 'proxy');

const hostPorts = section(
  {
    zookeeper: port.meta(meta('ZooKeeper, for clients.')).default(2181),
    zookeeperPeer: port.meta(meta('ZooKeeper, from followers to the leader.')).default(2888),
    zookeeperElection: port.meta(meta('ZooKeeper, for elections.')).default(3888),
    master: port.meta(meta('Mesos master.')).default(5050),
    agent: port.meta(meta('Mesos agent.')).default(5051),
    proxy: port.meta(meta('Where users reach Jupyter.')).default(8888),
    proxyApi: port
      .meta(meta("The proxy's API; on 127.0.0.1, or on `address` where that is a loopback address."))
      .default(8887),
  },
  'Ports of the services on the host.',
);

const host = section(
  {
    name: name.meta(meta('Unique name, as in `perijove ssh h1`.', 'h1')),
    address: ipv4.meta(
      meta('Address that the services bind and are reached at by the other hosts.', '172.16.6.103'),
    ),
    sshAddress: reachable
      .meta(
        meta(
          'Where SSH reaches the host, when that is another address or a name.',
          'oo-lab.example.org',
          '`address`',
        ),
      )
      .optional(),
    hostname: reachable
      .meta(meta("What Mesos shows as the host's name (`--hostname`).", '162.105.174.32', '`address`'))
      .optional(),
    ...sshKeys('that of `ssh`'),
    jump: jump.optional(),
    become: become.optional(),
    dir: hostPath
      .meta(meta('Base directory: everything that Perijove puts on the host lies below it.', '/opt/perijove'))
      .default('/opt/perijove'),
    init: oneOf('auto', 'systemd', 'runit')
      .meta(meta('What supervises the services; `auto` takes systemd where it runs, else runit.'))
      .default('auto'),
    roles: z
      .array(role, { error: 'a list of roles' })
      .min(1, { error: 'at least one role' })
      .meta(meta('What runs on the host: `zookeeper`, `master`, `agent`, `proxy`.', ['master', 'proxy']))
      .default(['zookeeper', 'master', 'agent', 'proxy']),
    ports: hostPorts.prefault({}),
  },
  'The machines. `user`, `port`, `key`, `agent`, `knownHosts`, `jump` and `become` override those of `ssh`.',
);

// --- programs -------------------------------------------------------------------------------------------

/** Ways to install a program, with its own examples. */
const installs = (examples: {
  readonly package: string;
  readonly path: string;
  readonly archive: string;
}) => ({
  package: text('package', 'the name of a Debian package', /^[a-z0-9][a-z0-9+.-]*$/)
    .meta(meta('Debian package.', examples.package))
    .optional(),
  path: hostPath
    .meta(meta('Directory on the hosts where it is already installed.', examples.path))
    .optional(),
  tarball: text('URL', 'an http, https or file URL', /^(https?|file):\/\/\S+$/)
    .meta(
      meta(
        'URL of an archive; `sha256` is needed with it.',
        `https://downloads.example.org/${examples.archive}`,
      ),
    )
    .optional(),
  sha256: text('SHA-256', '64 hexadecimal digits', /^[0-9a-f]{64}$/)
    .meta(meta('SHA-256 of the archive.', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'))
    .optional(),
});

const zookeeperInstall = section(
  installs({
    package: 'zookeeper',
    path: '/opt/zookeeper',
    archive: 'apache-zookeeper-3.8.4-bin.tar.gz',
  }),
  'Where ZooKeeper comes from: exactly one of `package`, `path`, `tarball`.',
);

const mesosInstall = z
  .union(
    [
      z.literal('lab'),
      section(
        {
          ...installs({ package: 'mesos', path: '/usr/local/mesos', archive: 'mesos-1.11.0.tar.gz' }),
          image: image.meta(meta('Docker image.', 'mesos/mesos-centos:latest')).optional(),
        },
        'Exactly one of `package`, `path`, `tarball`, `image`.',
      ),
    ],
    { error: '`lab`, or one of the keys package, path, tarball, image' },
  )
  .meta({
    ...meta(
      'Where Mesos comes from: `lab` (the stand-in), or exactly one of `package`, `path`, `tarball`, `image`.',
      'lab',
    ),
    kind: '`lab`, keys',
  });

const flags = z
  .record(
    text('flag', 'the name of a flag, without dashes, such as work_dir', /^[a-z][a-z0-9_]*$/),
    z.union([z.string(), z.number(), z.boolean()], { error: 'text, a number, `true` or `false`' }),
    { error: 'flags with values' },
  )
  .meta(
    meta('Flags to add, named without dashes. They win over those that Perijove sets.', {
      offer_timeout: '30secs',
    }),
  );

const withFlags = (program: string) =>
  section({ flags: flags.default({}) }, `What to add to the command line of each ${program}.`);

// --- the file -------------------------------------------------------------------------------------------

const zookeeper = section(
  {
    install: zookeeperInstall.default({ package: 'zookeeper' }),
    tickTime: duration.meta(meta('`tickTime`; a session lasts from 2 to 20 ticks.')).default('2s'),
    initLimit: count(1, 1000).meta(meta('`initLimit`, in ticks.')).default(10),
    syncLimit: count(1, 1000).meta(meta('`syncLimit`, in ticks.')).default(5),
    heap: size.meta(meta("Heap of each server's JVM.")).default('512MiB'),
    digest: flag
      .meta(meta("Protect Mesos's znodes with a digest ACL: everybody reads them, masters alone write."))
      .default(false),
  },
  'The ensemble, on all hosts with the role `zookeeper`.',
);

const mesos = section(
  {
    install: mesosInstall,
    cluster: line
      .meta(meta('Name of the Mesos cluster (`--cluster`).', 'mesos_with_zookeeper', '`name`'))
      .optional(),
    quorum: count(1, 99)
      .meta(meta('Size of the quorum of masters (`--quorum`).', 2, 'the majority of the masters'))
      .optional(),
    zkPath: text('path', 'a path in ZooKeeper, such as /mesos', /^(\/[A-Za-z0-9._-]+)+$/)
      .meta(meta('Path of the masters in ZooKeeper.'))
      .default('/mesos'),
    sessionTimeout: duration
      .meta(
        meta(
          'ZooKeeper session of the masters (`--zk_session_timeout`): most of the time that a master failover takes.',
        ),
      )
      .default('10s'),
    agentPingTimeout: duration
      .meta(
        meta(
          'How long a master waits for the answer of an agent to a ping (`--agent_ping_timeout`), from 1s to 15m.',
        ),
      )
      .default('15s'),
    maxAgentPingTimeouts: count(1, 1000)
      .meta(
        meta(
          'After so many pings without an answer the tasks of an agent are unreachable (`--max_agent_ping_timeouts`).',
        ),
      )
      .default(5),
    framework: line.meta(meta('Name of the framework.', 'Final', '`name`')).optional(),
    principal: word
      .meta(
        meta(
          'Principal of the framework. Masters and agents then want it and its secret (HTTP basic) from everybody who asks.',
          'perijove',
          'none',
        ),
      )
      .optional(),
    role: text('role', 'a role of Mesos', /^(\*|[A-Za-z0-9_][A-Za-z0-9_./-]*)$/)
      .meta(meta('Role of the framework.', 'jupyter'))
      .default('*'),
    failoverTimeout: duration
      .meta(meta('How long Mesos keeps the tasks while no scheduler is connected.'))
      .default('1w'),
    fenceAfter: durationOrNever
      .meta(
        meta(
          'A host that is silent for so long (its agent, its SSH, and the address of its node) is taken for dead, and its nodes are launched elsewhere. `never`: only `perijove fence` says so.',
        ),
      )
      .default('5m'),
    master: withFlags('master').prefault({}),
    agent: withFlags('agent').prefault({}),
  },
  'Masters and agents, and the framework that runs the nodes.',
);

const vxlan = section(
  {
    name: text(
      'link name',
      'text of at most 15 letters, digits, `.`, `_` and `-`',
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/,
    )
      .meta(meta('Name of the Docker network and the bridge.'))
      .default('perijove'),
    id: count(1, 16_777_215).meta(meta('VXLAN network identifier.')).default(42),
    mtu: count(576, 9000).meta(meta("MTU of the nodes' interfaces.")).default(1450),
  },
  'A VXLAN between the hosts, made by Perijove.',
);

const network = section(
  {
    subnet: subnet.meta(meta('Subnet of the nodes.', '192.168.0.0/24')),
    existing: word
      .meta(meta('Name of a Docker network that exists on every agent host.', 'calico_net', 'a flat network'))
      .optional(),
    vxlan: vxlan.optional(),
  },
  "Where the nodes have their addresses: in an existing Docker network, in a VXLAN, or (with neither) flat: node addresses are addresses of the hosts' own network or loopback.",
);

const gluster = section(
  {
    volume: word.meta(meta('Name of the volume.', 'notebooks')),
    brick: hostPath.meta(
      meta(
        "Where the brick lies on each host: a directory of the volume's name is made there.",
        '/srv/brick',
      ),
    ),
    mount: hostPath.meta(meta('Where the volume is mounted on each agent host.', '/srv/notebooks')),
    pingTimeout: duration
      .meta(
        meta(
          'After so long without a word from a brick the others go on without it (`network.ping-timeout`); at most twice as long everybody who reads or writes is held up when a host is gone. Whole seconds.',
        ),
      )
      .default('3s'),
    force: flag
      .meta(meta('Accept a brick on the root file system, which GlusterFS refuses otherwise.'))
      .default(false),
  },
  'A GlusterFS volume with three replicas, on the first three agent hosts.',
);

const storage = section(
  {
    path: hostPath
      .meta(
        meta(
          'A directory that is the same on all agent hosts, such as a mount. Where it is missing it is made, as a plain directory: mount it first.',
          '/srv/notebooks',
        ),
      )
      .optional(),
    gluster: gluster.optional(),
  },
  'Where notebooks lie: exactly one of `path` and `gluster`.',
  { path: '/srv/notebooks' },
);

const nodes = section(
  {
    count: count(1, 99).meta(meta('How many nodes: etcd members.')).default(5),
    cpus: z
      .number({ error: 'a number above 0' })
      .positive({ error: 'a number above 0' })
      .meta(meta('CPUs of each node.', 0.5))
      .default(1),
    memory: size.meta(meta('Memory of each node.')).default('512MiB'),
    firstAddress: ipv4
      .meta(meta('Address of `node0`; the others follow it.', '192.168.0.10', "the subnet's address plus 10"))
      .optional(),
    containerizer: oneOf('docker', 'mesos')
      .meta(meta('`docker`: nodes are containers of `image`; `mesos`: process trees on the hosts.'))
      .default('docker'),
    image: image
      .meta(
        meta(
          'Image of the Docker nodes. `perijove-node` is the one of this package: built once, and brought to every host. Any other one is pulled by each host; it needs etcd, `sshd`, runit, `tini` and JupyterLab.',
          'registry.example.org/perijove-node:1',
        ),
      )
      .default('perijove-node'),
    sshPort: port.meta(meta("Port of each node's sshd.")).default(22),
    controlPort: port.meta(meta("Port of each node's control API.")).default(8889),
    allowMajorityOnOneHost: flag
      .meta(meta('Accept that the loss of one host can take the majority of etcd with it.'))
      .default(false),
  },
  'The nodes: one Mesos task each, with an etcd member, an sshd and Jupyter at a fixed address.',
);

const etcd = section(
  {
    token: word.meta(meta('`--initial-cluster-token`.', 'final', '`name`')).optional(),
    heartbeat: duration.meta(meta('`--heartbeat-interval`.')).default('50ms'),
    election: duration
      .meta(
        meta(
          '`--election-timeout`, at least 5 heartbeats: most of the time that a failover of Jupyter takes.',
        ),
      )
      .default('500ms'),
    clientPort: port.meta(meta('Port for clients.')).default(2379),
    peerPort: port.meta(meta('Port for the other members.')).default(2380),
    executable: executable
      .meta(meta('The program, on the host or in the image.', '/usr/bin/etcd'))
      .default('etcd'),
  },
  'The etcd cluster whose leader decides where Jupyter serves.',
);

const jupyter = section(
  {
    port: port.meta(meta("Jupyter's port on the node.")).default(8888),
    standby: oneOf('warm', 'cold')
      .meta(
        meta(
          '`warm`: a started Jupyter on every node, of which one serves. `cold`: Jupyter runs on the serving node alone, and each move waits for its start.',
        ),
      )
      .default('warm'),
    follow: oneOf('leader', 'sticky')
      .meta(
        meta(
          "`leader`: Jupyter moves with etcd's leadership. `sticky`: leadership that drifts away from a healthy Jupyter is moved back, so kernels live on.",
        ),
      )
      .default('leader'),
    reflexes: flag
      .meta(
        meta(
          'Nodes and proxies fail over by themselves, without a worker. Only with `standby: warm` and `follow: leader`; otherwise the keeper alone moves Jupyter.',
        ),
      )
      .default(true),
    executable: executable
      .meta(meta('The program, on the host or in the image.', '/opt/jupyter/bin/jupyter-lab'))
      .default('jupyter-lab'),
  },
  'JupyterLab in the nodes.',
);

const proxy = section(
  {
    topology: oneOf('direct', 'owner', 'chain')
      .meta(
        meta(
          '`direct`: every proxy leads to the serving node itself. `owner`: through the proxy of the host that the node runs on. `chain`: each proxy through the next ones. A proxy that does not answer is passed over.',
        ),
      )
      .default('direct'),
    drain: duration
      .meta(
        meta(
          'How long open connections to a node that lives, but serves no longer, may go on before they are cut.',
        ),
      )
      .default('30s'),
  },
  'The proxies, on all hosts with the role `proxy`.',
);

export const clusterFile = section(
  {
    name: name.meta(meta('Identity of the cluster: workflows and services are named after it.', 'lab')),
    ssh: ssh.prefault({}),
    hosts: z
      .array(host, { error: 'a list of hosts' })
      .min(1, { error: 'at least one host' })
      .meta(meta('The machines of the cluster.', [{ name: 'h1', address: '172.16.6.103' }])),
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
