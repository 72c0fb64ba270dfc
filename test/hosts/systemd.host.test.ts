import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceItem } from '../../src/hosts/items.js';
import { parseSystemdStatus, systemd } from '../../src/hosts/systemd.js';
import {
  enableDaemonScript,
  observeDaemons,
  parseDaemons,
  startDaemon,
  stopOwnDaemons,
} from '../../src/hosts/daemons.js';
import type { HostConnection } from '../../src/ssh/connection.js';
import { successOf } from '../../src/ssh/exec.js';
import { breakScript, faults } from '../support/broken-programs.js';
import { makeHost } from '../support/spec.js';
import { hasSystemdImage, systemdContainer, type ExecResult } from '../support/systemd.js';

const container = systemdContainer(`perijove-test-systemd-${process.pid}`);
const { exec } = container;
const driver = systemd({ dir: '/opt/perijove' }, 'test');
/** A cluster whose directory ends with the path of the other's. */
const other = systemd({ dir: '/srv/opt/perijove' }, 'test-other');
const service = (name: string): ServiceItem => ({
  name,
  description: name,
  exec: ['/bin/sleep', '1000'],
  env: {},
  restartOn: [],
});

async function run(script: string): Promise<string> {
  const { code, stdout, stderr } = await exec(script);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** A connection through Docker instead of SSH. */
function connectionTo(ask: (script: string) => Promise<ExecResult>): HostConnection {
  const host = makeHost('h1', { dir: '/opt/perijove' });
  const execute = async (script: string) => ({
    host: host.name,
    signal: null,
    durationMs: 0,
    ...(await ask(script)),
  });
  const connection: Pick<HostConnection, 'host' | 'exec' | 'run'> = {
    host,
    exec: execute,
    run: async (script) => successOf(await execute(script)),
  };
  return connection as HostConnection;
}

const broken = '/tmp/broken';
const withBroken = (script: string) => exec(script, `${broken}:`);
const isActive = async (unit: string) => (await exec(`systemctl is-active ${unit}`)).stdout.trim();
const unitOf = (name: string) => `/etc/systemd/system/perijove-${name}.service`;

describe.skipIf(!hasSystemdImage)('under systemd', () => {
  beforeAll(() => container.start('--memory', '512m'));
  afterAll(() => container.remove());

  describe('a service', () => {
    beforeEach(async () => {
      await run('rm -rf /tmp/broken');
      for (const each of [driver, other]) {
        await run(each.installScript(service('a')));
        await run(each.startScript('a'));
      }
    });

    it('is removed with its unit; those of other clusters stay', async () => {
      await run(driver.removeAllScript());
      expect(await run(`ls ${unitOf('test-a')} 2>&1 || :`)).toContain('No such file');
      expect(await isActive('perijove-test-a')).toBe('inactive');
      expect(await isActive('perijove-test-other-a')).toBe('active');
      await run(driver.removeAllScript());
    });

    it.each(faults)(
      'keeps its definition, and is not reported as stopped, when systemctl %s',
      async (fault) => {
        await run(breakScript(broken, 'systemctl', fault, '/usr/bin/systemctl'));
        for (const script of [driver.removeAllScript(), driver.removeScript('a'), driver.stopScript('a')]) {
          const { code, stderr } = await withBroken(script);
          expect(code, script).not.toBe(0);
          expect(stderr).not.toBe('');
          await run(`test -f ${unitOf('test-a')}`);
        }
        expect(await isActive('perijove-test-other-a')).toBe('active');
      },
    );

    it.each(['grep', 'sed', 'cat', 'awk', 'tr'])('is found and removed without %s', async (program) => {
      await run(breakScript(broken, program, 'prints nothing', `/usr/bin/${program}`));
      const { code, stderr } = await withBroken(driver.removeAllScript());
      expect(code, stderr).toBe(0);
      expect(await isActive('perijove-test-a')).toBe('inactive');
      expect(await isActive('perijove-test-other-a')).toBe('active');
    });

    it.each(faults)('is not reported as absent or stopped when systemctl %s', async (fault) => {
      const whole = parseSystemdStatus(await run(driver.statusScript(['a', 'b'])), ['a', 'b']);
      expect(whole).toMatchObject({ value: [{ state: 'running' }, { state: 'absent' }] });
      await run(breakScript(broken, 'systemctl', fault, '/usr/bin/systemctl'));
      const { stdout } = await withBroken(driver.statusScript(['a', 'b']));
      expect(parseSystemdStatus(stdout, ['a', 'b']).known).toBe(false);
    });
  });

  describe('a running daemon', () => {
    const daemon = { name: 'ssh', answers: 'true', usedBy: 'true' };

    it.each(faults)('is not reported as disabled when systemctl %s', async (fault) => {
      await run('rm -rf /tmp/broken');
      await run('systemctl is-active ssh && systemctl is-enabled ssh');
      await run(breakScript(broken, 'systemctl', fault, '/usr/bin/systemctl'));
      const { stdout } = await withBroken(observeDaemons([daemon]).join('\n'));
      expect(parseDaemons(stdout).get('ssh')).toEqual({ answers: true, boots: true });
    });

    it.each(faults)('is neither recorded as ours nor changed when systemctl %s', async (fault) => {
      await run('rm -rf /tmp/broken /opt/perijove/etc/daemons');
      await run(breakScript(broken, 'systemctl', fault, '/usr/bin/systemctl'));
      await expect(startDaemon(connectionTo(withBroken), daemon)).rejects.toMatchObject({
        code: 'OBSERVATION_INCOMPLETE',
        place: { subject: 'ssh' },
      });
      await run('[ ! -e /opt/perijove/etc/daemons ] && systemctl is-active ssh && systemctl is-enabled ssh');
    });

    it('is reported to start at boot, or not', async () => {
      const boots = async () =>
        parseDaemons(await run(observeDaemons([daemon]).join('\n'))).get('ssh')?.boots;
      expect(await boots()).toBe(true);
      await run('systemctl disable ssh');
      expect(await boots()).toBe(false);
      await run(enableDaemonScript('/opt/perijove', daemon));
      expect(await boots()).toBe(true);
      expect(await run('cat /opt/perijove/etc/daemons/ssh')).toBe('ran\n');
    });

    it('keeps running if it ran before Perijove enabled it, and is stopped otherwise', async () => {
      const ours = connectionTo(exec);
      await run('rm -rf /opt/perijove/etc/daemons; systemctl disable ssh');
      await startDaemon(ours, daemon);
      expect(await stopOwnDaemons(ours, [daemon])).toEqual(['disabled ssh, which keeps running']);
      expect(await isActive('ssh')).toBe('active');
      expect((await exec('systemctl is-enabled ssh')).stdout).toBe('disabled\n');

      await run('systemctl stop ssh');
      await startDaemon(ours, daemon);
      expect(await isActive('ssh')).toBe('active');
      const unknown = { ...daemon, usedBy: 'false' };
      expect((await stopOwnDaemons(ours, [unknown])).join()).toContain('it is unknown');
      expect(await isActive('ssh')).toBe('active');
      expect(await stopOwnDaemons(ours, [daemon])).toEqual(['stopped ssh']);
      expect(await isActive('ssh')).toBe('inactive');
    });
  });
});
