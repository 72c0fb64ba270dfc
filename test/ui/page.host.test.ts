import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loginUrl } from '../../src/ui/access.js';
import type { ElectionsView } from '../../src/ui/elections.js';
import { replayMasters } from '../../src/elections/paxos.js';
import { replayRaft } from '../../src/elections/raft.js';
import { replayEnsemble } from '../../src/elections/zookeeper.js';
import { known } from '../../src/hosts/observation.js';
import { Feed } from '../../src/ui/feed.js';
import { pageFiles } from '../../src/ui/files.js';
import { createPageServer } from '../../src/ui/server.js';
import type { ClusterView } from '../../src/ui/view.js';
import { ensemble, mesosMasters, recorded, threeHosts, threeNodes } from '../elections/recorded.js';
import { startBrowser, type TestBrowser } from '../support/chromium.js';
import { recordedView } from './views.js';

/* The status page in a browser, of what labs were; `test/e2e/lab/status-page.ts` tests it with a running one. */
const token = 'a-token';
const files = await pageFiles(path.resolve(import.meta.dirname, '../../dist/ui/page'));
/** Of other logs than those of the labs. */
const elections: ElectionsView = {
  readAt: '2026-12-01T03:00:00.000Z',
  etcd: replayRaft(recorded('etcd-split', threeNodes)).elections,
  mesos: replayMasters(recorded('mesos', ['m1', 'm2', 'm3']), mesosMasters),
  zookeeper: replayEnsemble(recorded('zookeeper', threeHosts), ensemble),
  unknown: { etcd: [], mesos: [], zookeeper: [] },
  members: [{ node: 'node0', state: known({ role: 'leader', term: 4, committedIndex: 9 }) }],
};
let browser: TestBrowser;
let view: ClusterView;
let server: Server;
let feed: Feed<ClusterView>;
let port = 0;

beforeAll(async () => {
  view = recordedView('ready');
  await serve();
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  stop();
});

async function serve(): Promise<void> {
  feed = new Feed({ observe: async () => view, intervalMs: 50 });
  const answers = {
    '/api/elections': async () => ({ type: 'application/json', body: JSON.stringify(elections) }),
  };
  server = createPageServer({ feed, files, answers }, () => ({
    ...{ token, scheme: 'http', port, names: ['127.0.0.1'] },
  }));
  await once(server.listen(port, '127.0.0.1'), 'listening');
  ({ port } = server.address() as AddressInfo);
}

function stop(): void {
  feed.close();
  server.closeAllConnections();
  server.close();
}

/** Logs in, and notes what goes wrong in the page. */
async function open(name: Parameters<typeof recordedView>[0], hash = '') {
  view = recordedView(name);
  const page = await browser.context.newPage();
  const failures: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) failures.push(message.text());
  });
  page.on('pageerror', (error) => failures.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(`http://127.0.0.1:${port}/`)) failures.push(request.url());
  });
  await page.goto(loginUrl(`http://127.0.0.1:${port}`, token) + hash);
  await page.getByRole('heading', { level: 1, name: 'lab' }).waitFor();
  return { page, failures };
}

