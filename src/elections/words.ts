/** Steps of elections in words. The subject of each sentence is the member. Pure, and without imports at run time. */
import type { PaxosKind, PaxosStep } from './paxos-log.js';
import type { RaftKind, RaftStep } from './raft-log.js';
import type { ZooKeeperKind, ZooKeeperStep } from './zookeeper-log.js';

export const languages = ['en', 'zh'] as const;
export type Language = (typeof languages)[number];

/** Texts with `{field}`s, by kind of step. `kind:pre` is for a trial vote, `kind:self` where the member is its own peer. */
type Texts<K extends string> = Readonly<Record<K | `${K}:pre` | `${K}:self` | `${K}:pre:self`, string>>;
type SomeTexts<K extends string> = Readonly<Record<K, string>> & Partial<Texts<K>>;

const raft: Readonly<Record<Language, SomeTexts<RaftKind>>> = {
  en: {
    restarted: 'starts, with term {term} and a log up to index {index}',
    'lost-leader': 'has no leader any more: {peer} was it',
    'lost-leader:self': 'no longer leads',
    'steps-down': 'reaches no majority, and stops leading',
    transfers: 'hands leadership over to {peer}',
    'told-to-campaign': 'is asked by {peer} to take over',
    starts: 'starts an election',
    'pre-candidate': 'holds a trial vote, which changes no term',
    candidate: 'is a candidate in term {term}',
    asks: 'asks {peer} for a vote',
    'asks:pre': 'asks {peer} for a trial vote',
    grants: 'votes for {peer}',
    'grants:pre': 'would vote for {peer}',
    rejects: 'refuses {peer} its vote',
    'rejects:pre': 'would not vote for {peer}',
    ignores: 'does not answer {peer}: it heard from a leader just now',
    granted: 'receives the vote of {peer}',
    'granted:self': 'votes for itself',
    'granted:pre': 'would receive the vote of {peer}',
    'granted:pre:self': 'would vote for itself',
    refused: 'is refused by {peer}',
    'refused:pre': 'would be refused by {peer}',
    tally: 'counts {votes} for it, {rejections} against',
    leads: 'leads in term {term}',
    follower: 'is a follower in term {term}',
    follows: 'follows {peer}',
    'follows:self': 'knows that it leads',
    'higher-term': 'learns of term {term} from {peer}',
  },
  zh: {
    restarted: '启动，任期为 {term}，日志到索引 {index}',
    'lost-leader': '失去了领导者 {peer}',
    'lost-leader:self': '不再是领导者',
    'steps-down': '联系不到多数成员，停止领导',
    transfers: '把领导权移交给 {peer}',
    'told-to-campaign': '收到 {peer} 的请求，准备接任',
    starts: '开始选举',
    'pre-candidate': '进行预投票，任期不变',
    candidate: '成为任期 {term} 的候选人',
    asks: '请求 {peer} 投票',
    'asks:pre': '请求 {peer} 预投票',
    grants: '投票给 {peer}',
    'grants:pre': '愿意投票给 {peer}',
    rejects: '拒绝投票给 {peer}',
    'rejects:pre': '不愿投票给 {peer}',
    ignores: '不回答 {peer}：刚收到领导者的消息',
    granted: '得到 {peer} 的一票',
    'granted:self': '投票给自己',
    'granted:pre': '将会得到 {peer} 的一票',
    'granted:pre:self': '将会投票给自己',
    refused: '被 {peer} 拒绝',
    'refused:pre': '将会被 {peer} 拒绝',
    tally: '计票：赞成 {votes}，反对 {rejections}',
    leads: '在任期 {term} 成为领导者',
    follower: '在任期 {term} 是跟随者',
    follows: '跟随 {peer}',
    'follows:self': '确认自己是领导者',
    'higher-term': '从 {peer} 得知任期 {term}',
  },
};

