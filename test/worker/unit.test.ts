import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installUnit, requireSystemd, uninstallUnit, unitPlace } from '../../src/worker/install.js';
import { workerUnit } from '../../src/worker/unit.js';
import { cli } from '../support/cli.js';

describe('the unit of a worker', () => {
  it('starts it again however it ends', () => {
    const text = workerUnit({
      command: ['/usr/bin/node', '/opt/peri jove/bin/perijove.js', 'worker', '--metrics', '127.0.0.1:9464'],
      environment: { TEMPORAL_ADDRESS: '10.0.0.5:7233', TEMPORAL_CONFIG_FILE: '/etc/50% "x"\\.toml' },
      user: 'ops',
    });
    expect(text).toBe(`# Written by \`perijove worker install\`.
[Unit]
Description=Perijove worker
Documentation=man:perijove(1)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=ops
Environment="TEMPORAL_ADDRESS=10.0.0.5:7233"
Environment="TEMPORAL_CONFIG_FILE=/etc/50%% \\"x\\"\\\\.toml"
ExecStart=/usr/bin/node "/opt/peri jove/bin/perijove.js" worker --metrics 127.0.0.1:9464
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
`);
  });

  it('of a user is started with the manager of that user', () => {
    const text = workerUnit({ command: ['/usr/bin/node'], environment: {} });
    expect(text).toContain('WantedBy=default.target');
    expect(text).not.toContain('User=');
  });
});

describe('worker install', () => {
  let home: string;
  const path0 = process.env['PATH'];
  beforeEach(() => {
    home = mkdtempSync(path.join(tmpdir(), 'perijove-unit-'));
    mkdirSync(path.join(home, 'bin'));
    writeFileSync(
      path.join(home, 'bin', 'systemctl'),
      `#!/bin/sh\necho "$*" >> '${home}/calls'\ncase "$*" in *restart*) [ ! -e '${home}/broken' ] || { echo no such luck >&2; exit 1; } ;; esac\n`,
    );
    chmodSync(path.join(home, 'bin', 'systemctl'), 0o755);
    process.env['PATH'] = `${home}/bin:${path0 ?? ''}`;
  });
  afterEach(() => {
    process.env['PATH'] = path0;
    rmSync(home, { recursive: true });
  });
  const calls = () => readFileSync(path.join(home, 'calls'), 'utf8').trim().split('\n');
  const text = workerUnit({ command: ['/usr/bin/node'], environment: {} });

  it('writes, enables and starts a unit, and uninstall takes it away', async () => {
    const place = unitPlace(true, {}, home);
    expect(place.file).toBe(`${home}/.config/systemd/user/perijove-worker.service`);
    await installUnit(place, text);
    expect(readFileSync(place.file, 'utf8')).toBe(text);
    expect(calls()).toEqual([
      '--user daemon-reload',
      '--user enable perijove-worker.service',
      '--user restart perijove-worker.service',
    ]);
    expect(await uninstallUnit(place)).toBe(true);
    expect(calls().slice(3)).toEqual([
      '--user disable --now perijove-worker.service',
      '--user daemon-reload',
    ]);
    expect(await uninstallUnit(place)).toBe(false);
  });

  it('leaves a unit alone that somebody else wrote', async () => {
    const place = unitPlace(true, { XDG_CONFIG_HOME: home }, '/nowhere');
    mkdirSync(path.dirname(place.file), { recursive: true });
    writeFileSync(place.file, '[Unit]\n');
    const refused = { code: 'WORKER_INSTALL_REFUSED', place: { file: place.file } };
    await expect(installUnit(place, text)).rejects.toMatchObject(refused);
    await expect(uninstallUnit(place)).rejects.toMatchObject(refused);
    expect(readFileSync(place.file, 'utf8')).toBe('[Unit]\n');
  });

  it('says what systemctl said', async () => {
    writeFileSync(path.join(home, 'broken'), '');
    await expect(installUnit(unitPlace(true, {}, home), text)).rejects.toMatchObject({
      code: 'WORKER_INSTALL_FAILED',
      message: 'systemctl --user restart perijove-worker.service: no such luck',
    });
  });

  it('refuses without systemd, and a unit of the system without root', () => {
    const [system, own] = [unitPlace(false, {}, home), unitPlace(true, {}, home)];
    const code = { code: 'WORKER_INSTALL_REFUSED' };
    const refusal = (check: () => void) => {
      try {
        check();
      } catch (error) {
        return error;
      }
      return undefined;
    };
    expect(refusal(() => requireSystemd(own, { booted: `${home}/none`, uid: 0 }))).toMatchObject(code);
    expect(refusal(() => requireSystemd(system, { booted: home, uid: 1000 }))).toMatchObject(code);
    expect(refusal(() => requireSystemd(own, { booted: home, uid: 1000 }))).toBeUndefined();
    expect(refusal(() => requireSystemd(system, { booted: home, uid: 0 }))).toBeUndefined();
  });

  it('prints the unit with the options and settings that it got, and no secret', async () => {
    const env = { TEMPORAL_ADDRESS: '10.0.0.5:7233', TEMPORAL_CONFIG_FILE: 'temporal.toml' };
    const printed = await cli(['worker', 'install', '--print', '--user', '--log-level', 'debug'], { env });
    expect(printed.code).toBe(0);
    expect(printed.stdout).toMatch(/^ExecStart=.* worker --log-level debug$/m);
    expect(printed.stdout).toContain('Environment="TEMPORAL_ADDRESS=10.0.0.5:7233"');
    expect(printed.stdout).toMatch(/^Environment="TEMPORAL_CONFIG_FILE=\/.*temporal.toml"$/m);
    const secret = { ...env, TEMPORAL_API_KEY: 's3cret' };
    const refused = await cli(['worker', 'install', '--print', '--user'], { env: secret });
    expect(refused.code).toBe(4);
    expect(refused.stdout + refused.stderr).not.toContain('s3cret');
    expect(await cli(['worker', 'remove'])).toMatchObject({ code: 2 });
  });
});
