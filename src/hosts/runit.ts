import { quote } from '../ssh/shell.js';
import type { HostSpec } from '../cluster/spec.js';
import type { InitDriver, RenderedFile, ServiceStatus } from './init.js';
import type { ServiceItem } from './items.js';
import { known, notKnown, type Observation } from './observation.js';
import { hostPaths } from './paths.js';
import { parseRecord, printRecordScript, recordScript } from './record.js';
import { writeFileScript } from './write-file.js';

/** Seconds for a service to stop after SIGTERM, or to start. */
const patienceSeconds = 15;
/** A shorter run counts as a failure and lengthens the pause before the next one. */
const stableSeconds = 10;
const longestPauseSeconds = 15;

/** Services as runit directories below `<dir>/service`, supervised by a `runsvdir` for this host only. */
export function runit(host: Pick<HostSpec, 'dir'>): InitDriver {
  const paths = hostPaths(host);
  const functions = shellFunctions(paths);
  return {
    init: 'runit',
    render: (service) => renderRunit(host, service),
    installScript: (service) => installScript(host, service),
    startScript: (name) => startScript(host, name),
    stopScript: (name) => `set -e\n${functions}\nstop_service ${quote(name)}`,
    restartScript: (name) => restartScript(host, name),
    removeScript: (name) => `set -e\n${functions}\nremove_service ${quote(name)}`,
    removeAllScript: () => removeAllScript(host),
    statusScript: (names) => statusScript(host, names),
    parseStatus: parseRunitStatus,
    logsScript: (name, lines) => logsScript(host, name, lines),
    killScript: (name, signal) => killScript(host, name, signal),
  };
}

type HostDir = Pick<HostSpec, 'dir'>;

function directoryOf(host: HostDir, name: string): string {
  return `${hostPaths(host).service}/${name}`;
}

/** Counts the quick failures of a service; `finish` pauses only while it exists. */
function failuresFile(host: HostDir, name: string): string {
  return `${hostPaths(host).run}/${name}.failures`;
}

function installScript(host: HostDir, service: ServiceItem): string {
  const paths = hostPaths(host);
  const files = renderRunit(host, service);
  const target = directoryOf(host, service.name);
  const staged = files.map((file) => ({ ...file, path: file.path.replace(target, '"$stage"') }));
  return `
set -e
mkdir -p ${quote(paths.service)} ${quote(paths.run)} ${quote(paths.log)}
if [ -d ${quote(target)} ]; then
${files.map(writeFileScript).join('\n')}
else
  stage=$(mktemp -d ${quote(`${paths.run}/service.XXXXXX`)})
  trap 'rm -rf "$stage"' EXIT
  chmod 755 "$stage"; mkdir "$stage/log"
${staged.map(({ path, mode, text }) => `  printf '%s' ${quote(text)} > ${path}; chmod ${mode.toString(8)} ${path}`).join('\n')}
  touch "$stage/down"
  mv -T "$stage" ${quote(target)}
fi`.trim();
}

function startScript(host: HostDir, name: string): string {
  return `
set -e
${runsvdirScript(host.dir)}
service=${quote(directoryOf(host, name))}
rm -f "$service/down" ${quote(failuresFile(host, name))}
tries=0
until sv status "$service" >/dev/null 2>&1; do
  tries=$((tries + 1)); [ "$tries" -lt 150 ] || { echo "runsv does not take up $service" >&2; exit 1; }
  wake_runsvdir
  sleep 0.1
done
sv -w ${patienceSeconds} start "$service" >/dev/null || { sv status "$service" >&2; exit 1; }`.trim();
}

/** Compares process IDs: sv mistakes the old process for the new one if it is younger than a second. */
function restartScript(host: HostDir, name: string): string {
  return `
set -e
service=${quote(directoryOf(host, name))}
before=; { read -r before < "$service/supervise/pid"; } 2>/dev/null || :
rm -f "$service/down" ${quote(failuresFile(host, name))}
sv -w ${patienceSeconds} force-restart "$service" >/dev/null 2>&1 || :
tries=0
until now=$(cat "$service/supervise/pid") && [ -n "$now" ] && [ "$now" != "$before" ] && sv status "$service" | grep -q '^run:'; do
  tries=$((tries + 1)); [ "$tries" -lt ${patienceSeconds * 10} ] || { sv status "$service" >&2; exit 1; }
  sleep 0.1
done`.trim();
}

