/** A full disk, with a real file system. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostSpec } from '../../../src/cluster/spec.js';
import { fillDisk, freeDisk, planDiskFill, type DiskFill } from '../../../src/drill/faults/disk-fill.js';
import { eventually } from '../../support/eventually.js';
import { poolOf, timers } from '../../support/faults.js';
import { makeHost } from '../../support/spec.js';

describe.skipIf(process.getuid?.() !== 0)('a full disk', () => {
  const pool = poolOf((script) => spawnSync('sh', ['-c', script], { encoding: 'utf8' }));
  let dir: string;
  let host: HostSpec;
  let other: HostSpec;
  const room = () => statfsSync(host.dir).bavail;

  beforeAll(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'perijove-disk-'));
    [host, other] = ['h1', 'h2'].map((name) => {
      const at = path.join(dir, name);
      mkdirSync(at);
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${name === 'h1' ? 16 : 24}m`, 'perijove-test', at]);
      mkdirSync(path.join(at, 'run'));
      return makeHost(name, { dir: at });
    }) as [HostSpec, HostSpec];
  });
  afterAll(() => {
    for (const { dir: at } of [host, other]) spawnSync('umount', ['--lazy', at]);
    rmSync(dir, { recursive: true, force: true });
  });

  it('is full to the last byte, and is freed automatically; not filled twice or after healing', async () => {
    const before = room();
    const plan: DiskFill = {
      ...(await planDiskFill({ pool, spec: { hosts: [host, other] } }, host)),
      forMs: 1_500,
    };
    await fillDisk(pool, host, plan);
    expect(room()).toBe(0);
    expect(() => writeFileSync(path.join(host.dir, 'more'), 'x')).toThrow('ENOSPC');
    expect(statfsSync(other.dir).bavail).toBeGreaterThan(0);
    await eventually('there is room again', () => room() > 0);
    await freeDisk(pool, host, plan);
    await eventually('its timer has ended', () => timers(plan).length === 0);
    await fillDisk(pool, host, plan);
    expect(room()).toBeGreaterThan(0.9 * before);
    expect(readdirSync(host.dir).filter((name) => name.includes('fill'))).toEqual([]);
  });

  it('may be healed though it was never filled, and is not filled afterwards', async () => {
    const plan = await planDiskFill({ pool, spec: { hosts: [host, other] } }, host);
    await freeDisk(pool, host, plan);
    await fillDisk(pool, host, plan);
    expect(room()).toBeGreaterThan(0);
  });

  it.each([
    ['fails', 'exit 1'],
    ['prints nothing', 'exit 0'],
    ['prints half', 'printf 12'],
  ])('is rejected when `stat` %s: another host may share the disk', async (_what, answer) => {
    const programs = mkdtempSync(path.join(dir, 'programs-'));
    writeFileSync(path.join(programs, 'stat'), `#!/bin/sh\n${answer}\n`, { mode: 0o755 });
    const broken = poolOf((script) =>
      spawnSync('sh', ['-c', `PATH=${programs}:$PATH\n${script}`], { encoding: 'utf8' }),
    );
    await expect(planDiskFill({ pool: broken, spec: { hosts: [host, other] } }, host)).rejects.toMatchObject({
      code: 'DRILL_NOT_POSSIBLE',
    });
  });

  it('is rejected when another host or the worker shares the disk', async () => {
    const same = { ...other, dir: path.join(host.dir, 'run') };
    await expect(planDiskFill({ pool, spec: { hosts: [host, same] } }, host)).rejects.toMatchObject({
      code: 'DRILL_NOT_POSSIBLE',
      message: expect.stringContaining('h2') as string,
    });
    await expect(
      planDiskFill({ pool, spec: { hosts: [] } }, makeHost('h3', { dir: '/' })),
    ).rejects.toMatchObject({
      code: 'DRILL_NOT_POSSIBLE',
      message: expect.stringContaining('this worker') as string,
    });
  });
});
