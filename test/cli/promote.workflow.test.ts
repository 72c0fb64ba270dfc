/** `perijove promote`, as a command of the built package, on a real server. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deploymentName, observeVersions } from '../../src/temporal/versions.js';
import { buildId } from '../../src/worker/release.js';
import { eventually } from '../support/eventually.js';
import { createTestWorker, startTestServer, type TestServer, type TestWorker } from '../support/temporal.js';

const perijove = path.resolve('bin/perijove.js');
const workers: TestWorker[] = [];
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
}, 120_000);
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await server?.stop();
}, 60_000);

async function promote(...words: readonly string[]): Promise<{ code: number; out: unknown; stderr: string }> {
  const args = ['promote', '--file', 'examples/lab.yaml', '--temporal', server.address, '--json', ...words];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [perijove, ...args]);
    return { code: 0, out: JSON.parse(stdout), stderr: '' };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, stderr: `${stdout}${stderr}` };
  }
}

/** @param build undefined: without a version */
async function work(build: string | undefined): Promise<void> {
  const worker = await createTestWorker({
    server,
    activities: {},
    identity: `worker of ${build}`,
    ...(build !== undefined && {
      options: {
        workerDeploymentOptions: {
          version: { deploymentName, buildId: build },
          useWorkerVersioning: true,
          defaultVersioningBehavior: 'AUTO_UPGRADE',
        },
      },
    }),
  });
  workers.push(worker);
  await eventually(`${build} is known`, async () => {
    const { builds, token } = await observeVersions(server.client);
    return (
      token !== undefined && builds.some((each) => each.build === (build ?? null) && each.workers.length > 0)
    );
  });
}

it('makes this release current once one of its workers polls, and shows what runs where', async () => {
  const own = buildId(path.resolve('dist')) ?? '';
  const refused = await promote();
  expect(refused.code).toBe(4);
  expect(refused.stderr).toContain('RELEASE_NOT_RUNNING');

  await work('another');
  expect((await promote()).stderr).toContain('RELEASE_NOT_RUNNING');
  await work(own);
  expect(await promote('--list')).toMatchObject({ code: 0, out: { changed: false } });
  expect((await observeVersions(server.client)).current).toBeNull();

  const done = await promote();
  expect(done).toMatchObject({ code: 0, out: { result: 'done', changed: true, build: own, moved: [] } });
  expect((done.out as { builds: object[] }).builds).toContainEqual({
    build: own,
    current: true,
    own: true,
    workers: [`worker of ${own}`],
    workflows: [],
  });
  expect(await promote()).toMatchObject({ code: 0, out: { changed: false } });
  expect((await observeVersions(server.client)).current).toBe(own);

  expect((await promote('--unversioned')).stderr).toContain('no worker without a version asks for work');
  await work(undefined);
  expect(await promote('--unversioned')).toMatchObject({ code: 0, out: { changed: true } });
  expect(await observeVersions(server.client)).toMatchObject({ current: null, isDecided: true });
}, 300_000);
