import { hostname } from 'node:os';
import { z } from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { ExecOptions, HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { observeDaemons, parseDaemons } from './daemons.js';
import type { DaemonItem } from './items.js';
import { aptLockHolder } from './packages.js';
import { installedScript } from './substitutes.js';

/** What `gatherFacts` collects; `factsWanted` computes it from a spec. */
export interface FactsWanted {
  readonly packages: readonly string[];
  /** Daemons to check for a response. */
  readonly daemons: readonly DaemonItem[];
  /** TCP ports whose listeners are listed: at one of `addresses`, at 127.0.0.1, or at all addresses. */
  readonly ports: readonly number[];
  /** Names on PATH, or absolute paths. */
  readonly programs: readonly string[];
  /** Addresses to look for on the interfaces. */
  readonly addresses: readonly string[];
  /** Directories to check for write access, or whether they can be created. */
  readonly writable: readonly string[];
  /** Directories to check for a file system other than the root file system. */
  readonly apart: readonly string[];
  /** Base directories of the cluster: a process that uses one belongs to the cluster. */
  readonly dirs: readonly string[];
}

/** A listening TCP socket. */
export interface Listener {
  /** IPv4, or `*` for all addresses. */
  readonly address: string;
  readonly port: number;
  /** Absent if the user may not see the owner. */
  readonly pid?: number;
  readonly command?: string;
  /** Belongs to the cluster: an earlier run started it. */
  readonly own: boolean;
}

/** The observed facts of a host, as plain JSON. */
export interface HostFacts {
  readonly host: string;
  readonly os: { readonly id: string; readonly version: string; readonly name: string };
  readonly arch: string;
  readonly kernel: string;
  readonly hostname: string;
  /** The user that runs commands: root with `become: sudo`. */
  readonly uid: number;
  readonly init: { readonly systemd: boolean; readonly runit: boolean };
  readonly apt: boolean;
  /** The process that holds apt's lock now. */
  readonly aptHeldBy?: string;
  /** Daemons of the distribution that the spec needs, and whether they respond. */
  readonly daemons: readonly { readonly name: string; readonly answers: boolean }[];
  /** Free space at the base directory. */
  readonly freeBytes: number;
  readonly writable: readonly string[];
  readonly apart: readonly string[];
  readonly memoryBytes: number;
  readonly cpus: number;
  /**
   * The host's clock minus the clock of the worker's machine (`reference`), in milliseconds. The true value
   * is within `errorMs`, half the round-trip time.
   */
  readonly clock: { readonly offsetMs: number; readonly errorMs: number; readonly reference: string };
  /** Those that are installed. */
  readonly packages: readonly string[];
  readonly programs: readonly string[];
  readonly addresses: readonly string[];
  readonly listeners: readonly Listener[];
}

/**
 * Observes a host with one command that changes nothing.
 *
 * @throws PerijoveError SSH_*, SUDO_REFUSED, COMMAND_FAILED if part of that command failed
 */
export async function gatherFacts(
  connection: HostConnection,
  wanted: FactsWanted,
  options: ExecOptions = {},
): Promise<HostFacts> {
  const { host } = connection;
  const before = Date.now();
  const result = await connection.exec(factsScript(host.dir, wanted), options);
  return parseFacts(result.stdout, host.name, {
    before: Math.max(before, Date.now() - result.durationMs),
    after: Date.now(),
    reference: hostname(),
  });
}

/** Prints `name value` lines. The clock comes first, so that little time passes before it. */
export function factsScript(dir: string, wanted: FactsWanted): string {
  const words = (values: readonly (string | number)[]) =>
    values.map((value) => quote(String(value))).join(' ');
  const hexPorts = wanted.ports.map((port) => port.toString(16).toUpperCase().padStart(4, '0'));
  const hexAddresses = [...wanted.addresses, '127.0.0.1'].map(hexAddress);
  return `
printf 'clock %s\\n' "$(date +%s%N)"
${aptLockHolder}
say() { [ -z "$2" ] || printf '%s %s\\n' "$1" "$2"; }
if [ -r /etc/os-release ]; then
  . /etc/os-release
  say os-id "$ID"; say os-version "$VERSION_ID"; say os-name "$PRETTY_NAME"
fi
say arch "$(uname -m)"; say kernel "$(uname -r)"; say hostname "$(uname -n)"; say uid "$(id -u)"
if [ -d /run/systemd/system ]; then say init systemd; fi
if command -v runsvdir >/dev/null && command -v chpst >/dev/null; then say init runit; fi
if command -v apt-get >/dev/null; then say apt yes; say apt-holder "$(apt_lock_holder)"; fi
${observeDaemons(wanted.daemons).join('\n')}
existing() {
  found=$1
  until [ -e "$found" ]; do found=$(dirname "$found"); done
  printf '%s' "$found"
}
for dir in ${words(wanted.writable)}; do
  found=$(existing "$dir")
  if [ -d "$found" ] && [ -w "$found" ]; then say writable "$dir"; fi
done
for dir in ${words(wanted.apart)}; do
  [ "$(stat -c %d "$(existing "$dir")")" = "$(stat -c %d /)" ] || say apart "$dir"
done
say free-kib "$(df -Pk "$(existing ${quote(dir)})" | awk 'NR == 2 { print $4 }')"
say memory-kib "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
say cpus "$(nproc)"
${installedScript(wanted.packages).join('\n')}
for program in ${words(wanted.programs)}; do
  if command -v "$program" >/dev/null || [ -e "$program" ]; then say program "$program"; fi
done
for address in ${words(wanted.addresses)}; do
  if ! command -v ip >/dev/null || ip -4 route get "$address" 2>/dev/null | grep -q '^local '; then say address "$address"; fi
done
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
  sockets=$(find /proc/[0-9]*/fd -lname 'socket:*' -printf '%p %l\\n' 2>/dev/null)
  is_own() {
    pid=$1
    while [ "\${pid:-0}" -gt 1 ]; do
      for dir in ${words(wanted.dirs)}; do
        if { cat "/proc/$pid/cmdline" "/proc/$pid/environ"; printf '%s/' "$(readlink "/proc/$pid/cwd")"; } 2>/dev/null | grep -qaF "$dir/"; then return 0; fi
      done
      pid=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null)
    done
    return 1
  }
  printf '%s\\n' "$listening" | while read -r address port inode; do
    owner=$(printf '%s\\n' "$sockets" | awk -v socket="socket:[$inode]" '$2 == socket { split($1, part, "/"); print part[3]; exit }')
    own=no; command=
    if [ -n "$owner" ]; then
      command=$(tr '\\0\\n' '  ' < "/proc/$owner/cmdline" 2>/dev/null | cut -c1-120)
      if is_own "$owner"; then own=yes; fi
    fi
    printf 'listener %s %s %s %s %s\\n' "$address" "$port" "\${owner:--}" "$own" "$command"
  done
fi
exit 0`.trim();
}

const count = z.coerce.number().int().nonnegative();
const facts = z.object({
  'os-id': z.string().default('unknown'),
  'os-version': z.string().default(''),
  'os-name': z.string().default('an unknown system'),
  arch: z.string(),
  kernel: z.string(),
  hostname: z.string(),
  uid: count,
  'apt-holder': z.string().optional(),
  'free-kib': count,
  'memory-kib': count,
  cpus: count,
  clock: z.string().regex(/^\d{16,}$/),
});

/**
 * Parses the output of `factsScript`. `before` and `after` are the worker's clock around the command.
 *
 * @throws PerijoveError COMMAND_FAILED if a fact is missing
 */
export function parseFacts(
  output: string,
  host: string,
  asked: { readonly before: number; readonly after: number; readonly reference: string },
): HostFacts {
  const lines = output
    .split('\n')
    .filter((line) => line.includes(' '))
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const);
  const all = (name: string) => lines.flatMap(([key, value]) => (key === name ? [value] : []));
  const parsed = facts.safeParse(Object.fromEntries(lines));
  if (!parsed.success) {
    const lacking = [...new Set(parsed.error.issues.map(({ path }) => path.join('.')))].join(', ');
    throw new PerijoveError('COMMAND_FAILED', `the host did not report its ${lacking}`, { host });
  }
  const one = parsed.data;
  const clockMs = Number(one.clock) / 1e6;
  return {
    host,
    os: { id: one['os-id'], version: one['os-version'], name: one['os-name'] },
    arch: one.arch,
    kernel: one.kernel,
    hostname: one.hostname,
    uid: one.uid,
    init: { systemd: all('init').includes('systemd'), runit: all('init').includes('runit') },
    apt: all('apt').includes('yes'),
    ...(one['apt-holder'] === undefined ? {} : { aptHeldBy: one['apt-holder'] }),
    daemons: [...parseDaemons(output)].map(([name, { answers }]) => ({ name, answers })),
    freeBytes: one['free-kib'] * 1024,
    writable: all('writable'),
    apart: all('apart'),
    memoryBytes: one['memory-kib'] * 1024,
    cpus: one.cpus,
    clock: {
      offsetMs: Math.round(clockMs - (asked.before + asked.after) / 2),
      errorMs: Math.ceil((asked.after - asked.before) / 2),
      reference: asked.reference,
    },
    packages: [...new Set(all('package').flatMap((each) => (/^installed (.*)$/.exec(each) ?? []).slice(1)))],
    programs: all('program'),
    addresses: all('address'),
    listeners: all('listener').flatMap(parseListener),
  };
}

