/**
 * What a member of etcd logs about elections: pure.
 *
 * The messages are those of raft in etcd 3.4, 3.5 and 3.6 (`raft.go`, `node.go`), in the lines of zap. Members are
 * hexadecimal IDs in them.
 */
import { z } from 'zod';
import { linesOf, type Step } from './member-log.js';

export type RaftKind =
  /** The member was started; its term and its log's last index are those of its data. */
  | 'restarted'
  /** It no longer has a leader. */
  | 'lost-leader'
  /** A leader found that it reaches no majority. */
  | 'steps-down'
  /** A leader hands over to `peer`. */
  | 'transfers'
  /** The leader `peer` hands over to this member. */
  | 'told-to-campaign'
  | 'starts'
  | 'pre-candidate'
  | 'candidate'
  /** It asks `peer` for its vote. */
  | 'asks'
  /** It gives its vote to `peer`. */
  | 'grants'
  | 'rejects'
  /** It does not answer `peer`, because it has heard from a leader lately. */
  | 'ignores'
  /** As a candidate it received the vote of `peer`. */
  | 'granted'
  | 'refused'
  /** The votes so far. */
  | 'tally'
  | 'leads'
  | 'follower'
  /** It learned that `peer` leads. */
  | 'follows'
  /** It learned of a higher term from `peer`. */
  | 'higher-term';

export interface RaftStep extends Step {
  readonly kind: RaftKind;
  /** The member's ID in etcd. */
  readonly id: string;
  /** Its term when it logged this; of `higher-term`, the new one. */
  readonly term: number;
  /** ID of the other member. */
  readonly peer?: string;
  /** Only for votes: the trial vote before the candidacy, which changes no term. */
  readonly pre?: boolean;
  readonly votes?: number;
  readonly rejections?: number;
  /** Of `restarted`: last index of its log. */
  readonly index?: number;
}

/** The member that an ID belongs to, as members log it. */
export interface Identity {
  readonly id: string;
  readonly name?: string;
  readonly url?: string;
}

type Found = Pick<RaftStep, 'kind'> & Partial<Omit<RaftStep, 'kind'>>;
type Rule = readonly [pattern: RegExp, (match: readonly string[]) => Found];

const id = '([0-9a-f]{1,16})';
const own = `^${id}`;
const state = `${own} \\[logterm: \\d+, index: \\d+(?:, vote: [0-9a-f]+)?\\]`;
const vote = '(Msg(?:Pre)?Vote)';
const isPre = (message = '') => message.startsWith('MsgPre');