const paxos: Readonly<Record<Language, SomeTexts<PaxosKind>>> = {
  en: {
    replica: 'starts, with a replica up to position {position}',
    contends: 'enters the contest as number {sequence}',
    'lost-zookeeper': 'lost its connection to ZooKeeper',
    'session-expired': 'learns that its ZooKeeper session has expired',
    cancelled: 'finds its number {sequence} gone from ZooKeeper',
    exits: 'exits, because it no longer leads',
    detects: 'sees that number {sequence} is the lowest',
    'detects:self': 'sees that there is no candidate',
    leader: 'reads that {peer} leads',
    'leader:self': 'reads that it leads',
    elected: 'is elected',
    recovers: 'begins to read the registry from the replicated log',
    'starts-writer': 'becomes the coordinator of the replicated log',
    'promise-asked': 'prepare: is asked by {peer} for a promise, proposal {proposal}',
    'promise-asked:self': 'prepare: asks its own replica for a promise, proposal {proposal}',
    promises: 'promise: stores that it takes nothing below proposal {proposal}',
    denies: 'denies proposal {proposal}: it promised a higher one',
    'position-asked': 'prepare: {peer} asks for position {position}, proposal {proposal}',
    'position-asked:self': 'prepare: asks its own replica for position {position}, proposal {proposal}',
    fills: 'has a majority of promises; fills the positions that it lacks',
    'writer-started': 'may write; the log ends at position {position}',
    proposes: 'proposes {action} at position {position}',
    'write-asked': 'accept: writes position {position} for {peer}',
    'write-asked:self': 'accept: writes position {position} in its own replica',
    learned: 'learn: position {position} is chosen',
    'registrar-recovered': 'has the registry, and serves as the master',
  },
  zh: {
    replica: '启动，副本到位置 {position}',
    contends: '以编号 {sequence} 参加竞选',
    'lost-zookeeper': '失去与 ZooKeeper 的连接',
    'session-expired': '得知自己的 ZooKeeper 会话已过期',
    cancelled: '发现自己的编号 {sequence} 已从 ZooKeeper 消失',
    exits: '不再领导，因此退出',
    detects: '看到编号 {sequence} 最小',
    'detects:self': '看到没有候选者',
    leader: '得知 {peer} 领导',
    'leader:self': '得知自己领导',
    elected: '当选',
    recovers: '开始从复制日志读取注册表',
    'starts-writer': '成为复制日志的协调者',
    'promise-asked': '准备：{peer} 请求承诺，提案 {proposal}',
    'promise-asked:self': '准备：向自己的副本请求承诺，提案 {proposal}',
    promises: '承诺：记下不接受低于 {proposal} 的提案',
    denies: '拒绝提案 {proposal}：已承诺更高的提案',
    'position-asked': '准备：{peer} 询问位置 {position}，提案 {proposal}',
    'position-asked:self': '准备：询问自己副本的位置 {position}，提案 {proposal}',
    fills: '得到多数承诺；补齐缺少的位置',
    'writer-started': '可以写入；日志到位置 {position} 为止',
    proposes: '在位置 {position} 提议 {action}',
    'write-asked': '接受：为 {peer} 写入位置 {position}',
    'write-asked:self': '接受：在自己的副本写入位置 {position}',
    learned: '学习：位置 {position} 已选定',
    'registrar-recovered': '取得注册表，作为主节点提供服务',
  },
};

const zookeeper: Readonly<Record<Language, SomeTexts<ZooKeeperKind>>> = {
  en: {
    started: 'starts',
    'lost-leader': 'lost its connection to the leader',
    'steps-down': 'stops leading',
    looking: 'looks for a leader',
    votes: 'votes for {candidate} in round {round}',
    'votes:self': 'votes for itself in round {round}',
    hears: 'hears that {peer} votes for {candidate} in round {round}',
    'hears:self': 'hears that {peer} votes for itself in round {round}',
    answers: 'tells {peer} who leads',
    leading: 'leads: a majority votes for it',
    following: 'follows: a majority votes for another server',
    connects: 'reaches the leader',
    quorum: 'has a majority of followers, and begins epoch {epoch}',
    serves: 'serves clients',
  },
  zh: {
    started: '启动',
    'lost-leader': '失去与领导者的连接',
    'steps-down': '停止领导',
    looking: '寻找领导者',
    votes: '在第 {round} 轮投票给 {candidate}',
    'votes:self': '在第 {round} 轮投票给自己',
    hears: '得知 {peer} 在第 {round} 轮投票给 {candidate}',
    'hears:self': '得知 {peer} 在第 {round} 轮投票给自己',
    answers: '告诉 {peer} 谁是领导者',
    leading: '成为领导者：多数投票给它',
    following: '成为跟随者：多数投票给另一台服务器',
    connects: '连上领导者',
    quorum: '得到多数跟随者，开始纪元 {epoch}',
    serves: '为客户端服务',
  },
};

export function raftText(step: RaftStep, language: Language = 'en'): string {
  const { kind, pre, peer, member } = step;
  return filled(raft[language], kind, [pre === true && 'pre', peer === member && 'self'], step);
}

export function paxosText(step: PaxosStep, language: Language = 'en'): string {
  const isSelf = step.kind === 'detects' ? step.sequence === undefined : step.peer === step.member;
  return filled(paxos[language], step.kind, [isSelf && 'self'], step);
}

/** A step with the names of the servers in it. */
export type NamedZooKeeperStep = ZooKeeperStep & {
  readonly peerName?: string;
  readonly candidateName?: string;
};

export function zookeeperText(step: NamedZooKeeperStep, language: Language = 'en'): string {
  const { kind, member, peerName, candidateName } = step;
  const isSelf = candidateName !== undefined && candidateName === (kind === 'hears' ? peerName : member);
  return filled(zookeeper[language], kind, [isSelf && 'self'], {
    ...step,
    peer: peerName,
    candidate: candidateName,
  });
}

/** The most specific text there is, with its fields. */
function filled(
  texts: Readonly<Record<string, string | undefined>>,
  kind: string,
  aspects: readonly (string | false)[],
  fields: object,
): string {
  const [pre, self] = aspects.length === 2 ? aspects : [false, aspects[0]];
  const keys = [[kind, pre, self], [kind, pre], [kind, self], [kind]].map((words) =>
    words.filter(Boolean).join(':'),
  );
  const text = keys.map((key) => texts[key]).find((each) => each !== undefined) ?? kind;
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value: unknown = Object.entries(fields).find(([key]) => key === name)?.[1];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
  });
}
