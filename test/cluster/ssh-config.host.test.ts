import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadSpec, parseSpec } from '../../src/cluster/load.js';
import { SpecError } from '../../src/cluster/problem.js';
import { placeInSshConfig } from '../../src/cluster/ssh-config.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'perijove-ssh-config-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const me = userInfo();
const file = (name: string) => path.join(directory, name);
const config = (text: string, name = 'ssh_config') => writeFile(file(name), text);
/** A spec of one host with these SSH settings. */
const specText = (ssh: string, host: string) => `name: demo
ssh: ${ssh}
hosts:
  - { name: h1, address: 10.0.0.1, ${host} }
mesos: { install: { path: /usr/local } }
network: { subnet: 192.168.0.0/24 }
storage: { path: /srv/notebooks }
nodes: { count: 1, containerizer: mesos, allowMajorityOnOneHost: true }
etcd: { election: 500ms }
`;
const parsed = (ssh: string, host: string) =>
  parseSpec(specText(ssh, host), file('cluster.yaml'), '/home/ann');
const hostOf = (ssh: string, host: string) => {
  const { spec, problems } = parsed(ssh, host);
  if (spec === undefined) throw new Error(JSON.stringify(problems, null, 1));
  return spec.hosts[0];
};
const messages = (ssh: string, host: string) =>
  parsed(ssh, host).problems.map(({ line, message, remedy }) => `${line} ${message}. ${remedy}`);

describe('ssh_config', () => {
  it('is read for aliases, patterns, negation, includes and tokens, and the spec overrides it', async () => {
    await mkdir(file('more'));
    await config(`User eve\nIdentityFile ~/.ssh/%r_%n\n`, 'more/eve');
    await config(`
Include ${file('more')}/*
Host web* !web9
  HostName %h.example.org
  Port 2222
  User ann
  IdentitiesOnly yes
  CertificateFile %d/certificate
  IdentityAgent /run/agent.sock
  UserKnownHostsFile ~/.ssh/web_hosts
  HostKeyAlias web
Host=gate
  User ops
  Port 2200
Host * !gate
  ProxyJump gate
Match all
  Port 2299
`);
    const home = me.homedir;
    expect(hostOf('{ config: ssh_config }', 'sshAddress: web1')).toMatchObject({
      ssh: {
        address: 'web1.example.org',
        port: 2222,
        user: 'eve',
        agent: true,
        agentSocket: '/run/agent.sock',
        identityFiles: [`${home}/.ssh/eve_web1`],
        certificateFiles: [`${home}/certificate`],
        identitiesOnly: true,
        knownHostsFile: `${home}/.ssh/web_hosts`,
        hostKeyAlias: 'web',
      },
      become: 'sudo',
    });
    const overridden = hostOf(
      '{ config: ssh_config, user: root, key: id, knownHosts: known, jump: { address: j1, config: false } }',
      'sshAddress: web1, port: 22, loginTimeout: 1m',
    );
    expect(overridden?.ssh).toMatchObject({
      address: 'web1.example.org',
      port: 22,
      user: 'root',
      keyFile: file('id'),
      agent: false,
      knownHostsFile: file('known'),
      loginTimeoutMs: 60_000,
    });
    expect(overridden?.ssh.identityFiles).toBeUndefined();
    expect(overridden?.jump).toMatchObject({ address: 'j1', port: 22, user: 'root' });
    expect(
      hostOf('{ config: ssh_config, jump: { address: j1, config: false } }', 'sshAddress: web9'),
    ).toMatchObject({
      ssh: { address: 'web9', port: 2299 },
    });
  });

  it('supplies one jump host, with its own settings', async () => {
    await config(
      'Host in\n  ProxyJump gate\n  User ann\nHost gate\n  HostName 10.9.9.9\n  Port 2200\n  User ops\n',
    );
    expect(hostOf('{ config: ssh_config, loginTimeout: 1m }', 'sshAddress: in')?.jump).toMatchObject({
      address: '10.9.9.9',
      port: 2200,
      user: 'ops',
      loginTimeoutMs: 60_000,
    });
    await config('Host in\n  ProxyJump eve@gate:99\nHost gate\n  User ops\n');
    expect(hostOf('{ config: ssh_config }', 'sshAddress: in')?.jump).toMatchObject({ port: 99, user: 'eve' });
  });

  it('is refused where Perijove cannot do the same, with file and line', async () => {
    await config(`# hosts
Host pc
  ProxyCommand nc %h %p
Host far
  ProxyJump a,b
Host behind
  ProxyJump gate
Host gate
  ProxyJump outer
Host bound
  BindAddress 10.1.1.1
Host many
  UserKnownHostsFile /a /b
`);
    const at = (line: number) => `${file('ssh_config')}:${line}`;
    const of = (alias: string) => messages('{ config: ssh_config }', `sshAddress: ${alias}`);
    expect(of('pc')).toEqual([expect.stringContaining(`4 ProxyCommand nc %h %p (${at(3)}) applies to pc`)]);
    expect(of('far')).toEqual([expect.stringContaining(`ProxyJump a,b (${at(5)})`)]);
    expect(of('behind')).toEqual([expect.stringContaining('itself behind outer')]);
    expect(of('bound')).toEqual([expect.stringContaining(`BindAddress 10.1.1.1 (${at(11)})`)]);
    expect(of('many')).toEqual([expect.stringContaining(`UserKnownHostsFile (${at(13)}) names 2 files`)]);
    expect(messages('{ config: ssh_config }', 'sshAddress: pc, jump: { address: j1 }')).toEqual([]);
    await config('Host x\n  Bogus yes\n');
    expect(of('x')).toEqual([expect.stringMatching(/ssh_config: line 2: Bad configuration option: bogus/)]);
    expect(messages('{ config: absent }', 'sshAddress: x')).toEqual([expect.stringContaining('absent')]);
  });

  it('is not read without the key', async () => {
    await config('Host *\n  Port 99\n');
    expect(hostOf('{}', 'sshAddress: web')?.ssh).toEqual({
      address: 'web',
      port: 22,
      user: 'root',
      agent: true,
    });
    expect(messages('{ loginTimeout: 500ms }', 'sshAddress: web')).toEqual([
      expect.stringContaining('a login cannot be limited to 500ms'),
    ]);
  });
});

