import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startBrowser, type TestBrowser } from '../../support/chromium.js';
import { startGate, type TestGate } from '../../support/gate.js';
import { startProxy, type TestProxy } from '../../support/proxy.js';

/* The waiting page in a browser; `test/e2e/lab/page.ts` tests it in a cluster without a quorum. */
let browser: TestBrowser;
let proxy: TestProxy;
let gate: TestGate;

const jupyter = '<!doctype html><html lang="en"><title>JupyterLab</title><h1>Here is Jupyter</h1>';
const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name });

beforeAll(async () => {
  browser = await startBrowser();
  proxy = await startProxy({ address: '127.26.1.61' });
  gate = await startGate({
    address: '127.26.2.61',
    node: 'node0',
    term: 1,
    answer: (_request, response) => response.setHeader('content-type', 'text/html').end(jupyter),
  });
  const { node } = gate;
  await proxy.client.setRoute({
    ...{ generation: 1, term: 1, node: node.name, nodes: [node], reflexes: true, drainMs: 0 },
  });
  await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(true), 30_000);
});
afterAll(async () => {
  await browser?.close();
  await proxy?.remove();
  await gate?.close();
});

async function waitingFor(page: Page): Promise<void> {
  await page.goto(`${proxy.url}/lab/tree/a.ipynb?x=1`);
  await heading(page, 'Waiting for Jupyter').waitFor();
}

/** Accessibility violations that axe finds. */
async function faults(page: Page): Promise<string[]> {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core'), 'utf8');
  await page.evaluate(source);
  const { violations, incomplete, passes } = await page.evaluate<AxeResults>('axe.run()');
  expect(passes.map(({ id }) => id)).toEqual(expect.arrayContaining(['color-contrast', 'document-title']));
  return [...violations, ...incomplete].map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`,
  );
}

test('names what it waits for, shows each change, and opens Jupyter at the requested address', async () => {
  await gate.shut();
  const page = await browser.context.newPage();
  await waitingFor(page);
  const status = page.getByRole('status');
  expect(await status.textContent()).toContain('etcd is electing the node');
  await proxy.end('SIGKILL');
  await status.filter({ hasText: 'This host does not respond.' }).waitFor();
  await proxy.start();
  await status.filter({ hasText: 'node0 leads. Its Jupyter is starting.' }).waitFor();
  await gate.open();
  await heading(page, 'Here is Jupyter').waitFor();
  expect(page.url()).toBe(`${proxy.url}/lab/tree/a.ipynb?x=1`);
  await page.close();
});

test('opens Jupyter without JavaScript, too', async () => {
  await gate.shut();
  const page = await browser.context.newPage();
  const devtools = await browser.context.newCDPSession(page);
  await devtools.send('Emulation.setScriptExecutionDisabled', { value: true });
  await waitingFor(page);
  await gate.open();
  await heading(page, 'Here is Jupyter').waitFor();
  await page.close();
});

test.each(['light', 'dark'] as const)(
  'has no violation known to axe, and fits a phone: %s',
  async (colorScheme) => {
    await gate.shut();
    const page = await browser.context.newPage();
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 360, height: 640 });
    await waitingFor(page);
    expect(await faults(page)).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await page.close();
  },
);
