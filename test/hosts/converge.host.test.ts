import { createHash } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
  symlink,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { converge, planChanges, type ConvergeDeps } from '../../src/hosts/converge.js';
import { noItems, type FileItem, type HostItems, type ServiceItem } from '../../src/hosts/items.js';
import { removeHost } from '../../src/hosts/remove.js';
import { reloadFile } from '../../src/hosts/record.js';
import { hostServices } from '../../src/hosts/services.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { makeAuthority } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { processRuns, startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

let sshd: TestSshd;
let dir: string;
let local: string;
let pool: SshPool;
let connection: HostConnection;
let deps: ConvergeDeps;

beforeEach(async () => {
  sshd = await startSshd({ address: '127.22.3.1' });
  local = await mkdtemp(path.join(tmpdir(), 'perijove-converge-'));
  await mkdir(path.join(local, 'programs'));
  await writeFile(path.join(local, 'programs', 'tool.mjs'), 'program\n');
  const nodeBinary = path.join(local, 'node');
  await writeFile(nodeBinary, Buffer.alloc(2 * 1024 * 1024, 'node'));
  await chmod(nodeBinary, 0o755);
  deps = { artifacts: { programsDir: path.join(local, 'programs'), nodeBinary }, cluster: 'test' };
  pool = silentPool(path.join(local, 'known'));
  dir = sshd.host().dir;
  connection = await pool.get(sshd.host());
});

afterEach(async () => {
  try {
    // A test may have cut the connections without this side having noticed, so retry.
    await eventually(() => removeHost(connection, { purge: true, cluster: 'test' }));
  } finally {
    await pool.close();
    await sshd.remove();
    await rm(local, { recursive: true, force: true });
  }
});

const text = (name: string, content: string, mode = 0o644): FileItem => ({
  path: `${dir}/etc/${name}`,
  mode,
  source: { kind: 'text', text: content },
});

const service = (name: string, overrides: Partial<ServiceItem> = {}): ServiceItem => ({
  name,
  description: `a test's ${name}`,
  exec: ['sleep', '1000'],
  env: {},
  restartOn: [`${dir}/etc/${name}.conf`],
  ...overrides,
});

describe('a key and its certificate', () => {
  it('are one file that only its owner reads, and are brought again when they change', async () => {
    const authority = makeAuthority();
    try {
      const path = `${dir}/etc/secrets/proxy-https.pem`;
      const tls = authority.issue('of-the-proxy');
      const items: HostItems = {
        ...noItems,
        directories: [{ path: `${dir}/etc/secrets`, mode: 0o700 }],
        files: [{ path, mode: 0o600, source: { kind: 'certificate', ...tls } }],
      };
      const changes = await converge(connection, items, deps);
      const key = await readFile(tls.keyFile, 'utf8');
      const certificates = await readFile(tls.certificateFile, 'utf8');
      expect(await readFile(path, 'utf8')).toBe(key + certificates);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(JSON.stringify(changes)).not.toContain('PRIVATE');
      expect(await converge(connection, items, deps)).toEqual([]);

      authority.issue('of-the-proxy');
      expect((await planChanges(connection, items, deps)).map(({ what }) => what)).toEqual([`write ${path}`]);
      await converge(connection, items, deps);
      expect(await readFile(path, 'utf8')).toContain(await readFile(tls.keyFile, 'utf8'));

      await rm(tls.keyFile);
      await expect(converge(connection, items, deps)).rejects.toMatchObject({
        code: 'SPEC_CERTIFICATE',
        place: { file: tls.keyFile },
      });
    } finally {
      authority.remove();
    }
  });
});

const twoServices = (
  overrides: { readonly a?: string; readonly b?: Partial<ServiceItem> } = {},
): HostItems => ({
  ...noItems,
  directories: [{ path: `${dir}/data/a`, mode: 0o750 }],
  files: [
    text('a.conf', overrides.a ?? 'a=1\n'),
    text('b.conf', 'b=1\n', 0o600),
    { path: `${dir}/bin/tool.mjs`, mode: 0o755, source: { kind: 'program', name: 'tool.mjs' } },
    { path: `${dir}/bin/node`, mode: 0o755, source: { kind: 'node' } },
  ],
  services: [
    service('a'),
    service('b', { restartOn: [`${dir}/etc/b.conf`, `${dir}/bin/node`], ...overrides.b }),
  ],
});

const whats = (changes: readonly { readonly what: string }[]) => changes.map(({ what }) => what);

async function pids(): Promise<Record<string, number | undefined>> {
  const statuses = await (await hostServices(connection, 'test')).status(['a', 'b']);
  return Object.fromEntries(statuses.map(({ name, pid }) => [name, pid]));
}