function removeAllScript(host: HostDir): string {
  const paths = hostPaths(host);
  return `
set -e
${shellFunctions(paths)}
for service in ${quote(paths.service)}/* ${quote(paths.run)}/removed.*; do
  [ -d "$service" ] || continue
  name=\${service##*/}
  remove_service "\${name#removed.}"
done
${stopRunsvdirScript(host.dir)}`.trim();
}

function statusScript(host: HostDir, names: readonly string[]): string {
  if (names.length === 0) return '';
  const paths = hostPaths(host);
  return [
    `for name in ${names.map(quote).join(' ')}; do if [ -d ${quote(paths.service)}/"$name" ]; then echo "defined $name"; fi; done`,
    'command -v sv >/dev/null || echo no-sv',
    `cd ${quote(paths.service)} 2>/dev/null && LC_ALL=C sv status ${names.map((name) => quote(`./${name}`)).join(' ')} 2>&1`,
    ...names.map((name) => printRecordScript(host, name)),
  ].join('\n');
}

function logsScript(host: HostDir, name: string, lines: number): string {
  const log = `${hostPaths(host).log}/${name}`;
  return `cd ${quote(log)} 2>/dev/null || exit 0; ls @*.s 2>/dev/null | sort | tail -n 2 | { while read -r old; do cat "$old"; done; cat current; } | tail -n ${lines}`;
}

function killScript(host: HostDir, name: string, signal: string): string {
  // The process ID that a killed runsv left behind may have been reused.
  return `case $(sv status ${quote(directoryOf(host, name))}) in run:*) ;; *) exit 1 ;; esac
pid=$(cat ${quote(`${directoryOf(host, name)}/supervise/pid`)}) && [ -n "$pid" ] && kill -s ${quote(signal)} "$pid"`;
}

/** Shell functions that stop and remove services. */
function shellFunctions(paths: ReturnType<typeof hostPaths>): string {
  return `
service_dir() { printf '%s/%s' ${quote(paths.service)} "$1"; }
# The pause after a failure ends when its counter is gone.
stop_service() {
  service=$(service_dir "$1")
  [ -d "$service" ] || return 0
  : > "$service/down" && rm -f ${quote(paths.run)}/"$1".failures || return 1
  end_service "$service"
}
# Only what runsv itself says counts, or that there is none: an sv that fails says nothing.
is_gone() {
  case $(LC_ALL=C sv status "$1" 2>&1) in
    *': runsv not running'*|*': unable to open supervise/ok: file does not exist'*) ;;
    *) return 1 ;;
  esac
}
is_over() {
  case $(LC_ALL=C sv status "$1" 2>&1) in down:*) ;; *) is_gone "$1" ;; esac
}
settled() {
  tries=0
  until "$1" "$2"; do
    tries=$((tries + 1)); [ "$tries" -lt 50 ] || { sv status "$2" >&2 || echo "whether $2 has ended is not known" >&2; return 1; }
    sleep 0.1
  done
}
end_service() {
  sv -w ${patienceSeconds} force-stop "$1" >/dev/null 2>&1 || :
  settled is_over "$1"
}
# A child that was left alive holds the log open, and runsv would wait for it.
end_logger() {
  logger=; { read -r logger < ${quote(paths.run)}/removed."$1"/log/supervise/pid; } 2>/dev/null || :
  [ -n "$logger" ] || return 0
  args=; { IFS= read -r args < "/proc/$logger/cmdline"; } 2>/dev/null || :
  case $args in svlogd-tt${quote(paths.log)}/"$1") kill -s KILL "$logger" ;; esac
}
end_removed() {
  removed=${quote(paths.run)}/removed.$1
  [ -d "$removed" ] || return 0
  : > "$removed/down" && rm -f ${quote(paths.run)}/"$1".failures && end_service "$removed" || return 1
  sv exit "$removed" >/dev/null 2>&1 || :
  settled is_gone "$removed" 2>/dev/null || { end_logger "$1" || :; settled is_gone "$removed" || return 1; }
  rm -rf "$removed"
}
# Out of the scanned directory first, so that runsvdir does not start it again.
remove_service() {
  end_removed "$1" || return 1
  if [ -d "$(service_dir "$1")" ]; then
    mv -T "$(service_dir "$1")" ${quote(paths.run)}/removed."$1" && end_removed "$1" || return 1
  fi
  rm -f ${quote(paths.run)}/"$1".running ${quote(paths.run)}/"$1".failures ${quote(paths.run)}/"$1".pid
}`.trim();
}

/**
 * The service directory: `run` records what it starts and executes the program in its own process group;
 * `finish` kills the rest of that group (unless children are to be left) and pauses longer after each quick
 * failure; `log/run` keeps ten files of 1 MB.
 */
