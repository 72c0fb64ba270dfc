import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadSpec } from '../../src/cluster/load.js';
import type { Verb } from '../../src/cli/parser.js';
import { verbs } from '../../src/cli/verbs.js';
import { cli } from '../support/cli.js';

const example = path.resolve('examples/lab.yaml');

let cwd: string;
/** Isolated from the user: no lab, no profile. */
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  cwd = await mkdtemp(path.join(os.tmpdir(), 'perijove-cli-'));
  env = { PATH: process.env['PATH'], XDG_STATE_HOME: path.join(cwd, 'state') };
});
afterEach(async () => {
  await rm(cwd, { recursive: true });
});

const run = (...argv: string[]) => cli(argv, { cwd, env });

/** With these lines typed. */
const atTerminal = (lines: readonly string[], ...argv: string[]) => {
  const stdin = Object.assign(Readable.from(lines.map((line) => `${line}\n`)), { isTTY: true });
  return cli(argv, { cwd, env, stdin, isTTY: true });
};

/** Every command as typed; the first is the program itself. */
const paths = ['', ...(await Promise.all(verbs.map(pathsOf))).flat()];

async function pathsOf({ name, load }: Verb): Promise<string[]> {
  const definition = await load();
  const inner = definition.kind === 'group' ? definition.commands : [];
  return [name, ...inner.map((each) => `${name} ${each.name}`)];
}

describe('help', () => {
  it('lists every verb with its summary', async () => {
    const { code, stdout, stderr } = await run('--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name, summary } of verbs)
      expect(stdout).toMatch(new RegExp(`^ +${name} .*${summary.slice(0, 20)}`, 'm'));
  });

  it('is printed without arguments, as a usage error', async () => {
    expect(await run()).toMatchObject({ code: 2, stdout: (await run('--help')).stdout });
  });

  it.each(verbs.map(({ name }) => name))('of %s has more than its summary', async (name) => {
    const { code, stdout } = await run(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: perijove ${name}`);
    expect((await run('help', name)).stdout).toBe(stdout);
  });

  it.each(verbs)('summary of $name is that of its module', async ({ summary, load }) => {
    expect((await load()).summary).toBe(summary);
  });

  it.each(paths)('of `%s` fits 80 columns, and its paragraphs wrap only full lines', async (path) => {
    const { stdout } = await cli([...path.split(' ').filter((word) => word !== ''), '--help'], {
      cwd,
      env,
      columns: 80,
    });
    const lines = stdout.split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const headings = lines.findIndex((line) => /^\w+:$/.test(line));
    const early = lines.slice(0, headings).filter((line, index) => {
      const [next = ''] = (lines[index + 1] ?? '').split(' ');
      return line !== '' && next !== '' && line.length + 1 + next.length <= 80;
    });
    expect(early).toEqual([]);
  });
});

it('prints the version of the package', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  expect(await run('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

describe('usage errors', () => {
  it.each([
    [['statsu'], "unknown command 'statsu' (Did you mean status?)", '`perijove --help`'],
    [['status', '--wach'], "unknown option '--wach' (Did you mean --watch?)", '`perijove status --help`'],
    [['logs'], "missing required argument 'target'", '`perijove logs --help`'],
    [['status', 'h1', 'h2'], 'too many arguments', '`perijove status --help`'],
    [
      ['worker', '--log-level', 'loud'],
      'Allowed choices are trace, debug, info, warn, error',
      '`perijove worker --help`',
    ],
  ])('%j is explained', async (argv, message, help) => {
    const { code, stdout, stderr } = await run(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(help);
    expect(stderr).toContain('USAGE');
    expect(stderr).not.toContain('error: error');
  });

  it.each([
    [['drill', 'run', '--nothing'], "unknown option '--nothing'", '`perijove drill run --help`'],
    [
      ['logs', 'h1/zookeeper', '--lines', 'abc', '--file', example],
      '--lines must be a number',
      '`perijove logs --help`',
    ],
    [
      ['lab', 'up', '--subnet', '127.0.7'],
      '--subnet must be 127.0 to 127.255, not `127.0.7`',
      '`perijove lab up --help`',
    ],
    [
      ['drill', 'run', 'node-kill', '--budget', 'soon', '--file', example],
      '--budget must be a duration',
      '`perijove drill run --help`',
    ],
    [
      ['drill', 'run', 'random', '--count', '0', '--file', example],
      '--count must be a number',
      '`perijove drill run --help`',
    ],
    [
      ['drill', 'report', 'none', '--file', example],
      'invalid drill number: none',
      '`perijove drill report --help`',
    ],
  ])('%j names the help of its command', async (argv, message, help) => {
    const { code, stderr } = await run(...argv);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(help);
  });

  it.each([
    [['drill', 'run', 'node-kil', '--file', example], 'Did you mean `node-kill`?'],
    [
      ['open', 'jupiter', '--file', example],
      'Did you mean `jupyter`? Use one of jupyter, temporal, mesos, status.',
    ],
    [['logs', 'h1/zookeper', '--file', example], 'Did you mean `zookeeper`?'],
    [['logs', 'nod3', '--file', example], 'Did you mean `node'],
  ])('%j gets a suggestion', async (argv, meant) => {
    const { code, stderr } = await run(...argv);
    expect(code).toBe(2);
    expect(stderr).toContain(meant);
  });

  it('are JSON with --json', async () => {
    const { code, stdout, stderr } = await run('status', '--nothing', '--json');
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'USAGE',
        message: "unknown option '--nothing'",
        remedy: 'See `perijove status --help`.',
      },
    });
  });
});

