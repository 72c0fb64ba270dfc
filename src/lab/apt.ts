import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PerijoveError } from '../errors/error.js';
import { daemonPolicy } from '../hosts/daemon-policy.js';

/** Units and init scripts of the installed packages that would start a daemon. */
const daemons = { units: ['etcd.service', 'ssh.service', 'ssh.socket'], scripts: ['etcd', 'ssh'] } as const;

/**
 * A POSIX shell script for root that installs Debian packages. It may be killed at any point and run again.
 * It
 *
 * - starts no daemon (Debian Policy 9.3.3.1, policy-rc.d), and enables none that was not there before;
 * - waits while another program holds apt's lock, and reports which;
 * - finishes the work of an interrupted dpkg.
 */
export function aptScript(packages: readonly string[]): string {
  const units = daemons.units.join(' ');
  const scripts = daemons.scripts.join(' ');
  return `#!/bin/sh
# Installs what \`perijove lab up\` needs. No daemon is started.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

log="$(mktemp)"
${daemonPolicy}

finish() {
  status=$?
  trap - EXIT HUP INT TERM
  rm -f "$log"
  release_daemons
  exit "$status"
}

# By the shell alone: with another program that fails, everything would seem to be new. In each directory that systemd
# reads: the unit of another installation would be disabled in place of the package's.
present() {
  for unit in ${units}; do
    for directory in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
      if [ -e "$directory/$unit" ] || [ -h "$directory/$unit" ]; then echo "$unit"; break; fi
    done
  done
  for script in ${scripts}; do
    if [ -e "/etc/init.d/$script" ]; then echo "$script"; fi
  done
}

try() {
  reported=
  until "$@" >"$log" 2>&1 </dev/null 9>&-; do
    if ! grep -q -e 'Could not get lock' -e 'locked by another process' "$log"; then
      tail -n 30 "$log" >&2
      exit 1
    fi
    holder="$(sed -n -E 's/.*(held by process|with pid) ([0-9]+).*/\\2/p' "$log" | head -n 1)"
    holder="$(cat "/proc/$holder/comm" 2>/dev/null || echo another program)\${holder:+ (process $holder)}"
    if [ "$reported" != "$holder" ]; then
      echo "waiting for $holder, which holds apt's lock"
      reported="$holder"
    fi
    sleep 1
  done
}

# One at a time, so that one run does not take the policy away from under another.
mkdir -p /run/lock
exec 9>/run/lock/perijove-apt
flock 9

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

hold_daemons

before=' '
for daemon in $(present); do before="$before$daemon "; done
echo 'apt-get update'
try apt-get -q update
echo 'apt-get install ${packages.join(' ')}'
try dpkg --configure -a
try apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=0 ${packages.join(' ')}

for daemon in $(present); do
  case "$before" in *" $daemon "*) continue ;; esac
  case "$daemon" in
    *.*) if [ -d /run/systemd/system ]; then systemctl --quiet disable "$daemon"; fi ;;
    *) if [ ! -d /run/systemd/system ]; then update-rc.d "$daemon" disable >/dev/null; fi ;;
  esac
done
`;
}

/**
 * Runs the script in `file`, as root or through sudo, and reports its lines. When this process is killed, the
 * script continues or cleans up on its own.
 *
 * @throws PerijoveError PREREQUISITES_FAILED with the end of apt's output; the signal's reason when it
 *   aborts, after the script has cleaned up
 */
export async function runAptScript(
  file: string,
  report: (line: string) => void,
  signal: AbortSignal,
  command: readonly [string, ...string[]] = ['sh'],
): Promise<void> {
  signal.throwIfAborted();
  const [program, ...args] = command;
  // sudo may ask for a password.
  const child = spawn(program, [...args, file], { stdio: ['inherit', 'pipe', 'pipe'] });
  const tidyUp = () => child.kill('SIGTERM');
  signal.addEventListener('abort', tidyUp);
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', report);
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
  signal.removeEventListener('abort', tidyUp);
  signal.throwIfAborted();
  if (code === 0) return;
  throw new PerijoveError(
    'PREREQUISITES_FAILED',
    [`the installation exited with ${killedBy ?? code}`, ...errors.slice(-30)].join('\n'),
  );
}
