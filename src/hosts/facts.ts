import { hostname } from 'node:os';
import * as z from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { ExecOptions, HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { directoriesScript, separator, type DirectoriesWanted } from './directory-facts.js';
import { listenersFactScript, type ListenersWanted } from './listener-facts.js';
import { observeDaemons, parseDaemons } from './daemons.js';
import type { DaemonItem } from './items.js';
import { aptLockHolder } from './packages.js';
import { installedScript } from './substitutes.js';
import { userScript, type UserWanted } from './user-facts.js';

/** What `gatherFacts` collects; `factsWanted` computes it from a spec. */
export interface FactsWanted extends Omit<DirectoriesWanted, 'dir'>, ListenersWanted {
  readonly packages: readonly string[];
  /** Daemons to check for a response. */
  readonly daemons: readonly DaemonItem[];
  /** Names on PATH, or absolute paths. */
  readonly programs: readonly string[];
  /** Addresses to look for on the interfaces. */
  readonly addresses: readonly string[];
  /** The user of the nodes; absent where none run, or as root. */
  readonly user?: UserWanted;
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
  /** Free inodes there; absent if the file system makes them as needed. */
  readonly freeInodes?: number;
  /** The mount point of its file system, if that is mounted with `noexec`. */
  readonly noexec?: string;
  /** Links to nothing, at or above the directories to be written; absent if there are none. */
  readonly dangling?: readonly { readonly path: string; readonly link: string; readonly target: string }[];
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
  /** Why nodes cannot run as their user. */
  readonly userObstacle?: string;
  /** The first file among the notebooks that the user cannot write, of those that count. */
  readonly foreign?: string;
  /** Why it is not known whether there is one. */
  readonly foreignUnknown?: string;
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
${directoriesScript({ dir, ...wanted })}
say memory-kib "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
say cpus "$(nproc)"
${installedScript(wanted.packages).join('\n')}
for program in ${words(wanted.programs)}; do
  if command -v "$program" >/dev/null || [ -e "$program" ]; then say program "$program"; fi
done
for address in ${words(wanted.addresses)}; do
  if ! command -v ip >/dev/null || ip -4 route get "$address" 2>/dev/null | grep -q '^local '; then say address "$address"; fi
done
${userScript(wanted.user)}
${listenersFactScript(wanted)}
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
  inodes: z.string().optional(),
  noexec: z.string().optional(),
  'user-obstacle': z.string().optional(),
  foreign: z.string().optional(),
  'foreign-unknown': z.string().optional(),
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
    ...parseInodes(one.inodes),
    ...(one.noexec === undefined ? {} : { noexec: unescaped(one.noexec) }),
    ...parseDangling(all('dangling')),
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
    ...(one['user-obstacle'] === undefined ? {} : { userObstacle: one['user-obstacle'] }),
    ...(one.foreign === undefined ? {} : { foreign: one.foreign }),
    ...(one['foreign-unknown'] === undefined ? {} : { foreignUnknown: one['foreign-unknown'] }),
  };
}

/** A path of the mount table: proc_pid_mountinfo(5). */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function parseInodes(text = ''): Pick<HostFacts, 'freeInodes'> {
  const [all, free] = text.split(' ').map(Number);
  return all === undefined || free === undefined || !(all > 0) ? {} : { freeInodes: free };
}

function parseDangling(lines: readonly string[]): Pick<HostFacts, 'dangling'> {
  const dangling = lines.map((line) => {
    const [path = '', link = '', target = ''] = line.split(separator);
    return { path, link, target };
  });
  return dangling.length === 0 ? {} : { dangling };
}

function parseListener(text: string): Listener[] {
  const [hexAddress = '', hexPort = '', pid = '-', own, ...command] = text.split(' ');
  const address = parseHexAddress(hexAddress);
  if (address === undefined) return [];
  const known = pid === '-' ? {} : { pid: Number(pid), command: command.join(' ').trim() };
  return [{ address, port: Number.parseInt(hexPort, 16), ...known, own: own === 'yes' }];
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
