/**
 * The activities that change hosts, on hosts behind a real sshd, run by a real Temporal server: their worker
 * dies after each of their commands in turn, and the next attempt completes what it left.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostActivities } from '../../src/activities/hosts.js';
import { createSecretsActivities } from '../../src/activities/secrets.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import type { Change } from '../../src/hosts/items.js';
import { removeHost } from '../../src/hosts/remove.js';
import { hostServices } from '../../src/hosts/services.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import { secretNames } from '../../src/cluster/secrets.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { callerOf, callWorkflows, mortalPool, type MortalPool } from '../support/lost-answers.js';
import { makeSpec } from '../support/spec.js';
import { processRuns, startSshd, type TestSshd } from '../support/sshd.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';
import { silentPool } from '../support/ssh-pool.js';

let server: TestServer;
let sshd: TestSshd;
let pool: SshPool;
let local: string;
let worker: TestWorker;
let call: ReturnType<typeof callerOf>;

/** The fate of the first worker that works for a cluster, by the cluster's name. */
const deaths = new Map<string, Death>();
interface Death {
  /** After which command. */
  readonly last: number;
  /** Observes what it left. */
  readonly inspect: () => Promise<void>;
  pool?: MortalPool;
}

const hosts = new Set<HostSpec>();
const executors = new Set<ChildProcess>();

beforeAll(async () => {
  local = await mkdtemp(path.join(tmpdir(), 'perijove-hosts-'));
  [server, sshd] = await Promise.all([startTestServer(), startSshd({ address: '127.22.9.1' })]);
  pool = silentPool(path.join(local, 'known'));
  await mkdir(path.join(local, 'programs'));
  for (const name of ['perijove-proxy.mjs', 'perijove-proxy-worker.mjs'])
    await writeFile(path.join(local, 'programs', name), 'program\n');
  // In place of Node.js: this test is about what starts a service with it, and how often.
  const nodeBinary = path.join(local, 'node');
  await writeFile(nodeBinary, '#!/bin/sh\necho started >> "${0%/bin/node}/starts"\nexec sleep 1000\n');
  await chmod(nodeBinary, 0o755);
  const artifacts = { programsDir: path.join(local, 'programs'), nodeBinary };
  const real = (by: SshPool) => ({
    ...createSecretsActivities({ pool: by }),
    ...createHostActivities({ pool: by, artifacts }),
    ...createTeardownActivities({ client: server.client, pool: by }),
  });
  const mortal =
    (name: 'ensureSecrets' | 'convergeHost' | 'clearHost') =>
    async (input: { readonly spec: ClusterSpec }): Promise<unknown> => {
      const run = (by: SshPool) => (real(by)[name] as (given: typeof input) => Promise<unknown>)(input);
      const death = deaths.get(input.spec.name);
      if (death === undefined) return run(pool);
      if (death.pool !== undefined) {
        await death.pool.settled();
        await death.inspect();
        return run(pool);
      }
      death.pool = mortalPool(pool, death.last);
      return run(death.pool);
    };
  worker = await createTestWorker({
    server,
    workflowsPath: callWorkflows,
    activities: {
      ensureSecrets: mortal('ensureSecrets'),
      convergeHost: mortal('convergeHost'),
      clearHost: mortal('clearHost'),
    },
  });
  call = callerOf(server);
});
afterAll(async () => {
  await worker?.stop();
  for (const executor of executors) executor.kill('SIGKILL');
  await Promise.all(
    [...hosts].map(async (host) => removeHost(await pool.get(host), { purge: true, cluster: 'test' })),
  );
  await pool?.close();
  await sshd?.remove();
  await server?.stop();
  await rm(local, { recursive: true, force: true });
});

function hostOf(cluster: string, name = 'h1', overrides: Partial<HostSpec> = {}): HostSpec {
  const host = sshd.host({ name, dir: path.join(sshd.dir, cluster, name), ...overrides });
  hosts.add(host);
  return host;
}

interface Course<Input, Seen> {
  readonly activity: 'ensureSecrets' | 'convergeHost' | 'clearHost';
  /** Prepares what the activity finds, for a cluster of that name. */
  readonly prepare: (cluster: string) => Promise<Input> | Input;
  /** What can be observed on the hosts. */
  readonly observe: (input: Input) => Promise<Seen>;
  readonly check: (seen: Attempts<Input, Seen>) => Promise<void> | void;
}

interface Attempts<Input, Seen> {
  readonly input: Input;
  /** What the dead worker left. */
  readonly left: Seen;
  readonly after: Seen;
  readonly answer: readonly Change[];
}

/**
 * Runs the activity once for each of its commands, each time on its own hosts, and kills its worker after
 * that command. After the second attempt all is complete: a third one changes nothing.
 */
