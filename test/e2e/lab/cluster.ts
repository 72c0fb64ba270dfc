import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { expect, it } from 'vitest';
import type { DeployResult } from '../../../src/temporal/contract.js';
import { isAlive, killAll, allProcesses, signal, withDescendants } from '../../../src/lab/processes.js';
import { allSockets } from '../../../src/hosts/sockets.js';
import type { TestLab } from '../../support/lab.js';

type UpJson = DeployResult & { readonly result: string };

const hosts = ['h1', 'h2', 'h3'];
const everyHost = (value: string) => Object.fromEntries(hosts.map((host) => [host, value]));

/** Jupyter's address on a node of this lab. */
const targetOf = (node: string | null) => `http://127.28.2.1${node?.replace('node', '') ?? '-'}:8888`;

/** As reported by a master: the lab may use a real Mesos. */
async function isStandIn(address: string): Promise<boolean> {
  const answer = await fetch(`http://${address}:5050/version`);
  return ((await answer.json()) as { readonly stand_in?: boolean }).stand_in ?? false;
}

const isMaster = (args: readonly string[]) =>
  /\/(lt-)?mesos-master$/.test(args[0] ?? '') || args.some((arg) => arg.endsWith('/mesos-master.mjs'));

/** A newly deployed cluster, and its day-to-day operation. */
export function clusterTests(lab: TestLab): void {
  it('is ready after its first deployment, and reports it by its schema', async () => {
    const status = await lab.status();
    expect(status).toMatchObject({
      cluster: 'lab',
      phase: 'ready',
      stale: false,
      workflows: { deploy: 'completed', framework: 'running', keeper: 'running' },
      mesos: {
        standIn: await isStandIn('127.28.1.1'),
        open: false,
        agents: hosts.map((host) => ({ host, state: 'registered' })),
      },
      jupyter: { standby: 'warm' },
      incidents: expect.any(Array) as unknown[],
    });
    expect(status.zookeeper.members.map(({ mode }) => mode).sort()).toEqual([
      'follower',
      'follower',
      'leader',
    ]);
    expect(status.mesos.masters.filter(({ state }) => state === 'leading').map(({ host }) => host)).toEqual([
      status.mesos.leader,
    ]);
    expect(status.framework.tasks.map(({ node, state }) => [node, state])).toEqual(
      [0, 1, 2, 3, 4].map((index) => [`node${index}`, 'TASK_RUNNING']),
    );
    expect(status.etcd.members).toMatchObject(
      [0, 1, 2, 3, 4].map((index) => ({ node: `node${index}`, healthy: true })),
    );
    expect(status.jupyter.node).toBe(status.etcd.leader);
    expect(status.proxies).toEqual(
      hosts.map((host, index) => ({
        host,
        url: `http://127.28.1.${index + 1}:8888/`,
        target: targetOf(status.jupyter.node),
        generation: status.jupyter.generation,
        healthy: true,
      })),
    );
  });

  it('answers a notebook cell through every host', async () => {
    expect(await lab.cells('6*7')).toEqual(everyHost('42'));
  });

  it('is unchanged when the same spec is applied again', async () => {
    const before = lab.allResidents();
    const again = await lab.json<UpJson>('up');
    expect(again).toMatchObject({ result: 'done', changed: 0 });
    expect(again.stages.filter(({ changed }) => changed > 0)).toEqual([]);
    expect([...before].filter(([, process]) => !isAlive(process)).map(([what]) => what)).toEqual([]);
  });

  it('tells before a change which nodes it replaces', async () => {
    expect(await lab.json('plan')).toMatchObject({ changes: 0, replaced: [] });
    const document = parseDocument(readFileSync(lab.specFile, 'utf8'));
    document.setIn(['etcd', 'election'], '2s');
    const changed = `${lab.specFile}.changed`;
    writeFileSync(changed, document.toString());
    const { tasks } = (await lab.status()).framework;
    const planned = JSON.parse(await lab.run('plan', '--file', changed, '--json')) as object;
    expect(planned).toMatchObject({ replaced: tasks.map(({ node }) => node) });
    expect(await lab.run('plan', '--file', changed)).toContain('all nodes are replaced, one at a time');
    rmSync(changed);
  });

  it('changes only what a changed port affects', async () => {
    const before = lab.allResidents();
    const document = parseDocument(readFileSync(lab.specFile, 'utf8'));
    document.setIn(['hosts', 1, 'ports', 'proxy'], 8889);
    writeFileSync(lab.specFile, document.toString());

    const { changed } = await lab.json<UpJson>('up');
    expect(changed).toBeGreaterThan(0);
    const gone = [...before].filter(([, process]) => !isAlive(process)).map(([what]) => what);
    // A worker that drains ends later.
    expect(gone.filter((what) => !what.includes('perijove-proxy-worker.mjs'))).toEqual([]);
    expect(lab.allResidents().size).toBeGreaterThanOrEqual(before.size);
    await lab.ready();
    expect((await lab.jupyter()).map(({ url }) => url)).toEqual([
      'http://127.28.1.1:8888',
      'http://127.28.1.2:8889',
      'http://127.28.1.3:8888',
    ]);
    expect(await lab.cells('6*7')).toEqual(everyHost('42'));
  });

  it('keeps its tasks when the leading master is killed', async () => {
    const { mesos } = await lab.ready();
    const leader = mesos.leader ?? '';
    const nodes = () => [...lab.allResidents()].filter(([what]) => !what.includes('mesos-master'));
    const before = nodes();
    signal(lab.resident(leader, isMaster), 'SIGKILL');
    const after = await lab.eventually((status) => {
      expect(status.mesos.leader).not.toBe(leader);
      expect(status.phase).toBe('ready');
    });
    expect(after.mesos.masters).toContainEqual(
      expect.objectContaining({ host: leader, state: 'standing-by' }),
    );
    expect(before.filter(([, process]) => !isAlive(process)).map(([what]) => what)).toEqual([]);
    expect(await lab.cells('6*7')).toEqual(everyHost('42'));
  });

  it('follows etcd when the leader’s node is killed, and restores the node', async () => {
    const before = await lab.ready();
    const node = before.etcd.leader ?? '';
    const host = before.framework.tasks.find((task) => task.node === node)?.host ?? '';
    const start = lab.resident(
      host,
      (args) =>
        args.some((arg) => arg.endsWith('/perijove-node.mjs')) && args.at(-1) === node.replace('node', ''),
    );
    await killAll(() => withDescendants([start.pid], allProcesses()));

    const after = await lab.eventually((status) => {
      expect(status.etcd.leader).not.toBe(node);
      expect(status.jupyter.node).toBe(status.etcd.leader);
      expect(status.phase).toBe('ready');
    });
    expect(after.framework.tasks).toContainEqual(expect.objectContaining({ node, state: 'TASK_RUNNING' }));
    expect(after.etcd.members).toContainEqual(expect.objectContaining({ node, healthy: true }));
    expect(after.jupyter.generation).toBeGreaterThan(before.jupyter.generation ?? 0);
    expect(after.proxies.map(({ target }) => target)).toEqual(hosts.map(() => targetOf(after.jupyter.node)));
    expect(await lab.cells('6*7')).toEqual(everyHost('42'));
  });

  it('heals automatically after a host crashed and booted', async () => {
    await lab.ready();
    await lab.lab('crash', 'h2');
    const degraded = await lab.eventually((status) => {
      expect(status.phase).toBe('degraded');
      expect(status.zookeeper.members).toContainEqual({ host: 'h2', mode: 'no-answer' });
    });
    expect(degraded.proxies.find(({ host }) => host === 'h2')).toMatchObject({ healthy: false });
    // The others continue, with whichever leader etcd has now.
    await lab.eventually((status) => {
      expect(status.proxies.filter(({ healthy }) => healthy).map(({ host }) => host)).toEqual(['h1', 'h3']);
      expect(status.jupyter.node).toBe(status.etcd.leader);
    });

    await lab.lab('boot', 'h2');
    await lab.ready(120_000);
    expect(await lab.cells('6*7')).toEqual(everyHost('42'));
  });
}

