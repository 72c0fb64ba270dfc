/** A full disk, with a real file system. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostSpec } from '../../../src/cluster/spec.js';
import { fillDisk, freeDisk, planDiskFill, type DiskFill } from '../../../src/drill/faults/disk-fill.js';
import type { SshPool } from '../../../src/ssh/connection.js';
import { eventually } from '../../support/eventually.js';
import { poolOf, timers } from '../../support/faults.js';
import { makeHost } from '../../support/spec.js';

describe.skipIf(process.getuid?.() !== 0)('a full disk', () => {
  const pool = poolOf((script) => spawnSync('sh', ['-c', script], { encoding: 'utf8' }));
  /** As if over SSH, while the test goes on. */
  const poolInBackground = (edit: (script: string) => string) =>
    ({
      get: async () => ({
        exec: (script: string) =>
          new Promise((resolve) => {
            const done = (code: number | null, stdout: string, stderr: string) =>
              resolve({ code, stdout, stderr });
            const child = execFile('sh', ['-c', edit(script)], (_error, stdout, stderr) =>
              done(child.exitCode, stdout, stderr),
            );
          }),
      }),
    }) as unknown as SshPool;
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

  it('leaves no file if it is healed while a slow host is still filling', async () => {
    const programs = mkdtempSync(path.join(dir, 'programs-'));
    const began = path.join(programs, 'began');
    writeFileSync(
      path.join(programs, 'dd'),
      `#!/bin/sh\nPATH=\${PATH#*:}\n: > ${began}\nwhile [ -e ${began} ]; do sleep 0.05; done\nexec dd "$@"\n`,
      { mode: 0o755 },
    );
    const plan = await planDiskFill({ pool, spec: { hosts: [host, other] } }, host);
    const filling = fillDisk(
      poolInBackground((script) => `PATH=${programs}:$PATH\n${script.replaceAll('timeout 3', 'timeout 30')}`),
      host,
      plan,
    );
    await eventually('it has begun to fill', () => existsSync(began));
    await freeDisk(pool, host, { ...plan, forMs: 0 });
    rmSync(began);
    await eventually('it fills again', () => existsSync(began));
    rmSync(began);
    await Promise.allSettled([filling]);
    await eventually('its timer has ended', () => timers(plan).length === 0);
    expect(readdirSync(host.dir).filter((name) => name.includes('fill'))).toEqual([]);
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
