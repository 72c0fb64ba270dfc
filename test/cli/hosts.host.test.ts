import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueClient, makeAuthority } from '../../src/cluster/authority.js';
import { marks } from '../../src/node/layout.js';
import { cli } from '../support/cli.js';
import { eventually } from '../support/eventually.js';
import { fingerprintOf, startSshd, type TestSshd } from '../support/sshd.js';

let sshds: TestSshd[];
let directory: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'perijove-cli-'));
  env = { ...process.env, XDG_STATE_HOME: path.join(directory, 'state') };
  sshds = await Promise.all([1, 2, 3].map((index) => startSshd({ address: `127.21.1.${index}` })));
});
afterAll(async () => {
  await Promise.all(sshds.map((sshd) => sshd.remove()));
  await rm(directory, { recursive: true });
});

/** A lab's spec whose hosts are the test's sshds, with pinned keys. */
async function writeSpec(edit: (text: string) => string = (text) => text): Promise<void> {
  const { username } = os.userInfo();
  const hosts = sshds.map(
    ({ address, port, keyFile, dir }, index) =>
      `  - { name: h${index + 1}, address: ${address}, port: ${port}, user: ${username}, key: ${keyFile}, become: none, dir: ${dir}/base, init: runit }`,
  );
  const text = [
    'name: cli',
    'hosts:',
    ...hosts,
    'zookeeper: { tickTime: 500ms }',
    'mesos: { install: lab, sessionTimeout: 3s }',
    'network: { subnet: 127.21.2.0/24 }',
    `storage: { path: ${directory} }`,
    'nodes: { containerizer: mesos, sshPort: 2222 }',
    `jupyter: { executable: ${process.execPath} }`,
  ].join('\n');
  await writeFile(path.join(directory, 'cluster.yaml'), edit(text));
}

const run = (...argv: string[]) => cli(argv, { cwd: directory, env });

