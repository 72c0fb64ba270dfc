import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadSpec } from '../../src/spec/load.js';
import type { ClusterSpec } from '../../src/spec/cluster.js';
import { ComposeCluster, findCompose, type Entrance } from '../support/compose.js';

const found =
  process.env['PERIJOVE_TEST_COMPOSE'] === undefined
    ? { missing: 'it takes a quarter of an hour: set PERIJOVE_TEST_COMPOSE=1 for it' }
    : findCompose();
if ('missing' in found) console.warn(`SKIPPED: the cluster of docker-compose.yml, because ${found.missing}`);

interface Deployed {
  readonly result: string;
  readonly changed: number;
  readonly stages: readonly { readonly name: string; readonly ms: number }[];
}

/*
 * Servers in containers, from bare Debian to nothing: what docs/operations.md promises of them, in order. Each
 * step goes on from the one before.
 */
describe.skipIf('missing' in found)('the cluster of docker-compose.yml', () => {
  const cluster = new ComposeCluster('command' in found ? found.command : ['false'], 'perijove-e2e', 18_233);
  let spec: ClusterSpec;
  let entrances: ReadonlyMap<string, Entrance>;

  beforeAll(async () => {
    spec = await loadSpec('examples/compose.yaml');
    await cluster.up();
  }, 900_000);
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(await cluster.logs());
  });
  afterAll(() => cluster.down(), 120_000);

  const through = (host: string) => entrances.get(host) ?? expect.unreachable(`no proxy on ${host}`);

  it('comes up on bare Debian, and a notebook cell answers through each host', async () => {
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

  it('is left alone by another `up`', async () => {
    expect(await cluster.json<Deployed>('up', 'examples/compose.yaml')).toMatchObject({ changed: 0 });
  }, 120_000);

  it('shows the journal of a service, and addresses that a browser on this machine reaches', async () => {
    expect(await cluster.perijove('logs', 'oo-lab1/zookeeper')).toMatch(/ java\[\d+\]: /);
    const temporal = (await cluster.perijove('open', 'temporal', '--url')).trim();
    expect((await fetch(temporal)).status).toBe(200);
    const mesos = (await cluster.perijove('open', 'mesos', '--url')).trim();
    expect(await (await fetch(mesos)).text()).toContain('stand-in');
  });

  it('outlives the host of the node that serves, and keeps what was saved', async () => {
    const before = await cluster.ready();
    const serving = before.framework.tasks.find(({ node }) => node === before.jupyter.node);
    const lost = serving?.host ?? expect.unreachable('Jupyter runs nowhere');
    const others = spec.hosts.map(({ name }) => name).filter((name) => name !== lost);
    await through(lost).save('kept.txt', 'saved before the crash');
    await cluster.crash(lost);
    for (const host of others) {
      await vi.waitFor(async () => expect(await through(host).cell('6*7')).toBe('42'), {
        timeout: 60_000,
        interval: 500,
      });
      expect(await through(host).read('kept.txt')).toBe('saved before the crash');
    }
    await cluster.boot(lost);
    await cluster.ready(180_000);
    expect(await through(lost).cell('6*7')).toBe('42');
    expect(await through(lost).read('kept.txt')).toBe('saved before the crash');
  }, 300_000);

  it('is gone after `down --purge`: no container, network, volume, route, unit or file', async () => {
    await cluster.perijove('down', '--purge');
    for (const { name } of spec.hosts) {
      const left = await cluster.onHost(
        name,
        `ls -d /opt/perijove /etc/systemd/system/perijove-* 2>/dev/null
systemctl list-units --all --no-legend 'perijove-*'
ip route show 192.168.0.0/24
! systemctl is-active --quiet docker || { docker ps -aq; docker network ls -q --filter type=custom; docker volume ls -q; }`,
      );
      expect(left, `left on ${name}`).toBe('');
    }
  }, 180_000);
});