describe('converge', () => {
  it('creates what is missing, once, and reports it', async () => {
    const planned = whats(await planChanges(connection, twoServices(), deps));
    expect(planned).toContain(`write ${dir}/etc/a.conf`);
    expect(planned).toContain('start a');
    await expect(stat(`${dir}/etc`)).rejects.toThrow('ENOENT');

    const changes = await converge(connection, twoServices(), deps);
    expect(changes.every(({ host }) => host === 'h1')).toBe(true);
    expect(whats(changes)).toEqual(
      expect.arrayContaining([
        `made ${dir}/data/a`,
        `wrote ${dir}/etc/a.conf`,
        'defined a',
        'started a',
        'started b',
      ]),
    );
    expect((await stat(`${dir}/etc/b.conf`)).mode & 0o7777).toBe(0o600);
    expect((await stat(`${dir}/data/a`)).mode & 0o7777).toBe(0o750);
    expect((await stat(`${dir}/bin/node`)).size).toBe(2 * 1024 * 1024);

    const before = await pids();
    expect(before).toEqual({ a: expect.any(Number) as number, b: expect.any(Number) as number });
    expect(await planChanges(connection, twoServices(), deps)).toEqual([]);
    expect(await converge(connection, twoServices(), deps)).toEqual([]);
    expect(await pids()).toEqual(before);
  });

  it('reports a directory that cannot be made, and does not retry', async () => {
    // A link to a disk that is not mounted.
    await symlink('/no/such/disk', `${dir}/disk`);
    const items = { ...noItems, directories: [{ path: `${dir}/disk/data`, mode: 0o750 }] };
    await expect(converge(connection, items, deps)).rejects.toMatchObject({
      code: 'DIR_NOT_WRITABLE',
      message: expect.stringContaining(`cannot create directory '${dir}/disk'`) as string,
      retryable: false,
    });
    await rm(`${dir}/disk`);
  });

  it('restarts only the service whose file changed, and names the file', async () => {
    await converge(connection, twoServices(), deps);
    const before = await pids();
    expect(whats(await converge(connection, twoServices({ a: 'a=2\n' }), deps))).toEqual([
      `wrote ${dir}/etc/a.conf`,
      'restarted a (a.conf changed)',
    ]);
    const after = await pids();
    expect(after['b']).toBe(before['b']);
    expect(after['a']).not.toBe(before['a']);
    expect(await converge(connection, twoServices({ a: 'a=2\n' }), deps)).toEqual([]);
  });

  it('reloads a service that takes a changed file over, and restarts one that does not', async () => {
    const reloading = (name: string, conf: string, onHangUp: string): HostItems => ({
      ...noItems,
      files: [text(`${name}.conf`, conf)],
      services: [
        service(name, {
          exec: ['sh', '-c', `trap '${onHangUp}' HUP; while :; do sleep 1000 & wait; done`],
          env: { PERIJOVE_RELOAD: reloadFile({ dir }, name) },
          restartOn: [],
          // The other one is none of the items, as a secret is.
          reloadOn: [`${dir}/etc/${name}.conf`, `${dir}/etc/secrets/token`],
        }),
      ],
    });
    const secret = async (value: string) => {
      await connection.run(`mkdir -p ${dir}/etc/secrets && echo ${value} > ${dir}/etc/secrets/token`);
    };
    await secret('one');
    const copies = 'cp "$PERIJOVE_RELOAD" "$PERIJOVE_RELOAD.done"';
    await converge(connection, reloading('a', 'a=1\n', copies), deps);
    await converge(connection, reloading('b', 'b=1\n', ':'), deps);
    const before = await pids();

    const a = reloading('a', 'a=2\n', copies);
    expect(whats(await planChanges(connection, a, deps))).toContain('reload a (a.conf changed)');
    expect(whats(await converge(connection, a, deps))).toEqual([
      `wrote ${dir}/etc/a.conf`,
      'reloaded a (a.conf changed)',
    ]);
    expect(await converge(connection, a, deps)).toEqual([]);
    await secret('two');
    expect(whats(await converge(connection, a, deps))).toEqual(['reloaded a (token changed)']);
    expect(await converge(connection, a, deps)).toEqual([]);
    expect((await pids())['a']).toBe(before['a']);

    const b = reloading('b', 'b=2\n', ':');
    await converge(connection, b, deps);
    const after = await pids();
    expect(after['b']).not.toBe(before['b']);
    expect(after['b']).toEqual(expect.any(Number));
    expect(await converge(connection, b, deps)).toEqual([]);
  });

  it('restarts a service if the worker died between writing its file and restarting it', async () => {
    await converge(connection, twoServices(), deps);
    const before = await pids();
    await connection.upload(Buffer.from('a=2\n'), `${dir}/etc/a.conf`, { mode: 0o644 });
    expect(whats(await converge(connection, twoServices({ a: 'a=2\n' }), deps))).toEqual([
      'restarted a (a.conf changed)',
    ]);
    expect((await pids())['b']).toBe(before['b']);
  });

  it('starts a service if the worker died between defining and starting it', async () => {
    const items = twoServices();
    await converge(
      connection,
      { ...items, services: items.services.map((each) => ({ ...each, state: 'defined' })) },
      deps,
    );
    expect(await pids()).toEqual({ a: undefined, b: undefined });
    expect(whats(await converge(connection, items, deps))).toEqual(['started a', 'started b']);
  });

  it('redefines a service whose definition changed, and restarts it', async () => {
    await converge(connection, twoServices(), deps);
    const before = await pids();
    const changed = twoServices({ b: { exec: ['sleep', '2000'], env: { COLOUR: 'it\'s "red"' } } });
    expect(whats(await converge(connection, changed, deps))).toEqual([
      'redefined b',
      'restarted b (definition changed)',
    ]);
    const { a, b } = await pids();
    expect(a).toBe(before['a']);
    expect((await readFile(`/proc/${b}/environ`, 'utf8')).split('\0')).toContain('COLOUR=it\'s "red"');
    expect((await readFile(`/proc/${b}/cmdline`, 'utf8')).split('\0').slice(0, 2)).toEqual(['sleep', '2000']);
  });

  it('reverts foreign changes', async () => {
    await converge(connection, twoServices(), deps);
    await writeFile(`${dir}/etc/a.conf`, 'meddled\n');
    await chmod(`${dir}/etc/b.conf`, 0o644);
    await rm(`${dir}/data/a`, { recursive: true });
    await (await hostServices(connection, 'test')).stop('b');
    expect(whats(await converge(connection, twoServices(), deps))).toEqual([
      `made ${dir}/data/a`,
      `wrote ${dir}/etc/a.conf`,
      `set the mode of ${dir}/etc/b.conf to 600`,
      'started b',
    ]);
    // a was started with the correct file and still runs with it.
    expect(await converge(connection, twoServices(), deps)).toEqual([]);
  });

  it('copies the Node.js binary on the host if it exists there, and uploads it otherwise', async () => {
    const items: HostItems = {
      ...noItems,
      files: [{ path: `${dir}/bin/node`, mode: 0o755, source: { kind: 'node' } }],
    };
    await converge(connection, items, deps);
    const sha256 = async (file: string) =>
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
    expect(await sha256(`${dir}/bin/node`)).toBe(await sha256(deps.artifacts.nodeBinary));
    expect(await readdir(`${dir}/bin`)).toEqual(['node']);

    // A change of a large file is detected although its size is the same and its checksum is cached.
    const content = await readFile(`${dir}/bin/node`);
    content[1000] = 0;
    await writeFile(`${dir}/bin/node`, content);
    expect(whats(await converge(connection, items, deps))).toEqual([`wrote ${dir}/bin/node`]);
    expect(await sha256(`${dir}/bin/node`)).toBe(await sha256(deps.artifacts.nodeBinary));
  });

  it('unpacks an archive once', async () => {
    await mkdir(path.join(local, 'tool-1.0', 'bin'), { recursive: true });
    await writeFile(path.join(local, 'tool-1.0', 'bin', 'tool'), 'tool 1.0\n');
    const file = path.join(local, 'tool.tar.gz');
    await connection.run(`tar -czf ${file} -C ${local} tool-1.0`);
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    const archive = { url: `file://${file}`, sha256, path: `${dir}/opt/tool` };
    const items = { ...noItems, archives: [archive] };
    expect(whats(await converge(connection, items, deps))).toContain(
      `unpacked file://${file} to ${dir}/opt/tool`,
    );
    expect(await readFile(`${dir}/opt/tool/bin/tool`, 'utf8')).toBe('tool 1.0\n');
    expect(await converge(connection, items, deps)).toEqual([]);

    // Without a top directory, nothing would be left of the archive, and the old content would be gone.
    const flat = path.join(local, 'flat.tar.gz');
    await connection.run(`tar -czf ${flat} -C ${local}/tool-1.0/bin tool`);
    const sum = createHash('sha256')
      .update(await readFile(flat))
      .digest('hex');
    const empty = { ...archive, url: `file://${flat}`, sha256: sum };
    await expect(converge(connection, { ...noItems, archives: [empty] }, deps)).rejects.toMatchObject({
      code: 'COMMAND_FAILED',
      message: expect.stringContaining('top directory') as string,
    });
    expect(await readFile(`${dir}/opt/tool/bin/tool`, 'utf8')).toBe('tool 1.0\n');

    const other = { ...archive, sha256: '0'.repeat(64) };
    await expect(converge(connection, { ...noItems, archives: [other] }, deps)).rejects.toMatchObject({
      code: 'ARCHIVE_CHECKSUM',
    });
    expect(await readFile(`${dir}/opt/tool/bin/tool`, 'utf8')).toBe('tool 1.0\n');
  });
});

