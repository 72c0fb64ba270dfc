/**
 * A server's state, without data: everything that an installation could break for its owner. Two snapshots of
 * one server are compared entry by entry.
 */

/** A line of a snapshot, split into key and value. Values of one key are joined. */
type Entry = readonly [key: string, value: string];

interface Area {
  /** Shell in which every command's failure counts: no pipelines, no ignored failures. */
  readonly script: string;
  /** Undefined for temporary entries. */
  readonly read: (line: string) => Entry | undefined;
}

export type Snapshot = ReadonlyMap<string, string>;

export interface Difference {
  /** `AREA: KEY` */
  readonly entry: string;
  readonly change: 'added' | 'changed' | 'removed';
  readonly before?: string;
  readonly after?: string;
}

const words = (line: string) => line.trim().split(/\s+/);

/**
 * Owner, mode, checksum, target: of everything in `/etc` and in the directories of local programs and jobs.
 */
const trees = '/etc /var/spool/cron /usr/local /root';
const topLevels = '/opt /var/lib /var/lib/misc /srv /tmp /var/tmp /run /run/lock';

/** Kernel counters and random numbers; and settings derived from others. */
const ticking =
  /^(kernel\.(random\.|ns_last_pid|pty\.nr|sched_domain|perf_event_max_sample_rate|perf_cpu_time)|fs\.(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota\.)|net\.netfilter\.nf_conntrack_count|vm\.(drop_caches|compact_memory))/;

/** Sessions, and temporary units of systemd. */
const transientUnit =
  /\.(scope|device|slice)$|^(user|user-runtime-dir)@|^run-user-|^run-credentials-|^systemd-(hostnamed|timedated|localed)\.service$/;

const areas: Readonly<Record<string, Area>> = {
  unit: {
    script: 'systemctl list-unit-files --no-legend --no-pager --plain',
    read: (line) => {
      const [name = '', state = ''] = words(line);
      return state === 'transient' || transientUnit.test(name) ? undefined : [name, state];
    },
  },
  active: {
    script: 'systemctl list-units --all --no-legend --no-pager --plain --state=active,failed',
    read: (line) => {
      const [name = '', , state = ''] = words(line);
      return transientUnit.test(name) ? undefined : [name, state];
    },
  },
  process: {
    script: 'ps -e -o ppid=,user=,comm=',
    read: (line) => {
      const [parent, user = '', name = ''] = words(line);
      return parent === '1' && name !== 'systemd' ? [`${name} of ${user}`, ''] : undefined;
    },
  },
  port: {
    script: 'ss -H -l -n -t -u -p',
    read: (line) => {
      const [protocol = '', , , , address = ''] = words(line);
      // Compose's own name server; its port changes at each start.
      if (address.startsWith('127.0.0.11:')) return undefined;
      return [`${protocol} ${address}`, /users:\(\("([^"]*)"/.exec(line)?.[1] ?? ''];
    },
  },
  account: {
    script:
      'for file in passwd group shadow gshadow subuid subgid; do [ ! -e /etc/$file ] || sed "s/^/$file /" /etc/$file || exit 1; done',
    read: (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)],
  },
  sysctl: {
    script: 'sysctl -a',
    read: (line) => {
      const [key = '', value = ''] = line.split(' = ');
      return ticking.test(key) ? undefined : [key, value];
    },
  },
  mount: {
    script: 'cat /proc/self/mountinfo',
    read: (line) => {
      const [, , , , target = '', options = ''] = line.split(' ');
      const [type = '', source = ''] = line.slice(line.indexOf(' - ') + 3).split(' ');
      return transientUnit.test(target.slice(1).replaceAll('/', '-'))
        ? undefined
        : [target, `${type} ${source} ${options}`];
    },
  },
  link: {
    script: 'ip -o link show && ip -o address show',
    read: (line) => {
      const [, name = '', kind = '', ...rest] = words(line.replace('\\', ' '));
      const link = name.replace(/@.*|:$/g, '');
      if (kind.startsWith('<')) {
        const master = /\bmaster (\S+)/.exec(line)?.[1] ?? 'none';
        return [link, `${kind} mtu ${/\bmtu (\d+)/.exec(line)?.[1] ?? ''} master ${master}`];
      }
      // Made up by the kernel, from the link's own address.
      if (rest[0]?.startsWith('fe80:') === true) return undefined;
      return [`${link} ${kind} ${rest[0] ?? ''}`, ''];
    },
  },
  route: {
    script: 'ip -4 route show table all && ip -6 route show table all && ip -4 rule show && ip -6 rule show',
    read: (line) => [line.trim(), ''],
  },
  package: {
    script: "dpkg-query -W -f '${binary:Package} ${db:Status-Abbrev} ${Version}\\n'",
    read: (line) => {
      const [name = '', ...rest] = words(line);
      return [name, rest.join(' ')];
    },
  },
  file: {
    script: `present=; for tree in ${trees}; do [ ! -e $tree ] || present="$present $tree"; done
find $present -ignore_readdir_race -printf '%p\\t%y %m %u:%g %l\\n' &&
find $present -ignore_readdir_race -type f -exec sha256sum '{}' + &&
for top in ${topLevels}; do find $top -ignore_readdir_race -mindepth 1 -maxdepth 1 -printf '%p\\t%y %m %u:%g %l\\n' || exit 1; done &&
find /usr/sbin -maxdepth 1 -name 'policy-rc.d*' -printf '%p\\t%y %m %u:%g\\n' &&
find /var/lib/dpkg/info -name '*.list' -exec sed -n 's,^/etc/..*,packaged\\t&,p' '{}' +`,
    read: (line) => {
      const sum = /^([0-9a-f]{64}) [ *](.*)$/.exec(line);
      if (sum) return [`content of ${sum[2] ?? ''}`, sum[1] ?? ''];
      const [path = '', facts = ''] = line.split('\t');
      if (path === 'packaged') return [`packaged ${facts}`, ''];
      // Each login writes the second.
      return /\/systemd-private-|^\/run\/motd\.dynamic$/.test(path) ? undefined : [path, facts.trim()];
    },
  },
};

