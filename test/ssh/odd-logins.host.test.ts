/** Logins that let the user in, and run no commands. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { silentPool } from '../support/ssh-pool.js';

const setup = `
add() {
  mkdir -p "/home/$1"; echo "$1:x:$2:$2::/home/$1:$3" >> /etc/passwd; echo "$1:*:$4:0:99999:7:::" >> /etc/shadow
  chown "$2:$2" "/home/$1"
}
add nora 2000 /usr/sbin/nologin 19000
add rita 2001 /bin/rbash 19000
add otto 2002 /bin/bash 0
add paul 2003 /bin/bash 19000
echo 'echo "Welcome to this machine."; echo "Mind the gap." >&2; echo greeted >> ~/greeted' > /home/paul/.bashrc
# Only a real account check reports an expired password.
printf 'auth required pam_permit.so\\naccount required pam_unix.so\\npassword required pam_deny.so\\nsession required pam_permit.so\\n' > /etc/pam.d/sshd
# What sudo would say, where there is none.
[ -e /usr/bin/sudo ] || { printf '#!/bin/sh\\necho "sudo: a password is required" >&2; exit 1\\n' > /usr/bin/sudo; chmod 755 /usr/bin/sudo; }
`;

describe.runIf(canCopyMachine)('a login that runs no commands', () => {
  let machine: TestMachine;
  let directory: string;
  let pool: SshPool;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-odd-'));
    machine = await startMachine({
      address: '127.22.1.21',
      setup,
      // With SHLVL=1, bash would not read .bashrc.
      environment: 'LANG=C',
      config: ['UsePAM=yes', 'Subsystem=sftp /usr/lib/openssh/sftp-server'],
    });
    pool = silentPool(path.join(directory, 'known'));
  });
  afterAll(async () => {
    await pool?.close();
    await machine?.remove();
    await rm(directory, { recursive: true, force: true });
  });
  const as = (user: string): Promise<HostConnection> =>
    pool.get(machine.host({ ssh: { ...machine.host().ssh, user } }));

  it.each([
    ['nora', 'SHELL_REFUSED', 'This account is currently not available.', 'usermod -s /bin/bash'],
    ['rita', 'SHELL_REFUSED', 'the shell of rita is restricted', 'usermod -s /bin/bash rita'],
    ['otto', 'PASSWORD_EXPIRED', 'Password change required', 'ssh -t'],
  ])('%s: %s, in its own words, with and without sudo', async (user, code, words, remedy) => {
    const connection = await as(user);
    for (const become of [false, true]) {
      await expect(connection.run('echo in', { become })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(words) as string,
        remedy: expect.stringContaining(remedy) as string,
        retryable: false,
      });
    }
    await expect(connection.login()).rejects.toMatchObject({ code });
  });

  it('is no fault of sudo, and a fault of sudo is none of the login', async () => {
    const connection = await as('paul');
    await expect(connection.run('echo in', { become: true })).rejects.toMatchObject({
      code: 'SUDO_REFUSED',
      message: expect.stringContaining('sudo: a password') as string,
    });
    expect(await connection.exec('echo in; echo err >&2')).toMatchObject({ stdout: 'in\n', stderr: 'err\n' });
  });

  it('shells that print disturb neither output nor files', async () => {
    const connection = await as('paul');
    await connection.upload(Buffer.from('content\n'), '/home/paul/file', { mode: 0o640 });
    expect(await machine.run('stat -c "%U %a %s" /home/paul/file; ls -A /home/paul')).toBe(
      'paul 640 8\n.bashrc\nfile\ngreeted\n',
    );
    const copy = path.join(directory, 'copy');
    await connection.download('/home/paul/file', copy);
    expect(await readFile(copy, 'utf8')).toBe('content\n');
    expect(await machine.run('cat /home/paul/greeted')).toMatch(/^(greeted\n){3,}$/);
  });
});
