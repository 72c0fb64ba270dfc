import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processInContainer } from '../../src/mesos/installation/container.js';
import { leadingMaster } from '../../src/mesos/masters/detector.js';
import { masterItems } from '../../src/mesos/installation/items.js';
import { directReach } from '../../src/ssh/reach.js';
import type { ServiceItem } from '../../src/hosts/items.js';
import { docker, dockerRemove, hasDocker, makeTinyImage } from '../support/docker.js';
import { eventually } from '../support/eventually.js';
import { builtProgram } from '../support/programs.js';
import { makeHost, makeSpec } from '../support/spec.js';
import { startEnsemble, type TestEnsemble } from '../support/zookeeper.js';
import { makeProcess, writeSecrets, type MesosProcess } from './mesos-cluster.js';

const image = 'perijove-test-mesos';
const secrets = { credential: { principal: 'perijove', secret: 's3cret' }, digest: 'perijove:d1gest' };

/** Installs the stand-in's master as an image has Mesos: as a program on PATH. */
async function makeMesosImage(dir: string): Promise<void> {
  makeTinyImage(`${image}-base`, ['node', 'sh', 'mv']);
  copyFileSync(await builtProgram('mesos-master'), path.join(dir, 'mesos-master.mjs'));
  writeFileSync(path.join(dir, 'mesos-master'), '#!/bin/sh\nexec node /usr/bin/mesos-master.mjs "$@"\n', {
    mode: 0o755,
  });
  writeFileSync(
    path.join(dir, 'Dockerfile'),
    `FROM ${image}-base\nENV PATH=/usr/bin\nCOPY mesos-master mesos-master.mjs /usr/bin/\n`,
  );
  execFileSync('docker', ['build', '--quiet', '--tag', image, dir], { stdio: 'ignore' });
}

describe.skipIf(!hasDocker)('a master from an image', () => {
  let dir: string;
  let ensemble: TestEnsemble | undefined;
  let service: ServiceItem;
  let master: MesosProcess;
  let container: string;

  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'perijove-mesos-image-'));
    const context = path.join(dir, 'context');
    mkdirSync(context);
    [ensemble] = await Promise.all([startEnsemble(['127.24.9.1']), makeMesosImage(context)]);
  }, 180_000);
  afterAll(async () => {
    await master?.kill();
    dockerRemove('container', container);
    dockerRemove('image', image, `${image}-base`);
    await ensemble?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('leads with the secrets of its host, and is restarted by the supervisor, whatever ended', async () => {
    if (!ensemble) expect.unreachable('ZooKeeper runs');
    const host = makeHost('h1', { address: '127.24.9.11', dir: path.join(dir, 'h1'), roles: ['master'] });
    const spec = makeSpec({
      hosts: [...ensemble.spec.hosts, host],
      zookeeper: { digest: true },
      nodes: { containerizer: 'docker' },
      mesos: { install: { kind: 'image', image }, principal: 'perijove', quorum: 1, sessionTimeoutMs: 2_000 },
    });
    writeSecrets(host, secrets);
    const items = masterItems(spec, host);
    [service] = items.services as [ServiceItem];
    container = `perijove-${spec.name}-h1-mesos-master`;
    master = await makeProcess(items, host, dir);
    const lead = async () => (await leadingMaster(directReach, spec, secrets))?.id;
    const there = () => docker('ps', '--all', '--quiet', '--filter', `name=^${container}$`) !== '';

    await master.start();
    const first = await eventually('it leads', lead, 60_000);
    expect((await fetch('http://127.24.9.11:5050/state')).status).toBe(401);

    // Only the process that the supervisor watches dies: its remains do not block the next start.
    await master.kill();
    expect(there()).toBe(true);
    await master.start();
    const second = await eventually(
      'it leads again',
      async () => {
        const id = await lead();
        return id === first ? undefined : id;
      },
      60_000,
    );
    expect(second).toBeDefined();

    // As a drill suspends it.
    const find = processInContainer(spec, host, 'mesos-master') ?? expect.unreachable('it is in a container');
    const pid = Number(execFileSync('sh', ['-c', find], { encoding: 'utf8' }));
    process.kill(pid, 'SIGSTOP');
    await eventually('it leads no more', async () => (await lead()) === undefined, 60_000);
    process.kill(pid, 'SIGCONT');
    await eventually('it has ended, and its container with it', () => !there(), 30_000);
    await master.start();
    await eventually(
      'it leads once more',
      async () => {
        const id = await lead();
        return id !== undefined && id !== second;
      },
      60_000,
    );

    await master.kill('SIGTERM');
    await eventually('it has ended in good order', () => !there(), 30_000);
    expect(service.afterEnd).toEqual(['docker', 'rm', '--force', container]);
  }, 180_000);
});