describe('services under runit', () => {
  it('are restarted when they exit, with their output in their logs', async () => {
    const items = {
      ...noItems,
      services: [service('a', { exec: ['sh', '-c', 'echo started; exec sleep 1000'], restartOn: [] })],
    };
    await converge(connection, items, deps);
    const services = await hostServices(connection, 'test');
    const { a: first } = await pids();
    await services.kill('a', 'KILL');
    await eventually(async () => {
      const { a } = await pids();
      return a !== undefined && a !== first;
    });
    await eventually(async () => (await services.logs('a', 10)).match(/^\S+ started$/gm)?.length === 2);
    expect(await converge(connection, items, deps)).toEqual([]);
  });

  it('stop with their children, unless these are to be left', async () => {
    const spawning = (name: string) =>
      ['sh', '-c', `sleep 1000 & echo $! > ${dir}/data/${name}.child; wait`] as const;
    const items: HostItems = {
      ...noItems,
      services: [
        service('a', { exec: spawning('a'), restartOn: [] }),
        service('b', { exec: spawning('b'), restartOn: [], leaveChildren: true }),
      ],
    };
    await converge(connection, items, deps);
    const child = async (name: string) =>
      Number(await readFile(`${dir}/data/${name}.child`, 'utf8').catch(() => ''));
    await eventually(async () => (await child('a')) > 0 && (await child('b')) > 0);
    const [ofA, ofB] = [await child('a'), await child('b')];
    const services = await hostServices(connection, 'test');
    await services.restart('a');
    await services.stop('b');
    await eventually(async () => !(await processRuns(ofA)));
    expect(await processRuns(ofB)).toBe(true);
    process.kill(ofB, 'SIGKILL');
    expect((await services.status(['b']))[0]).toMatchObject({ state: 'stopped' });
  });

  it('start again after a crash of the whole host', async () => {
    await converge(connection, twoServices(), deps);
    const before = await pids();
    const supervisor = Number(await readFile(`${dir}/run/runsvdir.pid`, 'utf8'));
    await connection.run(`pkill -KILL -s ${supervisor} || :; kill -KILL ${before['a']} ${before['b']} || :`);
    await eventually(async () => !(await processRuns(supervisor)));
    await sshd.cut();
    await eventually(
      async () => (await converge(connection, twoServices(), deps).catch(() => undefined)) !== undefined,
    );
    await eventually(async () => Object.values(await pids()).every((pid) => pid !== undefined));
    expect(await converge(connection, twoServices(), deps)).toEqual([]);
  });

  it('do not depend on the session that started them', async () => {
    await converge(connection, twoServices(), deps);
    const { a } = await pids();
    const environment = (await readFile(`/proc/${a}/environ`, 'utf8')).split('\0');
    expect(environment.filter((each) => each.startsWith('SSH_'))).toEqual([]);
    await sshd.cut();
    expect(await processRuns(a ?? 0)).toBe(true);
  });

  it('that keep failing pause, and start at once when their definition is fixed', async () => {
    const failing = { ...noItems, services: [service('a', { exec: ['false'], restartOn: [] })] };
    await converge(connection, failing, deps).catch(() => undefined);
    await eventually(
      async () => Number(await readFile(`${dir}/run/a.failures`, 'utf8').catch(() => '0')) >= 3,
      20_000,
    );
    const right = { ...noItems, services: [service('a', { restartOn: [] })] };
    expect(whats(await converge(connection, right, deps))).toContain('redefined a');
    await eventually(async () => (await pids())['a'] !== undefined, 3_000);
  });

  it('stop and stay stopped', async () => {
    await converge(connection, twoServices(), deps);
    const services = await hostServices(connection, 'test');
    const { a } = await pids();
    await services.stop('a');
    await services.stop('a');
    expect(await processRuns(a ?? 0)).toBe(false);
    expect((await services.status(['a', 'b', 'c'])).map(({ name, state }) => [name, state])).toEqual([
      ['a', 'stopped'],
      ['b', 'running'],
      ['c', 'absent'],
    ]);
  });
});

