import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { createEtcdClient } from '../../../src/etcd/client.js';
import { signal } from '../../../src/lab/processes.js';
import { nodeAddress, nodeNames } from '../../../src/cluster/spec.js';
import { labEtcdAccess } from '../../support/etcd.js';
import { startBrowser, type TestBrowser } from '../../support/chromium.js';
import { JupyterPage } from '../../support/jupyter-page.js';
import type { TestLab } from '../../support/lab.js';

const contentsSchema = z.object({
  content: z.object({
    cells: z.array(z.object({ source: z.string(), metadata: z.object({ trusted: z.boolean() }) })),
  }),
});

/** JupyterLab open in a user's browser during each kind of move: no login and no reload. */
export function pageTests(lab: TestLab): void {
  const notebook = 'moves.ipynb';
  let browser: TestBrowser;
  let entrances: Awaited<ReturnType<TestLab['jupyter']>>;
  let page: JupyterPage;

  beforeAll(async () => {
    browser = await startBrowser();
    entrances = await lab.jupyter();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    for (const shown of browser.context.pages()) {
      console.error(shown.url(), await shown.locator('body').innerText());
    }
  });
  afterAll(() => browser?.close());

  /** The notebook's cells, read through the last host, which the page does not use. */
  async function saved() {
    const { url, token } = entrances.at(-1) ?? expect.unreachable('a lab has hosts');
    const headers = { authorization: `token ${token}` };
    const answer = await fetch(`${url}/api/contents/${notebook}`, { headers });
    return contentsSchema.parse(await answer.json()).content.cells;
  }

  /** The node of the notebook's kernel. */
  const kernelNode = async () => (await page.run('import os; print(os.environ["NODE"])')).trim();

  /** The page continues with its variables, saves what was edited meanwhile, and shows no dialog. */
  async function goesOn(edit: string, value = '41'): Promise<void> {
    expect(await page.run('kept')).toBe(value);
    await page.save();
    await vi.waitFor(async () => expect((await saved())[0]?.source).toBe(edit), { timeout: 60_000 });
    expect(await page.dialogs()).toEqual([]);
  }

  it('runs a cell in a notebook, through each host', async () => {
    for (const { host, url, token } of entrances) {
      const at = await JupyterPage.open(
        browser.context,
        // A separate workspace: JupyterLab opens in each browser what was open in the last one.
        `${url}/lab/workspaces/${host}?token=${token}`,
      );
      await at.newNotebook(`${host}.ipynb`);
      expect(await at.run('6*7')).toBe('42');
      await at.page.close();
    }
  });

  it('survives a planned move without a failed request', async () => {
    const [entrance] = entrances;
    page = await JupyterPage.open(browser.context, `${entrance?.url}/lab/workspaces/moves`);
    await page.newNotebook(notebook);
    expect(await page.run('kept = 41; kept + 1')).toBe('42');
    const { jupyter } = await lab.ready();
    const target = nodeNames(await lab.spec()).find((name) => name !== jupyter.node) ?? '';
    page.failures.length = 0;
    await page.edit('# before the move');
    await lab.run('move', target, '--file', lab.specFile);
    await goesOn('# before the move');
    expect(page.failures).toEqual([]);
  });

  it('survives an election of etcd without a failed request', async () => {
    const { etcd } = await lab.ready();
    const spec = await lab.spec();
    const access = await labEtcdAccess(spec);
    const members = nodeNames(spec).map((name, index) => ({
      name,
      client: createEtcdClient({ host: nodeAddress(spec, index), port: spec.etcd.clientPort }, { access }),
    }));
    page.failures.length = 0;
    await page.edit('# before the election');
    try {
      const from = members.find(({ name }) => name === etcd.leader);
      const to = members.find(({ name }) => name !== etcd.leader);
      await vi.waitFor(
        async () => {
          const status = await to?.client.status({ deadlineMs: 5_000 });
          if (status === undefined || status.leader === status.memberId) return;
          await from?.client.moveLeader(status.memberId, { deadlineMs: 5_000 });
        },
        { timeout: 60_000 },
      );
    } finally {
      for (const { client } of members) client.close();
    }
    await goesOn('# before the election');
    expect(page.failures).toEqual([]);
  });

  it('survives the death of the serving node with its variables', async () => {
    const own = await kernelNode();
    const other = nodeNames(await lab.spec()).find((name) => name !== own) ?? '';
    await lab.run('move', other, '--file', lab.specFile);
    await lab.ready();
    await page.edit('# before the crash');
    for (const process of lab.nodeProcesses(other)) signal(process, 'SIGKILL');
    await goesOn('# before the crash');
    await lab.ready();
  });

  it('says that the kernel is lost when its own node dies, and continues with a new one', async () => {
    const own = await kernelNode();
    await page.edit('# before the node of the kernel died');
    for (const process of lab.nodeProcesses(own)) signal(process, 'SIGKILL');
    await page.kernelLost();
    // Nobody has saved it or run its cells on the node that serves now, and its outputs are still trusted
    // there.
    expect((await saved()).map(({ metadata }) => metadata.trusted)).not.toContain(false);
    expect(await page.run('kept = 43; kept')).toBe('43');
    await goesOn('# before the node of the kernel died', '43');
  });

  it('continues when there is a quorum again, and the waiting page opens it', async () => {
    const { etcd } = await lab.ready();
    await page.edit('# before the quorum was lost');
    const [, entrance] = entrances;
    const paused = nodeNames(await lab.spec())
      .filter((name) => name !== etcd.leader)
      .flatMap((name) => lab.nodeProcesses(name, 'etcd'));
    expect(paused.length).toBeGreaterThanOrEqual(2);
    for (const process of paused) signal(process, 'SIGSTOP');
    let waiting: JupyterPage;
    try {
      const { url = '', token } = entrance ?? {};
      await vi.waitFor(
        async () => {
          const headers = { authorization: `token ${token}` };
          expect((await fetch(`${url}/api/status`, { headers })).status).toBe(503);
        },
        { timeout: 60_000 },
      );
      waiting = await JupyterPage.open(browser.context, `${url}/lab/workspaces/waiting`);
      await waiting.page.getByRole('heading', { name: 'Waiting for Jupyter' }).waitFor();
      await waiting.page.getByRole('status').filter({ hasText: 'no longer leads' }).waitFor();
    } finally {
      for (const process of paused) signal(process, 'SIGCONT');
    }
    await waiting.newNotebook('waited.ipynb');
    expect(await waiting.run('6*7')).toBe('42');
    await vi.waitFor(
      async () => {
        await page.closeDialogs();
        await page.save();
        expect((await saved())[0]?.source).toBe('# before the quorum was lost');
      },
      { timeout: 60_000, interval: 5_000 },
    );
  });
}
