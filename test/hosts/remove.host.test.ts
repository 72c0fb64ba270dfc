import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { removeHost } from '../../src/hosts/remove.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { breakScript, faults, preferring } from '../support/broken-programs.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { silentPool } from '../support/ssh-pool.js';

/* On a copy of this machine, with foreign file systems mounted below the base directory. */

let machine: TestMachine;
let local: string;
let pool: SshPool;
let connection: HostConnection;

const dir = '/opt/perijove it';
const precious = '/srv/precious/file';

describe.skipIf(!canCopyMachine)('removeHost', () => {
  beforeAll(async () => {
    machine = await startMachine({ address: '127.22.6.2', setup: ':' });
    local = await mkdtemp(path.join(tmpdir(), 'perijove-remove-'));
    pool = silentPool(path.join(local, 'known'));
    connection = await pool.get(machine.host({ dir, init: 'runit' }));
  });
  afterAll(async () => {
    await pool.close();
    await machine.remove();
    await rm(local, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await machine.run(`
rm -rf /broken; mkdir -p /srv/precious '${dir}/data/m' '${dir}/opt/m' '${dir}-not/m'
mount --bind /srv/precious '${dir}/data/m'; mount --bind /srv/precious '${dir}/opt/m'; mount --bind /srv/precious '${dir}-not/m'
echo precious > ${precious}`);
  });

  it.each([true, false])(
    'unmounts file systems below the directory, and leaves their content: purge %s',
    async (purge) => {
      await removeHost(connection, { purge, cluster: 'test' });
      expect(await machine.run(`cat ${precious}`)).toBe('precious\n');
      const mounted = await machine.run('cat /proc/self/mountinfo');
      expect(mounted).not.toContain('/opt/perijove\\040it/');
      expect(mounted).toContain('/opt/perijove\\040it-not/m');
      expect(await machine.run(`ls -d '${dir}' 2>/dev/null || :`)).toBe(purge ? '' : `${dir}\n`);
    },
  );

  it.each(['umount', 'awk', 'sort'].flatMap((program) => faults.map((fault) => [program, fault] as const)))(
    'empties nothing that is still mounted when %s %s',
    async (program, fault) => {
      // When umount "prints half", it prints nothing but still does all of its work.
      const path = program === 'umount' ? '/bin/false' : undefined;
      await machine.run(breakScript('/broken', program, fault, path));
      const outcome = await removeHost(preferring(connection, '/broken'), {
        purge: true,
        cluster: 'test',
      }).catch((error: unknown) => error);
      if (program === 'umount') {
        expect(outcome).toMatchObject({
          code: 'COMMAND_FAILED',
          message: expect.stringMatching(/still mounted|broken/) as string,
        });
      }
      expect(await machine.run(`cat ${precious}`)).toBe('precious\n');
    },
  );
});
