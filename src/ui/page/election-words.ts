/** The words about elections, in the page's languages. Those of the steps are in `src/elections/words.ts`. */
import type { MasterElection } from '../../elections/paxos.js';
import type { RaftElection } from '../../elections/raft.js';
import type { EnsembleElection } from '../../elections/zookeeper.js';
import type { RaftMember } from '../elections.js';
import type { Language } from './words.js';

type Legend = readonly (readonly [term: string, meaning: string])[];
type Role = Extract<RaftMember['state'], { readonly known: true }>['value']['role'];

export interface ElectionWords {
  readonly title: string;
  readonly intro: string;
  readonly reading: string;
  readonly readAt: (time: string) => string;
  readonly failed: (why: string) => string;
  readonly again: string;
  readonly lines: string;
  readonly legend: string;
  readonly none: string;
  readonly unknown: (member: string, why: string) => string;
  readonly more: (count: number) => string;
  readonly took: (text: string) => string;
  readonly split: (term: number, candidates: readonly string[]) => string;
  readonly lost: (term: number, candidates: readonly string[]) => string;
  readonly promised: (proposal: number, by: readonly string[]) => string;
  readonly noPromises: string;
  readonly laterWrites: (count: number, position: number | undefined) => string;
  readonly raftHead: (election: RaftElection) => string;
  readonly mastersHead: (election: MasterElection) => string;
  readonly ensembleHead: (election: EnsembleElection) => string;
  readonly columns: {
    readonly raft: readonly string[];
    readonly masters: readonly string[];
    readonly ensemble: readonly string[];
  };
  readonly role: Readonly<Record<Role, string>>;
  readonly notKnown: string;
  readonly groups: { readonly raft: string; readonly masters: string; readonly ensemble: string };
  readonly legends: { readonly raft: Legend; readonly masters: Legend; readonly ensemble: Legend };
}

const en: ElectionWords = {
  title: 'Elections',
  intro: 'Replayed from the logs of the members. Each step has the time of its own host.',
  reading: 'Reading the logs…',
  readAt: (time) => `logs read at ${time}`,
  failed: (why) => `The logs could not be read: ${why}`,
  again: 'Read again',
  lines: 'Show the lines of the logs',
  legend: 'What the steps mean',
  none: 'No election is in the logs.',
  unknown: (member, why) => `Not known: ${member} (${why})`,
  more: (count) => `and ${count} more steps`,
  took: (text) => `took ${text}`,
  split: (term, candidates) => `Term ${term}: the vote was split between ${candidates.join(' and ')}.`,
  lost: (term, candidates) => `Term ${term}: no majority for ${candidates.join(' and ')}.`,
  promised: (proposal, by) => `Proposal ${proposal} was promised by ${by.join(', ')}.`,
  noPromises: 'No promise of a replicated log is in the logs.',
  laterWrites: (count, position) => `Since then ${count} more writes, up to position ${position ?? '?'}.`,
  raftHead: ({ outcome, term, leader, before }) => {
    if (outcome === 'open') return `Term ${term}: no leader yet`;
    if (outcome === 'kept') return `Term ${term}: ${leader ?? '?'} still leads`;
    return `Term ${term}: ${leader ?? '?'} leads${before === undefined ? '' : `, after ${before}`}`;
  },
  mastersHead: ({ sequence, leader, before }) => {
    const after = before === undefined ? '' : `, after ${before}`;
    return leader === undefined
      ? `No leader yet${after}`
      : `Number ${sequence ?? '?'}: ${leader} leads${after}`;
  },
  ensembleHead: ({ outcome, epoch, leader }) => {
    if (leader === undefined) return 'No leader yet';
    if (outcome === 'failed') return `${leader} was elected, and found no majority of followers`;
    return `${epoch === undefined ? '' : `Epoch ${epoch}: `}${leader} leads`;
  },
  columns: {
    raft: ['Member', 'Role', 'Term', 'Committed'],
    masters: ['Master', 'State', 'Number'],
    ensemble: ['Server', 'Mode'],
  },
  role: { leader: 'leader', follower: 'follower', learner: 'learner', alone: 'without a leader' },
  notKnown: 'unknown',
  groups: { raft: 'etcd: Raft', masters: 'Mesos masters: Paxos', ensemble: 'ZooKeeper: Zab' },
  legends: {
    raft: [
      ['Waiting', 'A member follows, and waits for the heartbeats of the leader.'],
      ['Leader lost', 'It heard nothing for an election timeout.'],
      [
        'Candidate',
        'It asks for trial votes. With a majority of them it raises the term and votes for itself.',
      ],
      ['Vote', 'Each member has one vote in a term, and none for a candidate whose log is behind its own.'],
      ['Leader', 'More than half of the members voted for the candidate.'],
      ['Heartbeats', 'The leader tells the others that it leads, again and again, so that they wait.'],
      ['Split vote', 'Two candidates share the votes: nobody has a majority.'],
      ['New candidate', 'After a random time one of them tries again, in a higher term.'],
      ['New leader', 'An old leader that returns learns of the higher term, and follows.'],
    ],
    masters: [
      ['Contest', 'Each master has a number in ZooKeeper; the lowest one leads. There is no vote.'],
      ['Prepare', 'The new leader asks all replicas of the log to accept nothing below its proposal.'],
      ['Promise', 'A replica stores that, and tells what it has accepted before.'],
      ['Accept', 'The leader proposes a value for a position, and replicas write it.'],
      ['Learn', 'A majority wrote it: the value is chosen, for good.'],
      [
        'Why it holds',
        'Any two majorities share a replica. It tells a new leader of every value that may have been chosen.',
      ],
    ],
    ensemble: [
      ['Looking', 'A server without a leader begins a round, and votes for itself.'],
      ['Vote', 'It changes its vote to whoever has newer data, or the same data and a higher number.'],
      ['Leading, following', 'A majority votes for one server.'],
      ['Epoch', 'A majority has reached the leader and has its data: a new epoch begins.'],
      ['Serving', 'Clients are served again. A server that returns later is told who leads.'],
    ],
  },
};

