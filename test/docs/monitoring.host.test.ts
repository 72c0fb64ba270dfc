import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSpec } from '../../src/cluster/load.js';
import { emptyStatus } from '../../src/status/cluster-status.js';
import { statusMetrics } from '../../src/status/metrics.js';
import { eventually } from '../support/eventually.js';
import { prometheusPrograms } from '../support/prometheus.js';
import { freePort } from '../support/temporal.js';

const found = prometheusPrograms();
if (typeof found === 'string') console.warn(`skipped: ${found}`);
const { prometheus, promtool } = typeof found === 'string' ? { prometheus: '', promtool: '' } : found;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-prometheus-'));
  cpSync('examples/monitoring', directory, { recursive: true });
  writeFileSync(path.join(directory, 'token'), 'token-of-the-page\n', { mode: 0o600 });
});
afterAll(() => {
  if (directory !== '') rmSync(directory, { recursive: true, force: true });
});

const check = (...args: string[]) =>
  execFileSync(promtool, args, { cwd: directory, encoding: 'utf8', stdio: 'pipe' });

const address = '127.27.30.1';

/** The metrics of a cluster that is degraded, for those who have the token. */
async function page(port: number) {
  const spec = await loadSpec('examples/lab.yaml');
  const metrics = statusMetrics({ ...emptyStatus(spec), phase: 'degraded' });
  const server = createServer((request, response) => {
    const isTrusted = request.headers.authorization === 'Bearer token-of-the-page';
    const isFound = request.url === '/metrics';
    response.writeHead(isTrusted && isFound ? 200 : 401, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(isTrusted ? metrics : '');
  });
  server.listen(port, address);
  await once(server, 'listening');
  return server;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

describe.skipIf(typeof found === 'string')('examples/monitoring', { timeout: 60_000 }, () => {
  it('has a configuration and rules that promtool accepts', () => {
    expect(check('check', 'config', 'prometheus.yml')).toContain('SUCCESS');
    expect(check('check', 'rules', 'rules.yml')).toContain('11 rules found');
  });

  it('has alerts that fire when they should', () => {
    expect(check('test', 'rules', 'rules-test.yml')).toContain('SUCCESS');
  });

  it('has metrics that promtool accepts', async () => {
    const spec = await loadSpec('examples/lab.yaml');
    const input = statusMetrics({ ...emptyStatus(spec), phase: 'ready' });
    expect(execFileSync(promtool, ['check', 'metrics'], { input, encoding: 'utf8', stdio: 'pipe' })).toBe('');
  });

  it('is read by a real Prometheus, which scrapes with the token and raises alerts', async () => {
    const [port, own] = [await freePort(address), await freePort(address)];
    const file = path.join(directory, 'prometheus.yml');
    const config = readFileSync(file, 'utf8')
      .replace('127.0.0.1:8490', `${address}:${port}`)
      .replaceAll(/(scrape_interval|evaluation_interval|scrape_timeout): 15s/g, '$1: 1s');
    writeFileSync(file, config);
    const server = await page(port);
    const child = spawn(
      prometheus,
      [
        ...['--config.file', file, '--storage.tsdb.path', path.join(directory, 'data')],
        ...['--web.listen-address', `${address}:${own}`],
      ],
      { cwd: directory, stdio: 'ignore' },
    );
    try {
      const query = async (text: string) => {
        const url = `http://${address}:${own}/api/v1/query?query=${encodeURIComponent(text)}`;
        const answer = (await (await fetch(url)).json()) as { readonly data: { readonly result: unknown[] } };
        return answer.data.result;
      };
      await eventually('the phase is scraped', async () => {
        const result = await query('perijove_cluster_phase{cluster="lab"} == 1');
        return JSON.stringify(result).includes('"phase":"degraded"');
      });
      await eventually('the alert is pending', async () => {
        const result = await query('ALERTS{alertname="PerijoveEtcdWithoutLeader"}');
        return JSON.stringify(result).includes('"alertstate":"pending"');
      });
    } finally {
      await ended(child);
      server.close();
    }
  });
});
