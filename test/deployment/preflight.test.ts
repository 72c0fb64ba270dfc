import { describe, expect, it } from 'vitest';
import type { HostFacts, Listener } from '../../src/hosts/facts.js';
import { noItems } from '../../src/hosts/items.js';
import { factsWanted, preflightProblems } from '../../src/deployment/preflight.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { GlusterSpec } from '../../src/storage/gluster.js';
import { makeGluster, makeSpec } from '../support/spec.js';

/** A host without problems for the spec. */
function goodFacts(spec: ClusterSpec, index: number, overrides: Partial<HostFacts> = {}): HostFacts {
  const host = spec.hosts[index];
  if (host === undefined) throw new Error(`the spec has no host ${index}`);
  const wanted = factsWanted(spec, host, noItems);
  return {
    host: host.name,
    os: { id: 'debian', version: '12', name: 'Debian GNU/Linux 12' },
    arch: 'x86_64',
    kernel: '6.1.0',
    hostname: host.name,
    uid: 0,
    init: { systemd: false, runit: true },
    apt: true,
    freeBytes: 10e9,
    writable: wanted.writable,
    apart: wanted.apart,
    memoryBytes: 8e9,
    cpus: 2,
    clock: { offsetMs: 0, errorMs: 50, reference: 'worker' },
    packages: wanted.packages,
    daemons: [],
    programs: wanted.programs,
    addresses: wanted.addresses,
    listeners: [],
    ...overrides,
  };
}

const spec = makeSpec();
const [host] = spec.hosts;
const problemsWith = (overrides: Partial<HostFacts>, of = spec, packages: readonly string[] = []) =>
  preflightProblems(
    of,
    of.hosts.map((_, index) => goodFacts(of, index, index === 0 ? overrides : {})),
    { [of.hosts[0]?.name ?? '']: { ...noItems, packages } },
  );
const listener = (overrides: Partial<Listener>): Listener => ({
  address: host?.address ?? '',
  port: host?.ports.master ?? 0,
  pid: 12,
  command: 'nginx -g daemon',
  own: false,
  ...overrides,
});

