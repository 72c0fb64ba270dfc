import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { DaemonItem } from './items.js';
import { hostPaths } from './paths.js';

/** Time for a daemon to come up and answer. */
const startTimeoutMs = 120_000;
const answerSeconds = 60;
const stopTimeoutMs = 120_000;

const exits = { noSystemd: 69, silent: 70 } as const;

/** How a daemon was found. */
export interface DaemonStatus {
  readonly answers: boolean;
  /** It starts by itself when the host boots, or whoever started it sees to that. */
  readonly boots: boolean;
}

/** Prints a line for `parseDaemons` for each daemon; changes nothing. */
export function observeDaemons(daemons: readonly DaemonItem[]): string[] {
  return daemons.map(
    (daemon) => `answers=no; boots=yes
if { ${daemon.answers}; } >/dev/null 2>&1 </dev/null; then answers=yes; fi
if [ -d /run/systemd/system ] && systemctl is-active --quiet ${unit(daemon)} && ! { ${isEnabled(daemon)}; }; then boots=no; fi
printf 'daemon %s %s %s\\n' ${quote(daemon.name)} "$answers" "$boots"`,
  );
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

function isEnabled({ name, activatedBy }: DaemonItem): string {
  return [`${name}.service`, ...(activatedBy === undefined ? [] : [activatedBy])]
    .map((each) => `systemctl is-enabled --quiet ${quote(each)} 2>/dev/null`)
    .join(' || ');
}

/** Is there when Perijove enabled the daemon, so that it is Perijove's to disable. */
function ownFile(dir: string, { name }: DaemonItem): string {
  return `${hostPaths({ dir }).etc}/daemons/${name}`;
}

/**
 * Has systemd start a daemon, now and at each boot, and resolves when it answers. What it finds is noted on the
 * host, so that `stopOwnDaemons` leaves alone what was enabled before.
 *
 * @throws PerijoveError DAEMON_MISSING, DAEMON_FAILED, SSH_*
 */
export async function startDaemon(
  connection: HostConnection,
  daemon: DaemonItem,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { host } = connection;
  const own = quote(ownFile(host.dir, daemon));
  const units = [unit(daemon), ...(daemon.activatedBy === undefined ? [] : [quote(daemon.activatedBy)])];
  const result = await connection.exec(
    `
[ -d /run/systemd/system ] || exit ${exits.noSystemd}
if ! { ${isEnabled(daemon)}; }; then mkdir -p "$(dirname ${own})" && : > ${own} || exit 1; fi
systemctl reset-failed ${units.join(' ')} 2>/dev/null
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
      remedy: `Look at it there: \`systemctl status ${daemon.name}\`, \`journalctl -u ${daemon.name}\`; then run it again.`,
    });
  switch (result.code) {
    case 0:
      return;
    case exits.noSystemd:
      throw new PerijoveError('DAEMON_MISSING', `${daemon.name} does not run, and no systemd to start it`, {
        host: host.name,
        subject: daemon.name,
      });
    case exits.silent:
      throw failed(`it was started, and did not answer within ${answerSeconds} s`);
    default:
      throw failed(result.stderr.trim().split('\n').slice(-6).join('\n') || 'it does not start');
  }
}

/** Has a daemon that runs start at each boot. */
export function enableDaemonScript(dir: string, daemon: DaemonItem): string {
  const own = quote(ownFile(dir, daemon));
  return `set -e\nmkdir -p "$(dirname ${own})"; : > ${own}\nsystemctl enable ${unit(daemon)}`;
}

/**
 * Stops those daemons that Perijove enabled and that answer that nothing uses them, and disables them; the others
 * go on as they are, one that does not answer among them. Returns what was done, or why it was not, for people.
 */
export async function stopOwnDaemons(
  connection: HostConnection,
  daemons: readonly DaemonItem[],
): Promise<readonly string[]> {
  if (daemons.length === 0) return [];
  const output = await connection.run(
    daemons
      .map(
        (
          daemon,
        ) => `if [ -e ${quote(ownFile(connection.host.dir, daemon))} ] && [ -d /run/systemd/system ]; then
  if ! used=$({ ${daemon.usedBy}; } 2>/dev/null </dev/null); then
    echo ${quote(`left ${daemon.name} as it is: whether anything uses it is not known`)}
  elif [ -z "$used" ]; then
    systemctl disable --now ${[...(daemon.activatedBy === undefined ? [] : [daemon.activatedBy]), `${daemon.name}.service`].map(quote).join(' ')} >&2 || exit 1
    rm -f ${quote(ownFile(connection.host.dir, daemon))}
    echo ${quote(`stopped ${daemon.name}`)}
  fi
fi`,
      )
      .join('\n'),
    { timeoutMs: stopTimeoutMs },
  );
  return output.split('\n').filter((line) => line !== '');
}