describe('removeHost', () => {
  it('leaves no process and no file of ours, and can be repeated', async () => {
    await converge(connection, twoServices(), deps);
    const before = await pids();
    const supervisor = Number(await readFile(`${dir}/run/runsvdir.pid`, 'utf8'));
    await writeFile(`${dir}/data/a/precious`, 'data');
    expect(whats(await removeHost(connection, { purge: false, cluster: 'test' }))).not.toEqual([]);
    for (const pid of [...Object.values(before), supervisor]) expect(await processRuns(pid ?? 0)).toBe(false);
    expect(await readFile(`${dir}/data/a/precious`, 'utf8')).toBe('data');
    expect((await readdir(dir)).toSorted()).toEqual(['data', 'etc', 'log']);
    expect(await removeHost(connection, { purge: false, cluster: 'test' })).toEqual([]);

    await removeHost(connection, { purge: true, cluster: 'test' });
    await expect(stat(dir)).rejects.toThrow('ENOENT');
    expect(await removeHost(connection, { purge: true, cluster: 'test' })).toEqual([]);
  });

  it.each(['/', '/usr', '/usr/lib', '/home', '/etc', '/var/lib', '/tmp'])('refuses %s', async (refused) => {
    const host = await pool.get(sshd.host({ dir: refused }));
    await expect(removeHost(host, { purge: true, cluster: 'test' })).rejects.toMatchObject({
      code: 'DIR_REFUSED',
    });
  });
});

