import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { stopLab } from '../../src/lab/down.js';
import { isAlive, signal } from '../../src/lab/processes.js';
import { existingLab, labPaths, writeLab, type LabState } from '../../src/lab/state.js';
import { provideTemporal } from '../../src/lab/temporal.js';
import { provideWorkers, workersAtWork } from '../../src/lab/workers.js';
import { findTemporal } from '../../src/temporal/server.js';
import { eventually } from '../support/eventually.js';

const perijove = path.resolve(import.meta.dirname, '../../bin/perijove.js');
/** On SIGUSR2, a worker meets an exception that nobody catches. */
const fault = `process.on('SIGUSR2',()=>setTimeout(()=>{throw(new Error('boom'))}))`;
const before = process.env['NODE_OPTIONS'];
let stateDir: string;

beforeEach(() => {
  stateDir = mkdtempSync(path.join(tmpdir(), 'perijove-workers-'));
  process.env['NODE_OPTIONS'] = `--import=data:text/javascript,${encodeURIComponent(fault)}`;
});
afterEach(async () => {
  if (before === undefined) delete process.env['NODE_OPTIONS'];
  else process.env['NODE_OPTIONS'] = before;
  await stopLab({ stateDir, purge: true, report: () => undefined });
});

it('a worker of a lab that met a fault is started again', { timeout: 180_000 }, async () => {
  const empty: LabState = { version: 1, name: 'lab', subnet: '127.31', hosts: [], workers: [] };
  writeLab(stateDir, empty);
  const { executable } = await findTemporal();
  const temporal = await provideTemporal(stateDir, empty, executable);
  const started = provideWorkers(stateDir, { ...empty, temporal }, perijove, temporal.address);
  writeLab(stateDir, { ...empty, temporal, workers: started.map((worker) => worker.process) });
  await workersAtWork(started, temporal.address, new AbortController().signal);

  const [faulty, other] = started.map((worker) => worker.process);
  if (!faulty || !other) throw new Error('a lab has two workers');
  expect(signal(faulty, 'SIGUSR2')).toBe(true);
  await eventually('the faulty worker ends', () => !isAlive(faulty), 60_000);
  const { workers } = existingLab(stateDir);
  expect(workers).toHaveLength(2);
  expect(workers).toContainEqual(other);
  expect(workers).not.toContainEqual(faulty);
  const again = workers.map((process) => ({ process, log: labPaths(stateDir).workerLogs }));
  await workersAtWork(again, temporal.address, new AbortController().signal);
  const log = readFileSync(path.join(labPaths(stateDir).workerLogs, '0.log'), 'utf8');
  expect(log).toContain('"msg":"unexpected exception: the worker hands its activities over and exits"');
});
