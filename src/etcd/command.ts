import type { SeedSource } from './decide.js';
import type { Member } from './members.js';

export interface MemberSettings {
  readonly name: string;
  readonly address: string;
  /** All nodes of the cluster, including this one. */
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly clientPort: number;
  readonly peerPort: number;
  readonly token: string;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly dataDir: string;
  /** Also serve clients on 127.0.0.1; only if no other node shares that address. */
  readonly onLoopback: boolean;
}

export function peerUrl(settings: Pick<MemberSettings, 'address' | 'peerPort'>): string {
  return `http://${settings.address}:${settings.peerPort}`;
}

/** The flags of etcd (3.4 and 3.5) for a start with or without data: etcd itself detects which it is. */
export function newMemberFlags(settings: MemberSettings): string[] {
  const members = settings.nodes.map(({ name, address }) => `${name}=${peerUrl({ ...settings, address })}`);
  return flags(settings, members, 'new');
}

/**
 * The flags of a run in which a member begins an epoch alone, out of the reach of others: it serves clients on this
 * URL only. With the data of an earlier epoch, the others are no longer members, as in etcd's documentation of
 * disaster recovery; without, the cluster shares no ID with an earlier one.
 */
export function beginningFlags(
  settings: MemberSettings,
  from: SeedSource,
  epoch: number,
  urls: { readonly client: string; readonly peer: string },
): string[] {
  const token = `${settings.token}-epoch-${epoch}`;
  return [
    ...flags({ ...settings, token }, [`${settings.name}=${peerUrl(settings)}`], 'new', urls),
    ...(from === 'data' ? ['--force-new-cluster'] : []),
  ];
}

/** The flags to start a newly added member, without data; `members` as etcd lists them. */
export function addedMemberFlags(settings: MemberSettings, members: readonly Member[]): string[] {
  const own = peerUrl(settings);
  return flags(
    settings,
    members.flatMap((member) =>
      member.peerUrls.map((url) => {
        const node = settings.nodes.find(({ address }) => peerUrl({ ...settings, address }) === url);
        const name = url === own ? settings.name : member.name || node?.name || `member-${member.id}`;
        return `${name}=${url}`;
      }),
    ),
    'existing',
  );
}

/** @param listen where to listen, in place of what others are told */
function flags(
  settings: MemberSettings,
  members: readonly string[],
  state: 'new' | 'existing',
  listen?: { readonly client: string; readonly peer: string },
): string[] {
  const { name, address, clientPort, token, heartbeatMs, electionMs, dataDir, onLoopback } = settings;
  const peer = peerUrl(settings);
  const client = `http://${address}:${clientPort}`;
  const ownClients = `${client}${onLoopback ? `,http://127.0.0.1:${clientPort}` : ''}`;
  return [
    `--name=${name}`,
    `--data-dir=${dataDir}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--listen-peer-urls=${listen?.peer ?? peer}`,
    `--listen-client-urls=${listen?.client ?? ownClients}`,
    `--advertise-client-urls=${client}`,
    `--initial-cluster-token=${token}`,
    `--initial-cluster=${members.join(',')}`,
    `--initial-cluster-state=${state}`,
    `--heartbeat-interval=${heartbeatMs}`,
    `--election-timeout=${electionMs}`,
    // A member that returns does not depose a healthy leader.
    '--pre-vote=true',
    // etcd's own check refuses to add a member while another one is down or has been up for less than 5 s, so
    // two lost nodes would block each other. Nodes check what matters before each change: that a majority
    // stays healthy.
    '--strict-reconfig-check=false',
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=1h',
    `--quota-backend-bytes=${512 * 1024 * 1024}`,
    '--logger=zap',
    // Elections are logged at this level, for operators and to alert the node's gate.
    '--log-level=info',
    '--log-outputs=stderr',
  ];
}
