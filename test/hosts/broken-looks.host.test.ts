import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endNodesScript } from '../../src/activities/teardown.js';
import { converge, planChanges, type ConvergeDeps } from '../../src/hosts/converge.js';
import { noItems, type HostItems } from '../../src/hosts/items.js';
import { hostPaths } from '../../src/hosts/paths.js';
import { removeHost } from '../../src/hosts/remove.js';
import { hostSecrets } from '../../src/hosts/secrets.js';
import { hostServices } from '../../src/hosts/services.js';
import { marks } from '../../src/node/layout.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { breakScript, faults, preferring, type Fault } from '../support/broken-programs.js';
import { eventually } from '../support/eventually.js';
import { processRuns, startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

/* The real scripts on a real host, with one of the programs that they use broken. */

let sshd: TestSshd;
let local: string;
let broken: string;
let dir: string;
let pool: SshPool;
let connection: HostConnection;
let deps: ConvergeDeps;

beforeAll(async () => {
  sshd = await startSshd({ address: '127.22.6.1' });
  local = await mkdtemp(path.join(tmpdir(), 'perijove-broken-'));
  broken = path.join(local, 'broken');
  await mkdir(path.join(local, 'programs'));
  const nodeBinary = path.join(local, 'node');
  await writeFile(nodeBinary, Buffer.alloc(2 * 1024 * 1024, 'node'), { mode: 0o755 });
  deps = { artifacts: { programsDir: path.join(local, 'programs'), nodeBinary }, cluster: 'test' };
  pool = silentPool(path.join(local, 'known'));
  dir = sshd.host().dir;
  connection = await pool.get(sshd.host());
});
afterAll(async () => {
  try {
    await removeHost(connection, { purge: true, cluster: 'test' });
  } finally {
    await pool.close();
    await sshd.remove();
    await rm(local, { recursive: true, force: true });
  }
});
afterEach(() => rm(broken, { recursive: true, force: true }));

async function breaking(program: string, fault: Fault): Promise<HostConnection> {
  await connection.run(breakScript(broken, program, fault));
  return preferring(connection, broken);
}

const items = (): HostItems => ({
  ...noItems,
  directories: [{ path: `${dir}/data/a`, mode: 0o750 }],
  files: [
    { path: `${dir}/etc/a.conf`, mode: 0o644, source: { kind: 'text', text: 'a=1\n' } },
    { path: `${dir}/bin/node`, mode: 0o755, source: { kind: 'node' } },
  ],
  services: ['a', 'b'].map((name) => ({
    name,
    description: name,
    exec: ['sleep', '1000'],
    env: {},
    restartOn: [`${dir}/etc/a.conf`],
  })),
});

const statuses = async () => (await hostServices(connection, 'test')).status(['a', 'b']);
const pids = async () => (await statuses()).map(({ pid }) => pid ?? 0);

describe('converge', () => {
  const programs = [
    'stat',
    'sha256sum',
    'cut',
    'head',
    'tr',
    'sv',
    'dpkg-query',
    'sed',
    'cat',
    'grep',
    'awk',
  ];

  it.each(programs.flatMap((program) => faults.map((fault) => [program, fault] as const)))(
    'changes nothing on a converged host when %s %s',
    async (program, fault) => {
      await converge(connection, items(), deps);
      const before = await pids();
      const file = await stat(`${dir}/etc/a.conf`);
      // Otherwise the checksum of the binary comes from the cache.
      await rm(`${dir}/run/checksums`, { recursive: true, force: true });
      const host = await breaking(program, fault);

      const outcome = await converge(host, items(), deps).catch((error: unknown) => error);
      if (Array.isArray(outcome)) expect(outcome).toEqual([]);
      else expect(outcome).toMatchObject({ code: 'OBSERVATION_INCOMPLETE', place: { host: 'h1' } });
      if (['stat', 'sha256sum', 'sv'].includes(program)) expect(outcome).toBeInstanceOf(Error);
      expect(await pids()).toEqual(before);
      expect((await stat(`${dir}/etc/a.conf`)).ino).toBe(file.ino);

      await rm(broken, { recursive: true });
      expect(await planChanges(connection, items(), deps)).toEqual([]);
    },
  );

  it.each(['stat', 'sha256sum', 'sv'])('waits for a slow %s', async (program) => {
    await converge(connection, items(), deps);
    await connection.run(
      `real=$(command -v ${program}); mkdir -p ${broken}; printf '#!/bin/sh\\nsleep 2; exec %s "$@"\\n' "$real" > ${broken}/${program}; chmod 755 ${broken}/${program}`,
    );
    expect(await converge(preferring(connection, broken), items(), deps)).toEqual([]);
  });

  it('does not overwrite an existing file that cannot be read', async () => {
    await converge(connection, items(), deps);
    // A directory of that name would not hide the fault: only sha256sum fails.
    await connection.run(
      `mkdir -p ${broken}; printf '#!/bin/sh\\nfor f; do case $f in */a.conf) ;; *) set -- "$@" "$f" ;; esac; shift; done; exec /usr/bin/sha256sum "$@"\\n' > ${broken}/sha256sum; chmod 755 ${broken}/sha256sum`,
    );
    await writeFile(`${dir}/etc/a.conf`, 'by hand\n');
    await expect(converge(preferring(connection, broken), items(), deps)).rejects.toMatchObject({
      code: 'OBSERVATION_INCOMPLETE',
      message: expect.stringContaining('a.conf') as string,
    });
    expect(await readFile(`${dir}/etc/a.conf`, 'utf8')).toBe('by hand\n');
  });
});

describe('removal', () => {
  const programs = ['sv', 'awk', 'sort', 'grep', 'cat', 'tr', 'head', 'readlink', 'touch', 'umount'];

  it.each(programs.flatMap((program) => faults.map((fault) => [program, fault] as const)))(
    'stops what it removes, or keeps it, when %s %s',
    async (program, fault) => {
      await converge(connection, items(), deps);
      const before = await pids();
      const supervisor = Number(await readFile(`${dir}/run/runsvdir.pid`, 'utf8'));
      const host = await breaking(program, fault);
      const outcome = await removeHost(host, { purge: true, cluster: 'test' }).catch(
        (error: unknown) => error,
      );
      if (program === 'sv') expect(outcome).toMatchObject({ code: 'COMMAND_FAILED' });
      if (outcome instanceof Error) {
        expect((await readdir(dir)).length).toBeGreaterThan(0);
        expect(await readFile(`${dir}/etc/a.conf`, 'utf8')).toBe('a=1\n');
        return;
      }
      await expect(stat(dir)).rejects.toThrow('ENOENT');
      for (const pid of [...before, supervisor]) expect(await processRuns(pid)).toBe(false);
    },
    90_000,
  );
});

describe('hostSecrets', () => {
  const names = ['jupyter-token', 'node-api-token'] as const;
  const secrets = () => hostPaths({ dir }).secrets;
  beforeEach(async () => {
    await rm(secrets(), { recursive: true, force: true });
    await mkdir(secrets(), { recursive: true });
    await writeFile(`${secrets()}/jupyter-token`, 'the token of this cluster', { mode: 0o600 });
  });

  it.each(['base64', 'stat'].flatMap((program) => faults.map((fault) => [program, fault] as const)))(
    'does not report a secret as absent when %s %s',
    async (program, fault) => {
      const host = await breaking(program, fault);
      await expect(hostSecrets(host, names)).rejects.toMatchObject({
        code: expect.stringMatching(/^(OBSERVATION_INCOMPLETE|COMMAND_FAILED)$/) as string,
      });
    },
  );

  it('reports an existing secret, and an absent one', async () => {
    expect(await hostSecrets(connection, names)).toEqual({
      host: 'h1',
      values: { 'jupyter-token': 'the token of this cluster' },
      exposed: [],
    });
    await rm(secrets(), { recursive: true });
    expect(await hostSecrets(connection, names)).toEqual({ host: 'h1', values: {}, exposed: [] });
  });

  it('does not report them as absent if their directory is a file', async () => {
    await rm(secrets(), { recursive: true });
    await writeFile(secrets(), '');
    await expect(hostSecrets(connection, names)).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
  });
});

describe('endNodesScript', () => {
  const tree = () => `${dir}/data/nodes/node1`;
  const fence = () => `${tree()}/run/fenced`;
  const script = (docker = false) => endNodesScript({ dir }, { docker });
  let node: number;
  let executor: number;
  let foreign: number;

  const spawned = async (environment: string) =>
    Number(await connection.run(`${environment} setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!`));

  beforeEach(async () => {
    await connection.run(`rm -rf ${dir}/data/nodes; mkdir -p ${tree()}/bin ${tree()}/run; echo 3 > ${fence()}
printf '#!/bin/sh\\npkill -KILL -f %s || :\\n' no-such-process-of-perijove > ${tree()}/bin/sweep; chmod 755 ${tree()}/bin/sweep`);
    node = await spawned(`${marks.tree}=${tree()}`);
    executor = await spawned(`MESOS_DIRECTORY=${dir}/data/mesos-agent/slaves/s`);
    foreign = await spawned(`MESOS_DIRECTORY=${dir}/data/mesos-agent-of-another/slaves/s`);
  });
  afterEach(async () => {
    await connection.run(`kill -KILL ${node} ${executor} ${foreign} 2>/dev/null || :`);
  });

  it('kills the remaining processes of a node, and no others', async () => {
    await connection.run(`printf '#!/bin/sh\\nkill -KILL %s\\n' ${node} > ${tree()}/bin/sweep`);
    expect(await connection.run(script())).toBe('node1\n');
    await eventually(async () => !(await processRuns(node)) && !(await processRuns(executor)));
    expect(await processRuns(foreign)).toBe(true);
    // The next framework counts on from it.
    expect(await readFile(fence(), 'utf8')).toBe('3\n');
  });

  it('fails while a process of a node is running, and keeps its fence', async () => {
    await expect(connection.run(script())).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining(String(node)) as string,
    });
    expect(await readFile(fence(), 'utf8')).toBe('3\n');
  });

  it.each(faults)('does not treat the processes as ended when grep %s', async (fault) => {
    const host = await breaking('grep', fault);
    await expect(host.run(script())).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining('could not be read') as string,
    });
    expect(await readFile(fence(), 'utf8')).toBe('3\n');
    expect(await processRuns(foreign)).toBe(true);
  });

  it('requires a response from Docker only if nodes run in it', async () => {
    await connection.run(`printf '#!/bin/sh\\nkill -KILL %s\\n' ${node} > ${tree()}/bin/sweep`);
    const host = preferring(connection, broken);
    await connection.run(breakScript(broken, 'docker', 'fails', '/bin/false'));
    await expect(host.run(script(true))).rejects.toMatchObject({
      message: expect.stringContaining('Docker did not list') as string,
    });
    expect(await readFile(fence(), 'utf8')).toBe('3\n');
    expect(await host.run(script())).toBe('');
  });
});
