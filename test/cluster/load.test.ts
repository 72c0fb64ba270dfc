import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { PerijoveError } from '../../src/errors/error.js';
import { canonicalJson } from '../../src/cluster/canonical.js';
import { specDigest } from '../../src/cluster/digest.js';
import { withoutHostKeys } from '../../src/cluster/host-keys.js';
import { loadSpec, parseSpec } from '../../src/cluster/load.js';
import { SpecError } from '../../src/cluster/problem.js';

const valid = `name: demo
ssh:
  key: ~/.ssh/id_ed25519
hosts:
  - name: h1
    address: 10.0.0.1
  - name: h2
    address: 10.0.0.2
  - name: h3
    address: 10.0.0.3
mesos:
  install:
    path: /usr/local
network:
  subnet: 192.168.0.0/24
storage:
  path: /srv/notebooks
nodes:
  containerizer: mesos
etcd:
  election: 500ms
`;

/** The valid file with one piece of its text replaced. */
function edited(piece: string, replacement: string, text = valid): string {
  if (!text.includes(piece)) throw new Error(`the file has no ${piece}`);
  return text.replace(piece, replacement);
}

/** The valid file with Docker nodes in a VXLAN. */
function inVxlan(prefix: string, more = ''): string {
  const docker = edited('containerizer: mesos', `containerizer: docker\n  count: 5${more}`);
  return edited('/24\n', `${prefix}\n  vxlan: {}\n`, docker);
}

/** `CODE line:column message` of each problem. */
function problems(text: string): string[] {
  return parseSpec(text, 'cluster.yaml').problems.map(
    ({ code, line, column, message }) => `${code} ${line}:${column} ${message}`,
  );
}

function specOf(text: string) {
  const { spec, problems: found } = parseSpec(text, '/clusters/cluster.yaml', '/home/ann');
  if (!spec) throw new Error(found.map(({ message }) => message).join('\n'));
  return spec;
}

const aKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfBDNDvJWJBKFCMDaa5f9JYN+OAi1+vFdOs2yWvNnWT';

describe('keys of hosts', () => {
  const keyed = edited('10.0.0.2\n', `10.0.0.2\n    hostKeys: [${aKey} root@h2]\n`);

  it('are those of the host or the jump host, without comments, and no part of the digest', () => {
    const spec = specOf(keyed);
    expect(spec.hosts.map(({ ssh }) => ssh.hostKeys)).toEqual([undefined, [aKey], undefined]);
    expect(specDigest(spec)).toBe(specDigest(specOf(valid)));
    const gate = `ssh:\n  jump: { address: gate, hostKeys: [${aKey}] }`;
    expect(specOf(edited('ssh:', gate)).hosts[0]?.jump?.hostKeys).toEqual([aKey]);
    expect(specDigest(specOf(edited('ssh:', gate)))).not.toBe(specDigest(spec));
  });

  it('give way to a known_hosts file', () => {
    const both = edited('ssh:', 'ssh:\n  knownHosts: known', keyed);
    expect(specOf(both).hosts[1]?.ssh).toMatchObject({ knownHostsFile: '/clusters/known' });
    expect(specOf(both).hosts[1]?.ssh).not.toHaveProperty('hostKeys');
  });

  it.each([
    'ssh-ed25519',
    'ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAfBDNDvJWJBKFCMDaa5f9JYN+OAi1+vFdOs2yWvNnWT',
    'abc',
    `h2 ${aKey}`,
  ])('are OpenSSH public keys: %s', (key) => {
    expect(problems(edited(aKey, key, keyed))).toEqual([
      expect.stringContaining('SPEC_BAD_VALUE 9:16 hosts[1].hostKeys[0]: expected an OpenSSH public key'),
    ]);
  });
});

