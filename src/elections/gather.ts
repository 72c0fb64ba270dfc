/** Reads what the members of etcd, Mesos and ZooKeeper logged about elections, over SSH. */
import { hostsWithRole, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { messageOf } from '../errors/error.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import { masterService } from '../mesos/installation/items.js';
import { nodeLayout } from '../node/layout.js';
import { pidFunction } from '../node/scripts.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { zookeeperService } from '../zookeeper/items.js';
import type { MemberLog } from './member-log.js';

export const electionKinds = ['etcd', 'mesos', 'zookeeper'] as const;
export type ElectionKind = (typeof electionKinds)[number];

export type ElectionLogs = Readonly<Record<ElectionKind, readonly MemberLog[]>>;

const timeoutMs = 20_000;
/** Of one host, below what an SSH command may return; and of one line, which is longer than any that is read. */
const bytesOfHost = 6 * 1024 * 1024;
const bytesOfLine = 600;
const linesOfLog = 3_000;

/** Extended regular expressions of awk: the lines that the parsers read. */
const patterns: Readonly<Record<ElectionKind, string>> = {
  etcd:
    '"msg":"(raft[.]node: |newRaft |[0-9a-f]+ (became |is starting|received Msg|has received|stepped down|[[]))' +
    '|"msg":"(added member|added remote peer|published local member)',
  mesos:
    'Replica (recovered|received|denying)|Persisted promised|New candidate|Lost connection to ZooKeeper' +
    '|ZooKeeper session expired|Membership cancelled|Lost leadership|Detected a new leader' +
    '|A new leading master|Elected as|Recovering from registrar|start the writer|Coordinator attempting' +
    '|Writer started|recovered registrar',
  zookeeper:
    'Starting quorum peer|Disconnected from leader|Shutdown called|QuorumPeer - (LOOKING|LEADING|FOLLOWING)' +
    '|Successfully connected to leader|Peer state changed: .* - broadcast|Have quorum of supporters' +
    '|Notification: my state',
};

/** A log that may be on a host. */
interface Place {
  readonly kind: ElectionKind;
  readonly member: string;
  readonly host: HostSpec;
}

interface FoundLog {
  readonly text: string;
  /** Whether the member runs there; always, for a service of the host. */
  readonly live: boolean;
}

/** What a host has of each place; undefined: it has no such log. */
type OfHost = Observation<ReadonlyMap<string, FoundLog | undefined>>;

/**
 * The lines about elections in the logs of all members, newest last, bounded in bytes and time. A member whose log
 * could not be read is in the result, as unknown. Never rejects for a host that does not answer.
 */
export async function gatherElectionLogs(
  pool: SshPool,
  spec: ClusterSpec,
  kinds: readonly ElectionKind[],
): Promise<ElectionLogs> {
  const places = kinds.flatMap((kind) => placesOf(spec, kind));
  const hosts = spec.hosts.filter((host) => places.some((place) => place.host === host));
  const answers = new Map(
    await Promise.all(
      hosts.map(async (host) => {
        const own = places.filter((place) => place.host === host);
        return [host, await readHost(pool, spec, host, own)] as const;
      }),
    ),
  );
  const logsOf = (kind: ElectionKind) => {
    const own = places.filter((place) => place.kind === kind);
    const members = [...new Set(own.map(({ member }) => member))];
    return members.map((member) => ({
      member,
      log: logOf(
        own.filter((place) => place.member === member),
        answers,
      ),
    }));
  };
  return { etcd: logsOf('etcd'), mesos: logsOf('mesos'), zookeeper: logsOf('zookeeper') };
}

/** A node may have run on any host with an agent. */
function placesOf(spec: ClusterSpec, kind: ElectionKind): Place[] {
  if (kind === 'etcd') {
    const hosts = hostsWithRole(spec, 'agent');
    return nodeNames(spec).flatMap((member) => hosts.map((host) => ({ kind, member, host })));
  }
  const role = kind === 'mesos' ? 'master' : 'zookeeper';
  return hostsWithRole(spec, role).map((host) => ({ kind, member: host.name, host }));
}

function keyOf({ kind, member }: Place): string {
  return `${kind} ${member}`;
}

async function readHost(
  pool: SshPool,
  spec: ClusterSpec,
  host: HostSpec,
  places: readonly Place[],
): Promise<OfHost> {
  try {
    const connection = await pool.get(host);
    return known(foundLogs(await connection.run(readElectionLogsScript(spec.name, places), { timeoutMs })));
  } catch (error) {
    return notKnown(messageOf(error));
  }
}

/** Follows what was read of a log: without it, the log is not known. */
const readMark = '== read';

/** What `readElectionLogsScript` printed. */
export function foundLogs(output: string): ReadonlyMap<string, FoundLog | undefined> {
  const found = new Map<string, FoundLog | undefined>();
  for (const part of output.split(/^== (?=(?:etcd|mesos|zookeeper) )/m).slice(1)) {
    const end = part.indexOf('\n');
    const [, key = '', state] = /^(.*) (live|dead|none)$/.exec(part.slice(0, end)) ?? [];
    const lines = part.slice(end + 1);
    const isRead = lines.trimEnd().endsWith(readMark);
    if (state !== 'none' && isRead) {
      found.set(key, { text: lines.slice(0, lines.lastIndexOf(readMark)), live: state === 'live' });
    } else if (state === 'none') found.set(key, undefined);
  }
  return found;
}

/** The parts of a member's log, wherever it ran, oldest first. */
function logOf(places: readonly Place[], answers: ReadonlyMap<HostSpec, OfHost>): Observation<string> {
  const parts: FoundLog[] = [];
  const silent: string[] = [];
  for (const place of places) {
    const answer = answers.get(place.host);
    const key = keyOf(place);
    if (answer?.known && answer.value.has(key)) {
      const found = answer.value.get(key);
      if (found) parts.push(found);
    } else {
      const why = answer?.known === false ? answer.why : 'its log could not be read, or is empty';
      silent.push(`${place.host.name}: ${why}`);
    }
  }
  // It may run, and have its newest log, on a host that does not answer.
  if (silent.length > 0 && !parts.some(({ live }) => live)) return notKnown(silent.join('; '));
  if (parts.length === 0) return notKnown('it has no log on any host');
  const inOrder = parts.toSorted((a, b) => Number(a.live) - Number(b.live) || (a.text < b.text ? -1 : 1));
  return known(inOrder.map(({ text }) => text).join(''));
}

/**
 * Prints each log after a line `== KIND MEMBER STATE`, where the state is `live`, `dead` or `none`. Lines of logs begin
 * with their time. Before the lines about elections is the first line of the log, if none of them was left out: it
 * shows since when the log is known.
 */
export function readElectionLogsScript(cluster: string, places: readonly Place[]): string {
  const lines = Math.min(linesOfLog, Math.floor(bytesOfHost / bytesOfLine / Math.max(1, places.length)));
  return [
    `pick() { awk -v max=${lines} -v pattern="$1" 'NR == 1 { first = substr($0, 1, ${bytesOfLine}) } $0 ~ pattern { found[n++ % max] = substr($0, 1, ${bytesOfLine}) } END { if (NR > 0 && n <= max && first != found[0]) print first; for (i = n > max ? n - max : 0; i < n; i++) print found[i % max]; if (NR > 0) print "${readMark}" }'; }`,
    'svlogd() { ls "$1"/@*.[su] 2>/dev/null | sort | while read -r old; do cat "$old"; done; cat "$1"/current; }',
    ...places.map((place) => (place.kind === 'etcd' ? nodePart(place) : servicePart(cluster, place))),
  ].join('\n');
}

function nodePart(place: Place): string {
  const layout = nodeLayout(hostPaths(place.host).clusterNode(place.member));
  const log = quote(`${layout.log}/etcd`);
  const head = `== ${keyOf(place)}`;
  return [
    `if [ -f ${log}/current ]; then (`,
    pidFunction(layout.base),
    `if pid_of ${quote(layout.owner)} >/dev/null; then echo '${head} live'; else echo '${head} dead'; fi`,
    `svlogd ${log} | pick ${quote(patterns.etcd)}`,
    `); else echo '${head} none'; fi`,
  ].join('\n');
}

function servicePart(cluster: string, place: Place): string {
  const service = place.kind === 'mesos' ? masterService : zookeeperService;
  const log = quote(`${hostPaths(place.host).log}/${service}`);
  const head = `== ${keyOf(place)}`;
  const pattern = quote(patterns[place.kind]);
  return [
    `if [ -f ${log}/current ]; then echo '${head} live'; svlogd ${log} | pick ${pattern}`,
    `elif command -v journalctl >/dev/null; then echo '${head} live'`,
    `journalctl --no-pager --quiet --output=short-iso-precise --unit=${quote(`perijove-${cluster}-${service}.service`)} | pick ${pattern}`,
    `else echo '${head} none'; fi`,
  ].join('\n');
}
