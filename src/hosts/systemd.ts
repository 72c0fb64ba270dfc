import { quote } from '../ssh/shell.js';
import type { HostSpec } from '../cluster/spec.js';
import type { InitDriver, RenderedFile, ServiceStatus } from './init.js';
import type { ServiceItem } from './items.js';
import { known, notKnown, type Observation } from './observation.js';
import { hostPaths } from './paths.js';
import { parseRecord, printRecordScript, recordFile, recordScript } from './record.js';
import { writeFileScript } from './write-file.js';

const unitDirectory = '/etc/systemd/system';
const statusProperties = ['LoadState', 'ActiveState', 'SubState', 'MainPID', 'StateChangeTimestamp'];

/** Services as systemd units `perijove-<cluster>-<service>.service`. */
export function systemd(host: Pick<HostSpec, 'dir'>, cluster: string): InitDriver {
  const unit = (name: string) => `perijove-${cluster}-${name}.service`;
  const install = (service: ServiceItem) => [
    `mkdir -p ${quote(`${hostPaths(host).etc}/services`)} ${quote(hostPaths(host).run)}`,
    ...renderSystemd(host, cluster, service).map(writeFileScript),
    'systemctl daemon-reload',
  ];
  const functions = `
# Only systemd's own word counts: what it does not say may still run.
stopped() {
  state=$(systemctl show --property=ActiveState "$1")
  case $state in
    ActiveState=inactive|ActiveState=failed) ;;
    *) echo "systemd does not confirm that $1 is stopped: \${state:-no answer}" >&2; return 1 ;;
  esac
}
remove_unit() {
  [ -f ${unitDirectory}/"$1" ] || return 0
  systemctl disable --now "$1" && stopped "$1" && rm -f ${unitDirectory}/"$1" || return 1
  systemctl reset-failed "$1" 2>/dev/null || :
}
# Of this base directory: the name of one cluster may begin with that of another.
is_ours() {
  while IFS= read -r line; do
    case $line in *${quote(unitWord(`${hostPaths(host).etc}/services/`).slice(0, -1))}*) return 0 ;; esac
  done < "$1" || return 2
  return 1
}`.trim();

  return {
    init: 'systemd',
    render: (service) => renderSystemd(host, cluster, service),
    installScript: (service) => ['set -e', ...install(service)].join('\n'),
    startScript: (name) =>
      `set -e\nsystemctl reset-failed ${unit(name)} 2>/dev/null || :\nsystemctl enable --now ${unit(name)}`,
    stopScript: (name) =>
      `set -e\n${functions}\nif [ -f ${unitDirectory}/${unit(name)} ]; then systemctl disable --now ${unit(name)}; stopped ${unit(name)}; fi`,
    restartScript: (name) => `set -e\nsystemctl enable ${unit(name)}\nsystemctl restart ${unit(name)}`,
    removeScript: (name) =>
      `
set -e
${functions}
remove_unit ${unit(name)}
systemctl daemon-reload
rm -f ${quote(recordFile(host, name))} ${quote(recordProgram(host, name))}`.trim(),
    removeAllScript: () =>
      `
set -e
${functions}
for path in ${unitDirectory}/perijove-*.service; do
  [ -f "$path" ] || continue
  ours=0; is_ours "$path" || ours=$?
  case $ours in
    0) remove_unit "\${path##*/}" ;;
    1) ;;
    *) echo "cannot read $path" >&2; exit 1 ;;
  esac
done
systemctl daemon-reload`.trim(),
    statusScript: (names) =>
      names
        .map(
          (
            name,
          ) => `shown=$(systemctl show ${unit(name)} --property=${statusProperties.join(',')} --timestamp=unix)
echo unit ${quote(name)} $shown
${printRecordScript(host, name)}`,
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
    // As root, whatever `User` is: that user may not write the record.
    `ExecStartPre=+/bin/sh ${execWord(record)}`,
    `ExecStart=${service.exec.map(execWord).join(' ')}`,
    // `-`: its result is ignored.
    ...(service.afterEnd === undefined ? [] : [`ExecStopPost=-${service.afterEnd.map(execWord).join(' ')}`]),
    ...Object.entries(service.env).map(([name, value]) => `Environment=${unitWord(`${name}=${value}`)}`),
    ...(service.user === undefined ? [] : [`User=${service.user}`]),
    ...(service.workingDirectory === undefined
      ? []
      : [`WorkingDirectory=${service.workingDirectory.replaceAll('%', '%%')}`]),
    ...(service.openFiles === undefined ? [] : [`LimitNOFILE=${service.openFiles}`]),
    `KillMode=${service.leaveChildren === true ? 'process' : 'control-group'}`,
    'TimeoutStopSec=15',
    // The exit code of a JVM on SIGTERM; without it a stopped service counts as failed.
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
    .replaceAll('\t', '\\t')
    .replaceAll('%', '%%');
  return `"${escaped}"`;
}

/** In command lines `$` also begins a variable (systemd.service(5), "COMMAND LINES"). */
function execWord(value: string): string {
  return unitWord(value).replaceAll('$', '$$$$');
}

/** Parses the output of `systemctl show`: one line per unit. */
export function parseSystemdStatus(output: string, names: readonly string[]): Observation<ServiceStatus[]> {
  const lines = output.split('\n');
  const statuses: ServiceStatus[] = [];
  for (const name of names) {
    const line = lines.find((each) => each.startsWith(`unit ${name} `)) ?? '';
    const property = (key: string) => new RegExp(`\\b${key}=(\\S*)`).exec(line)?.[1];
    const record = parseRecord(lines, name);
    if (!record.known) return record;
    const recorded = record.value === '' ? {} : { record: record.value };
    if (statusProperties.some((key) => property(key) === undefined)) {
      return notKnown(`systemctl did not report the status of ${name}`);
    }
    if (property('LoadState') !== 'loaded') {
      statuses.push({ name, state: 'absent', ...recorded });
      continue;
    }
    const seconds = Number(property('StateChangeTimestamp')?.replace(/^@/, ''));
    const since = seconds > 0 ? { since: new Date(seconds * 1000).toISOString() } : {};
    const active = property('ActiveState');
    if (active === 'active' || active === 'reloading') {
      statuses.push({ name, state: 'running', pid: Number(property('MainPID')), ...since, ...recorded });
      continue;
    }
    const state = active === 'activating' ? 'restarting' : 'stopped';
    statuses.push({ name, state, ...since, ...recorded });
  }
  return known(statuses);
}
