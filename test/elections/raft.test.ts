import { expect, test } from 'vitest';
import { notKnown } from '../../src/hosts/observation.js';
import type { MemberLog } from '../../src/elections/member-log.js';
import { replayRaft, type RaftElection } from '../../src/elections/raft.js';
import { raftText } from '../../src/elections/words.js';
import { fiveNodes, recorded, text, threeNodes } from './recorded.js';

const outcomes = (elections: readonly RaftElection[]) =>
  elections.map(({ outcome, term, leader, before }) => [outcome, term, leader, before]);

test('the elections of three members: killed, suspended, moved and without a quorum', () => {
  const { elections } = replayRaft(recorded('etcd-three', threeNodes));
  expect(outcomes(elections)).toEqual([
    ['won', 3, 'node2', 'node1'],
    ['won', 4, 'node0', 'node2'],
    ['won', 5, 'node1', 'node0'],
    ['won', 6, 'node2', 'node1'],
  ]);
  const [, suspended, moved, alone] = elections;
  expect(suspended?.rounds).toMatchObject([
    { result: 'won', rejections: [{ voter: 'node2', candidate: 'node0' }] },
  ]);
  // A planned move needs no trial vote.
  expect(moved?.steps.slice(0, 2).map((step) => `${step.member} ${raftText(step)}`)).toEqual([
    'node0 hands leadership over to node1',
    'node1 is asked by node0 to take over',
  ]);
  expect(moved?.preVoteMs).toBeUndefined();
  expect(alone?.steps[0]).toMatchObject({ kind: 'steps-down', member: 'node1' });
});

test('a split vote', () => {
  const [, election] = replayRaft(recorded('etcd-split', threeNodes)).elections;
  expect(election?.rounds).toEqual([
    {
      ...{ term: 3, result: 'split', candidates: ['node2', 'node1'] },
      votes: [
        { voter: 'node2', candidate: 'node2' },
        { voter: 'node1', candidate: 'node1' },
      ],
      rejections: [{ voter: 'node2', candidate: 'node1' }],
    },
    {
      ...{ term: 4, result: 'won', leader: 'node2', candidates: ['node2'], rejections: [] },
      votes: [
        { voter: 'node2', candidate: 'node2' },
        { voter: 'node1', candidate: 'node2' },
      ],
    },
  ]);
});

const recordings = [
  ['etcd-three', threeNodes],
  ['etcd-split', threeNodes],
  ['etcd-five', fiveNodes],
] as const;

/** What a person would look for in the logs, apart from the patterns of the parser. */
const aboutElections =
  /became (pre-)?candidate|became leader|MsgVote|MsgPreVote|elected leader|changed leader|lost leader|new election|MsgTimeoutNow from|starts to transfer|stepped down/;

test.each(recordings)(
  '%s: each line about an election is one step, and each step is a line',
  (name, nodes) => {
    const { elections } = replayRaft(recorded(name, nodes));
    for (const node of nodes) {
      const lines = text(`${name}-${node}`)
        .split('\n')
        .filter((line) => aboutElections.test(line))
        .map((line) => line.replace(/^\S+ /, ''));
      const steps = elections.flatMap((each) => each.steps).filter(({ member }) => member === node);
      const found = steps
        .filter(({ evidence }) => aboutElections.test(evidence))
        .map(({ evidence }) => evidence);
      expect(found.toSorted()).toEqual(lines.toSorted());
    }
  },
);

/** The same log, by a clock that differs. */
function shifted({ member, log }: MemberLog, byMs: number): MemberLog {
  if (!log.known) return { member, log };
  const value = log.value.replaceAll(
    /"ts":"([^"]+)"/g,
    (_, at: string) => `"ts":"${new Date(Date.parse(at) + byMs).toISOString()}"`,
  );
  return { member, log: { known: true, value } };
}

test.each([
  ...[-4_000, -400, -3, 3, 400, 4_000].flatMap((byMs) =>
    recordings.flatMap(([name, nodes]) => nodes.map((node) => [name, node, byMs] as const)),
  ),
])('%s with the clock of %s off by %i ms has the same votes, in the order of its log', (name, node, byMs) => {
  const nodes = recordings.find(([each]) => each === name)?.[1] ?? [];
  const logs = recorded(name, nodes);
  const { elections } = replayRaft(logs.map((log) => (log.member === node ? shifted(log, byMs) : log)));
  const right = replayRaft(logs).elections;
  expect(outcomes(elections)).toEqual(outcomes(right));
  const votes = (all: readonly RaftElection[]) =>
    all.flatMap(({ rounds }) => rounds.map(({ term, result, leader }) => [term, result, leader]));
  expect(votes(elections)).toEqual(votes(right));
  for (const { steps } of elections) {
    const own = steps.filter(({ member }) => member === node).map(({ at }) => at);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
});

test('a member whose log could not be read is not known, and its vote is taken from the candidate', () => {
  const [first, ...others] = recorded('etcd-three', threeNodes);
  const silent = { member: first?.member ?? '', log: notKnown('h1: no answer') };
  const { elections } = replayRaft([silent, ...others], new Map([['node0', '127.92.9.10']]));
  expect(elections.every(({ unknown }) => unknown.some(({ member }) => member === 'node0'))).toBe(true);
  expect(elections.map(({ term }) => term)).toEqual([3, 4, 5, 6]);
  const [, , moved] = elections;
  expect(moved?.rounds[0]?.votes).toHaveLength(3);
  // Only node0 logged that it was elected; the others know it by its ID.
  expect(elections[1]?.leader).toBeDefined();
  expect(elections[1]?.decidedAt).toBeGreaterThan(0);
});

test('without any log, there are no elections, and nobody is said to be silent', () => {
  const logs = threeNodes.map((member) => ({ member, log: notKnown('no answer') }));
  expect(replayRaft(logs).elections).toEqual([]);
});

const line = (ms: number, msg: string) => {
  const ts = new Date(Date.UTC(2026, 0, 1) + ms).toISOString();
  return `${ts.replace('T', '_').replace('Z', '')}00 ${JSON.stringify({ level: 'info', ts, msg })}\n`;
};

test('a leader that stays after a trial vote is no new leader', () => {
  const log = [
    line(0, 'raft.node: a elected leader b at term 3'),
    line(60_000, 'a is starting a new election at term 3'),
    line(60_000, 'a became pre-candidate at term 3'),
    line(60_000, 'raft.node: a lost leader b at term 3'),
    line(60_100, 'a became follower at term 3'),
    line(60_100, 'raft.node: a elected leader b at term 3'),
  ].join('');
  const { elections } = replayRaft([{ member: 'node0', log: { known: true, value: log } }]);
  expect(outcomes(elections)).toEqual([
    ['won', 3, 'member b', undefined],
    ['kept', 3, 'member b', 'member b'],
  ]);
});

test('an election without a winner yet is open', () => {
  const log = [
    line(0, 'raft.node: a elected leader b at term 3'),
    line(60_000, 'raft.node: a lost leader b at term 3'),
    line(60_000, 'a is starting a new election at term 3'),
    line(60_000, 'a became pre-candidate at term 3'),
    line(61_000, 'a became candidate at term 4'),
  ].join('');
  const { elections } = replayRaft([{ member: 'node0', log: { known: true, value: log } }]);
  expect(elections.at(-1)).toMatchObject({ outcome: 'open', rounds: [{ term: 4, result: 'lost' }] });
  expect(elections.at(-1)?.leader).toBeUndefined();
});
