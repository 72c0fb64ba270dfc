import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AptSource } from '../../src/cluster/spec.js';
import { converge, planChanges, type ConvergeDeps } from '../../src/hosts/converge.js';
import { noItems } from '../../src/hosts/items.js';
import { openPgpKeys } from '../../src/hosts/openpgp.js';
import { aptKey, removePinned } from '../../src/hosts/pin-package.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { debianPackages } from '../support/debian-packages.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { silentPool } from '../support/ssh-pool.js';

const canSign = spawnSync('gpg', ['--version']).status === 0;

/** `make_suite SUITE`: the packages of /repo in a suite of /own, with a Release file that nobody signed yet. */
const suites = `
version() { sed -i "s/^Version: .*/Version: $2/" "/package/$1/DEBIAN/control"; }
make_suite() {
  mkdir -p "/own/dists/$1/main/binary-$(dpkg --print-architecture)" "/own/pool/$1"
  cp /repo/*.deb "/own/pool/$1/"
  packages=main/binary-$(dpkg --print-architecture)/Packages
  sed 's|^Filename: ./|Filename: pool/'"$1"'/|' /repo/Packages > "/own/dists/$1/$packages"
  ( cd "/own/dists/$1"
    printf 'Origin: test\\nSuite: %s\\nCodename: %s\\nArchitectures: %s\\nComponents: main\\nDate: %s\\nSHA256:\\n %s %s %s\\n' "$1" "$1" "$(dpkg --print-architecture)" "$(date -Ru)" "$(sha256sum < "$packages" | cut -d' ' -f1)" "$(stat -c %s "$packages")" "$packages" > Release )
}
`;
const setup = `${debianPackages}${suites}
make mesos-small; mkdir -p /package/mesos-small/usr/sbin; echo one > /package/mesos-small/usr/sbin/mesos-small
build mesos-small; make_suite old
version mesos-small 2.0; rm -rf /repo/*; build mesos-small
make broken; printf '#!/bin/sh\\nexit 1\\n' > /package/broken/DEBIAN/postinst; chmod 755 /package/broken/DEBIAN/postinst; build broken
make_suite new; make_suite expired; make_suite foreign; make_suite unsigned
rm -rf /repo /etc/apt/sources.list; mkdir -p /etc/apt/sources.list.d /etc/apt/keyrings
cp /etc/os-release /etc/apt/keyrings/theirs
`;

