import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { converge } from '../../src/hosts/converge.js';
import { gatherFacts } from '../../src/hosts/facts.js';
import { noItems } from '../../src/hosts/items.js';
import { installPackages } from '../../src/hosts/packages.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { debianPackages } from '../support/debian-packages.js';
import { eventually } from '../support/eventually.js';
import { silentPool } from '../support/ssh-pool.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';

/*
 * The real apt and dpkg on a disposable copy of this machine, with an empty package database and its own
 * repository: `meek` is a file, `eager` has a daemon that it starts, `slow` takes until /go exists.
 */
const setup = `${debianPackages}
make meek; mkdir -p /package/meek/opt; echo meek > /package/meek/opt/meek; build meek
make eager; daemon eager eager; build eager sums
make slow
printf '#!/bin/sh\\ntouch /slow\\nuntil [ -e /go ]; do sleep 0.1; done\\n' > /package/slow/DEBIAN/postinst
chmod 755 /package/slow/DEBIAN/postinst; build slow
mkdir -p /home/ada; echo 'ada:x:2000:2000::/home/ada:/bin/sh' >> /etc/passwd
`;

describe.runIf(canCopyMachine)('installPackages', () => {
  let machine: TestMachine;
  let directory: string;
  let pool: SshPool;
  let connection: HostConnection;

  beforeEach(async () => {
    machine = await startMachine({ address: '127.22.7.1', setup });
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-packages-'));
    pool = silentPool(path.join(directory, 'known'));
    connection = await pool.get(machine.host());
  });
  afterEach(async () => {
    await pool.close();
    await machine.remove();
    await rm(directory, { recursive: true, force: true });
  });

  const state = async () =>
    (
      await machine.run(`
for name in meek eager slow; do dpkg-query -W -f '\${Package} \${db:Status-Status}\\n' "$name" 2>/dev/null; done
[ ! -e /started ] || echo started
! ls /etc/rc2.d/S??eager >/dev/null 2>&1 || echo 'starts at boot'
! ls /usr/sbin/policy-rc.d* >/dev/null 2>&1 || tail -n 1 /usr/sbin/policy-rc.d*`)
    )
      .split('\n')
      .filter(Boolean);

  it('installs what is missing, starts and enables no daemon, and leaves no policy', async () => {
    await installPackages(connection, ['meek', 'eager']);
    expect(await state()).toEqual(['meek installed', 'eager installed']);
    await installPackages(connection, ['meek', 'eager']);
    expect(await state()).toEqual(['meek installed', 'eager installed']);
  });

  it('does not call apt if nothing is missing', async () => {
    await installPackages(connection, ['meek']);
    await machine.run(
      'rm -rf /repo /var/lib/apt/lists; mv /usr/bin/apt-get /usr/bin/apt-get.away; printf "#!/bin/sh\\ntouch /touched\\n" > /usr/bin/apt-get; chmod 755 /usr/bin/apt-get',
    );
    await installPackages(connection, ['meek']);
    expect(await machine.run('ls /')).not.toContain('touched');
  });

  it('names an unknown package, and restores the previous policy', async () => {
    await machine.run(
      `printf '#!/bin/sh\\nexit 104\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d`,
    );
    await expect(installPackages(connection, ['meek', 'nonesuch'])).rejects.toMatchObject({
      code: 'PACKAGE_NOT_FOUND',
      message: 'Unable to locate package nonesuch',
      place: { host: 'machine' },
      retryable: false,
    });
    expect(await state()).toEqual(['exit 104']);
  });

  it('reports the program that holds apt, waits for it, then continues', async () => {
    await machine.run(`
cat > /hold.py <<'END'
import fcntl, os, time
f = open('/var/lib/dpkg/lock-frontend', 'w')
fcntl.lockf(f, fcntl.LOCK_EX)
open('/held', 'w').close()
while not os.path.exists('/release'): time.sleep(0.05)
END
setsid python3 /hold.py </dev/null >/dev/null 2>&1 &`);
    await eventually(async () => (await machine.run('ls /')).includes('held'));
    const facts = await gatherFacts(connection, {
      packages: [],
      daemons: [],
      ports: [],
      programs: [],
      addresses: [],
      writable: [],
      apart: [],
      dirs: [],
    });
    expect(facts.aptHeldBy).toMatch(/^python3 \(process \d+\)$/);
    const waits: string[] = [];
    await installPackages(connection, ['meek'], {
      onWait: (what) => {
        waits.push(what);
        void machine.run('touch /release');
      },
    });
    expect(waits[0]).toMatch(/^waiting for apt on machine, which is locked by python3 \(process \d+\)$/);
    expect(await state()).toEqual(['meek installed']);

    await machine.run('rm /release /held; setsid python3 /hold.py </dev/null >/dev/null 2>&1 &');
    await eventually(async () => (await machine.run('ls /')).includes('held'));
    await expect(installPackages(connection, ['eager'], { lockTimeoutMs: 0 })).rejects.toMatchObject({
      code: 'PACKAGES_LOCKED',
    });
  });

  it('continues when its worker dies, and the next worker waits for it', async () => {
    const aborter = new AbortController();
    const first = installPackages(connection, ['slow', 'eager'], { signal: aborter.signal });
    const outcome = expect(first).rejects.toThrow('the worker died');
    await eventually(async () => (await machine.run('ls /')).includes('slow'), 20_000);
    aborter.abort(new Error('the worker died'));
    await outcome;

    const waits: string[] = [];
    await installPackages(connection, ['slow', 'eager'], {
      onWait: (what) => {
        waits.push(what);
        void machine.run('touch /go');
      },
    });
    expect(waits[0]).toContain('an installation by Perijove that is under way');
    expect(await state()).toEqual(['eager installed', 'slow installed']);
  });

  it('cleans up after an installation that was killed with the machine', async () => {
    await machine.run(`
printf '#!/bin/sh\\nexit 104\\n' > /usr/sbin/policy-rc.d.before-perijove
printf '#!/bin/sh\\n# perijove\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d*`);
    await installPackages(connection, ['meek']);
    expect(await state()).toEqual(['meek installed', 'exit 104']);
  });

  /** As if systemd were running: queries fail, and commands are recorded. */
  const brokenSystemd = `
mkdir -p /run/systemd/system
printf '#!/bin/sh\\necho "$*" >> /orders\\ncase $1 in list-unit-files|is-enabled|is-active|show) exit 1 ;; esac\\n' > /usr/local/bin/systemctl
chmod 755 /usr/local/bin/systemctl
unit() { mkdir -p "$1/lib/systemd/system"; printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' > "$1/lib/systemd/system/$2"; }
`;
  const rebuild = (name: string) => `
dpkg-deb --build /package/${name} /repo/${name}.deb >/dev/null
size=$(stat -c %s /repo/${name}.deb) sum=$(sha256sum /repo/${name}.deb | cut -d' ' -f1)
awk -v name=${name} -v size="$size" -v sum="$sum" '$1 == "Package:" { own = $2 == name } own && $1 == "Size:" { $2 = size } own && $1 == "SHA256:" { $2 = sum } { print }' /repo/Packages > /repo/Packages.new
mv /repo/Packages.new /repo/Packages`;
  const disabled = async () =>
    (await machine.run('! test -e /orders || grep disable /orders; ls -A /run/systemd/system /var/lib/misc'))
      .split('\n')
      .filter((line) => line.startsWith('disable') || line.includes('perijove') || line.endsWith('.service'));

  it('disables the unit of a new package, and nothing else, although systemd responds to no query', async () => {
    await machine.run(`${brokenSystemd}
unit / there.service
unit /package/meek fresh.service; unit /package/meek there.service; unit /package/meek ssh.service
${rebuild('meek')}`);
    expect(await installPackages(connection, ['meek'])).toEqual([]);
    expect(await disabled()).toEqual(['disable fresh.service']);
    expect(await machine.run('ls -d /run/perijove-apt* 2>/dev/null || :')).toBe('');
  });

  it.each(['dpkg-deb', 'tar'])(
    'disables nothing when %s cannot read the content of a package',
    async (program) => {
      await machine.run(`${brokenSystemd}
unit /package/meek fresh.service
${rebuild('meek')}
real=$(command -v ${program})
case ${program} in
  dpkg-deb) printf '#!/bin/sh\\ncase $1 in --field|--fsys-tarfile) exit 2 ;; esac\\nexec %s "$@"\\n' "$real" ;;
  tar) printf '#!/bin/sh\\ncase $1 in -tf) exit 2 ;; esac\\nexec %s "$@"\\n' "$real" ;;
esac > /usr/local/bin/${program}
chmod 755 /usr/local/bin/${program}`);
      expect(await installPackages(connection, ['meek'])).toEqual([
        'what meek.deb brings could not be read: its daemons stay as the package leaves them',
      ]);
      expect(await disabled()).toEqual([]);
    },
  );

  it('finishes what a killed installation left, even if no package is missing', async () => {
    const items = { ...noItems, packages: ['slow', 'eager'] };
    const deps = {
      artifacts: { programsDir: '/nonexistent', nodeBinary: process.execPath },
      cluster: 'test',
    };
    const first = installPackages(connection, items.packages);
    const outcome = first.catch(() => undefined);
    await eventually(async () => (await machine.run('ls /')).includes('slow'), 20_000);
    await machine.run(`
for pid in /proc/[0-9]*; do
  if tr '\\0' '\\n' < "$pid/environ" 2>/dev/null | grep -q ^brought=; then echo "\${pid#/proc/}"; fi
done > /pids
kill -9 $(cat /pids)
touch /go
timeout 20 sh -c 'until dpkg --configure -a; do sleep 0.1; done'`);
    await outcome;
    expect(await state()).toEqual(expect.arrayContaining(['eager installed', 'slow installed', 'exit 101']));

    const done = await converge(connection, items, deps);
    expect(done.map(({ what }) => what)).toEqual(['finished an interrupted installation of packages']);
    expect(await state()).toEqual(['eager installed', 'slow installed']);
    expect(await machine.run('ls -d /run/perijove-apt* /var/lib/misc/perijove-* 2>/dev/null || :')).toBe('');
    expect(await converge(connection, items, deps)).toEqual([]);
  });

  it('returns the notes of an installation whose worker died', async () => {
    await machine.run(
      'mkdir -p /var/lib/misc; echo "eager could not be disabled" > /var/lib/misc/perijove-notes',
    );
    expect(await installPackages(connection, [])).toEqual(['eager could not be disabled']);
    expect(await installPackages(connection, [])).toEqual([]);
  });

  it('names the missing packages to a user who may not install them', async () => {
    const { ssh } = machine.host();
    const ada = await pool.get(machine.host({ ssh: { ...ssh, user: 'ada' } }));
    await expect(installPackages(ada, ['meek', 'eager'])).rejects.toMatchObject({
      code: 'PACKAGE_MISSING_NO_ROOT',
      message: 'packages missing: meek eager',
      remedy: expect.stringContaining('sudo apt-get install meek eager') as string,
    });
  });
});

