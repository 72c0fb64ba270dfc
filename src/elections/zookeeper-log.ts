/**
 * What a ZooKeeper server logs about elections: pure.
 *
 * The messages are those of ZooKeeper 3.5 to 3.9 (`QuorumPeer`, `FastLeaderElection`, `Leader`, `Learner`), in the
 * lines of the log back ends that Perijove configures. Servers are numbers in them.
 */
import { linesOf, type Step } from './member-log.js';

export type ZooKeeperKind =
  /** The process was started. */
  | 'started'
  /** A follower lost its connection to the leader. */
  | 'lost-leader'
  /** A leader gave up, for the reason in the line. */
  | 'steps-down'
  | 'looking'
  /** It votes for `candidate`: itself at first, and whoever has the newer data, or the higher number, later. */
  | 'votes'
  /** It received the vote of `peer` for `candidate`. */
  | 'hears'
  /** It answered `peer`, which looks for a leader while this one has one. */
  | 'answers'
  | 'leading'
  | 'following'
  /** A follower reached the leader. */
  | 'connects'
  /** The leader has a majority of supporters, and begins `epoch`. */
  | 'quorum'
  /** It serves clients again. */
  | 'serves';

export interface ZooKeeperStep extends Step {
  readonly kind: ZooKeeperKind;
  /** Number of the server, where the log has shown it. */
  readonly id?: number;
  /** Of votes: number of the server that sent it, that it is for, and the round that it is of. */
  readonly peer?: number;
  readonly candidate?: number;
  readonly round?: number;
  readonly epoch?: number;
  /** Of `connects`: the address of the leader. */
  readonly address?: string;
  /** Of `hears`: the sender has a leader already. */
  readonly isSettled?: boolean;
  /** Of a vote: the newest transaction that its server has, hexadecimal. */
  readonly zxid?: string;
}

const linePattern = /^\S+(?: [\d:,.]+)? \[(.*?\]?)\] (?:INFO|WARN|ERROR) (\S+) - (.*)$/;

/** The steps of a server, in the order of its log. */
export function zookeeperSteps(member: string, log: string): ZooKeeperStep[] {
  let own: number | undefined;
  return linesOf(log).flatMap(({ at, text }) => {
    const [, thread = '', source = '', message = ''] = linePattern.exec(text) ?? [];
    const [, id] = /\bmyid=(\d+)/.exec(`${thread} ${message}`) ?? [];
    own = id === undefined ? own : Number(id);
    const found = stepOf(source.split('.').at(-1) ?? '', message, own);
    if (!found) return [];
    return [{ at, member, evidence: text, ...(own !== undefined && { id: own }), ...found }];
  });
}

type Found = Omit<ZooKeeperStep, keyof Step>;

const simple: readonly (readonly [source: string, pattern: RegExp, kind: ZooKeeperKind])[] = [
  ['QuorumPeerMain', /^Starting quorum peer/, 'started'],
  ['Learner', /^Disconnected from leader/, 'lost-leader'],
  ['Leader', /^Shutdown called/, 'steps-down'],
  ['QuorumPeer', /^LOOKING$/, 'looking'],
  ['QuorumPeer', /^LEADING$/, 'leading'],
  ['QuorumPeer', /^FOLLOWING$/, 'following'],
  ['QuorumPeer', /^Peer state changed: (?:leading|following) - broadcast/, 'serves'],
];

function stepOf(source: string, message: string, own: number | undefined): Found | undefined {
  const plain = simple.find(([of, pattern]) => of === source && pattern.test(message));
  if (plain) return { kind: plain[2] };
  if (source === 'Learner') {
    const [, address] =
      /^Successfully connected to leader, using address: \S*?\/([\d.]+):\d+/.exec(message) ?? [];
    return address === undefined ? undefined : { kind: 'connects', address };
  }
  if (source === 'Leader') {
    const [, zxid] = /^Have quorum of supporters, .*zxid: 0x([0-9a-f]+)/.exec(message) ?? [];
    return zxid === undefined ? undefined : { kind: 'quorum', epoch: Number(BigInt(`0x${zxid}`) >> 32n) };
  }
  return source === 'FastLeaderElection' ? voteOf(message, own) : undefined;
}

const notificationPattern =
  /^Notification: my state:(\w+); n\.sid:(\d+), n\.state:(\w+), n\.leader:(\d+), n\.round:0x([0-9a-f]+), .*n\.zxid:0x([0-9a-f]+)/;

function voteOf(message: string, own: number | undefined): Found | undefined {
  const [, state, sender, senderState, candidate, round = '', zxid = ''] =
    notificationPattern.exec(message) ?? [];
  if (state === undefined) return undefined;
  const peer = Number(sender);
  const vote = { peer, candidate: Number(candidate), round: Number.parseInt(round, 16), zxid };
  if (state !== 'LOOKING') {
    return senderState === 'LOOKING' && peer !== own ? { kind: 'answers', ...vote } : undefined;
  }
  if (peer === own) return { kind: 'votes', ...vote };
  return { kind: 'hears', isSettled: senderState !== 'LOOKING', ...vote };
}
