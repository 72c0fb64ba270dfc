import { quote } from '../ssh/shell.js';
import type { HostSpec } from '../spec/cluster.js';
import type { InitDriver, RenderedFile, ServiceStatus } from './init.js';
import type { ServiceItem } from './items.js';
import { hostPaths } from './paths.js';
import { recordFile, recordScript } from './record.js';
import { writeFileScript } from './write-file.js';

const unitDirectory = '/etc/systemd/system';

/** Services as systemd units `perijove-<cluster>-<service>.service`. */
export function systemd(host: Pick<HostSpec, 'dir'>, cluster: string): InitDriver {
  const unit = (name: string) => `perijove-${cluster}-${name}.service`;
  const install = (service: ServiceItem) => [
    `mkdir -p ${quote(`${hostPaths(host).etc}/services`)} ${quote(hostPaths(host).run)}`,
    ...renderSystemd(host, cluster, service).map(writeFileScript),
    'systemctl daemon-reload',
  ];
  const removeUnits = (units: string) => `
for unit in ${units}; do
  [ -f ${unitDirectory}/"$unit" ] || continue
  systemctl disable --now "$unit" 2>/dev/null
  rm -f ${unitDirectory}/"$unit"
  systemctl reset-failed "$unit" 2>/dev/null
done
systemctl daemon-reload`;

  return {
    init: 'systemd',
    render: (service) => renderSystemd(host, cluster, service),
    installScript: (service) => ['set -e', ...install(service)].join('\n'),
    startScript: (name) =>
      `set -e\nsystemctl reset-failed ${unit(name)} 2>/dev/null || :\nsystemctl enable --now ${unit(name)}`,
    stopScript: (name) =>
      `set -e\n[ ! -f ${unitDirectory}/${unit(name)} ] || systemctl disable --now ${unit(name)}`,
    restartScript: (name) => `set -e\nsystemctl enable ${unit(name)}\nsystemctl restart ${unit(name)}`,
    removeScript: (name) =>
      `${removeUnits(unit(name))}
rm -f ${quote(recordFile(host, name))} ${quote(recordProgram(host, name))}`.trim(),
    // By their base directory: the name of one cluster may begin with that of another.
    removeAllScript: () =>
      removeUnits(
        `$(cd ${unitDirectory} && grep -lF ${quote(`${hostPaths(host).etc}/services/`)} perijove-*.service 2>/dev/null)`,
      ).trim(),
    statusScript: (names) =>
      names
        .map(
          (name) => `printf 'unit %s ' ${quote(name)}
systemctl show ${unit(name)} --property=LoadState,ActiveState,SubState,MainPID,StateChangeTimestamp --timestamp=unix | tr '\\n' ' '; echo
if [ -f ${quote(recordFile(host, name))} ]; then sed 's/^/record ${name} /' ${quote(recordFile(host, name))}; fi`,
        )
        .join('\n'),
    parseStatus: (output, names) => parseSystemdStatus(output, names),
    logsScript: (name, lines) =>
      `journalctl --no-pager --output=short-iso --lines=${lines} --unit=${unit(name)}`,
    killScript: (name, signal) => `systemctl kill --kill-whom=main --signal=${quote(signal)} ${unit(name)}`,
  };
}

function recordProgram(host: Pick<HostSpec, 'dir'>, name: string): string {
  return `${hostPaths(host).etc}/services/${name}.record`;
}

/** The unit, and the script that records what it starts. */
export function renderSystemd(
  host: Pick<HostSpec, 'dir'>,
  cluster: string,
  service: ServiceItem,
): RenderedFile[] {
  const record = recordProgram(host, service.name);
  const lines = [
    '[Unit]',
    `Description=${service.description.replaceAll('\n', ' ').replaceAll('%', '%%')}`,
    'Wants=network-online.target',
    'After=network-online.target',
    ...(service.once === undefined || service.once.before.length === 0
      ? []
      : [`Before=${service.once.before.join(' ')}`]),
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    ...(service.once === undefined ? ['Type=exec'] : ['Type=oneshot', 'RemainAfterExit=yes']),
    // As root whatever `User` says: the record lies where that user may not write.
    `ExecStartPre=+/bin/sh ${unitWord(record)}`,
    `ExecStart=${service.exec.map(execWord).join(' ')}`,
    // `-`: what comes of it does not count.
    ...(service.afterEnd === undefined ? [] : [`ExecStopPost=-${service.afterEnd.map(execWord).join(' ')}`]),
    ...Object.entries(service.env).map(([name, value]) => `Environment=${unitWord(`${name}=${value}`)}`),
    ...(service.user === undefined ? [] : [`User=${service.user}`]),
    ...(service.workingDirectory === undefined
      ? []
      : [`WorkingDirectory=${service.workingDirectory.replaceAll('%', '%%')}`]),
    ...(service.openFiles === undefined ? [] : [`LimitNOFILE=${service.openFiles}`]),
    `KillMode=${service.leaveChildren === true ? 'process' : 'control-group'}`,
    'TimeoutStopSec=15',
    // So a JVM ends on SIGTERM; without it a service that was stopped counts as failed.
    'SuccessExitStatus=143',
    // A oneshot cannot be restarted after success (systemd.service(5), "Restart=").
    `Restart=${service.once === undefined ? 'always' : 'on-failure'}`,
    'RestartSec=1',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ];
  return [
    { path: record, mode: 0o755, text: `#!/bin/sh\n${recordScript(host, service)}\n` },
    {
      path: `${unitDirectory}/perijove-${cluster}-${service.name}.service`,
      mode: 0o600,
      text: `${lines.join('\n')}\n`,
    },
  ];
}

/** systemd.syntax(7): quotes and backslashes as in C; `%` begins a specifier. */
function unitWord(value: string): string {
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('%', '%%');
  return `"${escaped}"`;
}

/** In command lines `$` begins a variable, too (systemd.service(5), "COMMAND LINES"). */
function execWord(value: string): string {
  return unitWord(value).replaceAll('$', '$$$$');
}

/** Reads what `systemctl show` printed for each unit on one line. */
export function parseSystemdStatus(output: string, names: readonly string[]): ServiceStatus[] {
  const lines = output.split('\n');
  return names.map((name) => {
    const line = lines.find((each) => each.startsWith(`unit ${name} `)) ?? '';
    const property = (key: string) => new RegExp(`\\b${key}=(\\S*)`).exec(line)?.[1] ?? '';
    const record = lines
      .filter((each) => each.startsWith(`record ${name} `))
      .map((each) => `${each.slice(`record ${name} `.length)}\n`)
      .join('');
    const recorded = record === '' ? {} : { record };
    if (property('LoadState') !== 'loaded') return { name, state: 'absent', ...recorded };
    const seconds = Number(property('StateChangeTimestamp').replace(/^@/, ''));
    const since = seconds > 0 ? { since: new Date(seconds * 1000).toISOString() } : {};
    const active = property('ActiveState');
    if (active === 'active' || active === 'reloading') {
      return { name, state: 'running', pid: Number(property('MainPID')), ...since, ...recorded };
    }
    return { name, state: active === 'activating' ? 'restarting' : 'stopped', ...since, ...recorded };
  });
}