describe('a change that blocks new SSH logins', () => {
  /** Blocks new logins, as a firewall would; open connections stay. */
  const locks = (undo: boolean): HostItems['conditions'] => [
    {
      name: 'lock',
      observe: `[ -e '${sshd.keyFile}.pub' ] && echo open`,
      actions: (printed) =>
        printed === 'open'
          ? [
              {
                plan: 'lock the door',
                done: 'locked the door',
                script: `mv '${sshd.keyFile}.pub' '${sshd.keyFile}.away'`,
                ...(undo ? { undo: `mv '${sshd.keyFile}.away' '${sshd.keyFile}.pub'` } : {}),
              },
            ]
          : [],
    },
  ];
  const quick = () => ({ ...deps, loginPausesMs: [50] });

  it('is undone over the open connection', async () => {
    const changed = converge(connection, { ...twoServices(), conditions: locks(true) ?? [] }, quick());
    await expect(changed).rejects.toMatchObject({
      code: 'WAY_IN_LOST',
      retryable: false,
      place: { host: connection.host.name },
      message: expect.stringMatching(
        /accepted no new SSH connection .* rejected .*; reverted: locked the door, .*started a.*; it accepts connections again$/s,
      ) as string,
    });
    await connection.login();
    const services = await hostServices(connection, 'test');
    expect((await services.status(['a', 'b'])).map(({ state }) => state)).toEqual(['absent', 'absent']);
  });

  it('is reported if it cannot be undone', async () => {
    const changed = converge(connection, { ...noItems, conditions: locks(false) ?? [] }, quick());
    await expect(changed).rejects.toMatchObject({
      code: 'WAY_IN_LOST',
      message: expect.stringMatching(
        /reverted: nothing; not reverted: .*locked the door.*; it still accepts none$/,
      ) as string,
    });
    await rename(`${sshd.keyFile}.away`, `${sshd.keyFile}.pub`);
  });

  it('is also detected if an earlier attempt made it', async () => {
    await converge(connection, twoServices(), deps);
    await rename(`${sshd.keyFile}.pub`, `${sshd.keyFile}.away`);
    await expect(converge(connection, twoServices(), quick())).rejects.toMatchObject({ code: 'WAY_IN_LOST' });
    await rename(`${sshd.keyFile}.away`, `${sshd.keyFile}.pub`);
  });

  it('is not undone if the host is unreachable', async () => {
    const away: HostItems['conditions'] = [
      {
        name: 'away',
        observe: 'echo here',
        actions: () => [
          {
            plan: 'go',
            done: 'went',
            // The response arrives, then the network fails.
            script: 'exit 0',
            undo: `touch '${dir}/undone'`,
          },
        ],
      },
    ];
    const login = vi.fn(async () => {
      await sshd.stop();
      throw new PerijoveError('SSH_REFUSED', 'nobody listens');
    });
    const changed = converge({ ...connection, login }, { ...noItems, conditions: away }, quick());
    await expect(changed).rejects.toMatchObject({ code: expect.stringMatching(/^SSH_/) as string });
    await sshd.start();
    expect(await connection.run(`ls '${dir}'`)).not.toContain('undone');
  });
});
