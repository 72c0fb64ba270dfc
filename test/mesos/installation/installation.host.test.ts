import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { surveyOf } from '../../../src/deployment/host-survey.js';
import { converge, type ConvergeDeps } from '../../../src/hosts/converge.js';
import type { Change } from '../../../src/hosts/items.js';
import { removeHost } from '../../../src/hosts/remove.js';
import { hostServices } from '../../../src/hosts/services.js';
import {
  installationProblems,
  observeMesos,
  requireInstallation,
} from '../../../src/mesos/installation/installation.js';
import { agentItems, masterItems } from '../../../src/mesos/installation/items.js';
import type { ClusterSpec, Install } from '../../../src/cluster/spec.js';
import type { HostConnection, SshPool } from '../../../src/ssh/connection.js';
import { debianPackages } from '../../support/debian-packages.js';
import { eventually } from '../../support/eventually.js';
import { canCopyMachine, startMachine, type TestMachine } from '../../support/machine.js';
import { makeBuildTree, makePrefix } from '../../support/mesos-installation.js';
import { builtProgram } from '../../support/programs.js';
import { makeSpec } from '../../support/spec.js';
import { startSshd, type TestSshd } from '../../support/sshd.js';
import { silentPool } from '../../support/ssh-pool.js';

let local: string;
let pool: SshPool;
let deps: ConvergeDeps;

beforeAll(async () => {
  local = await mkdtemp(path.join(tmpdir(), 'perijove-installation-'));
  const programsDir = path.dirname(await builtProgram('perijove-node'));
  deps = {
    artifacts: { programsDir, nodeBinary: process.execPath },
    cluster: 'test',
  };
  pool = silentPool(path.join(local, 'known'));
});

afterAll(async () => {
  await pool.close();
  await rm(local, { recursive: true, force: true });
});

/** A cluster of only this host, whose ZooKeeper never starts: masters and agents respond without it. */
const specOf = ({ host }: HostConnection, install: Install): ClusterSpec =>
  makeSpec({ hosts: [host], mesos: { install, quorum: 1 } });

const whats = (changes: readonly Change[]) => changes.map(({ what }) => what);

/** The work of the stages `masters` and `agents` on the host. */
async function deploy(connection: HostConnection, install: Install): Promise<string[]> {
  const spec = specOf(connection, install);
  const found = await observeMesos(connection, spec);
  requireInstallation(spec, connection.host, found);
  return [
    ...whats(await converge(connection, masterItems(spec, connection.host, found), deps)),
    ...whats(await converge(connection, agentItems(spec, connection.host, found), deps)),
  ];
}

/** The flags that a running master or agent reports. */
async function flagsOf({ host }: HostConnection, port: number): Promise<Record<string, string>> {
  return eventually('it tells its flags', async () => {
    const answer = await fetch(`http://${host.address}:${port}/flags`);
    return ((await answer.json()) as { flags: Record<string, string> }).flags;
  });
}

