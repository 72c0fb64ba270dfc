import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { stopLab } from '../../src/lab/down.js';
import { isAlive, signal } from '../../src/lab/processes.js';
import { writeLab, type LabState } from '../../src/lab/state.js';
import { centralProcesses } from '../../src/lab/sweep.js';
import { provideTemporal } from '../../src/lab/temporal.js';
import { findTemporal } from '../../src/temporal/server.js';
import { connectClient } from '../../src/temporal/connect.js';

describe("a lab's Temporal server", () => {
  let stateDir: string;
  let executable: string;
  let lab: LabState;

  beforeEach(async () => {
    stateDir = mkdtempSync(path.join(tmpdir(), 'perijove-temporal-'));
    ({ executable } = await findTemporal());
    lab = { version: 1, name: 'lab', subnet: '127.29', hosts: [], workers: [] };
    writeLab(stateDir, lab);
  });

  afterEach(() => stopLab({ stateDir, purge: true, report: () => undefined }));

  it('starts once, and again on its database after a kill', async () => {
    const first = await provideTemporal(stateDir, lab, executable);
    expect(first).toMatchObject({ address: '127.0.0.1:7262', ui: 'http://127.0.0.1:8262' });
    lab = { ...lab, temporal: first };
    expect(await provideTemporal(stateDir, lab, executable)).toEqual(first);
    expect(centralProcesses(stateDir)).toEqual(new Set([first.pid]));

    const started = await connectClient({ address: first.address });
    const { workflowId } = await started.client.workflow.start('anything', {
      taskQueue: 'none',
      workflowId: 'kept',
    });
    await started.close();
    signal(first, 'SIGKILL');
    await expect.poll(() => isAlive(first)).toBe(false);

    const second = await provideTemporal(stateDir, lab, executable);
    expect(second.pid).not.toBe(first.pid);
    const again = await connectClient({ address: second.address });
    onTestFinished(() => again.close());
    expect(await again.client.workflow.getHandle(workflowId).describe()).toMatchObject({ type: 'anything' });
  });

  it('names the process that holds its port', async () => {
    const server = createServer().listen(7262, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    await expect(provideTemporal(stateDir, lab, executable)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
  });

  it('is found by a purge without a record of it', async () => {
    const server = await provideTemporal(stateDir, lab, executable);
    // The server may write a file while its directory is being emptied.
    rmSync(stateDir, { recursive: true, maxRetries: 50, retryDelay: 20 });
    await stopLab({ stateDir, purge: true, report: () => undefined });
    expect(isAlive(server)).toBe(false);
  });
});