async function dieEverywhere<Input extends { readonly spec: ClusterSpec }, Seen>(
  name: string,
  { activity, prepare, observe, check }: Course<Input, Seen>,
): Promise<number> {
  const unharmed = await prepare(`${name}-0`);
  const whole: Death = { last: Infinity, inspect: () => Promise.resolve() };
  deaths.set(`${name}-0`, whole);
  await call(activity, unharmed);
  const commands = whole.pool?.begun ?? 0;
  await Promise.all(
    Array.from({ length: commands }, async (_, index) => {
      const cluster = `${name}-${index + 1}`;
      const input = await prepare(cluster);
      const seen: Seen[] = [];
      const death: Death = { last: index + 1, inspect: async () => void seen.push(await observe(input)) };
      deaths.set(cluster, death);
      const answer = await call<readonly Change[]>(activity, input);
      deaths.delete(cluster);
      expect(death.pool?.dead, `${cluster} died`).toBe(true);
      const [left] = seen;
      if (left === undefined) expect.unreachable(`${cluster} had a second attempt`);
      const after = await observe(input);
      await check({ input, left, after, answer });
      expect(await call(activity, input), `${cluster}, once more`).toEqual([]);
      expect(await observe(input), `${cluster}, once more`).toEqual(after);
    }),
  );
  return commands;
}

/** Each file below a directory: its identity, its mode, and its content. */
async function filesBelow(directory: string): Promise<Record<string, string>> {
  const found = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const files = found.filter((entry) => entry.isFile());
  return Object.fromEntries(
    await Promise.all(
      files.map(async ({ name }) => {
        const file = path.join(directory, name);
        const { ino, mode } = await stat(file);
        const sha256 = createHash('sha256')
          .update(await readFile(file))
          .digest('hex');
        return [name, `${ino} ${(mode & 0o777).toString(8)} ${sha256}`] as const;
      }),
    ),
  );
}

describe('ensureSecrets', () => {
  const prepare = (name: string) => ({ spec: makeSpec({ name, hosts: [hostOf(name), hostOf(name, 'h2')] }) });
  const observe = ({ spec }: { readonly spec: ClusterSpec }) =>
    Promise.all(spec.hosts.map(({ dir }) => filesBelow(path.join(dir, 'etc', 'secrets'))));
  const contents = (files: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(files).map(([name, file]) => [name, file.split(' ').slice(1).join(' ')]),
    );

  it('makes one set, whenever its worker dies, and never replaces a value that a host has', async () => {
    const commands = await dieEverywhere('secrets', {
      activity: 'ensureSecrets',
      prepare,
      observe,
      check: ({ left, after: [first = {}, second = {}] }) => {
        expect(Object.keys(first).toSorted()).toEqual([...secretNames].toSorted());
        expect(contents(second)).toEqual(contents(first));
        expect(Object.values(first).every((file) => file.split(' ')[1] === '600')).toBe(true);
        expect(first).toMatchObject(left[0] ?? {});
        expect(second).toMatchObject(left[1] ?? {});
      },
    });
    // Observe, generate on the first host, observe, issue certificates there, observe, copy to all.
    expect(commands).toBe(2 + 1 + 2 + 1 + 2 + 2);
  });

  it('keeps the secret when the principal changes, whenever its worker dies, on the only host', async () => {
    const credential = ({ spec }: { readonly spec: ClusterSpec }) =>
      path.join(spec.hosts[0]?.dir ?? '', 'etc', 'secrets', 'mesos-credential');
    await dieEverywhere('principal', {
      activity: 'ensureSecrets',
      prepare: async (name) => {
        const input = { spec: makeSpec({ name, hosts: [hostOf(name)] }) };
        await call('ensureSecrets', input);
        await writeFile(credential(input), JSON.stringify({ principal: 'former', secret: 'kept' }));
        return { spec: { ...input.spec, mesos: { ...input.spec.mesos, principal: 'latter' } } };
      },
      observe: async (input) => JSON.parse(await readFile(credential(input), 'utf8')) as unknown,
      check: ({ left, after }) => {
        expect(left).toMatchObject({ secret: 'kept' });
        expect(after).toEqual({ principal: 'latter', secret: 'kept' });
      },
    });
  });

  it('copies what is missing or empty on one host from another, and reports what it wrote', async () => {
    const input = prepare('secrets-cut');
    const [h1, h2] = input.spec.hosts.map(({ dir }) => path.join(dir, 'etc', 'secrets'));
    if (h1 === undefined || h2 === undefined) expect.unreachable('there are two hosts');
    await call('ensureSecrets', input);
    const [before = {}] = await observe(input);
    await rm(path.join(h2, 'jupyter-token'));
    await writeFile(path.join(h1, 'node-api-token'), '');
    expect(await call('ensureSecrets', input)).toEqual([
      { host: 'h1', what: 'wrote the secrets node-api-token' },
      { host: 'h2', what: 'wrote the secrets jupyter-token' },
    ]);
    const [first = {}, second = {}] = await observe(input);
    expect(contents(first)).toEqual(contents(before));
    expect(contents(second)).toEqual(contents(before));
  });
});

interface Seen {
  readonly files: Readonly<Record<string, string>>;
  readonly pid: number | undefined;
  readonly starts: number;
}

