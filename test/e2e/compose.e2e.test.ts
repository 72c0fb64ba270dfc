import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { evidenceSchema } from '../../src/drill/evidence.js';
import { loadSpec } from '../../src/cluster/load.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { nextVolumeStep, parsePool } from '../../src/storage/gluster.js';
import { formVolume, removeVolume } from '../../src/storage/volume.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { mortalPool } from '../support/lost-answers.js';
import { authorization, parseCredential } from '../../src/mesos/masters/http.js';
import { ComposeCluster, type Entrance } from '../support/compose.js';
import { findCompose } from '../support/compose-project.js';
import { describeDifferences, unlisted, unseen, type Phase } from '../support/footprint.js';
import { compare, type Snapshot } from '../support/snapshot.js';
import { silentPool } from '../support/ssh-pool.js';

/** `bare`: servers with plain Debian; `ready`: with the packages in their image. */
const target = process.env['PERIJOVE_TEST_COMPOSE'];
const found =
  target === undefined
    ? { missing: 'it takes ten minutes: set PERIJOVE_TEST_COMPOSE to `ready` or `bare` for it' }
    : findCompose();
if ('missing' in found) console.warn(`SKIPPED: the cluster of docker-compose.yml, because ${found.missing}`);

interface Deployed {
  readonly result: string;
  readonly changed: number;
  readonly stages: readonly { readonly name: string; readonly ms: number }[];
}

/*
 * Servers in containers, from plain Debian to removal: what docs/how-to/servers-in-containers.md promises, in
 * order. Each step continues from the previous one.
 */