describe('a valid file', () => {
  it('gets all defaults, as plain JSON with units in the names', () => {
    const spec = specOf(valid);
    expect(spec.hosts[0]).toEqual({
      name: 'h1',
      ssh: {
        address: '10.0.0.1',
        port: 22,
        user: 'root',
        keyFile: '/home/ann/.ssh/id_ed25519',
        agent: false,
      },
      become: 'none',
      address: '10.0.0.1',
      hostname: '10.0.0.1',
      dir: '/opt/perijove',
      init: 'auto',
      roles: ['zookeeper', 'master', 'agent', 'proxy'],
      ports: {
        zookeeper: 2181,
        zookeeperPeer: 2888,
        zookeeperElection: 3888,
        master: 5050,
        agent: 5051,
        proxy: 8888,
        proxyApi: 8887,
      },
    });
    expect(spec.mesos).toEqual({
      install: { kind: 'path', path: '/usr/local' },
      cluster: 'demo',
      quorum: 2,
      zkPath: '/mesos',
      sessionTimeoutMs: 10_000,
      agentPingTimeoutMs: 15_000,
      maxAgentPingTimeouts: 5,
      framework: 'demo',
      principal: 'perijove',
      role: '*',
      failoverTimeoutMs: 604_800_000,
      fenceAfterMs: 300_000,
      masterFlags: {},
      agentFlags: {},
    });
    expect(spec.zookeeper).toMatchObject({
      install: { kind: 'package', package: 'zookeeper' },
      digest: true,
    });
    expect(spec.network).toEqual({ kind: 'flat', subnet: '192.168.0.0/24' });
    expect(spec.nodes).toMatchObject({ count: 5, memoryBytes: 2 ** 29, firstAddress: '192.168.0.10' });
    expect(spec.etcd).toMatchObject({ token: 'demo', heartbeatMs: 50, electionMs: 500 });
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });

  it('has no principal and no digest where security is open; a digest where it says so', () => {
    const open = specOf(edited('/usr/local\n', '/usr/local\n  security: open\n'));
    expect(open.mesos.principal).toBeUndefined();
    expect(open.zookeeper.digest).toBe(false);
    const closed = edited('/usr/local\n', '/usr/local\n  security: open\nzookeeper:\n  digest: true\n');
    expect(specOf(closed).zookeeper.digest).toBe(true);
  });

  it.each([
    ['timing: busy', 200, 2_000],
    ['timing: wan', 500, 5_000],
    ['timing: busy, election: 1s', 200, 1_000],
  ])('has the times of etcd of `%s`', (keys, heartbeatMs, electionMs) => {
    const { etcd } = specOf(edited('etcd:\n  election: 500ms\n', `etcd: { ${keys} }\n`));
    expect(etcd).toMatchObject({ heartbeatMs, electionMs });
  });

  it('has no fencing timeout if `mesos.fenceAfter` is `never`', () => {
    const mesos = (fenceAfter: string) => edited('mesos:\n', `mesos:\n  fenceAfter: ${fenceAfter}\n`);
    expect(specOf(mesos('never')).mesos).not.toHaveProperty('fenceAfterMs');
    expect(specOf(mesos('90s')).mesos.fenceAfterMs).toBe(90_000);
    expect(problems(mesos('soon'))).toEqual([expect.stringContaining('SPEC_BAD_VALUE')]);
  });

  it('treats a section whose keys are all commented out as absent', () => {
    expect(specOf(`${valid}jupyter:\n  # port: 9999\n`).jupyter.port).toBe(8888);
  });

  it('has HTTPS by the cluster, or by files of a person', () => {
    const tls = (text: string) => specOf(`${valid}proxy: { tls: ${text} }\n`).proxy.tls;
    expect(tls('cluster')).toEqual({ issuer: 'cluster' });
    expect(tls('{ certificate: /c.pem, key: /k.pem, hsts: 1d }')).toEqual({
      certificateFile: '/c.pem',
      keyFile: '/k.pem',
      hstsMs: 86_400_000,
    });
    for (const wrong of ['clusters', 'true', '{ certificate: /c.pem }']) expect(() => tls(wrong)).toThrow();
  });

  it('resolves local paths against the directory of the file', () => {
    expect(specOf(edited('~/.ssh/id_ed25519', 'keys/id')).hosts[0]?.ssh.keyFile).toBe('/clusters/keys/id');
  });

  it('uses sudo for users other than root', () => {
    const spec = specOf(edited('  key:', '  user: ops\n  key:'));
    expect(spec.hosts[0]?.become).toBe('sudo');
  });

  it('uses the SSH agent if no key is set', () => {
    expect(specOf(edited('  key: ~/.ssh/id_ed25519', '  user: root')).hosts[0]?.ssh).toEqual({
      address: '10.0.0.1',
      port: 22,
      user: 'root',
      agent: true,
    });
  });

  it('lets a host override the defaults, and uses its credentials for its jump host', () => {
    const spec = specOf(
      edited(
        '    address: 10.0.0.1\n',
        '    address: 10.0.0.1\n    sshAddress: h1.example.org\n    user: ann\n    key: /keys/ann\n    jump: { address: gate.example.org }\n',
      ),
    );
    expect(spec.hosts[0]).toMatchObject({
      ssh: { address: 'h1.example.org', user: 'ann', keyFile: '/keys/ann', agent: false },
      jump: { address: 'gate.example.org', port: 22, user: 'ann', keyFile: '/keys/ann', agent: false },
      become: 'sudo',
      address: '10.0.0.1',
    });
    expect(spec.hosts[1]).not.toHaveProperty('jump');
  });

  it('reads flags of any scalar type as text', () => {
    const text = edited(
      '    path: /usr/local\n',
      '    path: /usr/local\n  agent:\n    flags: { a: 1, b: true, c: x }\n',
    );
    expect(specOf(text).mesos.agentFlags).toEqual({ a: '1', b: 'true', c: 'x' });
  });

  it('has a digest that depends on its content, not on its formatting', () => {
    const other = edited('name: demo\n', '', `# the same\n${valid}name: demo\n`);
    expect(specDigest(specOf(other))).toBe(specDigest(specOf(valid)));
    expect(specDigest(specOf(edited('500ms', '600ms')))).not.toBe(specDigest(specOf(valid)));
    const text = canonicalJson(withoutHostKeys(specOf(valid)));
    expect(specDigest(specOf(valid))).toBe(createHash('sha256').update(text).digest('hex'));
  });
});