describe('init', () => {
  it('writes a valid example, and never overwrites a file', async () => {
    expect((await run('init', '--example', 'origin')).code).toBe(0);
    const text = await readFile(path.join(cwd, 'cluster.yaml'), 'utf8');
    const schema = /\$schema=(.*)/.exec(text)?.[1] ?? '';
    expect((await stat(schema)).isFile()).toBe(true);
    expect(text.split('\n').slice(1)).toEqual(
      (await readFile('examples/three-hosts.yaml', 'utf8')).split('\n').slice(1),
    );

    const again = await run('init', '--example', 'origin');
    expect(again.code).toBe(4);
    expect(again.stderr).toContain('FILE_EXISTS');
    expect((await run('init', '--force', '--example', 'lab')).code).toBe(0);
    expect(await readFile(path.join(cwd, 'cluster.yaml'), 'utf8')).toContain('name: lab');
  });

  it('writes a spec for hosts that are named, which is valid as it is', async () => {
    const hosts = [
      '--hosts',
      '10.0.0.11,10.0.0.12,c=10.0.0.13',
      '--mesos',
      'path:/usr/local',
      '--user',
      'ops',
    ];
    expect(await run('init', ...hosts)).toMatchObject({ code: 0, stderr: '' });
    const spec = await loadSpec(path.join(cwd, 'cluster.yaml'));
    expect(spec.hosts.map(({ name, address, ssh }) => [name, address, ssh.user])).toEqual([
      ['h1', '10.0.0.11', 'ops'],
      ['h2', '10.0.0.12', 'ops'],
      ['c', '10.0.0.13', 'ops'],
    ]);
    expect(spec).toMatchObject({
      mesos: { install: { kind: 'path', path: '/usr/local' } },
      network: { kind: 'vxlan' },
      storage: { kind: 'gluster', force: true },
      nodes: { containerizer: 'docker', image: 'perijove-node' },
    });
    const others = [
      ...hosts.slice(0, 2),
      '--mesos',
      'lab',
      '--network',
      'calico_net',
      '--storage',
      '/mnt/shared',
    ];
    expect((await run('init', '--force', ...others)).code).toBe(0);
    expect(await loadSpec(path.join(cwd, 'cluster.yaml'))).toMatchObject({
      mesos: { install: { kind: 'lab' } },
      network: { kind: 'existing', name: 'calico_net' },
      storage: { kind: 'path', path: '/mnt/shared' },
    });
  });

  it('asks on a terminal, again for an answer that does not fit', async () => {
    const answers = [
      '10.0.0.300',
      'a=10.0.0.11,b=10.0.0.12,10.0.0.13',
      '',
      '',
      'apt',
      'lab',
      '',
      '/mnt/shared',
    ];
    const result = await atTerminal(answers, 'init');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('an IPv4 address');
    expect(result.stdout).toContain('An answer is necessary.');
    expect(result.stdout).toContain('invalid source of Mesos: apt');
    expect(result.stdout.match(/Directory that all hosts share/g)).toHaveLength(1);
    const spec = await loadSpec(path.join(cwd, 'cluster.yaml'));
    expect(spec.hosts.map(({ name, ssh }) => [name, ssh.user])).toEqual([
      ['a', 'root'],
      ['b', 'root'],
      ['h3', 'root'],
    ]);
    expect(spec).toMatchObject({
      mesos: { install: { kind: 'lab' } },
      network: { kind: 'vxlan' },
      storage: { kind: 'path', path: '/mnt/shared' },
    });
  });

  it('writes nothing if the answers end', async () => {
    const result = await atTerminal(['10.0.0.11', ''], 'init');
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('--hosts is missing');
    await expect(stat(path.join(cwd, 'cluster.yaml'))).rejects.toThrow('ENOENT');
  });

  it.each([
    [[], 2, '--hosts is missing'],
    [['--example', 'lab', '--user', 'ops'], 2, '--example is not for a spec of your hosts'],
    [['--hosts', '10.0.0.11'], 2, '--mesos is missing'],
    [['--user', 'ops'], 2, '--hosts is missing'],
    [['--hosts', '10.0.0.11', '--mesos', 'apt'], 2, 'invalid source of Mesos: apt'],
    [['--hosts', '10.0.0.300', '--mesos', 'lab'], 2, 'an IPv4 address'],
  ])('%j: writes nothing', async (argv, code, text) => {
    const result = await run('init', ...argv);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(text);
    await expect(stat(path.join(cwd, 'cluster.yaml'))).rejects.toThrow('ENOENT');
  });

  it('reports an unwritable directory', async () => {
    const { code, stderr } = await run('init', 'no/such/directory.yaml', '--example', 'lab');
    expect(code).toBe(2);
    expect(stderr).toContain('cannot write no/such/directory.yaml (ENOENT)');
  });
});

