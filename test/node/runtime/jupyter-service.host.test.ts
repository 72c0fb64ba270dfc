/** A program in Jupyter's place, under the real supervisor. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { JupyterService } from '../../../src/node/runtime/jupyter-service.js';
import { serviceState } from '../../../src/node/runtime/runit.js';
import { eventually } from '../../support/eventually.js';
import { killIfThere } from '../../support/nodes.js';

let directory: string;
let supervisor: ChildProcess | undefined;
let ended: AbortController;
let running: Promise<void> | undefined;
let answering: boolean;
/** So long it takes to respond where it is not `answering`. */
let takesMs: number;
let asked: number;
let mark: string;
let warnings: string[];
let kernelsEnded: number;
let failToEnd: number;

beforeEach(() => {
  supervisor = undefined;
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-jupyter-'));
  ended = new AbortController();
  answering = true;
  takesMs = Infinity;
  asked = 0;
  warnings = [];
  kernelsEnded = 0;
  failToEnd = 0;
  mark = `PERIJOVE_NODE_SERVICE=${directory}:jupyter`;
});
afterEach(async () => {
  ended.abort();
  await running;
  if (supervisor !== undefined) {
    let isGone = false;
    supervisor.once('exit', () => (isGone = true));
    supervisor.kill('SIGTERM');
    // Again and again: it waits for what it started just before it got the signal, which may ignore SIGTERM.
    await eventually(() => {
      // 0 would be all processes of this group.
      if (pid() > 0) killIfThere(pid());
      return isGone;
    }, 20_000);
  }
  rmSync(directory, { recursive: true, force: true });
});

const pid = () => Number(readFileSync(path.join(directory, 'supervise', 'pid'), 'utf8'));

/** Lets the supervisor run it, as on a node. */
function start(program: string, standby: 'warm' | 'cold'): JupyterService {
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    path.join(directory, 'run'),
    `#!/bin/sh\nexec env '${mark}' sh -c '${program.replaceAll("'", `'\\''`)}'\n`,
    { mode: 0o755 },
  );
  if (standby === 'cold') writeFileSync(path.join(directory, 'down'), '');
  supervisor = spawn('runsv', [directory], { stdio: 'ignore' });
  const service = new JupyterService({
    directory,
    standby,
    mark: `PERIJOVE_NODE_SERVICE=${directory}:jupyter`,
    endKernels: async () => {
      if (failToEnd > 0) {
        failToEnd -= 1;
        throw new Error('some are left');
      }
      kernelsEnded += 1;
    },
    answers: async (withinMs) => {
      asked += 1;
      return answering || withinMs > takesMs ? { kernels: 3 } : undefined;
    },
    logger: pino(
      { level: 'warn' },
      { write: (line) => warnings.push((JSON.parse(line) as { msg: string }).msg) },
    ),
    patience: { hungMs: 300, neverReadyMs: 1_500, lastAnswerMs: 4_000 },
  });
  running = service.run(ended.signal);
  return service;
}

it('that stops responding is killed, and responds after its restart', async () => {
  const service = start('exec sleep 1000', 'warm');
  await eventually(() => service.status.state === 'ready', 20_000);
  const first = pid();
  answering = false;
  await eventually(() => service.status.state === 'starting', 20_000);
  await eventually(() => pid() !== first && pid() > 0, 20_000);
  answering = true;
  await eventually(() => service.status.state === 'ready', 20_000);
});

it('that responds slowly under load stays ready', async () => {
  const service = start('exec sleep 1000', 'warm');
  await eventually(() => service.status.state === 'ready', 20_000);
  const states: string[] = [];
  service.onChange = () => states.push(service.status.state);
  takesMs = 2_000;
  answering = false;
  asked = 0;
  await eventually(() => asked >= 3, 20_000);
  expect(states).toEqual([]);
});

it('that responds late is not ready, and stays', async () => {
  const service = start('exec sleep 1000', 'warm');
  await eventually(() => service.status.state === 'ready', 20_000);
  const first = pid();
  takesMs = 3_500;
  answering = false;
  await eventually(() => warnings.filter((each) => each === 'Jupyter responds late').length >= 3, 20_000);
  expect([service.status.state, pid()]).toEqual(['starting', first]);
  answering = true;
  await eventually(() => service.status.state === 'ready', 20_000);
  expect(pid()).toBe(first);
});

it('is not killed if another process has its ID', async () => {
  mark = 'ANOTHER=process';
  const service = start('exec sleep 1000', 'warm');
  await eventually(() => service.status.state === 'ready', 20_000);
  const first = pid();
  answering = false;
  const warning = 'killing a Jupyter that does not respond';
  await eventually(() => warnings.filter((each) => each === warning).length >= 3, 20_000);
  expect(pid()).toBe(first);
});

it('is not reported as stopped when its supervisor cannot be observed', async () => {
  mkdirSync(path.join(directory, 'supervise', 'stat'), { recursive: true });
  await expect(serviceState(directory)).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await serviceState(path.join(directory, 'none'))).toEqual({ state: 'down' });
});

it('that never responded is killed later', async () => {
  answering = false;
  start('exec sleep 1000', 'warm');
  await eventually(() => pid() > 0, 20_000);
  const [first, startedAt] = [pid(), performance.now()];
  await eventually(() => pid() !== first && pid() > 0, 20_000);
  expect(performance.now() - startedAt).toBeGreaterThan(1_000);
});

it('that hangs while it stops is killed, even if it is desired again meanwhile', async () => {
  const service = start("trap '' TERM; while :; do sleep 0.2; done", 'cold');
  await eventually(() => service.status.state === 'stopped', 20_000);
  service.serve(true);
  await eventually(() => service.status.state === 'ready', 20_000);
  const first = pid();
  service.serve(false);
  await eventually(
    () => readFileSync(path.join(directory, 'supervise', 'stat'), 'utf8').includes('want down'),
    20_000,
  );
  service.serve(true);
  await eventually(() => service.status.state === 'ready' && pid() !== first, 30_000);
});

it('has no kernel left when it is stopped, and keeps them over a restart', async () => {
  const service = start('exec sleep 1000', 'cold');
  await eventually(() => service.status.state === 'stopped' && kernelsEnded === 1, 20_000);
  service.serve(true);
  await eventually(() => service.status.state === 'ready', 20_000);
  const first = pid();
  process.kill(first, 'SIGKILL');
  await eventually(() => service.status.state === 'ready' && pid() !== first, 20_000);
  expect(kernelsEnded).toBe(1);
  failToEnd = 2;
  service.serve(false);
  await eventually(() => service.status.state === 'stopped', 20_000);
  expect([kernelsEnded, failToEnd]).toEqual([2, 0]);
});