const zh: ElectionWords = {
  title: '选举',
  intro: '根据各成员的日志重放。每一步的时间来自其所在主机。',
  reading: '正在读取日志…',
  readAt: (time) => `日志读取于 ${time}`,
  failed: (why) => `无法读取日志：${why}`,
  again: '重新读取',
  lines: '显示日志原文',
  legend: '各步骤的含义',
  none: '日志中没有选举。',
  unknown: (member, why) => `未知：${member}（${why}）`,
  more: (count) => `还有 ${count} 步`,
  took: (text) => `用时 ${text}`,
  split: (term, candidates) => `任期 ${term}：选票被 ${candidates.join('、')} 瓜分。`,
  lost: (term, candidates) => `任期 ${term}：${candidates.join('、')} 未得到多数票。`,
  promised: (proposal, by) => `提案 ${proposal} 得到 ${by.join('、')} 的承诺。`,
  noPromises: '日志中没有复制日志的承诺。',
  laterWrites: (count, position) => `此后又写入 ${count} 次，到位置 ${position ?? '?'}。`,
  raftHead: ({ outcome, term, leader, before }) => {
    if (outcome === 'open') return `任期 ${term}：尚无领导者`;
    if (outcome === 'kept') return `任期 ${term}：${leader ?? '?'} 继续领导`;
    return `任期 ${term}：${leader ?? '?'} 领导${before === undefined ? '' : `，接替 ${before}`}`;
  },
  mastersHead: ({ sequence, leader, before }) => {
    const after = before === undefined ? '' : `，接替 ${before}`;
    return leader === undefined ? `尚无领导者${after}` : `编号 ${sequence ?? '?'}：${leader} 领导${after}`;
  },
  ensembleHead: ({ outcome, epoch, leader }) => {
    if (leader === undefined) return '尚无领导者';
    if (outcome === 'failed') return `${leader} 当选，但没有多数跟随者`;
    return `${epoch === undefined ? '' : `纪元 ${epoch}：`}${leader} 领导`;
  },
  columns: {
    raft: ['成员', '角色', '任期', '已提交'],
    masters: ['Master', '状态', '编号'],
    ensemble: ['服务器', '模式'],
  },
  role: { leader: '领导者', follower: '跟随者', learner: '学习者', alone: '没有领导者' },
  notKnown: '未知',
  groups: { raft: 'etcd：Raft', masters: 'Mesos master：Paxos', ensemble: 'ZooKeeper：Zab' },
  legends: {
    raft: [
      ['等待', '成员跟随领导者，等待它的心跳。'],
      ['失去领导者', '在选举超时内没有收到任何消息。'],
      ['候选人', '先请求预投票；得到多数后提高任期，并投票给自己。'],
      ['投票', '每个成员在一个任期只有一票，且不投给日志落后于自己的候选人。'],
      ['领导者', '超过半数的成员投票给该候选人。'],
      ['心跳', '领导者不断告知其他成员自己在领导，让它们等待。'],
      ['选票瓜分', '两个候选人分走选票，谁也没有多数。'],
      ['新的候选人', '随机等待之后，其中一个以更高的任期再试。'],
      ['新的领导者', '旧领导者返回后得知更高的任期，转为跟随。'],
    ],
    masters: [
      ['竞选', '每个 master 在 ZooKeeper 中有一个编号，最小的领导；没有投票。'],
      ['准备', '新领导者请求日志的所有副本不再接受低于其提案的请求。'],
      ['承诺', '副本记下承诺，并告知自己先前接受过什么。'],
      ['接受', '领导者为某个位置提议一个值，各副本写入。'],
      ['学习', '多数副本已写入：该值被选定，不再改变。'],
      ['为何可靠', '任意两个多数派至少有一个共同的副本，它会把可能已选定的值告诉新领导者。'],
    ],
    ensemble: [
      ['寻找', '没有领导者的服务器开始一轮，先投票给自己。'],
      ['投票', '得知有数据更新，或数据相同而编号更大的服务器时，改投给它。'],
      ['领导与跟随', '多数服务器投票给同一台。'],
      ['纪元', '多数服务器已连上领导者并取得其数据：新纪元开始。'],
      ['服务', '恢复为客户端服务。之后返回的服务器会被告知谁在领导。'],
    ],
  },
};

export const electionWords: Readonly<Record<Language, ElectionWords>> = { en, zh };
