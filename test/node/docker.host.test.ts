/** What happens over SSH in a host's Docker: delivering the image, and ending nodes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { hostPaths } from '../../src/hosts/paths.js';
import { fenceNode } from '../../src/node/fence.js';
import { keepArchive, keptArchive, saveLocally } from '../../src/node/image/archive.js';
import { fetchFromHost, hostHasImage, loadOnHost } from '../../src/node/image/host.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { docker, dockerRemove, hasDocker, makeTinyImage } from '../support/docker.js';
import { mortalPool } from '../support/lost-answers.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const reference = `perijove-test-node:${process.pid}`;
const work = { signal: new AbortController().signal, report: () => undefined };
let sshd: TestSshd;
let pool: SshPool;
let directory: string;
let host: HostSpec;

describe.runIf(hasDocker)('on a host with Docker', () => {
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-docker-'));
    vi.stubEnv('XDG_CACHE_HOME', directory);
    sshd = await startSshd({ address: '127.25.11.1' });
    pool = silentPool(directory);
    host = sshd.host({ name: 'h1', dir: path.join(sshd.dir, 'perijove') });
    makeTinyImage(reference, ['sh', 'sleep']);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    dockerRemove('container', ...labelled());
    dockerRemove('image', reference);
    await pool?.close();
    await sshd?.remove();
    await rm(directory, { recursive: true, force: true });
  });

  const base = () => hostPaths(host).clusterNode('node3');
  const labelled = () =>
    docker('ps', '--all', '--quiet', `--filter=label=perijove.tree=${base()}`).split('\n').filter(Boolean);

  describe('the image', () => {
    it('is saved once, and delivered to a host that lacks it, even if each response is lost', async () => {
      const save = (file: string) => saveLocally(reference, file, work);
      const archive = await keepArchive(reference, save);
      expect(archive.imageBytes).toBe(Number(docker('image', 'inspect', '--format={{.Size}}', reference)));
      expect(await keptArchive(reference)).toEqual(archive);
      for (let last = 1, lost = true; lost; last += 1) {
        dockerRemove('image', reference);
        const mortal = mortalPool(pool, last);
        const attempt = async (by: SshPool) => {
          const connection = await by.get(host);
          if (await hostHasImage(connection, reference, work.signal)) return [];
          return loadOnHost(connection, reference, archive, work);
        };
        const answer = await attempt(mortal).catch(() => undefined);
        lost = answer === undefined;
        await mortal.settled();
        const again = await attempt(pool);
        // A loaded image is not loaded again.
        if (!lost) expect([answer?.length, again]).toEqual([1, []]);
        const connection = await pool.get(host);
        expect(await hostHasImage(connection, reference, work.signal)).toBe(true);
        expect(await connection.run(`ls -A ${hostPaths(host).run}`)).toBe('');
      }
    });

    it('is fetched from a host that has it', async () => {
      const connection = await pool.get(host);
      const file = path.join(directory, 'fetched.tar.gz');
      const { imageBytes } = await fetchFromHost(connection, reference, file, work);
      dockerRemove('image', reference);
      expect(await hostHasImage(connection, reference, work.signal)).toBe(false);
      await loadOnHost(connection, reference, { file, imageBytes, archiveBytes: 1 }, work);
      expect(await hostHasImage(connection, reference, work.signal)).toBe(true);
      await expect(fetchFromHost(connection, `${reference}-none`, file, work)).rejects.toMatchObject({
        code: 'IMAGE_NOT_HERE',
      });
    });

    it('is not sent without space for it', async () => {
      const connection = await pool.get(host);
      const archive = { file: '/nonexistent', archiveBytes: 1, imageBytes: 5e14 };
      await expect(loadOnHost(connection, reference, archive, work)).rejects.toMatchObject({
        code: 'DISK_FULL',
        message: expect.stringMatching(
          /^the node image needs 953674317 MiB at .*, where only \d+ MiB are free$/,
        ) as string,
      });
    });
  });

  describe('a fenced node in a container', () => {
    const run = (task: string, how: readonly string[] = ['run', '--detach']) =>
      docker(
        ...how,
        `--label=perijove.tree=${base()}`,
        `--label=perijove.task=${task}`,
        reference,
        'sleep',
        '1000',
      );
    const fence = (launch: number) =>
      fenceNode(
        () => pool.get(host),
        {
          node: 'node3',
          base: base(),
          program: `${hostPaths(host).bin}/perijove-node`,
          launch,
          container: true,
        },
        async () => false,
      );

    it('is gone from Docker, whether it ran, was only created or exited; a later launch stays', async () => {
      run('node3.7');
      run('node3.8', ['create']);
      docker('kill', run('node3.8'));
      const later = run('node3.10');
      expect(await fence(9)).toEqual({ kind: 'gone' });
      expect(docker('ps', '--quiet', '--no-trunc', `--filter=id=${later}`)).toBe(later);
      expect(labelled()).toHaveLength(1);
      expect(await fence(9)).toEqual({ kind: 'gone' });
      expect(await fence(10)).toEqual({ kind: 'gone' });
      expect(labelled()).toEqual([]);
    });
  });
});
