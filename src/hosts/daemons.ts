import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { DaemonItem } from './items.js';
import { hostPaths } from './paths.js';

/** Time for a daemon to start and respond. */
const startTimeoutMs = 120_000;
const answerSeconds = 60;
const stopTimeoutMs = 120_000;

const exits = { noSystemd: 69, silent: 70, notKnown: 75 } as const;

/** The observed state of a daemon. */
export interface DaemonStatus {
  readonly answers: boolean;
  /** Starts at boot, or whatever started it handles that. */
  readonly boots: boolean;
}

/** Shell that prints one line per daemon for `parseDaemons`; changes nothing. */
export function observeDaemons(daemons: readonly DaemonItem[]): string[] {
  if (daemons.length === 0) return [];
  return [
    enabledFunction,
    ...daemons.map(
      (daemon) => `answers=no; boots=yes
if { ${daemon.answers}; } >/dev/null 2>&1 </dev/null; then answers=yes; fi
if [ -d /run/systemd/system ] && systemctl is-active --quiet ${unit(daemon)} && [ "$(enabled ${units(daemon)})" = no ]; then boots=no; fi
printf 'daemon %s %s %s\\n' ${quote(daemon.name)} "$answers" "$boots"`,
    ),
  ];
}

export function parseDaemons(output: string): Map<string, DaemonStatus> {
  return new Map(
    [...output.matchAll(/^daemon (\S+) (yes|no) (yes|no)$/gm)].map(([, name = '', answers, boots]) => [
      name,
      { answers: answers === 'yes', boots: boots === 'yes' },
    ]),
  );
}

function unit({ name }: DaemonItem): string {
  return quote(`${name}.service`);
}

function units({ name, activatedBy }: DaemonItem): string {
  return [...(activatedBy === undefined ? [] : [activatedBy]), `${name}.service`].map(quote).join(' ');
}

/**
 * Shell functions: `enabled UNIT...` prints whether systemd starts one of the units at boot: `yes`, `no`, or
 * nothing if systemd did not report it. `active UNIT` does the same for whether a unit is running.
 */
const enabledFunction = `
enabled() {
  some=no
  for unit; do
    said=$(LC_ALL=C systemctl is-enabled "$unit" 2>&1) || :
    case \${said##*
} in
      enabled|enabled-runtime|static|alias|indirect|generated|transient) echo yes; return ;;
      disabled|linked|linked-runtime|masked|masked-runtime|not-found|'Failed to get unit file state for '*': No such file or directory') ;;
      *) some= ;;
    esac
  done
  echo "$some"
}
active() {
  case $(LC_ALL=C systemctl is-active "$1" 2>/dev/null) in
    active|reloading|activating|deactivating|refreshing|maintenance) echo yes ;;
    inactive|failed|unknown) echo no ;;
  esac
}`.trim();

/**
 * Exists if Perijove enabled the daemon and may therefore disable it. Contains `ran` if the daemon was
 * running before, so that Perijove must not stop it.
 */
function ownFile(dir: string, { name }: DaemonItem): string {
  return `${hostPaths({ dir }).etc}/daemons/${name}`;
}

/**
 * Enables and starts a daemon with systemd, and waits until it responds. Records its previous state on the
 * host, so that `stopOwnDaemons` leaves alone what was enabled before.
 *
 * @throws PerijoveError DAEMON_MISSING, DAEMON_FAILED, OBSERVATION_INCOMPLETE, SSH_*
 */
