import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { aptScript } from '../../src/lab/apt.js';
import { debianPackages } from '../support/debian-packages.js';

/*
 * The real apt and dpkg, on a throw-away copy of this machine: an overlay over `/`, in separate namespaces,
 * with an empty package database and a repository of one package with a daemon.
 */

const entrance = `
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount -t proc none "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/tmp"; chmod 1777 "$1/root/tmp"
exec chroot "$1/root" /bin/sh -s
`;
const namespaces = ['--mount', '--pid', '--fork', '--kill-child'];

const machine = `
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
${debianPackages}
# What the real package has brought to this machine, if it is there.
rm -rf /run/systemd /etc/rc?.d/*etcd /etc/init.d/etcd /etc/init.d/ssh
rm -f /lib/systemd/system/etcd.service /lib/systemd/system/ssh.*
make etcd-server; daemon etcd-server etcd; build etcd-server
cat >/install.sh <<'PERIJOVE_END'
${aptScript(['etcd-server'])}PERIJOVE_END
state() {
  if [ -e /started ]; then echo 'the daemon was started'; fi
  if starts_at_boot etcd; then echo 'the daemon starts at boot'; fi
  if [ -e /usr/sbin/policy-rc.d ]; then echo "policy: $(tail -n 1 /usr/sbin/policy-rc.d)"; fi
  if ! dpkg-query -W etcd-server >/dev/null 2>&1; then echo 'the package is missing'; fi
}
`;

const isolates = (() => {
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-root-'));
  try {
    const args = [...namespaces, 'sh', '-c', entrance, 'sh', directory];
    return spawnSync('unshare', args, { input: 'command -v apt-get' }).status === 0;
  } finally {
    rmSync(directory, { recursive: true });
  }
})();

describe.skipIf(!isolates)('aptScript', () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(path.join(tmpdir(), 'perijove-root-'));
    return () => rmSync(root, { recursive: true });
  });

  /** Runs a shell script as root on a fresh copy of this machine; resolves to its lines. */
  async function onMachine(script: string): Promise<string[]> {
    const file = path.join(root, 'script');
    writeFileSync(file, `${machine}\n${script}`);
    onTestFinished(() => rmSync(file, { force: true }));
    const { stdout } = await promisify(execFile)(
      'sh',
      ['-c', 'exec unshare "$@" <"$0"', file, ...namespaces, 'sh', '-c', entrance, 'sh', root],
      { maxBuffer: 1 << 24 },
    );
    return stdout.trimEnd().split('\n');
  }

  it('is needed: the package starts its daemon automatically', async () => {
    expect(
      await onMachine('{ apt-get update; apt-get install -y etcd-server; } >/dev/null 2>&1; state'),
    ).toEqual(['the daemon was started', 'the daemon starts at boot']);
  });

  it('installs, and leaves no daemon running and none that starts at boot', async () => {
    expect(await onMachine('sh /install.sh; state')).toEqual([
      'apt-get update',
      'apt-get install etcd-server',
    ]);
  });

  it('does not change a daemon that was there before', async () => {
    expect(
      await onMachine(`
        cp /package/etcd-server/etc/init.d/etcd /etc/init.d/etcd; update-rc.d etcd defaults
        sh /install.sh >/dev/null; state`),
    ).toEqual(['the daemon starts at boot']);
  });

  it.each(['/etc/systemd/system', '/usr/local/lib/systemd/system'])(
    'does not disable the unit of another installation in %s',
    async (directory) => {
      expect(
        await onMachine(`
        mkdir -p /run/systemd/system ${directory} /package/etcd-server/lib/systemd/system
        echo '[Unit]' >${directory}/etcd.service
        echo '[Unit]' >/package/etcd-server/lib/systemd/system/etcd.service
        rm /repo/Packages; build etcd-server
        printf '#!/bin/sh\\necho "systemctl $*" >>/called\\n' >/usr/bin/systemctl; chmod 755 /usr/bin/systemctl
        sh /install.sh >/dev/null; grep -c disable /called || :; [ -e /lib/systemd/system/etcd.service ] && echo installed`),
      ).toEqual(['0', 'installed']);
    },
  );

  it.each(['exit 2', 'exit 0', 'exit 1'])('restores an existing policy with a grep of `%s`', async (what) => {
    expect(
      await onMachine(`
        printf '#!/bin/sh\\n# perijove lab: no daemon is started\\nexit 101\\n' >/usr/sbin/policy-rc.d
        printf '#!/bin/sh\\nexit 104\\n' >/usr/sbin/policy-rc.d.before-perijove
        mkdir /broken; printf '#!/bin/sh\\n${what}\\n' >/broken/grep; chmod 755 /broken/grep
        PATH=/broken:$PATH sh /install.sh >/dev/null; state`),
    ).toEqual(['policy: exit 104']);
  });

  it('restores an existing policy, also after a failure', async () => {
    const policy = `printf '#!/bin/sh\\nexit 104\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d`;
    expect(await onMachine(`${policy}; sh /install.sh >/dev/null; state`)).toEqual(['policy: exit 104']);
    expect(
      await onMachine(`${policy}; rm /repo/etcd-server.deb
        if sh /install.sh >/dev/null 2>/tmp/error; then echo done; fi
        grep -c etcd-server.deb /tmp/error >/dev/null && echo said so; state`),
    ).toEqual(['said so', 'policy: exit 104', 'the package is missing']);
  });

  it('repairs what a killed run left', async () => {
    expect(
      await onMachine(`
        printf '#!/bin/sh\\n# perijove lab: no daemon is started\\nexit 101\\n' >/usr/sbin/policy-rc.d
        printf '#!/bin/sh\\nexit 104\\n' >/usr/sbin/policy-rc.d.before-perijove
        sh /install.sh >/dev/null; state`),
    ).toEqual(['policy: exit 104']);
  });

  it('cleans up when interrupted', async () => {
    expect(
      await onMachine(`
        # A package whose installation ends when it is told to.
        printf '#!/bin/sh\\necho >/reached; until [ -e /go ]; do sleep 0.1; done\\n' >/package/etcd-server/DEBIAN/preinst
        chmod 755 /package/etcd-server/DEBIAN/preinst
        rm /repo/Packages; build etcd-server
        sh /install.sh >/dev/null & script=$!
        until [ -e /reached ]; do sleep 0.1; done
        kill -TERM $script; touch /go
        wait $script || echo "ended with $?"
        if [ -e /usr/sbin/policy-rc.d ]; then echo 'policy left'; fi`),
    ).toEqual(['ended with 143']);
  });

  it("waits for apt's lock, and reports its holder", async () => {
    const hold = (file: string) => `
      cat >/hold.py <<'END'
import fcntl, os, time
held = open('${file}', 'w')
fcntl.lockf(held, fcntl.LOCK_EX)
open('/held', 'w')
while not os.path.exists('/release'): time.sleep(0.05)
END
      mkdir -p "$(dirname '${file}')"
      python3 /hold.py & holder=$!
      until [ -e /held ]; do sleep 0.05; done
      sh /install.sh >/said & script=$!
      until grep -q waiting /said; do sleep 0.05; kill -0 $script; done
      touch /release
      wait $script
      sed "s/$holder/PID/" /said; state`;
    for (const file of ['/var/lib/dpkg/lock-frontend', '/var/lib/apt/lists/lock']) {
      const said = await onMachine(hold(file));
      expect(said.filter((line) => !line.startsWith('apt-get'))).toEqual([
        "waiting for python3 (process PID), which holds apt's lock",
      ]);
    }
  });
});