const rules: readonly Rule[] = [
  [
    /^newRaft ([0-9a-f]+) \[peers: .*, term: (\d+), .*lastindex: (\d+), /,
    ([, who = '', term, index]) => ({ kind: 'restarted', id: who, term: Number(term), index: Number(index) }),
  ],
  [
    new RegExp(`^raft\\.node: ${id} lost leader ${id} at term (\\d+)`),
    ([, who = '', peer = '', term]) => ({ kind: 'lost-leader', id: who, peer, term: Number(term) }),
  ],
  [
    new RegExp(
      `^raft\\.node: ${id} (?:elected leader|changed leader from [0-9a-f]+ to) ${id} at term (\\d+)`,
    ),
    ([, who = '', peer = '', term]) => ({ kind: 'follows', id: who, peer, term: Number(term) }),
  ],
  [
    new RegExp(`${own} stepped down to follower since quorum is not active`),
    ([, who = '']) => ({ kind: 'steps-down', id: who }),
  ],
  [
    new RegExp(`${own} \\[term (\\d+)\\] starts to transfer leadership to ${id}`),
    ([, who = '', term, peer = '']) => ({ kind: 'transfers', id: who, term: Number(term), peer }),
  ],
  [
    new RegExp(`${own} \\[term (\\d+)\\] received MsgTimeoutNow from ${id}`),
    ([, who = '', term, peer = '']) => ({ kind: 'told-to-campaign', id: who, term: Number(term), peer }),
  ],
  [
    new RegExp(`${own} is starting a new election at term (\\d+)`),
    ([, who = '', term]) => ({ kind: 'starts', id: who, term: Number(term) }),
  ],
  [
    new RegExp(`${own} became (pre-candidate|candidate|leader|follower) at term (\\d+)`),
    ([, who = '', role = '', term]) => ({ kind: roles[role] ?? 'follower', id: who, term: Number(term) }),
  ],
  [
    new RegExp(`${state} sent ${vote} request to ${id} at term (\\d+)`),
    ([, who = '', message, peer = '', term]) => ({
      ...{ kind: 'asks', id: who, pre: isPre(message), peer, term: Number(term) },
    }),
  ],
  [
    new RegExp(`${state} (cast|rejected|ignored) ${vote} (?:for|from) ${id} \\[.*?\\] at term (\\d+)`),
    ([, who = '', answer = '', message, peer = '', term]) => ({
      kind: answers[answer] ?? 'ignores',
      ...{ id: who, pre: isPre(message), peer, term: Number(term) },
    }),
  ],
  [
    new RegExp(`${own} received (Msg(?:Pre)?Vote)Resp (rejection )?from ${id} at term (\\d+)`),
    ([, who = '', message, rejection, peer = '', term]) => ({
      kind: rejection ? 'refused' : 'granted',
      ...{ id: who, pre: isPre(message), peer, term: Number(term) },
    }),
  ],
  [
    new RegExp(`${own} has received (\\d+) (Msg(?:Pre)?Vote)Resp votes and (\\d+) vote rejections`),
    ([, who = '', votes, message, rejections]) => ({
      ...{
        kind: 'tally',
        id: who,
        pre: isPre(message),
        votes: Number(votes),
        rejections: Number(rejections),
      },
    }),
  ],
  [
    new RegExp(
      `${own} \\[term: \\d+\\] received a Msg\\w+ message with higher term from ${id} \\[term: (\\d+)\\]`,
    ),
    ([, who = '', peer = '', term]) => ({ kind: 'higher-term', id: who, peer, term: Number(term) }),
  ],
];

const roles: Readonly<Record<string, RaftKind>> = {
  'pre-candidate': 'pre-candidate',
  candidate: 'candidate',
  leader: 'leads',
  follower: 'follower',
};
const answers: Readonly<Record<string, RaftKind>> = {
  cast: 'grants',
  rejected: 'rejects',
  ignored: 'ignores',
};

const zapLine = z.object({
  ts: z.string(),
  msg: z.string(),
  name: z.string().optional(),
  'local-member-id': z.string().optional(),
  'local-member-attributes': z.string().optional(),
  'added-peer-id': z.string().optional(),
  'added-peer-peer-urls': z.array(z.string()).optional(),
  'remote-peer-id': z.string().optional(),
  'remote-peer-urls': z.array(z.string()).optional(),
});
type ZapLine = z.infer<typeof zapLine>;

/** The steps of a member, in the order of its log. */
export function raftSteps(member: string, log: string): RaftStep[] {
  const steps: RaftStep[] = [];
  let term = 0;
  for (const { text, line } of zapLines(log)) {
    const found = stepOf(line.msg);
    if (!found?.id) continue;
    term = found.term ?? term;
    const step = { ...found, id: found.id, term, member, at: Date.parse(line.ts), evidence: text };
    // A start logs the role and the term of the stored state, as if the member had just got them.
    const before = steps.at(-1);
    if (step.kind === 'restarted' && before?.kind === 'follower' && before.term === term) steps.pop();
    if (step.kind === 'follower' && before?.kind === 'restarted' && isBootstrap(before, step)) continue;
    steps.push(step);
  }
  return steps;
}

/** A member without data begins with the configuration as an entry of term 1, which nobody elected. */
function isBootstrap(start: RaftStep, step: RaftStep): boolean {
  return start.term === 0 && start.index === 0 && step.term === 1;
}

function stepOf(message: string): Found | undefined {
  for (const [messagePattern, read] of rules) {
    const match = messagePattern.exec(message);
    if (match) return read(match);
  }
  return undefined;
}

/** The IDs that a log explains: of the member itself, and of those that it reaches. */
export function raftIdentities(log: string): Identity[] {
  return zapLines(log).flatMap(({ line }): Identity[] => {
    const [, name] = /Name:(\S+?)[ }]/.exec(line['local-member-attributes'] ?? '') ?? [];
    const local = line['local-member-id'];
    const peer = line['added-peer-id'] ?? line['remote-peer-id'];
    const [url] = line['added-peer-peer-urls'] ?? line['remote-peer-urls'] ?? [];
    return [
      ...(local !== undefined && name !== undefined ? [{ id: local, name }] : []),
      ...(peer !== undefined && url !== undefined ? [{ id: peer, url }] : []),
    ];
  });
}

function zapLines(log: string): { text: string; line: ZapLine }[] {
  return linesOf(log).flatMap(({ text }) => {
    if (!text.startsWith('{')) return [];
    try {
      return [{ text, line: zapLine.parse(JSON.parse(text)) }];
    } catch {
      // A line that the log's rotation cut, or of another kind.
      return [];
    }
  });
}