export async function startDaemon(
  connection: HostConnection,
  daemon: DaemonItem,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { host } = connection;
  const own = quote(ownFile(host.dir, daemon));
  const result = await connection.exec(
    `
[ -d /run/systemd/system ] || exit ${exits.noSystemd}
${enabledFunction}
case $(enabled ${units(daemon)}) in
  yes) ;;
  no) if [ ! -e ${own} ]; then ${noteScript(own, daemon)}; fi ;;
  *) exit ${exits.notKnown} ;;
esac
systemctl reset-failed ${units(daemon)} 2>/dev/null
systemctl enable --now ${unit(daemon)} >&2 || { journalctl --no-pager --output=cat --lines=5 --unit=${unit(daemon)} >&2; exit 1; }
for second in $(seq ${answerSeconds}); do
  if { ${daemon.answers}; } >/dev/null 2>&1 </dev/null; then exit 0; fi
  sleep 1
done
exit ${exits.silent}`.trim(),
    { timeoutMs: startTimeoutMs, ...options },
  );
  const failed = (why: string) =>
    new PerijoveError('DAEMON_FAILED', `${daemon.name}: ${why}`, {
      host: host.name,
      subject: daemon.name,
      remedy: `Check it there with \`systemctl status ${daemon.name}\` and \`journalctl -u ${daemon.name}\`, then run the command again.`,
    });
  switch (result.code) {
    case 0:
      return;
    case exits.noSystemd:
      throw new PerijoveError(
        'DAEMON_MISSING',
        `${daemon.name} is not running, and there is no systemd to start it`,
        {
          host: host.name,
          subject: daemon.name,
        },
      );
    case exits.notKnown:
      throw new PerijoveError(
        'OBSERVATION_INCOMPLETE',
        `${host.name}: systemd did not report whether ${daemon.name} is enabled or running`,
        { host: host.name, subject: daemon.name },
      );
    case exits.silent:
      throw failed(`it was started, but did not respond within ${answerSeconds} s`);
    default:
      throw failed(result.stderr.trim().split('\n').slice(-6).join('\n') || 'it does not start');
  }
}

/** Shell that records whether a daemon is running, before it is enabled. */
function noteScript(own: string, daemon: DaemonItem): string {
  return `ran=$(active ${unit(daemon)}); case $ran in yes) ran=ran ;; no) ran= ;; *) exit ${exits.notKnown} ;; esac
  mkdir -p "$(dirname ${own})" && printf '%s\\n' "$ran" > ${own}.new && mv -f ${own}.new ${own} || exit 1`;
}

/** Enables a running daemon at boot. */
export function enableDaemonScript(dir: string, daemon: DaemonItem): string {
  const own = quote(ownFile(dir, daemon));
  return `set -e
mkdir -p "$(dirname ${own})"
[ -e ${own} ] || echo ran > ${own}
systemctl enable ${unit(daemon)}`;
}

/**
 * Reverts what Perijove enabled: disables a daemon that was running before; disables and stops any other if
 * it reports that nothing uses it. All others stay unchanged, including daemons that do not respond. Returns
 * what was done, or why not, as text.
 */
export async function stopOwnDaemons(
  connection: HostConnection,
  daemons: readonly DaemonItem[],
): Promise<readonly string[]> {
  if (daemons.length === 0) return [];
  const output = await connection.run(
    daemons
      .map(
        (daemon) => `own=${quote(ownFile(connection.host.dir, daemon))}
if [ -e "$own" ] && [ -d /run/systemd/system ]; then
  ran=; read -r ran < "$own" || :
  if [ "$ran" = ran ]; then
    systemctl disable ${units(daemon)} >&2 || exit 1
    rm -f "$own"
    echo ${quote(`disabled ${daemon.name}, which keeps running`)}
  elif ! used=$({ ${daemon.usedBy}; } 2>/dev/null </dev/null); then
    echo ${quote(`left ${daemon.name} unchanged: it is unknown whether anything uses it`)}
  elif [ -z "$used" ]; then
    systemctl disable --now ${units(daemon)} >&2 || exit 1
    rm -f "$own"
    echo ${quote(`stopped ${daemon.name}`)}
  fi
fi`,
      )
      .join('\n'),
    { timeoutMs: stopTimeoutMs },
  );
  return output.split('\n').filter((line) => line !== '');
}