/** What axe finds, in the whole page. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(createRequire(import.meta.url).resolve('axe-core'), 'utf8'));
  const { violations, incomplete, passes } = await page.evaluate<AxeResults>('axe.run()');
  expect(passes.map(({ id }) => id)).toEqual(expect.arrayContaining(['color-contrast', 'document-title']));
  return [...violations, ...incomplete].map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join()}`,
  );
}

const host = (page: Page, name: string) => page.getByRole('article', { name });

test('opens by a link, whose token is then nowhere', async () => {
  const { page, failures } = await open('ready');
  expect(page.url()).toBe(`http://127.0.0.1:${port}/`);
  expect(await page.evaluate('document.cookie')).toBe('');
  expect(
    await page.evaluate('performance.getEntriesByType("resource").map(({ name }) => name).join()'),
  ).not.toContain(token);
  expect(failures).toEqual([]);
  await page.close();
});

test('has nothing that axe finds: light and dark, wide and on a phone, healthy and not', async () => {
  for (const name of ['ready', 'crashed'] as const) {
    const { page, failures } = await open(name, `#at=${recordedView(name).moments[0]?.at}&span=hour`);
    for (const details of await page.locator('details').all()) await details.locator('summary').click();
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1360, 390]) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        expect(await faults(page), `${name} ${colorScheme} ${width}`).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth'), `${name} ${width}`).toBe(width);
      }
    }
    expect(failures).toEqual([]);
    await page.close();
  }
});

test('follows the cluster: a host is lost and comes back', async () => {
  const { page } = await open('ready');
  const alert = page.getByRole('alert');
  expect(await alert.innerText()).toBe('');
  expect(await host(page, 'h2').innerText()).toMatch(/node1\s+serves\s+leads etcd/);
  await page.getByRole('link', { name: 'h1:8888' }).waitFor();
  expect(await page.getByRole('listitem').filter({ hasText: 'h1:8888' }).innerText()).toContain(
    'leads to node1 on h2',
  );

  view = recordedView('crashed');
  await alert.filter({ hasText: 'ZooKeeper: h2 does not answer' }).waitFor();
  await page.getByRole('status').filter({ hasText: 'h2 has not answered since' }).waitFor();
  expect(await host(page, 'h2').innerText()).toMatch(/ZooKeeper\s+no answer/);
  expect(await page.getByRole('listitem').filter({ hasText: 'h1:8888' }).innerText()).toContain(
    'leads to node3 on h1',
  );
  expect(await page.getByRole('listitem').filter({ hasText: 'h2:8888' }).innerText()).toContain('not known');

  view = recordedView('ready');
  await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
  expect(await alert.innerText()).toBe('');
  await page.close();
});

test('says what does not answer: the workers, Temporal, and its own server', async () => {
  const { page } = await open('stale');
  const status = (text: string) => page.getByRole('status').filter({ hasText: text });
  await status('No worker has answered since').waitFor();
  view = recordedView('temporal');
  await status('Temporal has not answered since').waitFor();
  // What is on the hosts is still shown.
  expect(await host(page, 'h3').innerText()).toMatch(/ZooKeeper\s+leader/);
  stop();
  await status('Stale since').waitFor();
  expect(await host(page, 'h3').innerText()).toMatch(/ZooKeeper\s+leader/);
  view = recordedView('ready');
  await serve();
  await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
  await status('Stale since').waitFor({ state: 'detached' });
  await page.close();
});

test('shows one moment by its address, which the keyboard reaches', async () => {
  const moment = recordedView('crashed').moments.find(({ kind }) => kind === 'drill');
  const { page } = await open('crashed', `#at=${moment?.at}&span=minute`);
  const chosen = page.locator('.moments [aria-current]');
  await chosen.waitFor();
  expect(await page.locator('.moments .chosen').innerText()).toContain('drill 1: node-kill of node1');
  const other = page.locator('.moments .at').first();
  await other.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/#at=2026-.*&span=minute$/);
  expect(await page.locator('.moments .chosen').count()).toBe(1);
  await page.getByRole('link', { name: 'Now' }).press('Enter');
  await page.getByText('Nothing happened in this time.').waitFor();
  await page.close();
});

test('speaks Chinese, by its switch and by the language of the browser', async () => {
  const { page } = await open('ready');
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('status').filter({ hasText: '就绪' }).waitFor();
  expect(await page.evaluate('document.documentElement.lang')).toBe('zh');
  await page.evaluate('localStorage.clear()');
  await page.addInitScript("Object.defineProperty(navigator, 'languages', { value: ['fr', 'zh-CN', 'en'] })");
  await page.reload();
  await page.getByRole('heading', { name: '时间线' }).waitFor();
  await page.close();
});

test('replays elections: the newest is open, with its steps and its split vote', async () => {
  const { page } = await open('ready');
  const raft = page.getByRole('region', { name: 'etcd: Raft' });
  await raft.getByText('Term 3: the vote was split between node2 and node1.').waitFor();
  expect(await raft.getByRole('row', { name: /node0/ }).innerText()).toMatch(/leader\s+4\s+9/);
  expect(await raft.getByRole('row', { name: /node1/ }).innerText()).toMatch(/unknown/);
  await page.close();
});
