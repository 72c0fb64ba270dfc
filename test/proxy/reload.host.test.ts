import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startGate, type TestGate } from '../support/gate.js';
import { startProxy, type TestProxy } from '../support/proxy.js';

let proxy: TestProxy;
let gate: TestGate;
let generation: number;
let number = 0;

beforeEach(async () => {
  generation = 0;
  proxy = await startProxy({ address: '127.26.5.1' });
  gate = await startGate({ address: '127.26.6.1', answer: (_request, response) => response.end('here') });
  await route();
});
afterEach(async () => {
  await proxy?.remove();
  await gate?.close();
});

async function route(): Promise<void> {
  generation += 1;
  const order = { generation, term: 1, node: 'node1', nodes: [gate.node], reflexes: true, drainMs: 30_000 };
  expect(await proxy.client.setRoute(order)).toMatchObject({ kind: 'set', changed: true });
}

const workerPid = async () => (await proxy.client.health()).pid;
const lives = (pid: number) => existsSync(`/proc/${pid}`);

async function hangUp(): Promise<string> {
  const request = `request ${(number += 1)}`;
  await writeFile(proxy.reloadFile, request);
  process.kill(proxy.pid, 'SIGHUP');
  return request;
}

async function reload(): Promise<void> {
  const request = await hangUp();
  await expect
    .poll(() => readFile(`${proxy.reloadFile}.done`, 'utf8').catch(() => ''), { timeout: 15_000 })
    .toBe(request);
}

function get(agent: http.Agent | false): Promise<string> {
  return new Promise((resolve) => {
    const request = http.get(`${proxy.url}/api`, { agent }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(String(answer.statusCode)));
      answer.once('error', (error) => resolve(error.message));
    });
    request.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

describe('SIGHUP', () => {
  test('starts a new worker, and fails no request over new or kept connections', async () => {
    const kept = new http.Agent({ keepAlive: true, maxSockets: 8 });
    const outcomes = new Map<string, number>();
    let over = false;
    const load = [kept, kept, kept, kept, false, false].map(async (agent) => {
      while (!over) {
        const outcome = await get(agent as http.Agent | false);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    });
    const pids = [await workerPid()];
    for (let round = 0; round < 4; round += 1) {
      await reload();
      pids.push(await workerPid());
    }
    over = true;
    await Promise.all(load);
    kept.destroy();
    expect([...outcomes.keys()]).toEqual(['200']);
    expect(new Set(pids).size).toBe(pids.length);
    await expect.poll(() => pids.filter(lives), { timeout: 40_000 }).toEqual(pids.slice(-1));
  });

  test('cuts no websocket: the worker before serves it until it ends', async () => {
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/api/kernels/1/channels`);
    await once(socket, 'open');
    const before = await workerPid();
    await reload();
    expect(await workerPid()).not.toBe(before);
    const echoed = once(socket, 'message');
    socket.send('still here');
    expect(String((await echoed)[0])).toBe('still here');
    expect(lives(before)).toBe(true);
    socket.close();
    await expect.poll(() => lives(before), { timeout: 10_000 }).toBe(false);
  });

  test('loses no order that arrives meanwhile', async () => {
    await hangUp();
    let last = generation;
    await expect
      .poll(
        async () => {
          await route().then(
            () => (last = generation),
            // Cut, as by a restart: its sender does not count it as carried out.
            () => undefined,
          );
          return readFile(`${proxy.reloadFile}.done`, 'utf8').catch(() => '');
        },
        { timeout: 15_000, interval: 1 },
      )
      .toBe(`request ${number}`);
    expect(await proxy.client.route()).toMatchObject({ generation: last });
    await expect
      .poll(
        async () =>
          (JSON.parse(await readFile(proxy.routeFile, 'utf8')) as { generation: number }).generation,
      )
      .toBe(last);
  });

  test('changes nothing if the new worker does not start', async () => {
    const before = await workerPid();
    await writeFile(proxy.workerFile, 'throw new Error("not this one");\n');
    await hangUp();
    await expect.poll(() => proxy.output(), { timeout: 15_000 }).toContain('could not be replaced');
    expect(await workerPid()).toBe(before);
    expect(await get(false)).toBe('200');
    expect(existsSync(`${proxy.reloadFile}.done`)).toBe(false);
  });

  test('takes the program and the token of that moment', async () => {
    const before = await workerPid();
    await appendFile(proxy.workerFile, '\nprocess.stdout.write(\'{"msg":"the next release"}\\n\');\n');
    await reload();
    expect(proxy.output()).toContain('the next release');
    expect(await workerPid()).not.toBe(before);
  });
});

describe('a process that dies', () => {
  test('a killed worker is replaced at once', async () => {
    // A worker that ends soon after its start is taken for one that cannot run.
    await expect
      .poll(async () => (await proxy.client.health()).uptimeMs, { timeout: 15_000 })
      .toBeGreaterThan(5_500);
    const before = await workerPid();
    const { pid } = proxy;
    process.kill(before, 'SIGKILL');
    await expect.poll(() => workerPid().catch(() => before), { timeout: 15_000 }).not.toBe(before);
    expect(proxy.pid).toBe(pid);
    expect(await get(false)).toBe('200');
  });

  test('no worker outlives the primary process', async () => {
    const worker = await workerPid();
    await proxy.end('SIGKILL');
    await expect.poll(() => lives(worker), { timeout: 10_000 }).toBe(false);
  });

  test('SIGTERM ends all workers, those that drain as well', async () => {
    const socket = new WebSocket(`${proxy.url.replace('http', 'ws')}/api/kernels/1/channels`);
    await once(socket, 'open');
    const ended = once(socket, 'close');
    const before = await workerPid();
    await reload();
    const after = await workerPid();
    expect(await proxy.end('SIGTERM')).toBe(0);
    await ended;
    expect([before, after].filter(lives)).toEqual([]);
  });
});
