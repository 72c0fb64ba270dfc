import type { SeedSource } from './decide.js';
import { peerScheme, type Member, type PeerScheme } from './members.js';
import type { EtcdSecurity } from '../cluster/spec.js';

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
  /** How peers reach the members that this one knows by configuration; `http` if absent. */
  readonly scheme?: PeerScheme;
  /** Absent: without TLS. */
  readonly tls?: MemberTls;
}

export interface MemberTls {
  readonly security: Exclude<EtcdSecurity, 'open'>;
  /** Files: the certificates by which others are checked, and the member's key and certificate. */
  readonly authority: string;
  readonly member: string;
}

export function peerUrl({
  scheme = 'http',
  address,
  peerPort,
}: Pick<MemberSettings, 'address' | 'peerPort' | 'scheme'>): string {
  return `${scheme}://${address}:${peerPort}`;
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
        const node = settings.nodes.find(
          ({ address }) => peerScheme({ peerUrls: [url] }, peerUrl({ ...settings, address })) !== undefined,
        );
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
  const { name, address, token, heartbeatMs, electionMs, dataDir, tls } = settings;
  const peer = peerUrl(settings);
  return [
    `--name=${name}`,
    `--data-dir=${dataDir}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--listen-peer-urls=${listen?.peer ?? peer}`,
    `--listen-client-urls=${listen?.client ?? clientUrls(settings).join(',')}`,
    `--advertise-client-urls=${clientScheme(tls)}://${address}:${settings.clientPort}`,
    `--initial-cluster-token=${token}`,
    `--initial-cluster=${members.join(',')}`,
    `--initial-cluster-state=${state}`,
    `--heartbeat-interval=${heartbeatMs}`,
    `--election-timeout=${electionMs}`,
    ...(tls ? tlsFlags(tls) : []),
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

function clientUrls({ address, clientPort, onLoopback, tls }: MemberSettings): string[] {
  const addresses = onLoopback ? [address, '127.0.0.1'] : [address];
  return addresses.map((each) => `${clientScheme(tls)}://${each}:${clientPort}`);
}

/** Not both: etcd 3.4 that listens with and without TLS on one port often takes plain text for a broken handshake. */
function clientScheme(tls: MemberTls | undefined): 'http' | 'https' {
  return tls?.security === 'authenticated' ? 'https' : 'http';
}

/** etcd reads the certificate at each handshake, so a new one needs no restart. It finds the key in the same file. */
function tlsFlags({ security, authority, member }: MemberTls): string[] {
  return [
    ...(security === 'authenticated'
      ? [
          `--cert-file=${member}`,
          `--key-file=${member}`,
          `--trusted-ca-file=${authority}`,
          '--client-cert-auth=true',
        ]
      : []),
    `--peer-cert-file=${member}`,
    `--peer-key-file=${member}`,
    `--peer-trusted-ca-file=${authority}`,
    '--peer-client-cert-auth=true',
  ];
}
