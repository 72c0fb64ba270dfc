/** Removal, mounts and unmounts on a disposable copy of this machine, with each observation broken. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { storageItems } from '../../src/storage/items.js';
import { emptyBrickScript, formVolume, removeVolume, unmountVolume } from '../../src/storage/volume.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { makeGluster, makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';

const hasGluster = spawnSync('sh', ['-c', 'command -v glusterd']).status === 0;
if (!canCopyMachine || !hasGluster) console.warn('SKIPPED: storage on a copy of this machine');

describe('the script that prepares a brick', () => {
  let directory: string;
  const brick = () => path.join(directory, 'bricks', 'v');
  const mark = () => path.join(directory, 'data', 'mark');
  const run = () => execFileSync('sh', ['-c', emptyBrickScript(brick(), mark())]);
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'perijove-brick-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('creates one and marks it, also in place of one without files', () => {
    run();
    expect(readFileSync(mark(), 'utf8')).toBe(`${brick()}\n`);
    rmSync(mark());
    mkdirSync(path.join(brick(), '.glusterfs', '00'), { recursive: true });
    mkdirSync(path.join(brick(), '.glusterfs-anonymous-inode-1'));
    run();
    expect(existsSync(path.join(brick(), '.glusterfs'))).toBe(false);
    expect(existsSync(mark())).toBe(true);
  });

  it('leaves one with a file unchanged, with its metadata and without a mark, on every run', () => {
    mkdirSync(path.join(brick(), '.glusterfs'), { recursive: true });
    writeFileSync(path.join(brick(), '.glusterfs', 'gfid'), '');
    writeFileSync(path.join(brick(), '.notes'), 'kept');
    run();
    // As after a kill while the metadata were moved aside.
    execFileSync('mv', [path.join(brick(), '.glusterfs'), `${brick()}.perijove-metadata`]);
    run();
    expect(readFileSync(path.join(brick(), '.notes'), 'utf8')).toBe('kept');
    expect(existsSync(path.join(brick(), '.glusterfs', 'gfid'))).toBe(true);
    expect(existsSync(mark())).toBe(false);
  });
});

describe.skipIf(!canCopyMachine || !hasGluster)('on a host', () => {
  const address = '127.25.17.1';
  let machine: TestMachine;
  let pool: SshPool;
  let directory: string;
  let host: HostSpec;
  const storage = makeGluster({ volume: 'notes', mount: '/srv/notes', brick: '/srv/brick' });
  const spec = () => makeSpec({ hosts: [host], storage });

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'perijove-volume-'));
    machine = await startMachine({
      address,
      setup: `mkdir -p /run/gluster /srv; rm -rf /var/lib/glusterd; mkdir -p /var/lib/glusterd
sed -i 's|^end-volume|    option transport.socket.bind-address ${address}\\nend-volume|' /etc/glusterfs/glusterd.vol
glusterd
until gluster --mode=script pool list; do sleep 0.2; done`,
    });
    host = machine.host({ roles: ['agent'] });
    pool = silentPool(directory);
  });
  afterAll(async () => {
    await pool?.close();
    await machine?.remove();
    await rm(directory, { recursive: true, force: true });
  });
  afterEach(async () => {
    await machine.run('rm -f /usr/local/bin/* /usr/local/sbin/cat /usr/local/sbin/ls /usr/local/sbin/mount');
  });
  /** Replaces a program on the host. Without arguments it is `cat`, with which a session awaits its end. */
  const replace = (program: string, by: string) =>
    machine.run(
      `/bin/cat >${program} <<'END'\n#!/bin/sh\n[ $# -gt 0 ] || exec /bin/cat\n${by}\nEND\nchmod 755 ${program}`,
    );

  describe('a brick with notebooks in it', () => {
    beforeEach(async () => {
      await machine.run(
        `mkdir -p /srv/brick/notes /opt/perijove/data; echo kept >/srv/brick/notes/a.ipynb; echo /srv/brick/notes >/opt/perijove/data/gluster-brick`,
      );
    });
    const brick = () => machine.run('/bin/cat /srv/brick/notes/a.ipynb 2>/dev/null || echo gone');

    const xml = (inner: string) => `<?xml version="1.0"?><cliOutput>${inner}</cliOutput>`;
    const gone = xml('<opRet>0</opRet><volInfo><volumes><count>0</count></volumes></volInfo>');
    it.each([
      ['fails', 'exit 1'],
      ['prints nothing', 'exit 0'],
      ['prints half', `echo '${gone.slice(0, 70)}'`],
      [
        'reports an error',
        `echo '${xml('<opRet>-1</opRet><opErrstr>Another transaction is in progress</opErrstr>')}'`,
      ],
    ])('stays when the list of volumes %s', async (_how, volumes) => {
      await replace(
        '/usr/local/bin/gluster',
        `case "$*" in *'volume info'*) ${volumes} ;; *) exec /usr/sbin/gluster "$@" ;; esac`,
      );
      await expect(removeVolume(pool, spec(), storage)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await brick()).toBe('kept\n');
      const formed = await formVolume(pool, spec(), storage);
      expect(formed).toMatchObject({
        changes: [],
        waits: expect.stringContaining('did not report') as string,
      });
      expect(await brick()).toBe('kept\n');
    });

    it.each([
      ['fails', 'exit 1'],
      ['prints nothing', 'exit 0'],
      ['hangs', 'exec sleep 100'],
    ])('stays when the list of peers %s', async (_how, peers) => {
      await replace(
        '/usr/local/bin/gluster',
        `case "$*" in *'pool list'*) ${peers} ;; *) exec /usr/sbin/gluster "$@" ;; esac`,
      );
      await expect(removeVolume(pool, spec(), storage)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await brick()).toBe('kept\n');
    });

    it('stays when its owner is unknown', async () => {
      await machine.run(`printf /srv/brick > ${host.dir}/data/gluster-brick`);
      await expect(removeVolume(pool, spec(), storage)).rejects.toMatchObject({ code: 'COMMAND_FAILED' });
      expect(await brick()).toBe('kept\n');
    });

    it('is removed when glusterd reports that no volume has it', async () => {
      expect(await removeVolume(pool, spec(), storage)).toMatchObject([{ what: 'removed /srv/brick/notes' }]);
      expect(await brick()).toBe('gone\n');
    });
  });

  describe('a mount', () => {
    const [file] = storageItems(makeSpec({ storage, hosts: [machineHost()] }), machineHost()).files;
    const script = file?.source.kind === 'text' ? file.source.text : 'exit 99';
    const mount = async () => {
      const connection = await pool.get(host);
      const { code, stderr } = await connection.exec(`sh -s <<'SCRIPT'\n${script}\nSCRIPT`);
      return { code, stderr };
    };
    const at = () => machine.run("grep -c ' /srv/notes ' /proc/self/mountinfo || :").then(Number);
    beforeEach(() => machine.run('mkdir -p /srv/notes; mount -t tmpfs of-others /srv/notes'));
    afterEach(() => machine.run('while umount /srv/notes 2>/dev/null; do :; done'));
    /** A mount table in which the tmpfs is a GlusterFS volume. */
    const posing = "sed 's|tmpfs of-others|fuse.glusterfs 10.0.0.1:/notes|' /proc/self/mountinfo";

    it('is neither mounted over nor unmounted if it is foreign', async () => {
      expect(await mount()).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('of-others is mounted') as string,
      });
      expect(await unmountVolume(await pool.get(host), storage)).toEqual([]);
      expect(await at()).toBe(1);
    });

    it.each([
      ['fails', 'exit 1'],
      ['is empty', 'exit 0'],
      ['is truncated', "sed -n '1p' /proc/self/mountinfo | cut -c1-20"],
      ['is truncated after a line', "sed -n '/ \\/proc /p' /proc/self/mountinfo"],
    ])('stays when the mount table %s', async (_how, table) => {
      await replace('/usr/local/sbin/cat', table);
      await replace('/usr/local/bin/cat', table);
      expect(await mount()).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('cannot be read') as string,
      });
      await expect(unmountVolume(await pool.get(host), storage)).rejects.toMatchObject({
        code: 'COMMAND_FAILED',
        message: expect.stringContaining('cannot be read') as string,
      });
      expect(await at()).toBe(1);
    });

    it('of the volume stays when it is slow, and is renewed when the kernel reports that its client is gone', async () => {
      await replace('/usr/local/sbin/cat', posing);
      await replace('/usr/local/sbin/ls', 'exit 124');
      expect(await mount()).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('does not answer') as string,
      });
      expect(await at()).toBe(1);
      await machine.run('touch /srv/notes/first');
      await replace(
        '/usr/local/sbin/ls',
        "echo 'ls: /srv/notes: Transport endpoint is not connected' >&2; exit 2",
      );
      await replace('/usr/local/sbin/mount', 'exec /bin/mount -t tmpfs of-others /srv/notes');
      expect(await mount()).toMatchObject({ code: 0 });
      expect(await machine.run('/bin/ls /srv/notes')).toBe('notebooks\n');
    });

    it('of the volume is removed with the cluster', async () => {
      await replace('/usr/local/bin/cat', posing);
      expect(await unmountVolume(await pool.get(host), storage)).toMatchObject([
        { what: 'unmounted /srv/notes' },
      ]);
      expect(await at()).toBe(0);
    });
  });
});

function machineHost(): HostSpec {
  return { ...makeSpec().hosts[0], roles: ['agent'] } as HostSpec;
}
