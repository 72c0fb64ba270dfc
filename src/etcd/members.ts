/** Members of etcd, as plain data. Every ID is an unsigned 64-bit number in decimal. */

export interface Member {
  readonly id: string;
  /** Empty until an added member has started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** Empty until the member has started and announced itself. */
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

export type PeerScheme = 'http' | 'https';

/** How others reach the member at the place of a peer URL; undefined if it is not there. */
export function peerScheme(member: Pick<Member, 'peerUrls'>, url: string): PeerScheme | undefined {
  const found = member.peerUrls.find((each) => placeOf(each) === placeOf(url));
  return found === undefined ? undefined : found.startsWith('https:') ? 'https' : 'http';
}

/** Whether a member is that of a node, by its name or, before it has started, by its place. */
export function isMemberOf(
  member: Pick<Member, 'name' | 'peerUrls'>,
  { name, peerUrl }: { readonly name: string; readonly peerUrl: string },
): boolean {
  return member.name === name || peerScheme(member, peerUrl) !== undefined;
}

/** `10.0.0.1:2380` of a URL. */
function placeOf(url: string): string {
  return url.replace(/^https?:\/\//, '');
}

export interface Membership {
  readonly clusterId: string;
  readonly members: readonly Member[];
}

export interface MemberStatus {
  readonly clusterId: string;
  readonly memberId: string;
  /** Member ID; absent while there is no leader. */
  readonly leader?: string;
  /** Raft term. */
  readonly term: number;
  readonly version: string;
  readonly dbSizeBytes: number;
  /** Index of the last entry that the member knows to be committed. */
  readonly committedIndex: number;
  readonly learner: boolean;
}

/** Whether the member has ever participated: it has announced its client URLs. */
export function hasStarted(member: Member): boolean {
  return member.clientUrls.length > 0;
}

/** IDs of the voting members. */
export function voterIds({ members }: Membership): string[] {
  return members.filter(({ learner }) => !learner).map(({ id }) => id);
}
