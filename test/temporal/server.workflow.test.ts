import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectClient, ensureSearchAttributes, temporalError } from '../../src/temporal/connect.js';
import { findTemporal, startDevServer } from '../../src/temporal/server.js';
import { freePort, startTestServer, type TestServer } from '../support/temporal.js';

const ip = '127.0.0.1';
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-server-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('findTemporal', () => {
  it('skips a release that is too old, and one that does not run', async () => {
    for (const [name, output] of [
      ['old', 'temporal version 1.0.0 (Server 1.24.0, UI 2.27.0)'],
      ['broken', ''],
    ] as const) {
      const file = path.join(directory, name, 'temporal');
      mkdirSync(path.dirname(file));
      writeFileSync(file, `#!/bin/sh\necho '${output}'\n`, { mode: 0o755 });
    }
    const only = { PATH: [path.join(directory, 'broken'), path.join(directory, 'absent')].join(':') };
    await expect(findTemporal([path.join(directory, 'old')], only)).rejects.toMatchObject({
      code: 'TEMPORAL_NOT_FOUND',
      message: expect.stringMatching(/old\/temporal \(1\.0\.0\).*broken\/temporal \(no version\)/) as string,
    });
    const found = await findTemporal([path.join(directory, 'old')]);
    expect(found.executable).not.toContain(directory);
  });
});

describe('startDevServer', () => {
  it('reports the end of the log when the port is taken, and leaves no process', async () => {
    const dialled = new Set<Socket>();
    const taken: Server = createServer((socket) => void dialled.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => taken.listen(0, ip, resolve));
    const address = taken.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const { executable } = await findTemporal();
    try {
      await expect(
        startDevServer({ executable, port: address.port, logFile: path.join(directory, 'taken.log') }),
      ).rejects.toMatchObject({
        code: 'TEMPORAL_START_FAILED',
        message: expect.stringMatching(/exited with code 1[\s\S]*address already in use/) as string,
      });
    } finally {
      for (const socket of dialled) socket.destroy();
      await new Promise((resolve) => taken.close(resolve));
    }
  });
});

describe('a server', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.stop());

  it('has the search attributes, even after SIGKILL and a restart on its database', async () => {
    await server.kill();
    await expect(connectClient({ address: server.address, deadlineMs: 300 })).rejects.toMatchObject({
      code: 'TEMPORAL_UNREACHABLE',
      place: { subject: server.address },
    });
    await server.restart();
    const { connection, namespace, close } = await connectClient({ address: server.address });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    expect(Object.keys(customAttributes)).toEqual(
      expect.arrayContaining(['PerijoveCluster', 'PerijoveStage']),
    );
    await expect(ensureSearchAttributes(connection, namespace)).resolves.toBe(true);
    await close();
  });

  it('registers search attributes that are missing', async () => {
    const { connection } = server;
    const namespace = 'default';
    await connection.operatorService.removeSearchAttributes({
      namespace,
      searchAttributes: ['PerijoveStage'],
    });
    await expect(ensureSearchAttributes(connection, namespace)).resolves.toBe(true);
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    expect(Object.keys(customAttributes)).toContain('PerijoveStage');
  });

  it('names an unknown namespace', async () => {
    await expect(connectClient({ address: server.address, namespace: 'nowhere' })).rejects.toMatchObject({
      code: 'TEMPORAL_NAMESPACE_UNKNOWN',
      place: { subject: 'nowhere' },
    });
  });
});

describe('connectClient', () => {
  it('names the address when nothing responds', async () => {
    const address = `${ip}:${await freePort(ip)}`;
    const started = Date.now();
    await expect(connectClient({ address, deadlineMs: 500 })).rejects.toMatchObject({
      code: 'TEMPORAL_UNREACHABLE',
      message: `no Temporal server responds at ${address}`,
    });
    expect(Date.now() - started).toBeLessThan(5_000);
  });

  it('reads address and namespace from a profile of the environment, and refuses an unknown one', async () => {
    const file = path.join(directory, 'temporal.toml');
    const address = `${ip}:${await freePort(ip)}`;
    writeFileSync(file, `[profile.staging]\naddress = "${address}"\nnamespace = "x"\n`);
    const before = process.env['TEMPORAL_CONFIG_FILE'];
    process.env['TEMPORAL_CONFIG_FILE'] = file;
    try {
      await expect(connectClient({ profile: 'staging', deadlineMs: 300 })).rejects.toMatchObject({
        code: 'TEMPORAL_UNREACHABLE',
        place: { subject: address },
      });
      await expect(connectClient({ profile: 'absent' })).rejects.toMatchObject({
        code: 'TEMPORAL_PROFILE_INVALID',
      });
    } finally {
      if (before === undefined) delete process.env['TEMPORAL_CONFIG_FILE'];
      else process.env['TEMPORAL_CONFIG_FILE'] = before;
    }
  });
});

describe('temporalError', () => {
  it('ignores errors that are not about the server', () => {
    expect(temporalError(new Error('anything'), 'a:1')).toBeUndefined();
    expect(temporalError('text', 'a:1')).toBeUndefined();
  });
});
