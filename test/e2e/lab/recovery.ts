import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { nodeNames, sharedDirectory } from '../../../src/cluster/spec.js';
import { hostPaths } from '../../../src/hosts/paths.js';
import { isAlive, signal } from '../../../src/lab/processes.js';
import { nodeLayout } from '../../../src/node/layout.js';
import { frameworkState, workflowIds, type RecoveryResult } from '../../../src/temporal/contract.js';
import type { TestLab } from '../../support/lab.js';

/** What remains after the disks of most nodes were lost. */
export function recoveryTests(lab: TestLab): void {
  it('recovers etcd after a majority has lost its data, with notebooks and kernels', async () => {
    const before = await lab.ready();
    const spec = await lab.spec();
    const refused = await lab.start('recover', 'etcd', '--yes', '--file', lab.specFile).ended;
    expect(refused).toMatchObject({ code: 4 });
    expect(refused.stderr).toContain('ETCD_HAS_QUORUM');

    const notebook = `${sharedDirectory(spec)}/notebooks/kept.ipynb`;
    writeFileSync(notebook, '{}');
    const jupyters = nodeNames(spec).flatMap((name) => lab.nodeProcesses(name, 'jupyter'));
    // Together: one after the other, each would rejoin.
    const lost = nodeNames(spec).slice(1, 4);
    const members = lost.flatMap((name) => lab.nodeProcesses(name, 'etcd'));
    for (const process of members) signal(process, 'SIGSTOP');
    for (const name of lost) {
      const host = spec.hosts.find(
        (each) => each.name === before.framework.tasks.find(({ node }) => node === name)?.host,
      );
      if (host === undefined) expect.unreachable('every node runs');
      rmSync(`${nodeLayout(hostPaths(host).clusterNode(name)).etcdData}/member`, { recursive: true });
    }
    for (const process of members) signal(process, 'SIGKILL');
    await expect
      .poll(() => lab.run('status', '--file', lab.specFile), { timeout: 30_000 })
      .toContain('etcd lost its quorum: 3 of 5 members have no data (node1, node2, node3)');

    const recovered = await lab.json<RecoveryResult>('recover', 'etcd', '--yes');
    expect(recovered).toMatchObject({ result: 'done', epoch: 1, missing: [] });
    expect(recovered.members.toSorted()).toEqual(nodeNames(spec));
    const after = await lab.ready();
    expect(after.etcd.epoch).toBe(1);
    expect(after.jupyter.generation).toBeGreaterThan(before.jupyter.generation ?? 0);
    expect(after.incidents.map(({ what }) => what).join('\n')).toContain('etcd had lost its quorum');
    const answers = { h1: '42', h2: '42', h3: '42' };
    await vi.waitFor(async () => expect(await lab.cells('6*7')).toEqual(answers), { timeout: 60_000 });
    expect(readFileSync(notebook, 'utf8')).toBe('{}');
    expect(jupyters.filter((process) => !isAlive(process))).toEqual([]);
    rmSync(notebook);
    const framework = await lab.withTemporal((client) =>
      client.workflow.getHandle(workflowIds.framework(spec.name)).query(frameworkState),
    );
    expect(framework.etcdEpoch).toBe(1);
  });
}
