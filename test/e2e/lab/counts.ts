import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isAlive } from '../../../src/lab/processes.js';
import type { DeployResult } from '../../../src/temporal/contract.js';
import type { TestLab } from '../../support/lab.js';
import { Users } from '../../support/users.js';

type UpJson = DeployResult & { readonly result: string };

/** Three of the cluster's nodes stay while others come and go, and users notice nothing. */
export function countTests(lab: TestLab): void {
  it('grows to five nodes and shrinks to four and three without a failed request', async () => {
    await lab.ready();
    const founders = [...lab.allResidents()].filter(([what]) => /perijove-node\S* start [012]$/.test(what));
    expect(founders).toHaveLength(3);
    const users = new Users(await lab.jupyter());
    try {
      for (const [count, goes] of [[5], [4, 'node4'], [3, 'node3']] as const) {
        // The node to remove serves and leads, so it has to hand over.
        if (goes !== undefined) await lab.run('move', goes, '--file', lab.specFile);
        writeFileSync(
          lab.specFile,
          readFileSync(lab.specFile, 'utf8').replace(/count: \d/, `count: ${count}`),
        );
        expect(await lab.json<UpJson>('up')).toMatchObject({ result: 'done' });
        const status = await lab.ready();
        const nodes = Array.from({ length: count }, (_, index) => `node${index}`);
        expect(status.etcd.members).toMatchObject(nodes.map((node) => ({ node, healthy: true })));
        expect(status.framework.tasks.map(({ node }) => node)).toEqual(nodes);
      }
    } finally {
      await users.leave();
    }
    expect(users.failures).toEqual([]);
    expect(founders.filter(([, process]) => !isAlive(process)).map(([what]) => what)).toEqual([]);
  });
}