describe('placeInSshConfig', () => {
  it('finds a name that ssh_config has, for errors where it is not read', async () => {
    await config('# Host web\nHost other\nhost = db "Web"\nHost *.example\n');
    expect(placeInSshConfig('web', file('ssh_config'))).toBe(`${file('ssh_config')}:3`);
    expect(placeInSshConfig('a.example', file('ssh_config'))).toBeUndefined();
    expect(placeInSshConfig('web', file('absent'))).toBeUndefined();
  });
});

describe('hosts of ssh_config', () => {
  let gate: TestSshd;
  let inner: TestSshd;
  beforeAll(async () => {
    [gate, inner] = await Promise.all([
      startSshd({ address: '127.22.5.1', port: 2201 }),
      startSshd({ address: '127.22.5.2', port: 2202 }),
    ]);
  });
  afterAll(() => Promise.all([gate.remove(), inner.remove()]));

  it('are reached as `ssh` reaches them: alias, port, keys, jump host and known hosts', async () => {
    const [type, key] = (await readFile(path.join(inner.dir, 'host_key.pub'), 'utf8')).split(' ');
    await writeFile(file('known'), `inner-alias ${type} ${key}\n`);
    await config(`
Host inner
  HostName ${inner.address}
  Port ${inner.port}
  HostKeyAlias inner-alias
  UserKnownHostsFile ${file('known')}
  IdentityFile /nonexistent/key
  IdentityFile ${inner.keyFile}
  ProxyJump gate
Host gate
  HostName ${gate.address}
  Port ${gate.port}
  IdentityFile ${gate.keyFile}
`);
    await writeFile(
      file('cluster.yaml'),
      specText('{ config: ssh_config, agent: false }', 'sshAddress: inner'),
    );
    const spec = await loadSpec(file('cluster.yaml'));
    const pool = silentPool(file('pins'));
    try {
      const [host] = spec.hosts;
      if (host === undefined) throw new SpecError([], 'no host');
      const connection = await pool.get({ ...host, become: 'none' });
      expect(await connection.run('echo "$SSH_CONNECTION"')).toMatch(/^127\.\S+ \d+ 127\.22\.5\.2 2202\n$/);
      expect(await gate.sessions()).toHaveLength(1);
    } finally {
      await pool.close();
    }
  });
});