describe('a problem is reported with its code and place', () => {
  const threeHosts = '10.0.0.3\n';
  const cases: readonly (readonly [title: string, text: string, expected: readonly string[]])[] = [
    ['invalid YAML', edited('name: demo', 'name: "demo'), ['SPEC_YAML 22:1 Missing closing "quote']],
    ['a key twice', `${valid}name: again\n`, ['SPEC_YAML 22:1 Map keys must be unique']],
    [
      'an unresolved alias',
      edited('demo', '*nobody'),
      ['SPEC_YAML 1:1 Unresolved alias (the anchor must be set before the alias): nobody'],
    ],
    ['an empty file', '# nothing\n', ['SPEC_MISSING_KEY 1:1 the file is empty']],
    ['a list', '- a\n', ['SPEC_BAD_VALUE 1:1 the file: expected a mapping, found a list']],
    [
      'an unknown key',
      edited('etcd:\n', 'etcd:\n  hartbeat: 1ms\n'),
      ['SPEC_UNKNOWN_KEY 21:3 unknown key in etcd: `hartbeat`'],
    ],
    ['a missing key', edited('name: demo\n', ''), ['SPEC_MISSING_KEY 1:1 missing key: name']],
    ['a key without its value', edited('name: demo', 'name:'), ['SPEC_MISSING_KEY 1:1 missing key: name']],
    [
      'a missing key of a host',
      edited('    address: 10.0.0.2\n', ''),
      ['SPEC_MISSING_KEY 7:5 missing key in hosts[1]: address'],
    ],
    [
      'no hosts',
      'name: a\nhosts: []\nmesos: { install: lab }\nnodes: { containerizer: mesos }\nnetwork: { subnet: 10.0.0.0/8 }\nstorage: { path: /x }\n',
      ['SPEC_BAD_VALUE 2:8 hosts: expected at least one host, found a list'],
    ],
    [
      'a misspelled required key, once',
      edited('address: 10.0.0.2', 'adress: 10.0.0.2'),
      ['SPEC_UNKNOWN_KEY 8:5 unknown key in hosts[1]: `adress`'],
    ],
    [
      'a number without a unit',
      edited('500ms', '500'),
      [
        'SPEC_BAD_VALUE 21:13 etcd.election: expected a duration with its unit, such as 500ms, 2s or 1w, found `500`',
      ],
    ],
    [
      'a port out of range',
      edited(threeHosts, '10.0.0.3\n    ports: { proxy: 88888 }\n'),
      ['SPEC_BAD_VALUE 11:21 hosts[2].ports.proxy: expected a port from 1 to 65535, found `88888`'],
    ],
    [
      'a host name instead of an address',
      edited('10.0.0.2', 'h2.example.org'),
      [
        'SPEC_BAD_VALUE 8:14 hosts[1].address: expected an IPv4 address, such as 172.16.6.103, found `h2.example.org`',
      ],
    ],
    [
      'a relative directory',
      edited(threeHosts, '10.0.0.3\n    dir: perijove\n'),
      [
        'SPEC_BAD_VALUE 11:10 hosts[2].dir: expected an absolute path of unaccented letters, digits and `._+@~-`, such as /opt/perijove, found `perijove`',
      ],
    ],
    [
      'a directory with `..`',
      edited(threeHosts, '10.0.0.3\n    dir: /opt/../etc\n'),
      [
        'SPEC_BAD_VALUE 11:10 hosts[2].dir: expected an absolute path of unaccented letters, digits and `._+@~-`, such as /opt/perijove, found `/opt/../etc`',
      ],
    ],
    [
      "a host with a node's name",
      edited('name: h2', 'name: node2'),
      ['SPEC_BAD_VALUE 7:11 node2 is a reserved node name'],
    ],
    [
      'a flag with dashes',
      edited('    path: /usr/local\n', '    path: /usr/local\n  master:\n    flags: { --quiet: true }\n'),
      [
        'SPEC_BAD_VALUE 15:14 mesos.master.flags: expected the name of a flag, without dashes, such as work_dir, found `--quiet`',
      ],
    ],
    [
      'a directory too long for the sockets below it',
      edited('10.0.0.3\n', `10.0.0.3\n    dir: /${'d'.repeat(80)}\n`),
      ['SPEC_BAD_VALUE 11:10 hosts[2].dir is 81 bytes long, too long for the paths of Unix sockets below it'],
    ],
    [
      'an unknown value of `mesos.install`',
      edited('\n    path: /usr/local', ' apache'),
      [
        'SPEC_BAD_VALUE 12:12 mesos.install: expected `lab`, or one of the keys package, path, tarball, image, found `apache`',
      ],
    ],
    [
      'no installation of Mesos',
      edited('\n    path: /usr/local', ' {}'),
      ['SPEC_MISSING_KEY 12:12 mesos.install has none of the keys package, path, tarball, image'],
    ],
    [
      'an unknown installation of Mesos',
      edited('path: /usr/local', 'paht: /usr/local'),
      ['SPEC_UNKNOWN_KEY 13:5 unknown key in mesos.install: `paht`'],
    ],
    [
      'two installations',
      edited('/usr/local\n', '/usr/local\n    image: mesos\n'),
      ['SPEC_ONE_OF 14:12 mesos.install: path and image are mutually exclusive'],
    ],
    [
      'an apt source without a version and a key',
      edited(
        'path: /usr/local',
        `package: mesos\n    apt: {source: http://a, suite: b, component: c, fingerprint: ${'A'.repeat(40)}}`,
      ),
      [
        'SPEC_MISSING_KEY 14:10 mesos.install.apt requires a version',
        'SPEC_MISSING_KEY 14:10 mesos.install.apt has none of the keys key, keyUrl',
      ],
    ],
    [
      'a version without a package',
      edited('/usr/local\n', '/usr/local\n    version: 1.0\n'.replace('1.0', "'1.0'")),
      ['SPEC_MISSING_KEY 14:14 mesos.install.version requires a package'],
    ],
    [
      'a fingerprint that is too short',
      edited(
        'path: /usr/local',
        `package: mesos\n    version: '1'\n    apt: {source: http://a, suite: b, component: c, keyUrl: 'http://k', fingerprint: ABCD}`,
      ),
      [
        'SPEC_BAD_VALUE 15:86 mesos.install.apt.fingerprint: expected the fingerprint of an OpenPGP key: 40 or 64 hexadecimal digits, with or without spaces, found `ABCD`',
      ],
    ],
    [
      'a tarball without a checksum',
      edited('path: /usr/local', 'tarball: https://example.org/mesos.tgz'),
      ['SPEC_MISSING_KEY 13:14 mesos.install.tarball requires a sha256'],
    ],
    [
      'a checksum without a tarball',
      edited('/usr/local\n', `/usr/local\n    sha256: ${'a'.repeat(64)}\n`),
      ['SPEC_ONE_OF 14:13 mesos.install.sha256 requires a tarball'],
    ],
    [
      'no storage',
      edited('storage:\n  path: /srv/notebooks', 'storage: {}'),
      ['SPEC_MISSING_KEY 16:10 storage has none of the keys path, gluster'],
    ],
    [
      'notebooks in a directory that `down --purge` deletes',
      edited('path: /srv/notebooks', 'path: /opt/perijove/notebooks'),
      [
        'SPEC_BAD_VALUE 17:9 storage.path is inside /opt/perijove, which `perijove down --purge` deletes on h1',
      ],
    ],
    [
      'a principal of open masters',
      edited('/usr/local\n', '/usr/local\n  security: open\n  principal: me\n'),
      ['SPEC_ONE_OF 15:14 mesos: a principal has no effect where security is open (see line 14)'],
    ],
    [
      'two kinds of network',
      edited(
        '/24\n',
        '/24\n  existing: calico_net\n  vxlan: {}\n',
        edited('containerizer: mesos', 'containerizer: docker'),
      ),
      ['SPEC_ONE_OF 17:10 network: existing and vxlan are mutually exclusive (see line 16)'],
    ],
    [
      'Docker nodes in a flat network',
      edited('containerizer: mesos', 'containerizer: docker'),
      ['SPEC_NETWORK 19:18 Docker nodes cannot have fixed addresses in a flat network (see line 15)'],
    ],
    [
      'process nodes in a VXLAN',
      edited('/24\n', '/24\n  vxlan: { id: 7 }\n'),
      ['SPEC_NETWORK 16:10 process nodes (nodes.containerizer: mesos) cannot join a VXLAN (see line 20)'],
    ],
    [
      'a host on loopback in a VXLAN',
      edited('10.0.0.1', '127.0.0.1', inVxlan('/24')),
      [
        'SPEC_NETWORK 6:14 h1 has the loopback address 127.0.0.1, from which VXLAN packets cannot reach other hosts (see line 16)',
      ],
    ],
    [
      'a VXLAN with too few addresses for the hosts',
      inVxlan('/29', '\n  firstAddress: 192.168.0.1'),
      ['SPEC_NETWORK 15:11 the upper quarter of 192.168.0.0/29 has addresses for 1 host, and there are 3'],
    ],
    [
      'nodes in the address range of the hosts of a VXLAN',
      inVxlan('/24', '\n  firstAddress: 192.168.0.190'),
      [
        'SPEC_NODE_ADDRESS_TAKEN 22:17 nodes would get 192.168.0.192 to 192.168.0.194, in the upper quarter of 192.168.0.0/24, which is reserved for hosts (see line 15)',
      ],
    ],
    [
      'an even ensemble',
      edited(threeHosts, '10.0.0.3\n    roles: [master, agent, proxy]\n'),
      ['SPEC_EVEN_ENSEMBLE 5:3 an ensemble of 2 ZooKeeper servers tolerates no more failures than one of 1'],
    ],
    [
      'a role that no host has',
      valid.replaceAll(/address: 10.*/g, '$&\n    roles: [zookeeper, master, agent]'),
      ['SPEC_ROLE_MISSING 5:3 no host has the role proxy'],
    ],
    [
      'an unknown role, without follow-up problems',
      edited(threeHosts, '10.0.0.3\n    roles: [zookeper]\n'),
      [
        'SPEC_BAD_VALUE 11:13 hosts[2].roles[0]: expected one of zookeeper, master, agent, proxy, found `zookeper`',
      ],
    ],
    [
      'a quorum that is not a majority',
      edited('mesos:\n', 'mesos:\n  quorum: 1\n'),
      ['SPEC_QUORUM 12:11 invalid quorum for 3 masters: 1'],
    ],
    [
      'a quorum above the number of masters',
      edited('mesos:\n', 'mesos:\n  quorum: 4\n'),
      ['SPEC_QUORUM 12:11 invalid quorum for 3 masters: 4'],
    ],
    [
      'two hosts with the same name',
      edited('name: h3', 'name: h1'),
      ['SPEC_DUPLICATE_HOST 9:11 duplicate host name: h1 (see line 5)'],
    ],
    [
      'two hosts with the same address, as one problem',
      edited('10.0.0.3', '10.0.0.1'),
      ['SPEC_DUPLICATE_HOST 10:14 h3 and h1 have the same address: 10.0.0.1 (see line 6)'],
    ],
    [
      'two hosts behind one sshd',
      valid.replaceAll(/address: (10.0.0.[12])/g, 'address: $1\n    sshAddress: gate.example.org'),
      ['SPEC_DUPLICATE_HOST 10:17 h2 and h1 have the same SSH target: gate.example.org:22 (see line 7)'],
    ],
    [
      'a directory that two hosts on the same machine share',
      valid.replaceAll('10.0.0', '127.0.1').replace('.3\n', '.3\n    dir: /opt/h3\n'),
      ['SPEC_DIR_CLASH 7:5 h2 and h1 are on the same machine and share the directory /opt/perijove'],
    ],
    [
      'two services on one port',
      edited(threeHosts, '10.0.0.3\n    ports:\n      agent: 6060\n      master: 6060\n'),
      [
        'SPEC_PORT_CLASH 12:14 the Mesos agent on h3 and the Mesos master on h3 have the same address and port: 10.0.0.3:6060 (see line 13)',
      ],
    ],
    [
      'a service on the port of sshd',
      edited(threeHosts, '10.0.0.3\n    ports: { proxy: 22 }\n'),
      ['SPEC_PORT_CLASH 11:21 the proxy on h3 and sshd on h3 have the same address and port: 10.0.0.3:22'],
    ],
    [
      "the proxy's API on the port of the proxy, on loopback",
      valid.replaceAll(
        /address: 10.0.0.(\d)/g,
        'address: 127.0.1.$1\n    dir: /opt/h$1\n    ports: { proxy: 7000, proxyApi: 7000 }',
      ),
      [8, 12, 16].map(
        (line, index) =>
          `SPEC_PORT_CLASH ${line}:37 the proxy's API on h${index + 1} and the proxy on h${index + 1} have the same address and port: 127.0.1.${index + 1}:7000`,
      ),
    ],
    [
      'two programs of a node on the same port',
      edited('etcd:\n', 'etcd:\n  clientPort: 8888\n'),
      ["SPEC_PORT_CLASH 21:15 Jupyter and etcd's client port on each node have the same port: 8888"],
    ],
    [
      'a subnet with host bits',
      edited('192.168.0.0/24', '192.168.0.1/24'),
      [
        'SPEC_BAD_VALUE 15:11 network.subnet: expected a subnet without host bits, such as 192.168.0.0/24, found `192.168.0.1/24`',
      ],
    ],
    [
      'nodes outside the subnet',
      edited('nodes:\n', 'nodes:\n  firstAddress: 192.168.1.10\n'),
      [
        'SPEC_NODE_OUTSIDE_SUBNET 19:17 node0 to node4 would get 192.168.1.10 to 192.168.1.14, outside 192.168.0.0/24 (see line 15)',
      ],
    ],
    [
      'nodes that end outside the subnet',
      edited('nodes:\n', 'nodes:\n  firstAddress: 192.168.0.253\n'),
      [
        'SPEC_NODE_OUTSIDE_SUBNET 19:17 node0 to node4 would get 192.168.0.253 to 192.168.1.1, outside 192.168.0.0/24 (see line 15)',
      ],
    ],
    [
      'a node with the broadcast address',
      edited('nodes:\n', 'nodes:\n  firstAddress: 192.168.0.251\n'),
      [
        'SPEC_NODE_OUTSIDE_SUBNET 19:17 node0 to node4 would get 192.168.0.251 to 192.168.0.255, which includes the broadcast address 192.168.0.255 (see line 15)',
      ],
    ],
    [
      'a node with the network address',
      edited('nodes:\n', 'nodes:\n  firstAddress: 192.168.0.0\n'),
      [
        'SPEC_NODE_OUTSIDE_SUBNET 19:17 node0 to node4 would get 192.168.0.0 to 192.168.0.4, which includes the network address 192.168.0.0 (see line 15)',
      ],
    ],
    [
      'nodes past the last IPv4 address',
      edited('nodes:\n', 'nodes:\n  firstAddress: 255.255.255.254\n'),
      [
        'SPEC_NODE_OUTSIDE_SUBNET 19:17 node0 to node4 would get 255.255.255.254 to 255.255.255.255, outside 192.168.0.0/24 (see line 15)',
      ],
    ],
    [
      'a node with the address of a host',
      edited(
        'nodes:\n',
        'nodes:\n  firstAddress: 10.0.0.1\n',
        edited(
          '192.168.0.0/24',
          '10.0.0.0/24',
          edited('10.0.0.1', '10.0.1.1', edited('10.0.0.2', '10.0.1.2')),
        ),
      ),
      ['SPEC_NODE_ADDRESS_TAKEN 19:17 node2 would get 10.0.0.3, the address of h3 (see line 10)'],
    ],
    [
      'a majority of etcd on one host',
      edited('nodes:\n', 'nodes:\n  count: 1\n'),
      [
        'SPEC_ETCD_MAJORITY_ON_ONE_HOST 19:10 with 1 node on 3 agent hosts, one host holds 1, and the etcd majority is 1',
      ],
    ],
    [
      'an election shorter than 5 heartbeats',
      edited('500ms', '500ms\n  heartbeat: 101ms'),
      [
        'SPEC_TIMEOUT 21:13 etcd accepts an election timeout of 5 heartbeats (505 ms) to 50 s, not 500 ms (see line 22)',
      ],
    ],
    [
      'a session timeout that ZooKeeper does not accept',
      edited('mesos:\n', 'mesos:\n  sessionTimeout: 3s\n'),
      [
        'SPEC_TIMEOUT 12:19 ZooKeeper accepts a session timeout of 2 to 20 ticks (4000 to 40000 ms), not 3000 ms',
      ],
    ],
    [
      'an agent ping timeout that masters do not accept',
      edited('mesos:\n', 'mesos:\n  agentPingTimeout: 500ms\n'),
      ['SPEC_TIMEOUT 12:21 Mesos masters accept a ping timeout of 1 s to 15 min, not 500 ms'],
    ],
    [
      'a ping timeout that GlusterFS does not accept',
      edited(
        '  path: /srv/notebooks',
        '  gluster: { volume: v, brick: /srv/b, mount: /srv/m, pingTimeout: 1500ms }',
      ),
      ['SPEC_TIMEOUT 17:68 GlusterFS accepts a ping timeout of 1 to 1013 whole seconds, not 1500 ms'],
    ],
    [
      'agents that become unreachable before they can detect a new leader',
      edited('mesos:\n', 'mesos:\n  agentPingTimeout: 1s\n  maxAgentPingTimeouts: 10\n'),
      [
        'SPEC_TIMEOUT 12:21 a master would declare agents unreachable after 10000 ms, before they can detect a new leader, which takes 10000 ms',
      ],
    ],
    [
      'a flag that has its own key',
      edited('mesos:\n', 'mesos:\n  master: { flags: { slave_ping_timeout: 1secs } }\n'),
      [
        'SPEC_BAD_VALUE 12:42 --slave_ping_timeout must be set by mesos.agentPingTimeout, because the scheduler uses it too',
      ],
    ],
  ];
  it.each(cases)('%s', (_title, text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  it('is not reported if the spec accepts the majority on one host', () => {
    expect(problems(edited('nodes:\n', 'nodes:\n  count: 1\n  allowMajorityOnOneHost: true\n'))).toEqual([]);
  });

  it('is reported together with all others, in line order', () => {
    const text = edited(
      'nodes:\n',
      'nodes:\n  memory: 512\n  count: 1\n',
      edited('name: h2', 'name: H2', edited('mesos:\n', 'mesos:\n  quorum: 9\n')),
    );
    expect(problems(text).map((problem) => problem.split(' ').slice(0, 2).join(' '))).toEqual([
      'SPEC_BAD_VALUE 7:11',
      'SPEC_QUORUM 12:11',
      'SPEC_BAD_VALUE 20:11',
      'SPEC_ETCD_MAJORITY_ON_ONE_HOST 21:10',
    ]);
  });

  it('has the nearest known key as its remedy', () => {
    const remedies = ['hartbeat', 'election_timeout', 'clientport', 'zzzzzz'].map((key) => {
      const { problems: found } = parseSpec(`${valid}  ${key}: 1\n`, 'cluster.yaml');
      return found[0]?.remedy;
    });
    expect(remedies).toEqual([
      'Did you mean `heartbeat`?',
      'Did you mean `election`?',
      'Did you mean `clientPort`?',
      'Use one of token, timing, heartbeat, election, security, clientPort, peerPort, executable.',
    ]);
  });
});

describe('an odd file', () => {
  const flags = (text: string) => edited('mesos:\n', `mesos:\n  agent: { flags: { ${text} } }\n`);
  const nodes = (text: string) => edited('nodes:\n', `nodes:\n  ${text}\n`);
  const firstHost = (text: string) => edited('10.0.0.1\n', `10.0.0.1\n    ${text}\n`);
  const notAPath =
    'expected an absolute path of unaccented letters, digits and `._+@~-`, such as /opt/perijove';

  const cases: [string, string, string[]][] = [
    [
      'with an invisible character in a path',
      edited('/srv/notebooks', '/srv/note\u200bbooks'),
      [
        'SPEC_BAD_VALUE 17:9 storage.path contains the invisible character U+200B (zero-width space) after `/srv/note`',
      ],
    ],
    [
      'with an invisible character in free text',
      edited('mesos:\n', 'mesos:\n  cluster: "\\u202egpj"\n'),
      ['SPEC_BAD_VALUE 12:12 mesos.cluster contains the invisible character U+202E at the beginning'],
    ],
    [
      'with a control character in a path',
      firstHost('dir: "/opt/a\\u0007b"'),
      ['SPEC_BAD_VALUE 7:10 hosts[0].dir contains the invisible character U+0007 (bell) after `/opt/a`'],
    ],
    [
      'with a control character in a flag',
      flags('a: "\\u001b[31m"'),
      [
        'SPEC_BAD_VALUE 12:24 mesos.agent.flags.a contains the invisible character U+001B (escape) at the beginning',
      ],
    ],
    [
      'with a no-break space in a path',
      edited('/srv/notebooks', '/srv/note\u00a0books'),
      [expect.stringMatching(/^SPEC_BAD_VALUE 17:9 .* found `\/srv\/note<U\+00A0>books`$/) as string],
    ],
    [
      'with infinity for a number',
      nodes('cpus: .inf'),
      ['SPEC_BAD_VALUE 19:9 nodes.cpus: expected a number above 0, found `.inf`'],
    ],
    [
      'with a number too large to be one',
      nodes('count: 1e400'),
      ['SPEC_BAD_VALUE 19:10 nodes.count: expected a whole number from 1 to 99, found `1e400`'],
    ],
    [
      'with a huge integer',
      nodes('count: 123456789012345678901234567890'),
      [
        'SPEC_BAD_VALUE 19:10 nodes.count: expected a whole number from 1 to 99, found `123456789012345678901234567890`',
      ],
    ],
    [
      'with two documents',
      `${valid}---\n${valid}`,
      ['SPEC_YAML 22:1 one document expected; the second begins in line 22'],
    ],
    [
      'that is a template',
      edited('name: demo', 'name: {{ cluster }}', edited('10.0.0.1', '{{ address }}')),
      ['SPEC_YAML 1:7 this looks like a template: `{{ cluster }}`'],
    ],
    [
      'with the block of a template',
      edited('hosts:\n', 'hosts:\n{% for host in hosts %}\n'),
      ['SPEC_YAML 5:1 this looks like a template: `{% for host in hosts %}`'],
    ],
    [
      'with a mapping for a key',
      edited('name: demo', '{a: b}: demo'),
      ['SPEC_YAML 1:1 a key must be text, not a mapping or a list'],
    ],
    ...['0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255'].map((address): [string, string, string[]] => [
      `with the address ${address} for a host`,
      edited('10.0.0.1', address),
      [
        `SPEC_BAD_VALUE 6:14 hosts[0].address: expected the IPv4 address of one host, such as 172.16.6.103, found \`${address}\``,
      ],
    ]),
    ...['0.0.0.0', '239.1.1.1', '10.0.0', '10.0.0.256'].map((address): [string, string, string[]] => [
      `with the address ${address} for SSH`,
      firstHost(`sshAddress: ${address.split('.').length === 4 ? address : `"${address}"`}`),
      [
        expect.stringMatching(
          /^SPEC_BAD_VALUE 7:17 hosts\[0\].sshAddress: expected the IP address of one host, or a host name/,
        ) as string,
      ],
    ]),
    [
      'with a subnet of group addresses',
      edited('192.168.0.0/24', '224.0.0.0/24'),
      [
        'SPEC_BAD_VALUE 15:11 network.subnet: expected a subnet of addresses that hosts can have, such as 192.168.0.0/24, found `224.0.0.0/24`',
      ],
    ],
    ...[
      'a&b',
      'a|reboot',
      '(x)',
      'a>b',
      'a<b',
      'a*',
      'a?',
      '[a]',
      '{a}',
      'a#b',
      'a!b',
      'a^b',
      'a=b',
      'é',
    ].map((name): [string, string, string[]] => [
      `with the directory /opt/${name}`,
      firstHost(`dir: "/opt/${name}"`),
      [`SPEC_BAD_VALUE 7:10 hosts[0].dir: ${notAPath}, found \`/opt/${name}\``],
    ]),
  ];
  it.each(cases)('%s gets one clear error', (_title, text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  it.each(['::1', '2001:db8::7', 'fe80::1%eth0', 'my_alias', 'gate.example.org'])(
    'is an SSH address: %s',
    (address) => {
      expect(problems(firstHost(`sshAddress: "${address}"`))).toEqual([]);
    },
  );

  it.each(['[::1]', '::1::2', '1:2:3', '2001:db8::7:22:1:1:1:1:1', 'fe80::1%'])(
    'is no SSH address: %s',
    (address) => {
      expect(problems(firstHost(`sshAddress: "${address}"`))).toEqual([
        expect.stringMatching(/expected an IP(v6)? address/),
      ]);
    },
  );

  it('that is a template causes no warning of the parser', () => {
    const warn = vi.spyOn(process, 'emitWarning');
    problems(edited('name: demo', 'name: {{ cluster }}'));
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  it('with a template in quotes, or a number for text, gets the remedy that fits', () => {
    const remedy = (text: string) =>
      parseSpec(text, 'cluster.yaml').problems.map((problem) => problem.remedy);
    expect(remedy(edited('name: demo', 'name: "{{ cluster }}"'))).toEqual([
      'This looks like a template. Render it first.',
    ]);
    expect(remedy(edited('etcd:\n', 'etcd:\n  token: 007\n'))).toEqual(['Write it in quotes: `"007"`.']);
    expect(remedy(edited('name: demo', 'name: true'))).toEqual(['Write it in quotes: `"true"`.']);
  });

  it('passes flags on as they are written', () => {
    const text = flags(
      'a: 1.10, b: 12345678901234567890, c: 0x1F, d: 1e3, e: true, f: "1.10", g: *g, h: "a\\n\\tb"',
    ).replace('name: demo', 'name: &g demo');
    expect(specOf(text).mesos.agentFlags).toEqual({
      ...{ a: '1.10', b: '12345678901234567890', c: '0x1F', d: '1e3', e: 'true', f: '1.10', g: 'demo' },
      h: 'a\n\tb',
    });
  });

  it('accepts paths that operators have', () => {
    for (const dir of ['/opt/a-b_c.d', '/srv/c++', '/home/a@b/x', '/opt/~x', '/opt/-x', '/opt/..a']) {
      expect(problems(firstHost(`dir: ${dir}`))).toEqual([]);
    }
    expect(problems(edited('/srv/notebooks', '/srv/cahiers-é/笔记'))).toEqual([]);
  });
});

describe('any text at all', () => {
  const scalars = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, 'lab', '127.0.0.1', '10.0.0.0/8', '1s', '512MiB', '/x', 'zookeeper', '__proto__'),
  );
  const keys = fc.oneof(
    fc.constantFrom(
      ...[
        'name',
        'ssh',
        'hosts',
        'address',
        'ports',
        'roles',
        'jump',
        'zookeeper',
        'mesos',
        'install',
        'agent',
        'flags',
      ],
      ...[
        'network',
        'subnet',
        'vxlan',
        'storage',
        'gluster',
        'nodes',
        'count',
        'etcd',
        'jupyter',
        'proxy',
        'path',
      ],
      ...['constructor', '__proto__', 'toString'],
    ),
    fc.string(),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, scalars, tie('list'), tie('map')),
    list: fc.array(tie('tree'), { maxLength: 4 }),
    map: fc.dictionary(keys, tie('tree'), { maxKeys: 8, noNullPrototype: true }),
  }));

  /** Either a spec, or problems that each have a code, a place in the file and a remedy. */
  function expectVerdict(text: string): void {
    const { spec, problems: found } = parseSpec(text, 'cluster.yaml');
    expect(spec === undefined).toBe(found.length > 0);
    const lines = text.split(/\r\n|\n|\r/).length;
    for (const problem of found) {
      expect(problem.line).toBeGreaterThanOrEqual(1);
      expect(problem.line).toBeLessThanOrEqual(lines);
      expect(problem.column).toBeGreaterThanOrEqual(1);
      expect(problem.message).not.toBe('');
      expect(problem.remedy).not.toBe('');
    }
  }

  it('is accepted or refused without an exception', () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), expectVerdict), { numRuns: 300 });
  });

  it('is accepted or refused for any tree of data', () => {
    fc.assert(
      fc.property(tree, (data) => {
        expectVerdict(stringify(data));
      }),
      { numRuns: 500 },
    );
  });

  it('is accepted or refused if a part of a valid file is replaced by anything', () => {
    const lines = valid.split('\n').length - 1;
    fc.assert(
      fc.property(fc.nat(lines - 1), fc.oneof(tree, scalars), (line, data) => {
        const replaced = valid.split('\n');
        replaced[line] = (replaced[line] ?? '').replace(/(: ).+|$/, (match, colon: string | undefined) =>
          colon === undefined ? match : `${colon}${JSON.stringify(data ?? null)}`,
        );
        expectVerdict(replaced.join('\n'));
      }),
      { numRuns: 500 },
    );
  });

  it('is refused if its aliases would grow without bound', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
    for (const [name, inner] of ['ba', 'cb', 'dc', 'ed', 'fe'].map((pair) => pair.split(''))) {
      bomb.push(
        `${name ?? ''}: &${name ?? ''} [${Array(9)
          .fill(`*${inner ?? ''}`)
          .join(',')}]`,
      );
    }
    expectVerdict(bomb.join('\n'));
  });
});