describe.skipIf('missing' in found)('the cluster of docker-compose.yml', () => {
  const cluster = new ComposeCluster('command' in found ? found.command : ['false'], {
    project: 'perijove-e2e',
    uiPort: 18_233,
    hostTarget: target ?? 'ready',
  });
  let spec: ClusterSpec;
  let entrances: ReadonlyMap<string, Entrance>;
  const before = new Map<string, Snapshot>();

  beforeAll(async () => {
    spec = await loadSpec('examples/compose.yaml');
    await cluster.up();
    for (const { name } of spec.hosts) {
      await cluster.settle(name);
      before.set(name, await cluster.snapshot(name));
    }
  }, 900_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(await cluster.logs());
  });
  afterAll(() => cluster.down(), 120_000);

  const through = (host: string) => entrances.get(host) ?? expect.unreachable(`no proxy on ${host}`);

  /**
   * The changes on the servers are exactly those listed in docs/reference/host-changes.md. What was there for a moment
   * only, such as the shell that becomes a program, is gone at the next look.
   */
  async function expectFootprint(phase: Phase): Promise<void> {
    await vi.waitFor(
      async () => {
        const differences = [];
        for (const { name, address } of spec.hosts) {
          expect(await cluster.login(address), `a new login on ${name}`).toBe(true);
          differences.push(...compare(before.get(name) ?? new Map(), await cluster.snapshot(name)));
        }
        // The list is for bare servers: packages in the image add nothing.
        if (target !== 'bare') return;
        expect(describeDifferences(unlisted(phase, differences))).toEqual([]);
        expect(unseen(phase, differences)).toEqual([]);
      },
      { timeout: 60_000, interval: 1_000 },
    );
  }

  it('comes up, and a notebook cell answers through each host', async () => {
    const { result, stages } = await cluster.json<Deployed>('up', 'examples/compose.yaml');
    expect(result).toBe('done');
    console.log(stages.map(({ name, ms }) => `${name} ${(ms / 1000).toFixed(1)} s`).join(', '));
    await cluster.ready();
    entrances = await cluster.jupyter();
    expect([...entrances.values()].map(({ url }) => url)).toEqual(
      spec.hosts.map(({ address }) => `http://${address}:8888`),
    );
    for (const entrance of entrances.values()) expect(await entrance.cell('6*7')).toBe('42');
  }, 600_000);

  it(
    'allows new logins, and leaves everything else on bare servers unchanged',
    () => expectFootprint('up'),
    120_000,
  );

  it('is unchanged by another `up`', async () => {
    expect(await cluster.json<Deployed>('up', 'examples/compose.yaml')).toMatchObject({ changed: 0 });
  }, 120_000);

  it('shows a service’s journal, and addresses reachable by a browser on this machine', async () => {
    expect(await cluster.perijove('logs', 'oo-lab1/zookeeper')).toMatch(/ java\[\d+\]: /);
    const temporal = (await cluster.perijove('open', 'temporal', '--url')).trim();
    expect((await fetch(temporal)).status).toBe(200);
    const mesos = (await cluster.perijove('open', 'mesos', '--url')).trim();
    expect((await fetch(mesos)).status).toBe(401);
    const secret = `${spec.hosts[0]?.dir ?? ''}/etc/secrets/mesos-credential`;
    const credential = parseCredential(await cluster.onHost('oo-lab1', `cat ${secret}`));
    const page = await fetch(mesos, { headers: authorization(credential) });
    expect(await page.text()).toContain('stand-in');
  });

  it('leads neither servers nor notebooks to Temporal, nor to commands through Mesos', async () => {
    const temporal = await cluster.addressOf('temporal');
    const attempt = `timeout 3 bash -c '</dev/tcp/${temporal}/7233' && echo open || echo closed`;
    for (const { name } of spec.hosts) {
      expect((await cluster.onHost(name, attempt)).trim()).toBe('closed');
      expect(await cluster.onHost(name, 'getent hosts temporal || echo unknown')).toContain('unknown');
    }
    const [host] = spec.hosts;
    for (const entrance of entrances.values()) {
      const facts = await entrance.cell(notebookAttempts(temporal, host?.address ?? '', host?.dir ?? ''));
      // Neither Temporal, nor a framework, nor an agent's state; of the secrets those of nodes alone.
      expect(facts).toBe("[False, 401, 401, ['node-secrets']]");
    }
  });

  it('keeps notebooks on a GlusterFS volume', async () => {
    for (const { name } of spec.hosts) {
      const mounted = await cluster.onHost(name, 'findmnt --noheadings --output FSTYPE /srv/notebooks');
      expect(mounted.trim()).toBe('fuse.glusterfs');
    }
    const [first, second] = [...entrances.values()];
    await first?.save('shared.txt', 'for all');
    expect(await second?.read('shared.txt')).toBe('for all');
  });

  it('survives the loss of the serving node’s host, keeps saved work, and heals', async () => {
    const { framework } = await cluster.ready();
    const on = (host: string) => framework.tasks.filter((task) => task.host === host);
    // One of its nodes may be rescheduled before another host would hold a majority.
    const lost = spec.hosts.map(({ name }) => name).find((name) => on(name).length === 2) ?? 'nowhere';
    const others = spec.hosts.map(({ name }) => name).filter((name) => name !== lost);
    const nodes = on(lost).map(({ node }) => node);
    await cluster.perijove('move', nodes[0] ?? expect.unreachable('no host has two nodes'));
    await through(lost).save('kept.txt', 'saved before the crash');
    await cluster.crash(lost);
    for (const host of others) {
      await vi.waitFor(async () => expect(await through(host).cell('6*7')).toBe('42'), {
        timeout: 60_000,
        interval: 500,
      });
      expect(await through(host).read('kept.txt')).toBe('saved before the crash');
    }
    await cluster.eventually(({ framework: { tasks } }) =>
      expect(tasks.filter(({ node }) => nodes.includes(node)).map(({ state }) => state)).not.toContain(
        'TASK_RUNNING',
      ),
    );
    await cluster.perijove('fence', lost);
    const moved = await cluster.eventually(({ framework: { tasks } }) =>
      expect(
        tasks.filter(
          ({ node, host, state }) => nodes.includes(node) && host !== lost && state === 'TASK_RUNNING',
        ),
      ).not.toEqual([]),
    );
    expect(moved.storage.bricks.filter(({ online }) => online)).toHaveLength(2);
    await through(others[0] ?? '').save('meanwhile.txt', 'saved without it');
    await cluster.boot(lost);
    await cluster.ready(180_000);
    expect(await through(lost).cell('6*7')).toBe('42');
    for (const file of ['kept.txt', 'meanwhile.txt']) await through(lost).read(file);
    await cluster.eventually(({ storage: { bricks } }) =>
      expect(bricks).toEqual(spec.hosts.map(({ name }) => ({ host: name, online: true, pending: 0 }))),
    );
  }, 400_000);

  it.each(['partition', 'partition-peers', 'host-crash', 'gluster-brick-down', 'node-kill'])(
    'is healthy again after the drill %s',
    async (name) => {
      await cluster.ready();
      const { drill, measures, invariants } = evidenceSchema.parse(
        JSON.parse((await cluster.try('drill', 'run', name, '--json')).stdout),
      );
      expect(drill).toBe(name);
      expect(measures.recoveredMs).not.toBeNull();
      expect(invariants.filter(({ holds }) => holds === false)).toEqual([]);
    },
    300_000,
  );

  it('refuses to fill a disk shared by all servers', async () => {
    const { code, stderr } = await cluster.try('drill', 'run', 'disk-full');
    expect([code, stderr]).toEqual([4, expect.stringContaining('DRILL_NOT_POSSIBLE')]);
  });

  it('is gone after `down --purge`: no container, network, volume, route, mount, unit or file', async () => {
    await cluster.ready();
    await cluster.perijove('down', '--purge');
    await expectFootprint('purged');
    for (const { name } of spec.hosts) {
      const left = await cluster.onHost(
        name,
        `ls -d /opt/perijove /etc/systemd/system/perijove-* 2>/dev/null
systemctl list-units --all --no-legend 'perijove-*'
ip route show 192.168.0.0/24
ip link | grep perijove
findmnt --noheadings /srv/notebooks
ls /srv/brick
systemctl is-active docker glusterd | grep -x active
:`,
      );
      expect(left, `left on ${name}`).toBe('');
      const docker = `dockerd >/tmp/dockerd.log 2>&1 &
until docker version >/dev/null 2>&1; do kill -0 $! || exit 1; sleep 0.2; done
docker ps -aq; docker network ls -q --filter type=custom; docker volume ls -q
kill $! && wait $!
:`;
      expect(await cluster.onHost(name, docker), `left in Docker on ${name}`).toBe('');
    }
  }, 180_000);

  it('forms its volume, and removes it, even if a worker dies at each of the commands', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'perijove-compose-'));
    const pool = silentPool(directory);
    try {
      const here = await cluster.fromHere(spec, directory);
      const storage = here.storage.kind === 'gluster' ? here.storage : expect.unreachable('no volume');
      for (const { name } of here.hosts) await cluster.onHost(name, 'systemctl start glusterd');
      const facts = async () => {
        const printed = await cluster.onHost(
          here.hosts[0]?.name ?? '',
          'gluster --xml pool list && gluster --xml volume info',
        );
        const looked = parsePool(printed, storage.volume);
        return looked.known ? looked.value : expect.unreachable(looked.why);
      };

      await thoughWorkersDie(pool, async (mortal) => {
        const { waits } = await formVolume(mortal, here, storage);
        return waits === undefined;
      });
      expect(nextVolumeStep(here, storage, await facts())).toBeUndefined();

      await thoughWorkersDie(pool, async (mortal) => {
        await removeVolume(mortal, here, storage);
        return true;
      });
      const left = await facts();
      expect([left.volume, left.peers.flatMap(({ names }) => names)]).toEqual([undefined, ['localhost']]);
      for (const { name } of here.hosts) expect(await cluster.onHost(name, `ls ${storage.brick}`)).toBe('');

      // A pool that existed before, and must keep its content.
      const [first, second] = here.hosts;
      await cluster.onHost(first?.name ?? '', `gluster --mode=script peer probe ${second?.address}`);
      await vi.waitFor(
        async () => {
          const { waits } = await formVolume(pool, here, storage);
          expect(waits).toBeUndefined();
        },
        { timeout: 60_000, interval: 500 },
      );
      await removeVolume(pool, here, storage);
      const kept = (await facts()).peers.flatMap(({ names }) => names);
      expect(kept.toSorted()).toEqual([second?.address, 'localhost']);
    } finally {
      await pool.close();
      await rm(directory, { recursive: true, force: true });
    }
  }, 300_000);
});