function parseListener(text: string): Listener[] {
  const [hexAddress = '', hexPort = '', pid = '-', own, ...command] = text.split(' ');
  const address = parseHexAddress(hexAddress);
  if (address === undefined) return [];
  const known = pid === '-' ? {} : { pid: Number(pid), command: command.join(' ').trim() };
  return [{ address, port: Number.parseInt(hexPort, 16), ...known, own: own === 'yes' }];
}

/** An IPv4 address in the format of /proc/net/tcp. */
function hexAddress(address: string): string {
  return address
    .split('.')
    .toReversed()
    .map((byte) => Number(byte).toString(16).toUpperCase().padStart(2, '0'))
    .join('');
}

/**
 * Parses an address of /proc/net/tcp or tcp6 (proc(5)): 32-bit words, lowest byte first. Returns dotted IPv4,
 * also for an IPv4-mapped address; `*` for all addresses; undefined for other IPv6 addresses.
 */
export function parseHexAddress(hex: string): string | undefined {
  if (/^0+$/.test(hex)) return '*';
  const isMapped = hex.length === 32 && hex.startsWith('0000000000000000FFFF0000');
  if (hex.length !== 8 && !isMapped) return undefined;
  const bytes = hex.slice(-8).match(/../g) ?? [];
  const address = bytes
    .toReversed()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.');
  return address === '0.0.0.0' ? '*' : address;
}