describe('loadSpec', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-spec-'));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
  });

  it('reads a file', async () => {
    const file = path.join(directory, 'good.yaml');
    await writeFile(file, valid);
    expect((await loadSpec(file)).name).toBe('demo');
  });

  it('refuses a file that does not exist', async () => {
    const error = await loadSpec(path.join(directory, 'none.yaml')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PerijoveError);
    expect(error).toMatchObject({ code: 'SPEC_NOT_FOUND', exitCode: 2 });
  });

  it('refuses a directory', async () => {
    await expect(loadSpec(directory)).rejects.toMatchObject({ code: 'SPEC_NOT_FOUND' });
  });

  it.each([
    ['Latin-1', Buffer.from(edited('/srv/notebooks', '/srv/cahiers-é'), 'latin1'), { line: 17 }],
    ['UTF-16', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(valid, 'utf16le')]), {}],
    ['a binary file', Buffer.concat([Buffer.from(valid), Buffer.from([0, 1, 2, 0xff, 0xfe])]), {}],
    ['a file of 2 MiB', Buffer.alloc(2 ** 21, 'a'), {}],
  ])('refuses %s with one line', async (_kind, bytes, place) => {
    const file = path.join(directory, 'odd.yaml');
    await writeFile(file, bytes);
    const error: unknown = await loadSpec(file).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SPEC_YAML', exitCode: 2, place: { file, ...place } });
    expect((error as PerijoveError).message).toMatch(/^.{1,200}$/);
  });

  it('reads a file with a byte order mark', async () => {
    const file = path.join(directory, 'mark.yaml');
    await writeFile(file, `\ufeff${valid}`);
    expect((await loadSpec(file)).name).toBe('demo');
  });

  it('reports all problems of an invalid file', async () => {
    const file = path.join(directory, 'bad.yaml');
    await writeFile(file, edited('name: demo\n', '', edited('500ms', '5')));
    const error: unknown = await loadSpec(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SpecError);
    expect(error).toMatchObject({ code: 'SPEC_INVALID', exitCode: 2, message: `${file} has 2 problems` });
    expect((error as SpecError).problems.map(({ code }) => code)).toEqual([
      'SPEC_MISSING_KEY',
      'SPEC_BAD_VALUE',
    ]);
  });
});