describe('a Mesos on a host', () => {
  let sshd: TestSshd;
  let connection: HostConnection;
  let dir: string;

  beforeAll(async () => {
    sshd = await startSshd({ address: '127.71.7.1' });
    connection = await pool.get(sshd.host());
  });
  beforeEach(async () => {
    dir = path.join(await mkdtemp(path.join(local, 'test-')), 'mesos');
  });
  afterEach(() => removeHost(connection, { purge: true, cluster: 'test' }));
  afterAll(() => sshd.remove());

  const observe = async (install: Install) => {
    const spec = specOf(connection, install);
    const found = await observeMesos(connection, spec);
    return {
      found,
      problems: installationProblems(spec, connection.host, found).map(
        ({ code, message }) => `${code} ${message}`,
      ),
    };
  };
  const at = (where: string): Install => ({ kind: 'path', path: where });

  it('is found in a prefix, in a build tree and in their directories of programs', async () => {
    await makePrefix(`${dir}/prefix`);
    await makeBuildTree(`${dir}/build`);
    const prefix = await observe(at(`${dir}/prefix`));
    expect(prefix).toMatchObject({
      found: {
        isThere: true,
        programs: {
          'mesos-master': { path: `${dir}/prefix/sbin/mesos-master`, version: '1.3.2' },
          'mesos-agent': { path: `${dir}/prefix/sbin/mesos-agent`, version: '1.3.2' },
        },
        launcherDir: `${dir}/prefix/libexec/mesos`,
        webuiDir: `${dir}/prefix/share/mesos/webui`,
      },
      problems: [],
    });
    expect(prefix.found?.programs['mesos-master']?.flags).toEqual(
      expect.arrayContaining(['zk', 'quorum', 'quiet', 'agent_ping_timeout', 'slave_ping_timeout']),
    );
    for (const [where, program] of [
      [`${dir}/build`, `${dir}/build/bin/mesos-agent.sh`],
      [`${dir}/build/bin`, `${dir}/build/bin/mesos-agent.sh`],
      [`${dir}/build/src`, `${dir}/build/src/mesos-agent`],
    ] as const) {
      expect(await observe(at(where))).toMatchObject({
        found: {
          programs: { 'mesos-agent': { path: program, version: '1.3.2' } },
          launcherDir: `${dir}/build/src`,
          webuiDir: `${dir}/build/src/webui`,
        },
        problems: [],
      });
    }
  });

  it('that is missing, not executable, or prints something else, is a problem with details', async () => {
    expect((await observe(at(`${dir}/none`))).problems[0]).toMatch(
      /^MESOS_NOT_FOUND \S+: no mesos-master in \S+\/none: searched for sbin\/mesos-master, /,
    );
    await makePrefix(dir);
    await chmod(`${dir}/sbin/mesos-master`, 0o644);
    await writeFile(`${dir}/sbin/mesos-agent`, '#!/bin/sh\necho "cannot open libfoo.so" >&2\nexit 1\n');
    const { problems } = await observe(at(dir));
    expect(problems.map((problem) => problem.replace(/^(\S+) .*--version: /, '$1 '))).toEqual([
      'MESOS_NOT_RUNNABLE it is not executable',
      'MESOS_NOT_RUNNABLE cannot open libfoo.so',
    ]);
    const survey = await surveyOf(connection, specOf(connection, at(dir)), deps);
    expect(survey.problems?.map(({ code }) => code)).toEqual(['MESOS_NOT_RUNNABLE', 'MESOS_NOT_RUNNABLE']);
    await expect(deploy(connection, at(dir))).rejects.toMatchObject({ code: 'MESOS_NOT_RUNNABLE' });
  });

  it('that needs a path to its libraries gets it', async () => {
    await makePrefix(dir);
    await mkdir(`${dir}/lib`);
    const agent = await readFile(`${dir}/sbin/mesos-agent`, 'utf8');
    // The loader's message.
    const loader = `[ "$LD_LIBRARY_PATH" = '${dir}/lib' ] || { echo 'error while loading shared libraries' >&2; exit 127; }`;
    await writeFile(`${dir}/sbin/mesos-agent`, agent.replace('# \n', `${loader}\n`));
    expect(await observe(at(dir))).toMatchObject({ found: { libraryDir: `${dir}/lib` }, problems: [] });
  });

  it('runs, is not changed again, and is restarted when its program was replaced', async () => {
    await makePrefix(dir);
    const { ports } = connection.host;
    const first = await deploy(connection, at(dir));
    expect(first).toEqual(expect.arrayContaining(['started mesos-master', 'started mesos-agent']));
    expect(await flagsOf(connection, ports.master)).toMatchObject({ webui_dir: `${dir}/share/mesos/webui` });
    expect(await flagsOf(connection, ports.agent)).toMatchObject({
      launcher_dir: `${dir}/libexec/mesos`,
      systemd_enable_support: 'false',
    });
    expect(await deploy(connection, at(dir))).toEqual([]);

    await rm(`${dir}/sbin`, { recursive: true });
    await rm(`${dir}/libexec`, { recursive: true });
    await makePrefix(dir, 'another build');
    const survey = await surveyOf(connection, specOf(connection, at(dir)), deps);
    expect(whats(survey.pending.masters ?? [])).toEqual([
      'redefine mesos-master',
      'restart mesos-master (definition changed)',
    ]);
    expect(await deploy(connection, at(dir))).toEqual([
      'redefined mesos-master',
      'restarted mesos-master (definition changed)',
      'redefined mesos-agent',
      'restarted mesos-agent (definition changed)',
    ]);
  });

  it('comes from an archive, and from the next one while the first still runs', async () => {
    const pack = async (name: string): Promise<Install> => {
      await makePrefix(`${dir}/${name}/mesos-1.3.2`, name);
      const file = `${dir}/${name}.tar.gz`;
      await promisify(execFile)('tar', ['-czf', file, '-C', `${dir}/${name}`, 'mesos-1.3.2']);
      const sha256 = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      return { kind: 'tarball', url: `file://${file}`, sha256 };
    };
    const [one, two] = [await pack('one'), await pack('two')];
    // The stage `install` unpacks it before the stage `masters` observes it.
    const unpack = async (install: Install) => {
      const { archives = [], packages } = masterItems(specOf(connection, install), connection.host);
      const nothing = { packages, directories: [], files: [], services: [] };
      return whats(await converge(connection, { ...nothing, archives }, deps));
    };
    expect((await observe(one)).problems).toEqual([]);
    await expect(deploy(connection, one)).rejects.toMatchObject({ code: 'MESOS_NOT_FOUND' });
    await unpack(one);
    await deploy(connection, one);
    const services = await hostServices(connection, 'test');
    const pids = async () =>
      (await services.status(['mesos-master', 'mesos-agent'])).map(({ state, pid }) => `${state} ${pid}`);
    const before = await pids();
    expect(await unpack(two)).toHaveLength(1);
    expect(await pids()).toEqual(before);
    const changes = await deploy(connection, two);
    expect(changes.filter((what) => what.startsWith('restarted'))).toHaveLength(2);
    const { launcher_dir: launcherDir } = await flagsOf(connection, connection.host.ports.agent);
    expect(launcherDir).toMatch(/\/opt\/mesos-[0-9a-f]{12}\/libexec\/mesos$/);
  });

  it('in a container ends with its supervisor, whichever way that ended', async () => {
    // There is no Docker server in the tests: a program in its place records its calls.
    const docker = `${dir}/docker`;
    await mkdir(dir);
    await writeFile(
      docker,
      `#!/bin/sh\necho "$1 $*" >> '${dir}/asked'\n[ "$1" = run ] || exit 0\nexec sleep 1000\n`,
    );
    await chmod(docker, 0o755);
    const items = masterItems(
      makeSpec({ hosts: [connection.host], mesos: { install: { kind: 'image', image: 'mesos:1' } } }),
      connection.host,
    );
    const [service] = items.services;
    if (service === undefined) throw new Error('no service');
    const withDocker = { ...service, env: { PATH: `${dir}:${process.env['PATH'] ?? ''}` } };
    const inPlace = { ...withDocker, afterEnd: service.afterEnd?.with(0, docker) ?? [] };
    await converge(connection, { ...items, services: [inPlace] }, deps);
    const asked = async () =>
      (await readFile(`${dir}/asked`, 'utf8')).split('\n').map((line) => line.split(' ')[0] ?? '');
    await eventually(async () => (await asked()).includes('run'));
    const services = await hostServices(connection, 'test');
    await services.kill('mesos-master', 'KILL');
    await eventually(async () => (await asked()).filter((word) => word === 'run').length === 2);
    await services.stop('mesos-master');
    // Removed before each start and after each end.
    expect((await asked()).filter(Boolean)).toEqual(['rm', 'run', 'rm', 'rm', 'run', 'rm']);
  });
});