describe('preflightProblems', () => {
  it('finds no problems on a suitable host', () => {
    expect(problemsWith({})).toEqual([]);
  });

  describe('with a user of the nodes', () => {
    const user = { uid: 60_801, gid: 60_801 };
    const of = makeSpec({ nodes: { user } });
    const facts = {
      userObstacle: 'root lacks the capability SYS_PTRACE',
      foreign: '/srv/notebooks/./a.ipynb',
    };

    it('asks hosts about it, unless it is root', () => {
      const [first] = of.hosts;
      if (!first) expect.unreachable('a host');
      expect(factsWanted(of, first, noItems).user).toEqual({
        ...user,
        processes: true,
        notebooks: '/tmp/perijove-notebooks/notebooks',
        trees: `${first.dir}/data/nodes`,
        last: `${first.dir}/etc/nodes-user`,
      });
      const asRoot = makeSpec({ nodes: { user: { uid: 0, gid: 0 } } });
      expect(factsWanted(asRoot, first, noItems).user).toBeUndefined();
    });

    it('refuses what keeps nodes from running as the user, and notebooks that it cannot write', () => {
      expect(problemsWith(facts, of)).toMatchObject([
        { code: 'NODE_USER_UNUSABLE', message: expect.stringContaining('SYS_PTRACE') as string },
        { code: 'STORAGE_OF_OTHERS', message: 'h1: user 60801 cannot write /srv/notebooks/a.ipynb' },
      ]);
    });

    it('refuses where it is not known', () => {
      expect(problemsWith({ foreignUnknown: '/srv/notebooks cannot be listed' }, of)).toMatchObject([
        { code: 'STORAGE_OF_OTHERS', message: expect.stringContaining('it is unknown whether') as string },
      ]);
    });

    it('lets notebooks be that will be taken over', () => {
      const taking = makeSpec({
        nodes: { user },
        storage: { kind: 'path', path: '/tmp/perijove-notebooks', takeOwnership: true },
      });
      expect(problemsWith({ foreign: '/srv/notebooks/./a.ipynb' }, taking)).toEqual([]);
    });
  });

  it.each<[string, Partial<HostFacts>]>([
    ['DISK_FULL', { freeBytes: 100 * 1024 * 1024 }],
    ['INODES_SHORT', { freeInodes: 40 }],
    ['DIR_NOEXEC', { noexec: '/srv' }],
    ['DIR_NOT_WRITABLE', { writable: [spec.storage.kind === 'path' ? spec.storage.path : ''] }],
    ['STORAGE_NOT_WRITABLE', { writable: [host?.dir ?? ''] }],
    ['ADDRESS_NOT_LOCAL', { addresses: goodFacts(spec, 0).addresses.slice(1) }],
    ['PROGRAM_MISSING', { programs: [] }],
    ['PORT_IN_USE', { listeners: [listener({})] }],
    ['NO_INIT', { init: { systemd: true, runit: false }, apt: false }],
  ])('%s', (code, overrides) => {
    const problems = problemsWith(overrides);
    expect(problems.map((problem) => problem.code)).toContain(code);
    for (const problem of problems) {
      expect(problem.host).toBe(host?.name);
      expect(problem.remedy).not.toBe('');
    }
  });

  it('reports a link to nothing once, and says where it leads', () => {
    const path = host?.dir ?? '';
    const problems = problemsWith({
      writable: [],
      dangling: [{ path, link: path, target: '/mnt/disk' }],
    });
    expect(problems.map(({ code }) => code)).toEqual(['DIR_DANGLING', 'STORAGE_NOT_WRITABLE']);
    expect(problems[0]?.message).toContain(`${path} is a symbolic link to /mnt/disk, which does not exist`);
  });

  it('accepts facts of an earlier release, and file systems without a number of inodes', () => {
    expect(problemsWith({})).toEqual([]);
    expect(problemsWith({ freeInodes: 1_000 })).toEqual([]);
  });

  it('rejects a brick on the root file system, unless the spec forces it', () => {
    const withBrick = (more: Partial<GlusterSpec>) =>
      makeSpec({
        storage: makeGluster(more),
      });
    expect(problemsWith({}, withBrick({}))).toEqual([]);
    expect(problemsWith({ apart: [] }, withBrick({}))).toMatchObject([
      { code: 'STORAGE_BRICK_ROOT', host: host?.name },
    ]);
    expect(problemsWith({ apart: [] }, withBrick({ force: true }))).toEqual([]);
  });

  it('names the program on a port, or reports that it belongs to another user', () => {
    const [byNginx] = problemsWith({ listeners: [listener({ address: '*' })] });
    expect(byNginx?.message).toContain(`the Mesos master needs ${host?.address}:${host?.ports.master}`);
    expect(byNginx?.message).toContain('nginx -g daemon (process 12)');
    const { address, port, own } = listener({});
    expect(problemsWith({ listeners: [{ address, port, own }] })[0]?.message).toContain(
      'a program of another user',
    );
  });

  it('names a program on several ports once, with a truncated command line', () => {
    const java = { pid: 7, command: `java ${'-Dx=y '.repeat(40)}` };
    const problems = problemsWith({
      listeners: [
        listener({ ...java, port: host?.ports.zookeeper ?? 0 }),
        listener({ ...java, port: host?.ports.zookeeperPeer ?? 0 }),
        listener({}),
      ],
    });
    expect(problems).toHaveLength(2);
    expect(problems[0]?.message).toMatch(
      /ZooKeeper needs \S+:2181, and ZooKeeper's peer port needs \S+:2888, but java \S.{1,60}… \(process 7\) listens there$/,
    );
  });

  it('ignores programs of an earlier run, and listeners at other addresses', () => {
    expect(problemsWith({ listeners: [listener({ own: true }), listener({ address: '10.9.9.9' })] })).toEqual(
      [],
    );
  });

  it('checks the addresses of process nodes too', () => {
    const port = spec.jupyter.port;
    const [problem] = problemsWith({ listeners: [listener({ address: spec.nodes.firstAddress, port })] });
    expect(problem?.message).toContain('Jupyter of node0');
  });

  it('reports missing packages only if the user may not install them', () => {
    expect(problemsWith({ packages: [] }, spec, ['zookeeper'])).toEqual([]);
    expect(problemsWith({ packages: [], uid: 1000 }, spec, ['zookeeper'])[0]).toMatchObject({
      code: 'PACKAGE_MISSING_NO_ROOT',
      remedy: expect.stringContaining('apt-get install zookeeper') as string,
    });
    expect(problemsWith({ packages: [], apt: false }, spec, ['zookeeper'])[0]?.code).toBe('UNSUPPORTED_OS');
    expect(problemsWith({ packages: ['zookeeper'], apt: false, uid: 1000 }, spec, ['zookeeper'])).toEqual([]);
  });

  it('reports clocks that differ by more than the round trips explain', () => {
    const clock = (offsetMs: number, errorMs = 50, reference = 'worker') => ({
      clock: { offsetMs, errorMs, reference },
    });
    expect(problemsWith(clock(900))).toEqual([]);
    expect(problemsWith(clock(1500, 600))).toEqual([]);
    expect(problemsWith(clock(-5000, 50, 'another worker'))).toEqual([]);
    const problems = problemsWith(clock(-5000));
    expect(problems.map(({ code }) => code)).toEqual(['CLOCK_SKEW', 'CLOCK_SKEW']);
    expect(problems[0]?.message).toBe('the clock of h2 is 5.0 s ahead of that of h1');
  });

  it('rejects containers of Mesos for process nodes', () => {
    const install = { kind: 'image', image: 'mesos:1' } as const;
    expect(preflightProblems(makeSpec({ mesos: { install } }), []).map(({ code }) => code)).toEqual([
      'MESOS_IMAGE_PROCESS_NODES',
    ]);
  });

  it('lets systemd start a stopped daemon, and rejects a host without systemd', () => {
    const docker = (answers: boolean) => ({ daemons: [{ name: 'docker', answers }] });
    const withSystemd = { init: { systemd: true, runit: true } };
    expect(problemsWith(docker(true))).toEqual([]);
    expect(problemsWith({ ...docker(false), ...withSystemd })).toEqual([]);
    expect(problemsWith(docker(false))[0]).toMatchObject({
      code: 'DAEMON_MISSING',
      host: 'h1',
      message: 'h1: docker is not running, and there is no systemd to start it',
    });
  });
});
