import { readFileSync, writeFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createEtcdClient, type EtcdClient } from '../../../src/etcd/client.js';
import { isAlive, signal } from '../../../src/lab/processes.js';
import { gatePath } from '../../../src/node/api.js';
import { nodeAddress, nodeNames } from '../../../src/cluster/spec.js';
import { keeperState, workflowIds } from '../../../src/temporal/contract.js';
import { labEtcdAccess } from '../../support/etcd.js';
import { runInKernel, startKernel } from '../../support/kernel.js';
import type { TestLab } from '../../support/lab.js';

/** What users keep when leadership moves, when everything that deploys is dead, and without a quorum. */
export function keeperTests(lab: TestLab): void {
  let entrances: Awaited<ReturnType<TestLab['jupyter']>>;
  let members: ReadonlyMap<string, EtcdClient>;

  beforeAll(async () => {
    entrances = await lab.jupyter();
    const spec = await lab.spec();
    const access = await labEtcdAccess(spec);
    members = new Map(
      nodeNames(spec).map((name, index) => [
        name,
        createEtcdClient({ host: nodeAddress(spec, index), port: spec.etcd.clientPort }, { access }),
      ]),
    );
  });
  afterAll(() => {
    for (const member of members?.values() ?? []) member.close();
  });

  async function leader(): Promise<string | undefined> {
    for (const [name, member] of members) {
      const status = await member.status().catch(() => undefined);
      if (status !== undefined && status.leader === status.memberId) return name;
    }
    return undefined;
  }

  const statuses = () =>
    Promise.all(
      entrances.map(
        async ({ url, token }) =>
          (await fetch(`${url}/api/status`, { headers: { authorization: `token ${token}` } })).status,
      ),
    );

  it('moves with etcd while every worker and Temporal are dead, and is fully healthy when they return', async () => {
    const before = await lab.ready();
    const killedAt = Date.now();
    const { temporal } = lab.state;
    if (!temporal || before.etcd.leader === null) expect.unreachable('a whole lab has both');
    await lab.killWorkers();
    signal(temporal, 'SIGKILL');
    await expect.poll(() => isAlive(temporal)).toBe(false);
    for (const process of lab.nodeProcesses(before.etcd.leader)) signal(process, 'SIGKILL');

    await vi.waitFor(
      async () => {
        expect([undefined, before.etcd.leader]).not.toContain(await leader());
        expect(await statuses()).toEqual([200, 200, 200]);
      },
      { timeout: 60_000 },
    );

    await lab.up();
    const after = await lab.ready();
    expect(after.etcd.leader).not.toBe(before.etcd.leader);
    expect(after.jupyter.node).toBe(after.etcd.leader);
    expect(after.jupyter.generation).toBeGreaterThan(before.jupyter.generation ?? 0);
    expect(after.framework.tasks.map(({ state }) => state)).toEqual(
      before.framework.tasks.map(() => 'TASK_RUNNING'),
    );
    expect(after.etcd.members.filter(({ healthy }) => !healthy)).toEqual([]);
    expect(after.incidents.filter(({ at }) => Date.parse(at) > killedAt)).not.toEqual([]);
  });

  it('serves nowhere without a quorum, reports why, keeps its routes, and returns automatically', async () => {
    const before = await lab.ready();
    const spec = await lab.spec();
    const paused = nodeNames(spec)
      .filter((name) => name !== before.etcd.leader)
      .slice(0, 3)
      .flatMap((name) => lab.nodeProcesses(name, 'etcd'));
    expect(paused.length).toBeGreaterThanOrEqual(3);
    const jupyters = nodeNames(spec).flatMap((name) => lab.nodeProcesses(name, 'jupyter'));
    for (const process of paused) signal(process, 'SIGSTOP');
    try {
      await vi.waitFor(async () => expect(await statuses()).toEqual([503, 503, 503]), { timeout: 30_000 });
      const generation = await lab.withTemporal(async (client) => {
        const keeper = client.workflow.getHandle(workflowIds.keeper(spec.name));
        return (await keeper.query(keeperState)).generation;
      });
      expect(generation).toBe(before.jupyter.generation);
      const [entrance] = entrances;
      const page = await fetch(entrance?.url ?? '', { headers: { accept: 'text/html' } });
      expect(page.status).toBe(503);
      expect(await page.text()).toContain('no longer leads');
      for (const name of nodeNames(spec)) {
        const gate = fetch(
          `http://${nodeAddress(spec, nodeNames(spec).indexOf(name))}:${spec.jupyter.port}${gatePath}`,
        );
        await expect(gate).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
      }
      const { proxies } = await lab.status();
      expect(proxies.map(({ generation: held }) => held)).toEqual(proxies.map(() => generation));
    } finally {
      for (const process of paused) signal(process, 'SIGCONT');
    }
    await vi.waitFor(async () => expect(await statuses()).toEqual([200, 200, 200]), { timeout: 60_000 });
    await lab.ready();
    expect(jupyters.filter((process) => !isAlive(process))).toEqual([]);
  });

  it('stays with its kernels, with `follow: sticky`, wherever leadership drifts', async () => {
    const document = parseDocument(readFileSync(lab.specFile, 'utf8'));
    document.setIn(['jupyter', 'follow'], 'sticky');
    writeFileSync(lab.specFile, document.toString());
    await lab.run('up', '--file', lab.specFile);
    const home = (await lab.ready()).jupyter.node ?? '';
    const [first] = entrances;
    if (!first) expect.unreachable('a lab has hosts');
    const kernel = await startKernel(first.url, first.token);
    await runInKernel(first.url, first.token, kernel, 'kept = 6 * 7');

    const others = [...members.keys()].filter((name) => name !== home);
    for (let drift = 0; drift < 10; drift += 1) {
      await vi.waitFor(async () => expect(await leader()).toBe(home), { timeout: 60_000 });
      const target = await members.get(others[drift % others.length] ?? '')?.status();
      await members.get(home)?.moveLeader(target?.memberId ?? '', { deadlineMs: 5_000 });
      const { url, token } = entrances[drift % entrances.length] ?? first;
      expect(await runInKernel(url, token, kernel, 'kept')).toBe('42');
    }
    await vi.waitFor(async () => expect(await leader()).toBe(home), { timeout: 60_000 });
    const { jupyter } = await lab.ready();
    expect(jupyter.node).toBe(home);
    for (const { url, token } of entrances) {
      expect(await runInKernel(url, token, kernel, 'kept')).toBe('42');
    }
  });
}