/*
 * The real apt and dpkg on a throw-away copy of this machine: a package whose master starts automatically,
 * like Mesosphere's.
 */
const setup = (prefix: string) => `${debianPackages}
make mesos-test; daemon mesos-test mesos-master
mkdir -p /package/mesos-test/usr
cp -a '${prefix}/sbin' '${prefix}/libexec' '${prefix}/share' /package/mesos-test/usr/
build mesos-test
`;

describe.runIf(canCopyMachine)('a Mesos that is a Debian package', () => {
  let machine: TestMachine;
  let prefix: string;

  beforeAll(async () => {
    // In /var, which the copy includes; it has its own /tmp.
    prefix = await mkdtemp('/var/tmp/perijove-mesos-package-');
    await makePrefix(prefix);
    machine = await startMachine({ address: '127.71.7.2', setup: setup(prefix) });
  });
  afterAll(async () => {
    await machine.remove();
    await rm(prefix, { recursive: true, force: true });
  });

  it('is installed, found among the files of the package, and run only by our supervisor', async () => {
    const host = machine.host({ roles: ['zookeeper', 'master', 'agent'] });
    const connection = await pool.get(host);
    const install = { kind: 'package', package: 'mesos-test' } as const;
    const spec = specOf(connection, install);
    expect(installationProblems(spec, host, await observeMesos(connection, spec))).toEqual([]);
    const { packages } = masterItems(spec, host);
    await converge(connection, { packages, directories: [], files: [], services: [] }, deps);
    expect(await observeMesos(connection, spec)).toMatchObject({
      isThere: true,
      programs: { 'mesos-master': { path: '/usr/sbin/mesos-master', version: '1.3.2' } },
      launcherDir: '/usr/libexec/mesos',
      webuiDir: '/usr/share/mesos/webui',
    });
    await deploy(connection, install);
    expect(await flagsOf(connection, host.ports.agent)).toMatchObject({ launcher_dir: '/usr/libexec/mesos' });
    expect(await machine.run('ls / /etc/rc2.d')).not.toMatch(/started|S\d+mesos-master/);
    await removeHost(connection, { purge: true, cluster: 'test' });
  });
});
