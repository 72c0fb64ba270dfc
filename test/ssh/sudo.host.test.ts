import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { eventually } from '../support/eventually.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { silentPool } from '../support/ssh-pool.js';

const setup = `
add() {
  mkdir -p "/home/$1"; echo "$1:x:$2:$2::/home/$1:/bin/sh" >> /etc/passwd
  echo "$1:*:19000:0:99999:7:::" >> /etc/shadow; echo "$1 ALL=(ALL) $3" > "/etc/sudoers.d/$1"
}
add ada 2000 'NOPASSWD: ALL'
add bob 2001 ALL
`;

describe.runIf(canCopyMachine && existsSync('/usr/bin/sudo'))('become: sudo', () => {
  let machine: TestMachine;
  let directory: string;
  let pool: SshPool;
  let ada: HostConnection;

  beforeAll(async () => {
    machine = await startMachine({ address: '127.22.1.20', user: 'ada', setup });
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-sudo-'));
    pool = silentPool(path.join(directory, 'known'));
    ada = await pool.get(machine.host({ become: 'sudo' }));
  });
  afterAll(async () => {
    await pool.close();
    await machine.remove();
    await rm(directory, { recursive: true, force: true });
  });

  it('runs commands as root, unless they must run as the user', async () => {
    expect(await ada.exec('id -u; exit 3')).toMatchObject({ code: 3, stdout: '0\n', stderr: '' });
    expect(await ada.run('id -u', { become: false })).toBe('2000\n');
  });

  it('kills commands of root when they are aborted', async () => {
    const aborter = new AbortController();
    const outcome = expect(ada.exec('sleep 86399', { signal: aborter.signal })).rejects.toThrow('enough');
    const sleeps = async () => (await machine.run('ps -eo args')).includes('\nsleep 86399');
    await eventually(sleeps);
    aborter.abort(new Error('enough'));
    await outcome;
    await eventually(async () => !(await sleeps()));
  });

  it("writes root's files, and leaves no temporary files", async () => {
    await ada.upload(Buffer.from('secret'), '/root/secret', { mode: 0o600 });
    expect(await machine.run('stat -c "%u %a %s" /root/secret')).toBe('0 600 6\n');
    await expect(ada.upload(Buffer.from('x'), '/nowhere/x', { mode: 0o600 })).rejects.toMatchObject({
      code: 'DIR_NOT_WRITABLE',
    });
    expect(await machine.run('ls -A /tmp')).toBe('');
  });

  it('reports that sudo asks for a password', async () => {
    const { ssh } = machine.host();
    const bob = await pool.get(machine.host({ become: 'sudo', ssh: { ...ssh, user: 'bob' } }));
    await expect(bob.run('true')).rejects.toMatchObject({
      code: 'SUDO_REFUSED',
      message: expect.stringContaining('password') as string,
      retryable: false,
    });
  });
});
