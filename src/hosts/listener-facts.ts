/** Shell that prints the listeners at certain ports as `listener ADDRESS PORT PID OWN COMMAND`, for `parseFacts`. */
import { quote } from '../ssh/shell.js';

export interface ListenersWanted {
  /** TCP ports whose listeners are listed: at one of `addresses`, at 127.0.0.1, or at all addresses. */
  readonly ports: readonly number[];
  readonly addresses: readonly string[];
  /** Base directories of the cluster: a process that uses one belongs to the cluster. */
  readonly dirs: readonly string[];
}

/**
 * Sockets and their owners cannot be read at one moment: a gate may shut in between, and a process end. So a
 * listener that seems not to be the cluster's is omitted if it no longer listens, and otherwise looked at again.
 * One that cannot be looked at again counts as listening.
 */
export function listenersFactScript({ ports, addresses, dirs }: ListenersWanted): string {
  const hexPorts = ports.map((port) => port.toString(16).toUpperCase().padStart(4, '0'));
  const hexAddresses = [...addresses, '127.0.0.1'].map(hexAddress);
  return `
listening=$(awk -v ports=${quote(hexPorts.join(' '))} -v addresses=${quote(hexAddresses.join(' '))} '
  BEGIN {
    n = split(ports, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1
    n = split(addresses, list, " "); for (i = 1; i <= n; i++) own[list[i]] = 1
  }
  $4 == "0A" {
    split($2, at, ":")
    if (at[2] in wanted && (at[1] ~ /^0+$/ || substr(at[1], length(at[1]) - 7) in own)) print at[1], at[2], $10
  }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
if [ -n "$listening" ]; then
  read_sockets() { sockets=$(find /proc/[0-9]*/fd -lname 'socket:*' -printf '%p %l\\n' 2>/dev/null); }
  is_own() {
    pid=$1
    while [ "\${pid:-0}" -gt 1 ]; do
      for dir in ${dirs.map(quote).join(' ')}; do
        if { cat "/proc/$pid/cmdline" "/proc/$pid/environ"; printf '%s/' "$(readlink "/proc/$pid/cwd")"; } 2>/dev/null | grep -qaF "$dir/"; then return 0; fi
      done
      pid=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null)
    done
    return 1
  }
  has_shut() {
    [ "$(awk -v inode="$1" '$4 == "0A" && $10 == inode { open = 1 } END { if (NR > 0 && !open) print "shut" }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)" = shut ]
  }
  find_owner() {
    owner=$(printf '%s\\n' "$sockets" | awk -v socket="socket:[$1]" '$2 == socket { split($1, part, "/"); print part[3]; exit }')
    own=no; command=
    [ -n "$owner" ] || return 0
    command=$(tr '\\0\\n' '  ' < "/proc/$owner/cmdline" 2>/dev/null | cut -c1-120)
    if is_own "$owner"; then own=yes; fi
  }
  read_sockets
  printf '%s\\n' "$listening" | while read -r address port inode; do
    find_owner "$inode"
    if [ "$own" = no ]; then
      if has_shut "$inode"; then continue; fi
      read_sockets
      find_owner "$inode"
      if [ "$own" = no ] && has_shut "$inode"; then continue; fi
    fi
    printf 'listener %s %s %s %s %s\\n' "$address" "$port" "\${owner:--}" "$own" "$command"
  done
fi`.trim();
}

/** An IPv4 address in the format of /proc/net/tcp. */
function hexAddress(address: string): string {
  return address
    .split('.')
    .toReversed()
    .map((byte) => Number(byte).toString(16).toUpperCase().padStart(2, '0'))
    .join('');
}