/** Repeats it. The reply to the first attempt's first command, the second one's second, … is lost. */
/** What a user of a notebook tries: a cell whose value is what came of it. */
function notebookAttempts(temporal: string, master: string, dir: string): string {
  const subscribe = { type: 'SUBSCRIBE', subscribe: { framework_info: { user: 'root', name: 'notebook' } } };
  return `
import os, socket, urllib.error, urllib.request

def connects(address, port):
    try:
        socket.create_connection((address, port), 3).close()
        return True
    except OSError:
        return False

def status(url, data=None):
    headers = {'content-type': 'application/json', 'accept': 'application/json'}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code

[
    connects('${temporal}', 7233),
    status('http://${master}:5050/api/v1/scheduler', b'${JSON.stringify(subscribe)}'),
    status('http://${master}:5051/state'),
    sorted(os.listdir('${dir}/etc')),
]
`;
}

async function thoughWorkersDie(pool: SshPool, attempt: (pool: SshPool) => Promise<boolean>): Promise<void> {
  for (let last = 1; ; last += 1) {
    const mortal = mortalPool(pool, last);
    const done = await attempt(mortal).catch((error: unknown) => {
      if (!mortal.dead) throw error;
      return false;
    });
    await mortal.settled();
    if (done) return;
  }
}