describe.runIf(canCopyMachine)('a user who is not root', () => {
  let machine: TestMachine;
  let directory: string;
  let pool: SshPool;

  beforeAll(async () => {
    machine = await startMachine({
      address: '127.22.7.2',
      user: 'ada',
      setup: `mkdir -p /home/ada /opt/perijove /closed; echo 'ada:x:2000:2000::/home/ada:/bin/sh' >> /etc/passwd
chown 2000:2000 /home/ada /opt/perijove; chmod 700 /closed`,
    });
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-user-'));
    pool = silentPool(path.join(directory, 'known'));
  });
  afterAll(async () => {
    await pool.close();
    await machine.remove();
    await rm(directory, { recursive: true, force: true });
  });

  it('writes to its own directories, and reports others as not writable', async () => {
    const ada = await pool.get(machine.host());
    await ada.upload(Buffer.from('mine\n'), '/opt/perijove/file', { mode: 0o600 });
    expect(await machine.run('stat -c "%u %a" /opt/perijove/file')).toBe('2000 600\n');
    await expect(ada.upload(Buffer.from('x'), '/closed/file', { mode: 0o600 })).rejects.toMatchObject({
      code: 'DIR_NOT_WRITABLE',
      place: { host: 'machine', subject: '/closed' },
    });
    const facts = await gatherFacts(ada, {
      packages: [],
      daemons: [],
      ports: [],
      programs: [],
      addresses: [],
      writable: ['/opt/perijove/x', '/closed/x', '/new'],
      apart: [],
      dirs: [],
    });
    expect(facts).toMatchObject({ uid: 2000, writable: ['/opt/perijove/x'] });
  });
});