describe.runIf(canCopyMachine && canSign)('a package from an apt source of its own', () => {
  let machine: TestMachine;
  let directory: string;
  let pool: SshPool;
  let connection: HostConnection;
  let deps: ConvergeDeps;
  const keys: Record<string, { readonly key: string; readonly fingerprint: string }> = {};

  const gpg = (...args: string[]) =>
    execFileSync(
      'gpg',
      [
        '--homedir',
        directory,
        '--batch',
        '--quiet',
        '--pinentry-mode',
        'loopback',
        '--passphrase',
        '',
        ...args,
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
  const makeKey = (name: string, ...times: string[]) => {
    gpg(
      ...times.slice(0, 1),
      '--quick-generate-key',
      `${name}@example.org`,
      'ed25519',
      'sign',
      times[1] ?? 'never',
    );
    const colons = gpg('--list-keys', '--with-colons', `${name}@example.org`).toString();
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(colons)?.[1] ?? '';
    keys[name] = { key: gpg('--export', '--armor', fingerprint).toString(), fingerprint };
  };
  const sign = (name: string, suite: string, ...options: string[]) => {
    const release = path.join(machine.root, 'own/dists', suite, 'Release');
    const signed = gpg(
      ...options,
      '--local-user',
      `${name}@example.org`,
      '--clearsign',
      '--output',
      '-',
      release,
    );
    writeFileSync(path.join(path.dirname(release), 'InRelease'), signed);
    rmSync(release);
  };

  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'perijove-pinned-'));
    machine = await startMachine({ address: '127.22.61.1', setup });
    makeKey('right');
    makeKey('other');
    makeKey('late', '--faked-system-time=20200101T000000', '1d');
    for (const suite of ['old', 'new']) sign('right', suite);
    sign('other', 'foreign');
    sign('late', 'expired', '--faked-system-time=20200101T000100');
    pool = silentPool(path.join(directory, 'known'));
    connection = await pool.get(machine.host());
    deps = { artifacts: { programsDir: directory, nodeBinary: process.execPath }, cluster: 'test' };
  }, 120_000);
  afterAll(async () => {
    await pool?.close();
    await machine?.remove();
    spawnSync('gpgconf', ['--homedir', directory, '--kill', 'all']);
    rmSync(directory, { recursive: true, force: true });
  });

  const source = (suite: string, key = 'right', given: Partial<AptSource> = {}): AptSource => ({
    source: 'file:/own',
    suite,
    component: 'main',
    key: keys[key]?.key ?? '',
    fingerprint: keys[key]?.fingerprint ?? '',
    ...given,
  });
  const items = (version: string, apt: AptSource, name = 'mesos-small') => ({
    ...noItems,
    packages: [name],
    pinned: [{ name, version, apt, cluster: 'test' }],
  });
  const state = async () =>
    (
      await machine.run(`
dpkg-query -W -f '\${Package} \${Version} \${db:Status-Want}\\n' mesos-small 2>/dev/null
cd /etc/apt; ls -d sources.list.d/* keyrings/* preferences.d/perijove* 2>/dev/null; ls /var/lib/apt/lists | grep own; ls -d /run/perijove-apt 2>/dev/null; :`)
    )
      .split('\n')
      .filter(Boolean);
  const clean = ['keyrings/theirs'];
  const installed = (version: string) => [
    `mesos-small ${version} hold`,
    'keyrings/perijove-test-mesos-small.gpg',
    'keyrings/theirs',
    'preferences.d/perijove-test-mesos-small.pref',
    'sources.list.d/perijove-test-mesos-small.sources',
  ];
  const refused = async (version: string, apt: AptSource, expected: object, before = clean) => {
    await expect(converge(connection, items(version, apt), deps)).rejects.toMatchObject(expected);
    expect(await state()).toEqual(before);
  };

  it('adds nothing for a key, a signature, a source or a version that is not as the spec says', async () => {
    const wrong = 'A'.repeat(40);
    await refused('2.0', source('new', 'right', { fingerprint: wrong }), { code: 'APT_KEY_FINGERPRINT' });
    await refused('2.0', source('expired', 'late'), { code: 'APT_KEY_EXPIRED' });
    await refused('2.0', source('foreign'), { code: 'APT_SOURCE_UNTRUSTED' });
    await refused('2.0', source('unsigned'), { code: 'APT_SOURCE_UNTRUSTED' });
    await refused('2.0', source('none'), { code: 'APT_SOURCE_UNREACHABLE' });
    await refused('3.0', source('new'), {
      code: 'PACKAGE_NOT_FOUND',
      message: 'file:/own new has no mesos-small 3.0; it has: 2.0',
    });
    // Both keys in one file: only the one that the spec names may sign.
    const key = `${keys['other']?.key}${keys['right']?.key}`;
    await refused('2.0', source('foreign', 'right', { key }), { code: 'APT_SOURCE_UNTRUSTED' });
    await refused('2.0', source('new', 'right', { key: 'nothing' }), { code: 'APT_KEY_FINGERPRINT' });
    const absent = pathToFileURL(path.join(directory, 'absent')).href;
    const { key: _, ...keyless } = source('new');
    await refused('2.0', { ...keyless, keyUrl: absent }, { code: 'APT_KEY_UNREACHABLE', retryable: true });
  });

  it('reports a source whose key has expired since, as apt does', async () => {
    const renewed = keys['late']?.fingerprint ?? '';
    // The spec has the key as it was extended, but the signing key of the source is the old one.
    await expect(
      aptKey(source('expired', 'late'), { now: new Date('2020-01-01T12:00:00Z') }),
    ).resolves.toBeInstanceOf(Buffer);
    expect(openPgpKeys(Buffer.from(keys['late']?.key ?? ''))).toMatchObject([
      { fingerprint: renewed, expiresAt: new Date('2020-01-02T00:00:00Z') },
    ]);
    expect(openPgpKeys(Buffer.from(keys['right']?.key ?? ''))[0]).not.toHaveProperty('expiresAt');
  });

  it('leaves a source alone that the host has with other settings', async () => {
    await machine.run(
      `echo 'deb [signed-by=/etc/apt/keyrings/theirs] file:/own new main' > /etc/apt/sources.list.d/theirs.list`,
    );
    await refused('2.0', source('new'), { code: 'APT_SOURCE_CONFLICT' }, [
      ...clean,
      'sources.list.d/theirs.list',
    ]);
    await machine.run(
      'rm /etc/apt/sources.list.d/theirs.list; echo mine > /etc/apt/sources.list.d/perijove-test-mesos-small.sources',
    );
    await refused('2.0', source('new'), { code: 'APT_SOURCE_CONFLICT' }, [
      ...clean,
      'sources.list.d/perijove-test-mesos-small.sources',
    ]);
    await machine.run('rm /etc/apt/sources.list.d/*');
  });

  it('takes everything back where apt cannot install the package', async () => {
    await expect(converge(connection, items('1.3.2', source('new'), 'broken'), deps)).rejects.toMatchObject({
      code: 'PACKAGE_FAILED',
    });
    await machine.run('dpkg --purge broken');
    expect(await state()).toEqual(clean);
  });

  it('installs the version, holds it, and changes nothing when repeated', async () => {
    const wanted = items('1.3.2', source('old'));
    await expect(planChanges(connection, wanted, deps)).resolves.toMatchObject([
      { what: 'install mesos-small 1.3.2 from file:/own, on hold' },
    ]);
    await expect(converge(connection, wanted, deps)).resolves.toHaveLength(1);
    expect(await state()).toEqual(expect.arrayContaining(installed('1.3.2')));
    expect(await converge(connection, wanted, deps)).toEqual([]);
    const sources = readFileSync(
      path.join(machine.root, 'etc/apt/sources.list.d/perijove-test-mesos-small.sources'),
      'utf8',
    );
    expect(sources).toContain('\nSigned-By: /etc/apt/keyrings/perijove-test-mesos-small.gpg\n');
    await machine.run('apt-get -q update');
  });

  it('upgrades to another version, and keeps the old source where the new one is not signed', async () => {
    await expect(converge(connection, items('2.0', source('foreign')), deps)).rejects.toMatchObject({
      code: 'APT_SOURCE_UNTRUSTED',
    });
    expect(await converge(connection, items('1.3.2', source('old')), deps)).toEqual([]);
    await converge(connection, items('2.0', source('new')), deps);
    expect(await state()).toEqual(expect.arrayContaining(installed('2.0')));
  });

  it('removes on purge what it added, releases its hold, and keeps the package', async () => {
    await machine.run(
      `printf '# Perijove, cluster test-2: x\\n' > /etc/apt/sources.list.d/perijove-test-2-a.sources`,
    );
    const removed = await removePinned(connection, { cluster: 'test' });
    expect(removed).toHaveLength(4);
    expect(await removePinned(connection, { cluster: 'test' })).toEqual([]);
    expect(await state()).toEqual([
      'mesos-small 2.0 install',
      'keyrings/theirs',
      'sources.list.d/perijove-test-2-a.sources',
    ]);
  });
});