describe('the spec', () => {
  it('is missing: the remedy names all three ways to provide one', async () => {
    const { code, stderr } = await run('status');
    expect(code).toBe(2);
    expect(stderr).toContain('SPEC_NOT_FOUND');
    expect(stderr).toMatch(/perijove init.*--file.*perijove lab up/);
  });

  it('is the argument or --file, else PERIJOVE_FILE, else ./cluster.yaml, else the lab’s', async () => {
    const lab = path.join(cwd, 'state', 'perijove', 'lab');
    await run('init', 'given.yaml', '--example', 'origin');
    const named = async (argv: string[], more: NodeJS.ProcessEnv = {}) =>
      (await cli(['status', ...argv], { cwd, env: { ...env, ...more } })).stderr.split('\n')[0];
    await mkdir(lab, { recursive: true });
    for (const file of ['option.yaml', 'variable.yaml', 'cluster.yaml', path.join(lab, 'cluster.yaml')]) {
      await writeFile(path.resolve(cwd, file), 'name: X\n');
    }
    expect(await named(['--file', 'option.yaml'], { PERIJOVE_FILE: 'variable.yaml' })).toContain(
      'option.yaml has',
    );
    expect(await named(['option.yaml'], { PERIJOVE_FILE: 'variable.yaml' })).toContain('option.yaml has');
    expect(await named(['option.yaml', '--file', 'other.yaml'])).toContain('both');
    expect(await named([], { PERIJOVE_FILE: 'variable.yaml' })).toContain('variable.yaml has');
    expect(await named([])).toContain(' cluster.yaml has');
    await rm(path.join(cwd, 'cluster.yaml'));
    expect(await named([])).toContain('state/perijove/lab/cluster.yaml has');
  });

  it('has several errors: each is listed with its location, remedy and code', async () => {
    await writeFile(path.join(cwd, 'cluster.yaml'), 'name: Lab\nhosts: []\nmesos: { instal: lab }\n');
    const { code, stdout, stderr } = await run('up');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: cluster\.yaml has \d problems\n/);
    expect(stderr).toMatch(/^cluster\.yaml:1:7 +SPEC_BAD_VALUE\n {2}name: expected .*\n {2}→ .+/m);
    expect(stderr).toMatch(/^cluster\.yaml:3:10 +SPEC_UNKNOWN_KEY\n.*\n {2}→ Did you mean `install`\?/m);
    expect(stderr).toContain('SPEC_MISSING_KEY');
    expect(stderr).not.toContain('    at ');
  });

  it('lacks keys: each is shown with an example', async () => {
    await writeFile(path.join(cwd, 'cluster.yaml'), 'name: lab\n');
    const { stderr } = await run('check');
    for (const example of [
      '`hosts: [ { name: h1, address: 172.16.6.103 } ]`',
      '`mesos: { install: lab }`',
      '`network: { subnet: 192.168.0.0/24 }`',
      '`storage: { path: /srv/notebooks }`',
    ]) {
      expect(stderr).toContain(example);
    }
  });

  it.each([
    ['a picture', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70, 73, 70]), 'but a binary one'],
    ['a program', Buffer.from('\u007fELF\u0002\u0001\u0000'), 'but a binary one'],
    ['megabytes of text', Buffer.alloc(2 * 1024 * 1024, 'a: "b" c\n'), 'is larger than 1 MiB'],
  ])('is %s: the error is one line', async (_what, bytes, message) => {
    await writeFile(path.join(cwd, 'cluster.yaml'), bytes);
    const { code, stderr } = await run('check');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: cluster\.yaml is .*\n {2}do {5}.*\n {2}code {3}SPEC_YAML\n$/);
    expect(stderr).toContain(message);
    expect(stderr.length).toBeLessThan(300);
  });

  it('has errors, as JSON', async () => {
    await writeFile(path.join(cwd, 'cluster.yaml'), 'name: Lab\n');
    const { code, stdout } = await run('plan', '--json');
    expect(code).toBe(2);
    const { error } = JSON.parse(stdout) as {
      error: { code: string; problems: { code: string; line: number; file: string }[] };
    };
    expect(error.code).toBe('SPEC_INVALID');
    expect(error.problems.map(({ code: each }) => each)).toContain('SPEC_BAD_VALUE');
    expect(error.problems.every(({ line, file }) => line === 1 && file === 'cluster.yaml')).toBe(true);
    expect(stdout).not.toContain('"stack"');
  });

  it('has errors: shows the stack only with --debug', async () => {
    const { stderr } = await run('up', '--file', 'none.yaml', '--debug');
    expect(stderr).toContain('none.yaml does not exist');
    expect(stderr).toContain('    at ');
  });
});

describe('targets', () => {
  it.each([
    [['logs', 'h9'], 'three-hosts has no host or node `h9`', 'oo-lab1, oo-lab2, oo-lab3, node0'],
    [['logs', 'oo-lab1'], 'oo-lab1 is a host: one of its services is needed', 'oo-lab1/zookeeper'],
    [
      ['logs', 'oo-lab1/etcd'],
      'oo-lab1 has no service `etcd`',
      'zookeeper, mesos-master, mesos-agent, proxy',
    ],
    [['logs', 'node1/zookeeper'], 'node1 has no service `zookeeper`', 'etcd, sshd, jupyter, control'],
    [['ssh', 'node5'], 'three-hosts has no host or node `node5`', 'node4'],
    [['logs', 'node1', '-n', 'many'], '--lines must be a number, not `many`', ''],
    [['open', 'nothing'], 'unknown page `nothing`', 'jupyter, temporal, mesos'],
  ])('%j is explained', async (argv, message, remedy) => {
    await run('init', '--example', 'origin');
    const { code, stderr } = await run(...argv);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain(remedy);
  });
});