export function renderRunit(host: Pick<HostSpec, 'dir'>, service: ServiceItem): RenderedFile[] {
  const paths = hostPaths(host);
  const directory = `${paths.service}/${service.name}`;
  const pid = quote(`${paths.run}/${service.name}.pid`);
  const failures = quote(`${paths.run}/${service.name}.failures`);
  const log = quote(`${paths.log}/${service.name}`);

  const run = [
    '#!/bin/sh',
    `# ${service.description.replaceAll('\n', ' ')}`,
    'exec 2>&1',
    'umask 022',
    `echo $$ > ${pid}`,
    recordScript(host, service),
    ...(service.openFiles === undefined
      ? []
      : [`ulimit -n ${service.openFiles} 2>/dev/null || ulimit -n "$(ulimit -Hn)"`]),
    ...Object.entries(service.env).map(([name, value]) => `export ${name}=${quote(value)}`),
    `cd ${quote(service.workingDirectory ?? '/')} || exit 1`,
    `set -- ${service.exec.map(quote).join(' ')}`,
    ...(service.user === undefined
      ? []
      : [`[ "$(id -un)" = ${quote(service.user)} ] || set -- chpst -u ${quote(service.user)} "$@"`]),
    // A finished one-shot stays finished until the next boot; runit would start it again and again.
    ...(service.once === undefined ? [] : ['set -- sh -c \'"$@" && exec sleep infinity\' sh "$@"']),
    'exec chpst -P "$@"',
  ];
  const finish = [
    '#!/bin/sh',
    `pid=$(cat ${pid} 2>/dev/null)`,
    ...(service.leaveChildren === true ? [] : ['[ -z "$pid" ] || kill -s KILL -- "-$pid" 2>/dev/null']),
    ...(service.afterEnd === undefined
      ? []
      : [`${service.afterEnd.map(quote).join(' ')} </dev/null >/dev/null 2>&1`]),
    `started=$(stat -c %Y ${pid} 2>/dev/null || echo 0)`,
    // The process group ID may be reused later.
    `rm -f ${pid}`,
    `failures=$(cat ${failures} 2>/dev/null || echo 0)`,
    `if [ $(($(date +%s) - started)) -ge ${stableSeconds} ]; then failures=0; fi`,
    'failures=$((failures + 1))',
    `echo "$failures" > ${failures}`,
    'pause=0',
    'while [ "$failures" -gt 1 ] && ' +
      `[ "$pause" -lt ${longestPauseSeconds} ]; do failures=$((failures - 1)); pause=$((pause * 2 + 1)); done`,
    // Stopping or starting the service removes the counter, which ends the pause.
    `while [ "$pause" -gt 0 ] && [ -f ${failures} ]; do pause=$((pause - 1)); sleep 1; done`,
  ];
  const logRun = [
    '#!/bin/sh',
    `mkdir -p ${log} && printf 's1000000\\nn10\\n' > ${log}/config.$$ && mv -f ${log}/config.$$ ${log}/config`,
    `exec svlogd -tt ${log}`,
  ];
  // Only the owner may read `run`: it holds the environment.
  return [
    { path: `${directory}/run`, mode: 0o700, text: `${run.join('\n')}\n` },
    { path: `${directory}/finish`, mode: 0o755, text: `${finish.join('\n')}\n` },
    { path: `${directory}/log/run`, mode: 0o755, text: `${logRun.join('\n')}\n` },
  ];
}

/**
 * Starts `runsvdir <dir>/service` unless it runs: in its own session, with an environment that does not
 * depend on the caller (only PERIJOVE_LAB_HOST is passed on), and with its process ID in
 * `<dir>/run/runsvdir.pid`. Defines `wake_runsvdir`, which makes it scan for new services at once instead of
 * within 5 s: a write to its log pipe wakes it.
 */