const end = 'complete';

/** Prints input for `parseSnapshot`, or fails. Changes nothing, and needs root. */
export const snapshotScript = `
export LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
work=$(mktemp -d /dev/shm/snapshot.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
${Object.entries(areas)
  .map(
    ([name, { script }]) => `( ${script}
) > "$work/out" || { echo '${name} could not be read' >&2; exit 1; }
echo '== ${name}'; cat "$work/out" || exit 1`,
  )
  .join('\n')}
echo '== ${end}'`.trim();

/** @throws when the snapshot is incomplete */
export function parseSnapshot(printed: string): Map<string, string> {
  const lines = printed.split('\n').filter((line) => line !== '');
  if (lines.at(-1) !== `== ${end}`)
    throw new Error(`a snapshot was cut short after ${lines.at(-1) ?? 'nothing'}`);
  const found = new Map<string, string>();
  let area = '';
  for (const line of lines.slice(0, -1)) {
    if (line.startsWith('== ')) {
      area = line.slice('== '.length);
      continue;
    }
    add(found, area, areas[area]?.read(line));
  }
  for (const name of Object.keys(areas)) {
    if (![...found.keys()].some((entry) => entry.startsWith(`${name}: `)))
      throw new Error(`a snapshot has no ${name}`);
  }
  return found;
}

function add(found: Map<string, string>, area: string, entry: Entry | undefined): void {
  if (entry === undefined) return;
  const key = `${area}: ${entry[0]}`;
  const value = found.get(key);
  found.set(key, value === undefined ? entry[1] : `${value} ${entry[1]}`.trim());
}

/** Firewalls are read with this machine's programs: a bare server has none. Each must be queried. */
export const firewallPrograms = [
  'iptables-nft-save',
  'iptables-legacy-save',
  'ip6tables-nft-save',
  'ip6tables-legacy-save',
] as const;

/** Adds rules and policies printed by one program, without counters. */
export function addFirewall(found: Map<string, string>, program: string, printed: string): void {
  let table = '';
  for (const line of printed.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    // Compose's own name server; its port changes at each start.
    if (!/^[:-]/.test(line) || / (-d|-s) 127\.0\.0\.11\/32 /.test(line)) continue;
    add(found, 'firewall', [
      `${program.replace('-save', '')} ${table} ${line.replace(/ \[\d+:\d+\]$/, '')}`,
      '',
    ]);
  }
}

const packaged = 'file: packaged ';

/** The value of an entry, with a note if dpkg owns the file. */
function ofPackage(snapshot: Snapshot, entry: string): string {
  const [, file] = /^file: (?:content of )?(.*)$/.exec(entry) ?? [];
  const known = file !== undefined && snapshot.has(`${packaged}${file}`);
  return `${snapshot.get(entry) ?? ''}${known ? ' packaged' : ''}`;
}

/** Differences of the second snapshot from the first. */
export function compare(before: Snapshot, after: Snapshot): Difference[] {
  const entries = [...new Set([...before.keys(), ...after.keys()])].sort();
  return entries.flatMap((entry): Difference[] => {
    if (entry.startsWith(packaged)) return [];
    const was = before.get(entry);
    const is = after.get(entry);
    if (was === is) return [];
    if (was === undefined) return [{ entry, change: 'added', after: ofPackage(after, entry) }];
    return is === undefined
      ? [{ entry, change: 'removed', before: was }]
      : [{ entry, change: 'changed', before: was, after: is }];
  });
}