/** The end of a cluster. Its lab remains. */
export function removalTests(lab: TestLab): void {
  it('comes back with each node on its host and with its data, after `down` and `up`', async () => {
    const launchOf = (taskId: string | null) => Number(taskId?.split('.').at(-1));
    const placementOf = ({ framework }: Awaited<ReturnType<TestLab['ready']>>) =>
      Object.fromEntries(framework.tasks.map(({ node, host }) => [node, host]));
    const before = await lab.ready();
    await lab.run('down', '--yes', '--file', lab.specFile);
    await lab.run('up', lab.specFile);
    const after = await lab.ready();
    expect(placementOf(after)).toEqual(placementOf(before));
    const highest = Math.max(...before.framework.tasks.map(({ taskId }) => launchOf(taskId)));
    for (const { taskId } of after.framework.tasks) expect(launchOf(taskId)).toBeGreaterThan(highest);
    expect(after.etcd.term).toBeGreaterThan(before.etcd.term ?? 0);
  });

  it('leaves nothing on its hosts after a purge, and the hosts unchanged', async () => {
    const spec = await lab.spec();
    await lab.run('down', '--purge', '--yes', '--file', lab.specFile);
    for (const { name, dir } of spec.hosts) {
      expect([...lab.residents(name).keys()]).toEqual([expect.stringContaining('sshd')]);
      expect(filesBelow(dir)).toEqual([]);
    }
    const sshd = spec.hosts.map(({ ssh }) => `${ssh.address}:${ssh.port}`).sort();
    expect(
      allSockets()
        .filter(({ listening, address }) => listening && address.startsWith('127.28.'))
        .map(({ address, port }) => `${address}:${port}`)
        .sort(),
    ).toEqual(sshd);
    expect(await lab.status()).toMatchObject({ phase: 'absent' });
  });
}

function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true }).map(String);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  }
}
