import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { isAlive, signal } from '../../../src/lab/processes.js';
import { startBrowser, type TestBrowser } from '../../support/chromium.js';
import type { TestLab } from '../../support/lab.js';

/** The status page that a lab serves, in a browser. */
export function statusPageTests(lab: TestLab): void {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser?.close());

  /** As `open status` opens it. */
  const link = async () => new URL((await lab.run('open', 'status', '--url', '--file', lab.specFile)).trim());

  it('follows a node that is killed: who serves, where the hosts lead, and the election', async () => {
    const { etcd } = await lab.ready();
    const killed = etcd.leader ?? expect.unreachable('a healthy etcd has a leader');
    const page = await browser.context.newPage();
    await page.goto((await link()).href);
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    const serving = page.locator('.nodes .serving .what');
    expect(await serving.innerText()).toBe(killed);

    for (const process of lab.nodeProcesses(killed)) signal(process, 'SIGKILL');
    const election = page.locator('.moments').getByText(`, after ${killed} at term`).first();
    await election.waitFor();
    await vi.waitFor(async () => expect(await serving.innerText()).not.toBe(killed), { timeout: 60_000 });
    const now = await serving.innerText();
    for (const { name, ports } of (await lab.spec()).hosts) {
      const lead = page.getByRole('listitem').filter({ hasText: `${name}:${ports.proxy}` });
      await lead.filter({ hasText: `leads to ${now}` }).waitFor();
    }
    await lab.ready();
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    await page.close();
  });

  it('answers programs with the token, and nobody without', async () => {
    const { origin, searchParams } = await link();
    const headers = { authorization: `Bearer ${searchParams.get('token')}` };
    const status: unknown = await (await fetch(`${origin}/api/status`, { headers })).json();
    expect(status).toMatchObject({ cluster: 'lab', mesos: { standIn: true } });
    const metrics = await (await fetch(`${origin}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^perijove_\w+\{cluster="lab"/m);
    for (const path of ['/', '/api/status', '/metrics'])
      expect((await fetch(origin + path)).status).toBe(401);
  });

  it('is started again by the next `lab up`', async () => {
    const { page } = lab.state;
    if (page === undefined) expect.unreachable('a lab has a status page');
    signal(page, 'SIGKILL');
    await vi.waitFor(() => expect(isAlive(page)).toBe(false));
    await lab.run('lab', 'up', '--yes', '--state-dir', lab.stateDir);
    expect(lab.state.page && isAlive(lab.state.page)).toBe(true);
    await vi.waitFor(async () => expect((await fetch((await link()).origin)).status).toBe(401), 30_000);
  });
}