export function runsvdirScript(dir: string): string {
  const { service, run } = hostPaths({ dir });
  const pidFile = quote(`${run}/runsvdir.pid`);
  return `
${isRunsvdir(dir)}
wake_runsvdir() { pid=$(runsvdir_pid) && printf . > "/proc/$pid/fd/2" || :; }
command -v runsvdir >/dev/null || { echo 'runsvdir is not installed' >&2; exit 69; }
mkdir -p ${quote(service)} ${quote(run)}
(
  flock 9
  if ! runsvdir_pid >/dev/null; then
    cd /
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \\
      HOME="\${HOME:-/}" USER="$(id -un)" LOGNAME="$(id -un)" \\
      \${PERIJOVE_LAB_HOST:+"PERIJOVE_LAB_HOST=$PERIJOVE_LAB_HOST"} \\
      setsid sh -c 'umask 022; echo $$ > "$0.$$" && mv -f "$0.$$" "$0" && exec runsvdir -P "$1" "$2"' \\
      ${pidFile} ${quote(service)} 'log: ${'.'.repeat(400)}' </dev/null >/dev/null 2>&1 9>&- &
    tries=0
    until runsvdir_pid >/dev/null; do
      tries=$((tries + 1)); [ "$tries" -lt 100 ] || { echo 'runsvdir does not start' >&2; exit 1; }
      sleep 0.05
    done
  fi
) 9> ${quote(`${run}/runsvdir.lock`)}`.trim();
}

/**
 * Shell function: `runsvdir_pid` prints the process ID of the host's runsvdir, and fails if it is not
 * running. Uses shell builtins only, whose `read` drops NUL: a failing program would be mistaken for "not
 * running".
 */
function isRunsvdir(dir: string): string {
  const { service, run } = hostPaths({ dir });
  return `
runsvdir_pid() {
  pid=; { read -r pid < ${quote(`${run}/runsvdir.pid`)}; } 2>/dev/null || :
  [ -n "$pid" ] || return 1
  args=; { IFS= read -r args < "/proc/$pid/cmdline"; } 2>/dev/null || :
  case $args in runsvdir-P${quote(service)}log:*) echo "$pid" ;; *) return 1 ;; esac
}`.trim();
}

/** Stops the host's runsvdir, and with it everything that it still supervises. */
function stopRunsvdirScript(dir: string): string {
  const { run } = hostPaths({ dir });
  return `
${isRunsvdir(dir)}
if pid=$(runsvdir_pid); then
  kill -HUP "$pid" || :
  tries=0
  while runsvdir_pid >/dev/null; do
    tries=$((tries + 1)); [ "$tries" -lt 100 ] || { echo "runsvdir (process $pid) does not exit" >&2; exit 1; }
    sleep 0.05
  done
fi
rm -f ${quote(`${run}/runsvdir.pid`)} ${quote(`${run}/runsvdir.lock`)}`.trim();
}

/**
 * Parses `sv status`: `run: ./d: (pid 12) 34s; run: log: …`, `down: ./d: 5s, normally up, want up`,
 * `fail: …`.
 */
export function parseRunitStatus(
  output: string,
  names: readonly string[],
  now: Date,
): Observation<ServiceStatus[]> {
  const lines = output.split('\n');
  const statuses: ServiceStatus[] = [];
  for (const name of names) {
    const record = parseRecord(lines, name);
    if (!record.known) return record;
    const state = lines.includes(`defined ${name}`)
      ? stateOf(lines, name, now)
      : ({ state: 'absent' } as const);
    if (state === undefined) return notKnown(`sv did not report the status of ${name}`);
    statuses.push({ name, ...state, ...(record.value === '' ? {} : { record: record.value }) });
  }
  return known(statuses);
}

function stateOf(lines: readonly string[], name: string, now: Date): Omit<ServiceStatus, 'name'> | undefined {
  const status = lines.map(parseStatusLine).find((each) => each?.name === name);
  if (status === undefined) {
    // The host has just booted, or the service is new; without sv nothing supervises.
    const unsupervised = lines.some((line) => line === 'no-sv' || isUnsupervised(line, name));
    return unsupervised ? { state: 'stopped' } : undefined;
  }
  const since = new Date(now.getTime() - status.seconds * 1000).toISOString();
  if (status.state === 'run') return { state: 'running', pid: status.pid, since };
  const comesBack =
    status.state === 'finish' ? !status.rest.includes('want down') : status.rest.includes('want up');
  return { state: comesBack ? 'restarting' : 'stopped', since };
}

function isUnsupervised(line: string, name: string): boolean {
  const [, subject, why = ''] = /^(?:fail|warning): \.\/([^:]+): (.*)$/.exec(line) ?? [];
  return (
    subject === name &&
    (why === 'runsv not running' || /^unable to open supervise\/\w+: file does not exist$/.test(why))
  );
}

function parseStatusLine(line: string) {
  const [own = ''] = line.split('; run: log:');
  const match = /^(run|down|finish): \.\/(\S+): (?:\(pid (\d+)\) )?(\d+)s(.*)$/.exec(own);
  if (match === null) return undefined;
  const [, state, name, pid, seconds, rest = ''] = match;
  return { state, name, pid: Number(pid), seconds: Number(seconds), rest };
}