async function observeProxy({ spec }: { readonly spec: ClusterSpec }): Promise<Seen> {
  const [host] = spec.hosts;
  if (host === undefined) throw new Error('no host');
  const services = await hostServices(await pool.get(host), spec.name);
  const [proxy] = await services.status(['proxy']);
  // By then it has reported that it was started.
  if (proxy?.pid !== undefined) await eventually('the program runs', () => isSleeping(proxy.pid));
  const started = await readFile(path.join(host.dir, 'starts'), 'utf8').catch(() => '');
  return {
    files: {
      ...(await filesBelow(path.join(host.dir, 'bin'))),
      ...(await filesBelow(path.join(host.dir, 'etc'))),
    },
    pid: proxy?.pid,
    starts: started.split('\n').length - 1,
  };
}

const isSleeping = async (pid: number | undefined) =>
  (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() === 'sleep';

const proxyOn = (host: HostSpec, name: string) => ({
  spec: makeSpec({ name, hosts: [host] }),
  host: host.name,
  stage: 'keeper' as const,
});

const installed = async (name: string): Promise<HostSpec> => {
  const host = hostOf(name);
  await call('convergeHost', proxyOn(host, name));
  return host;
};

describe('convergeHost', () => {
  it('installs what is missing and starts the service, each once, whenever its worker dies', async () => {
    const commands = await dieEverywhere('first', {
      activity: 'convergeHost',
      prepare: (name) => proxyOn(hostOf(name), name),
      observe: observeProxy,
      check: ({ left, after }) => {
        expect(Object.keys(after.files).toSorted()).toEqual([
          'node',
          'perijove-proxy-worker.mjs',
          'perijove-proxy.mjs',
          'proxy.json',
        ]);
        expect(after.files).toMatchObject(left.files);
        expect(after).toMatchObject({ pid: expect.any(Number) as number, starts: 1 });
        if (left.starts > 0) expect(after.pid).toBe(left.pid);
      },
    });
    // Observe, directories, four files, definition, start.
    expect(commands).toBe(8);
  });

  it('restarts a service for a changed file, whenever its worker dies: exactly once', async () => {
    const commands = await dieEverywhere('changed', {
      activity: 'convergeHost',
      prepare: async (name) => {
        const host = await installed(name);
        // As by an earlier release, with another program.
        const program = path.join(host.dir, 'bin', 'perijove-proxy.mjs');
        await writeFile(program, 'another\n');
        const record = path.join(host.dir, 'run', 'proxy.running');
        const lines = (await readFile(record, 'utf8')).split('\n');
        const ours = lines.map((line) => (line.endsWith(` ${program}`) ? `another ${program}` : line));
        expect(ours).not.toEqual(lines);
        await writeFile(record, ours.join('\n'));
        return proxyOn(host, name);
      },
      observe: observeProxy,
      check: ({ left, after }) => {
        expect(after.starts).toBe(2);
        if (left.starts === 2) expect(after.pid).toBe(left.pid);
      },
    });
    expect(commands).toBe(3);
  });

  it('removes a service whose role is gone, whenever its worker dies', async () => {
    await dieEverywhere('role', {
      activity: 'convergeHost',
      prepare: async (name) => proxyOn({ ...(await installed(name)), roles: ['agent'] }, name),
      observe: observeProxy,
      check: ({ after, answer }) => {
        expect(after).toMatchObject({ pid: undefined, starts: 1 });
        // The dead worker had done it all; its changes are not reported again.
        expect(answer).toEqual([]);
      },
    });
  });
});

describe('clearHost', () => {
  it('keeps what the next framework goes by: fences, tasks and the mark of etcd', async () => {
    const host = await installed('kept');
    const tree = path.join(host.dir, 'data', 'nodes', 'node0');
    const files = { 'run/fenced': '40\n', 'run/task': 'node0.41', 'data/etcd-formed': '' };
    for (const [name, text] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(tree, name)), { recursive: true });
      await writeFile(path.join(tree, name), text);
    }
    await call('clearHost', {
      spec: makeSpec({ name: 'kept', hosts: [host] }),
      host: host.name,
      purge: false,
    });
    for (const [name, text] of Object.entries(files)) {
      expect(await readFile(path.join(tree, name), 'utf8')).toBe(text);
    }
  });

  it('ends and removes all, whenever its worker dies', async () => {
    await dieEverywhere('cleared', {
      activity: 'clearHost',
      prepare: async (name) => {
        const host = await installed(name);
        const environment = { MESOS_DIRECTORY: `${host.dir}/data/mesos-agent/slaves/s/runs/latest` };
        const executor = spawn('sleep', ['1000'], {
          stdio: 'ignore',
          env: { ...process.env, ...environment },
        });
        executors.add(executor);
        const { pid: proxy } = await observeProxy(proxyOn(host, name));
        return {
          spec: makeSpec({ name, hosts: [host] }),
          host: host.name,
          purge: true,
          processes: [executor.pid ?? 0, proxy ?? 0],
        };
      },
      observe: async ({ spec, processes }) => ({
        there: await Promise.all(spec.hosts.map(({ dir }) => stat(dir).then(Boolean, () => false))),
        running: await Promise.all(processes.map(processRuns)),
      }),
      check: ({ after }) => expect(after).toEqual({ there: [false], running: [false, false] }),
    });
  });
});