describe('check', () => {
  it('pins the keys of unknown hosts, and prints their fingerprints once', async () => {
    await writeSpec();
    const first = await run('check');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    for (const [index, { dir }] of sshds.entries()) {
      const fingerprint = await fingerprintOf(path.join(dir, 'host_key.pub'));
      expect(first.stdout).toContain(`pinned the key of h${index + 1}: ${fingerprint}\n`);
      expect(first.stdout).toMatch(new RegExp(`^h${index + 1} +127.21.1.${index + 1} +ok .* runit$`, 'm'));
    }
    expect(first.stdout).toContain('cluster.yaml: no problems found\n');
    const second = await run('check', '--json');
    expect(JSON.parse(second.stdout)).toMatchObject({ cluster: 'cli', pinned: [], problems: [] });
  });

  it('names the hosts that are trusted at first sight, until the pinned keys are in a file of the spec', async () => {
    await writeSpec();
    const before = await run('check', '--json');
    expect(JSON.parse(before.stdout)).toMatchObject({ firstSight: ['h1', 'h2', 'h3'] });
    expect((await run('check')).stdout).toContain('The SSH keys of h1, h2, h3 are trusted at first sight');
    const pinned = path.join(directory, 'state', 'perijove', 'known_hosts');
    const keys = (await readdir(pinned)).map((name) => readFile(path.join(pinned, name), 'utf8'));
    await writeFile(path.join(directory, 'known_hosts'), (await Promise.all(keys)).join(''));
    await writeSpec((text) => text.replace('hosts:', 'ssh: { knownHosts: known_hosts }\nhosts:'));
    const after = await cli(['check', '--json'], {
      cwd: directory,
      env: { ...env, XDG_STATE_HOME: path.join(directory, 'another-machine') },
    });
    expect(JSON.parse(after.stdout)).toMatchObject({ firstSight: [], pinned: [], problems: [] });
    expect((await run('check')).stdout).not.toContain('first sight');
  });

  it('trusts the keys that host-keys prints, once they are in the spec, on every machine', async () => {
    await writeSpec();
    const elsewhere = { ...env, XDG_STATE_HOME: path.join(directory, 'fresh-machine') };
    const fresh = (...argv: string[]) => cli(argv, { cwd: directory, env: elsewhere });
    const { code, stdout } = await fresh('host-keys');
    expect(code).toBe(0);
    const printed = parse(stdout) as { readonly hosts: readonly { name: string; hostKeys: string[] }[] };
    expect(printed.hosts.map(({ name }) => name)).toEqual(['h1', 'h2', 'h3']);
    for (const { dir } of sshds) {
      expect(stdout).toContain(`${await fingerprintOf(path.join(dir, 'host_key.pub'))}, not known yet`);
    }
    const keyed = (text: string) =>
      printed.hosts.reduce(
        (spec, { name, hostKeys }) =>
          spec.replace(`name: ${name},`, `name: ${name}, hostKeys: ${JSON.stringify(hostKeys)},`),
        text,
      );
    await writeSpec(keyed);
    const checked = JSON.parse((await fresh('check', '--json')).stdout) as object;
    expect(checked).toMatchObject({ firstSight: [], pinned: [], problems: [] });
    expect(JSON.parse((await fresh('host-keys', 'h2', '--json')).stdout)).toMatchObject({
      keys: [{ host: 'h2', is: 'known' }],
      errors: [],
    });
    await sshds[1]?.changeHostKey();
    try {
      for (const machine of [run, fresh]) {
        expect(JSON.parse((await machine('check', '--json')).stdout)).toMatchObject({
          problems: [{ code: 'SSH_HOST_KEY_CHANGED', host: 'h2' }],
        });
      }
      expect((await fresh('host-keys', 'h2')).stdout).toContain('ANOTHER KEY THAN THE KNOWN ONE');
      const ssh = (host: string) =>
        promisify(execFile)(
          process.execPath,
          [path.resolve('bin/perijove.js'), 'ssh', host, '--', 'echo', 'in'],
          {
            cwd: directory,
            env: elsewhere,
          },
        );
      expect((await ssh('h1')).stdout).toBe('in\n');
      await expect(ssh('h2')).rejects.toMatchObject({ code: 3 });
    } finally {
      await rm(path.join(directory, 'state'), { recursive: true, force: true });
    }
  });

  it('secrets list says which hosts have what, without a value, and reports a host that cannot be read', async () => {
    await writeSpec();
    const [first, second] = sshds;
    if (!first || !second) expect.unreachable('three of them');
    for (const [{ dir }, value] of [
      [first, 'one-token'],
      [second, 'two-token'],
    ] as const) {
      await mkdir(path.join(dir, 'base/etc/secrets'), { recursive: true });
      await writeFile(path.join(dir, 'base/etc/secrets/jupyter-token'), value, { mode: 0o600 });
    }
    const { code, stdout } = await run('secrets', 'list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^jupyter-token +people who use Jupyter +h1, h2: values differ +-$/m);
    expect(stdout).toMatch(/^etcd-authority +issues the certificates of etcd +none +-$/m);
    expect(stdout).not.toContain('-token\n');
    expect(stdout).not.toMatch(/one-token|two-token/);
    await writeSpec((text) => text.replace(/port: \d+/, 'port: 1'));
    const partly = await run('secrets', 'list', '--json');
    expect(partly.code).toBe(3);
    const { secrets, errors } = JSON.parse(partly.stdout) as {
      readonly secrets: readonly { readonly name: string; readonly hosts: readonly string[] }[];
      readonly errors: readonly unknown[];
    };
    expect(errors).toHaveLength(1);
    expect(secrets.find(({ name }) => name === 'jupyter-token')?.hosts).toEqual(['h2']);
    for (const { dir } of [first, second]) await rm(path.join(dir, 'base'), { recursive: true });
    await writeSpec();
  });

  it('secrets rotate says what it means, and changes nothing until it is confirmed', async () => {
    await writeSpec();
    const before = await Promise.all(sshds.map(({ dir }) => readdir(dir, { recursive: true })));
    const unknown = await run('secrets', 'rotate', 'jupyter-tokn', '--yes');
    expect(unknown).toMatchObject({ code: 2 });
    expect(unknown.stderr).toContain('UNKNOWN_TARGET');
    const asked = await run('secrets', 'rotate', 'jupyter-token', 'node-api-token');
    expect(asked).toMatchObject({ code: 4 });
    expect(asked.stderr).toContain('ROTATION_NOT_CONFIRMED');
    expect(asked.stdout.replaceAll(/\s+/g, ' ')).toMatch(
      /jupyter-token: each node is replaced, one at a time/,
    );
    expect(asked.stdout.replaceAll(/\s+/g, ' ')).toMatch(/node-api-token: nothing restarts/);
    const silent = await run('secrets', 'rotate', '--json');
    expect(silent).toMatchObject({ code: 4 });
    expect(await Promise.all(sshds.map(({ dir }) => readdir(dir, { recursive: true })))).toEqual(before);
  });

  it('check fails for a certificate of etcd that has expired, and names one that ends soon', async () => {
    await writeSpec();
    const [first] = sshds;
    if (!first) expect.unreachable('three of them');
    const secrets = path.join(first.dir, 'base/etc/secrets');
    await mkdir(secrets, { recursive: true });
    const write = async (text: string) => writeFile(path.join(secrets, 'etcd-client'), text, { mode: 0o600 });
    const day = 86_400_000;
    const authority = await makeAuthority('cli', new Date());
    const issuedAgo = (days: number) => issueClient(authority, new Date(Date.now() - days * day));
    await write(await issuedAgo(3_649.5));
    const ending = await run('check');
    expect(ending.code).toBe(0);
    expect(ending.stdout.replaceAll(/\s+/g, ' ')).toContain(
      "The certificate of etcd's clients (etcd-client) on h1 ends in less than a day",
    );
    await write(await issuedAgo(3_651));
    const ended = await run('check');
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain('ETCD_CERTIFICATE_EXPIRED');
    expect(ended.stdout).toContain('cluster.yaml: 1 certificate has expired');
    const { problems, certificates } = JSON.parse((await run('check', '--json')).stdout) as {
      readonly problems: readonly unknown[];
      readonly certificates: readonly unknown[];
    };
    expect(problems).toMatchObject([{ code: 'ETCD_CERTIFICATE_EXPIRED' }]);
    expect(certificates).toMatchObject([
      { host: 'h1', name: 'etcd-client', certificate: { state: 'expired' } },
    ]);
    await rm(path.join(first.dir, 'base'), { recursive: true });
  });

  it('host-keys reports a host that cannot be asked, and prints the others', async () => {
    await writeSpec((text) => text.replace('127.21.1.3, port: 2200', '127.21.1.3, port: 2201'));
    const { code, stdout, stderr } = await run('host-keys');
    expect(code).toBe(3);
    expect(stderr).toContain('SSH_REFUSED');
    expect(stdout).toContain('- name: h2');
    expect(stdout).not.toContain('- name: h3');
    expect((await run('host-keys', 'h9')).code).toBe(2);
  });

  it('lists every problem of every host with its remedy, and exits by the first', async () => {
    const blocked = path.join(directory, 'cluster.yaml', 'base');
    await writeSpec((text) =>
      text
        .replace('127.21.1.3, port: 2200', '127.21.1.3, port: 2201')
        .replace(`dir: ${sshds[1]?.dir ?? ''}/base`, `dir: ${blocked}`)
        .replace(process.execPath, '/no/such/jupyter-lab'),
    );
    const { code, stdout } = await run('check', '--json');
    const { problems } = JSON.parse(stdout) as {
      problems: { code: string; host: string; remedy: string }[];
    };
    expect(code).toBe(3);
    expect(problems.map((problem) => `${problem.host} ${problem.code}`).sort()).toEqual([
      'h1 PROGRAM_MISSING',
      'h2 DIR_NOT_WRITABLE',
      'h2 PROGRAM_MISSING',
      'h3 SSH_REFUSED',
    ]);
    const text = (await run('check')).stdout;
    for (const problem of problems) expect(text).toContain(`→ ${problem.remedy}`);
    expect(text).toMatch(/^h3 +127.21.1.3 +-$/m);
  });
});

it('check and plan name a host of another cluster', async () => {
  await writeSpec();
  const etc = path.join(sshds[1]?.dir ?? '', 'base', 'etc');
  await mkdir(etc, { recursive: true });
  const mark = { name: 'elsewhere', id: 'b7c1fa0c-96f7-4d39-9e26-5c5b1ab0f0aa' };
  await writeFile(path.join(etc, 'cluster'), `${JSON.stringify(mark)}\n`);
  try {
    for (const verb of ['check', 'plan']) {
      const { code, stdout } = await run(verb, '--json');
      expect(code).toBe(4);
      expect(JSON.parse(stdout)).toMatchObject({
        problems: [
          {
            code: 'CLUSTER_HOSTS_TAKEN',
            host: 'h2',
            message: expect.stringContaining('elsewhere') as string,
          },
        ],
      });
    }
  } finally {
    await rm(path.dirname(etc), { recursive: true });
  }
});

describe('on a terminal of 80 columns', () => {
  const wide = (text: string) => text.split('\n').filter((line) => line.length > 80);
  const onTerminal = (...argv: string[]) =>
    cli(argv, { cwd: directory, env: { ...env, NO_COLOR: '1' }, isTTY: true, columns: 80 });

  it('check and plan fit', async () => {
    await writeSpec((text) => text.replace(process.execPath, '/no/such/jupyter-lab'));
    for (const verb of ['check', 'plan']) {
      const { stdout, stderr } = await onTerminal(verb);
      expect(stdout).toContain('PROGRAM_MISSING');
      expect([...wide(stdout), ...wide(stderr)]).toEqual([]);
    }
  });

  it('a missing key is reported once, not per host', async () => {
    const none = path.join(directory, 'no-key');
    await writeSpec((text) => text.replaceAll(/key: [^,]+/g, `key: ${none}`));
    const { code, stdout } = await run('check');
    expect(code).toBe(2);
    expect(stdout.match(/SSH_KEY_UNREADABLE/g)).toHaveLength(1);
    expect(stdout).toContain('h1, h2, h3: ');
    expect(stdout).toContain('1 problem blocks this deployment');
    expect(JSON.parse((await run('check', '--json')).stdout)).toMatchObject({
      problems: [{ host: 'h1' }, { host: 'h2' }, { host: 'h3' }],
    });
  });
});

describe('ssh', () => {
  it('runs a command on a host and returns its exit code', async () => {
    await writeSpec();
    const ssh = async (...words: string[]) => {
      const child = spawn(process.execPath, [path.resolve('bin/perijove.js'), 'ssh', 'h1', ...words], {
        cwd: directory,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let stdout = '';
      child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, stdout };
    };
    expect(await ssh('--', 'echo', 'one two', '-n')).toEqual({ code: 0, stdout: 'one two -n\n' });
    expect(await ssh('--', 'exit 7')).toEqual({ code: 7, stdout: '' });
  });
});

describe('plan', () => {
  it('lists what each stage would change, in order, and changes nothing', async () => {
    await writeSpec();
    const { code, stdout } = await run('plan');
    expect(code).toBe(0);
    const stages = stdout.split('\n').filter((line) => /^[a-z]+$/.test(line));
    expect(stages).toEqual(['install', 'storage', 'zookeeper', 'masters', 'agents', 'keeper']);
    expect(stdout).toMatch(/^ {2}h1: define zookeeper$/m);
    expect(stdout).toMatch(/^\d+ changes to make\.$/m);
    expect((await run('plan')).stdout).toBe(stdout);
  });

  it('says that closing an open etcd replaces each node twice', async () => {
    await writeSpec();
    const tree = path.join(sshds[1]?.dir ?? '', 'base/data/nodes/node0');
    await mkdir(path.join(tree, 'data/etcd/member'), { recursive: true });
    expect((await run('plan')).stdout.replace(/\s+/g, ' ')).toContain('each node is replaced twice');
    expect(JSON.parse((await run('plan', '--json')).stdout)).toMatchObject({ etcdTransition: true });
    await writeFile(path.join(tree, 'data/etcd-peer-tls'), '');
    expect(JSON.parse((await run('plan', '--json')).stdout)).toMatchObject({ etcdTransition: false });
    await rm(path.join(sshds[1]?.dir ?? '', 'base/data/nodes'), { recursive: true });
  });
});

describe('status', () => {
  it('of a missing cluster, without Temporal, reports what is missing within seconds', async () => {
    await writeSpec();
    const { code, stderr } = await run('status', '--temporal', '127.21.0.9:1');
    expect(code).toBe(3);
    expect(stderr).toContain('no Temporal server responds at 127.21.0.9:1');
  });
});

describe('logs', () => {
  it('prints the newest lines of a service, across the rotated file', async () => {
    await writeSpec();
    const log = path.join(sshds[0]?.dir ?? '', 'base', 'log', 'zookeeper');
    await mkdir(log, { recursive: true });
    await writeFile(path.join(log, '@40000000000000000000000a.s'), 'one\ntwo\n');
    await writeFile(path.join(log, 'current'), 'three\nfour\n');
    expect(await run('logs', 'h1/zookeeper', '-n', '3')).toEqual({
      code: 0,
      stdout: 'two\nthree\nfour\n',
      stderr: '',
    });
    expect(JSON.parse((await run('logs', 'h1/zookeeper', '-n', '1', '--json')).stdout)).toEqual({
      target: 'h1/zookeeper',
      host: 'h1',
      lines: ['four'],
    });
  });

  it('follows the log until interrupted', async () => {
    await writeSpec();
    const file = path.join(sshds[0]?.dir ?? '', 'base', 'log', 'zookeeper', 'current');
    const interrupt = new AbortController();
    let stdout = '';
    const running = cli(['logs', 'h1/zookeeper', '-f'], {
      cwd: directory,
      env,
      stdout: { write: (text) => (stdout += text) },
      signal: interrupt.signal,
    });
    await eventually(() => stdout.includes('four\n'));
    await writeFile(file, 'five\n', { flag: 'a' });
    await eventually(() => stdout.includes('five\n'));
    interrupt.abort();
    expect(await running).toMatchObject({ code: 130 });
  });

  it('finds a node on its host, preferring the live one', async () => {
    await writeSpec();
    const treeOf = (index: number) => path.join(sshds[index]?.dir ?? '', 'base', 'data', 'nodes', 'node0');
    for (const index of [1, 2]) {
      await mkdir(path.join(treeOf(index), 'log', 'etcd'), { recursive: true });
      await mkdir(path.join(treeOf(index), 'run'), { recursive: true });
      await writeFile(path.join(treeOf(index), 'log', 'etcd', 'current'), `on h${index + 1}\n`);
    }
    await utimes(path.join(treeOf(1), 'log', 'etcd', 'current'), 1_000, 1_000);
    expect((await run('logs', 'node0/etcd')).stdout).toBe('on h3\n');
    // Another program's process with the same PID is not the node.
    await writeFile(path.join(treeOf(1), 'run', 'start.pid'), `${process.pid}\n`);
    expect((await run('logs', 'node0/etcd')).stdout).toBe('on h3\n');
    const owner = spawn('sleep', ['60'], { env: { ...process.env, [marks.tree]: treeOf(1) } });
    try {
      await once(owner, 'spawn');
      await writeFile(path.join(treeOf(1), 'run', 'start.pid'), `${owner.pid}\n`);
      expect((await run('logs', 'node0/etcd')).stdout).toBe('on h2\n');
    } finally {
      owner.kill('SIGKILL');
    }
    const nowhere = await run('logs', 'node4/etcd');
    expect(nowhere.code).toBe(1);
    expect(nowhere.stderr).toContain('NODE_NOWHERE');
  });

  it('reports an unreachable host', async () => {
    await writeSpec((text) => text.replace('127.21.1.1, port: 2200', '127.21.1.1, port: 2201'));
    const { code, stderr } = await run('logs', 'h1/zookeeper');
    expect(code).toBe(3);
    expect(stderr).toContain('SSH_REFUSED');
  });
});

describe('open', () => {
  it('prints the address through each host, with the token from the hosts', async () => {
    await writeSpec();
    const secrets = path.join(sshds[2]?.dir ?? '', 'base', 'etc', 'secrets');
    await mkdir(secrets, { recursive: true });
    await writeFile(path.join(secrets, 'jupyter-token'), 'abc123\n');
    expect((await run('open', 'jupyter', '--url')).stdout.split('\n')).toEqual([
      'http://127.21.1.1:8888/lab?token=abc123',
      'http://127.21.1.2:8888/lab?token=abc123',
      'http://127.21.1.3:8888/lab?token=abc123',
      '',
    ]);
    expect((await run('open', 'jupyter', '--url', '--host', 'h2')).stdout).toBe(
      'http://127.21.1.2:8888/lab?token=abc123\n',
    );
    expect((await run('open', 'jupyter', '--url', '--host', 'h9')).code).toBe(2);
  });

  it('reports that no master is leading', async () => {
    await writeSpec();
    const { code, stderr } = await run('open', 'mesos', '--url');
    expect(code).toBe(1);
    expect(stderr).toContain('ADDRESS_UNKNOWN');
  });
});
