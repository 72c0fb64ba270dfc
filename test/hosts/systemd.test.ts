import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { ServiceItem } from '../../src/hosts/items.js';
import { known } from '../../src/hosts/observation.js';
import { parseSystemdStatus, renderSystemd, systemd } from '../../src/hosts/systemd.js';

const host = { dir: '/opt/perijove' };
const service: ServiceItem = {
  name: 'mesos-agent',
  description: 'Mesos agent of 100% demo',
  exec: ['/opt/mesos/sbin/mesos-agent', '--attributes=a b', '--x=$HOME "%h" \\'],
  env: { GLOG_v: '1', QUOTED: 'a "b" 50%' },
  user: 'mesos',
  workingDirectory: '/var/lib/my mesos',
  openFiles: 65_536,
  restartOn: ['/opt/perijove/etc/agent.json'],
  leaveChildren: true,
};

describe('renderSystemd', () => {
  it('renders a unit', () => {
    const [record, unit] = renderSystemd(host, 'demo', service);
    expect(record?.path).toBe('/opt/perijove/etc/services/mesos-agent.record');
    expect(unit?.path).toBe('/etc/systemd/system/perijove-demo-mesos-agent.service');
    expect(unit?.mode).toBe(0o600);
    expect(unit?.text).toBe(`[Unit]
Description=Mesos agent of 100%% demo
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre=+/bin/sh "/opt/perijove/etc/services/mesos-agent.record"
ExecStart="/opt/mesos/sbin/mesos-agent" "--attributes=a b" "--x=$$HOME \\"%%h\\" \\\\"
Environment="GLOG_v=1"
Environment="QUOTED=a \\"b\\" 50%%"
User=mesos
WorkingDirectory=/var/lib/my mesos
LimitNOFILE=65536
KillMode=process
TimeoutStopSec=15
SuccessExitStatus=143
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`);
    execFileSync('sh', ['-n'], { input: record?.text ?? '' });
  });

  it('kills children with the service, unless they are to be left', () => {
    const ending = { ...service, leaveChildren: false };
    expect(renderSystemd(host, 'demo', ending)[1]?.text).toContain('KillMode=control-group');
  });

  it('runs a command after each exit of the service, whatever its result', () => {
    const ended = { ...service, afterEnd: ['docker', 'rm', '--force', 'a'] };
    expect(renderSystemd(host, 'demo', ended)[1]?.text).toContain(
      '\nExecStopPost=-"docker" "rm" "--force" "a"\n',
    );
  });

  it('runs a one-shot after each boot, before the units that need it, and restarts it only on failure', () => {
    const once = { ...service, once: { before: ['docker.service'] } };
    const text = renderSystemd(host, 'demo', once)[1]?.text;
    for (const line of [
      'Before=docker.service',
      'Type=oneshot',
      'RemainAfterExit=yes',
      'Restart=on-failure',
    ]) {
      expect(text).toContain(`\n${line}\n`);
    }
  });

  it('renders only scripts that a shell accepts', () => {
    const driver = systemd(host, 'demo');
    for (const script of [
      driver.installScript(service),
      driver.startScript('a'),
      driver.stopScript('a'),
      driver.restartScript('a'),
      driver.removeScript('a'),
      driver.removeAllScript(),
      driver.statusScript(['a']),
      driver.logsScript('a', 1),
      driver.killScript('a', 'KILL'),
    ]) {
      execFileSync('sh', ['-n'], { input: script });
    }
  });
});

describe('parseSystemdStatus', () => {
  const line = (name: string, properties: string) => `unit ${name} ${properties} \n`;
  it('parses the output of systemctl', () => {
    const output =
      line(
        'a',
        'MainPID=12 LoadState=loaded ActiveState=active SubState=running StateChangeTimestamp=@1700000000',
      ) +
      'record a 1 definition\nrecorded a\n' +
      line(
        'b',
        'MainPID=0 LoadState=loaded ActiveState=activating SubState=auto-restart StateChangeTimestamp=@1700000000',
      ) +
      line('c', 'MainPID=0 LoadState=loaded ActiveState=failed SubState=failed StateChangeTimestamp=') +
      line('d', 'MainPID=0 LoadState=not-found ActiveState=inactive SubState=dead StateChangeTimestamp=') +
      'recorded b\nrecorded c\nrecorded d\n';
    expect(parseSystemdStatus(output, ['a', 'b', 'c', 'd'])).toEqual(
      known([
        { name: 'a', state: 'running', pid: 12, since: '2023-11-14T22:13:20.000Z', record: '1 definition\n' },
        { name: 'b', state: 'restarting', since: '2023-11-14T22:13:20.000Z' },
        { name: 'c', state: 'stopped' },
        { name: 'd', state: 'absent' },
      ]),
    );
  });

  it.each([
    ['failed', ''],
    ['was truncated', 'MainPID=12 LoadState=loaded ActiveSta'],
    ['omitted a property', 'LoadState=not-found ActiveState=inactive SubState=dead StateChangeTimestamp='],
  ])('does not report a service as absent when systemctl %s', (_, properties) => {
    expect(parseSystemdStatus(`${line('a', properties)}recorded a\n`, ['a']).known).toBe(false);
  });

  it('does not know what a service was started with when its record is truncated', () => {
    const whole = 'MainPID=1 LoadState=loaded ActiveState=active SubState=running StateChangeTimestamp=';
    expect(parseSystemdStatus(`${line('a', whole)}record a 1 definition\n`, ['a']).known).toBe(false);
  });
});
