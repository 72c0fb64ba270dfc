import picocolors from 'picocolors';
import { expect, test } from 'vitest';
import { condensed, electionsText } from '../../src/cli/elections-text.js';
import { replayMasters } from '../../src/elections/paxos.js';
import { replayRaft } from '../../src/elections/raft.js';
import { replayEnsemble } from '../../src/elections/zookeeper.js';
import { ensemble, mesosMasters, recorded, threeHosts, threeNodes } from '../elections/recorded.js';
import { cli } from '../support/cli.js';

const kinds = ['etcd', 'mesos', 'zookeeper'] as const;
const replays = {
  etcd: replayRaft(recorded('etcd-split', threeNodes)).elections,
  mesos: replayMasters(recorded('mesos', ['m1', 'm2', 'm3']), mesosMasters),
  zookeeper: replayEnsemble(recorded('zookeeper', threeHosts), ensemble),
  unknown: { etcd: [{ member: 'node7', why: 'h1: no answer' }], mesos: [], zookeeper: [] },
};
const text = electionsText(replays, kinds, { colors: picocolors.createColors(false), columns: 80 });

test('elections fit a terminal of 80 columns', () => {
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test('an election has its steps, its split vote and what is not known', () => {
  expect(text).toContain('term 4: node2 leads, after node0');
  expect(text).toContain('term 3: the vote was split between node2 and node1');
  expect(text).toContain('+0.405  node2  refuses node1 its vote');
  expect(text).toContain('not known  node7: h1: no answer');
  expect(text).toContain('+0.036  m3  promise: stores that it takes nothing below proposal 21');
  expect(text).toContain('h2  has a majority of followers, and begins epoch 2');
  // Each kind of step has words, with all their fields.
  expect(text).not.toMatch(/\{|\?|undefined/);
});

test('what a member repeats while nobody answers is counted', () => {
  const rows = Array.from({ length: 50 }, (_, at) => ({ at, member: 'node1', what: 'starts an election' }));
  expect(condensed(rows).map(({ at, what }) => [at, what])).toEqual([
    [0, 'starts an election'],
    [1, 'starts an election'],
    [49, 'starts an election (50 times in all)'],
  ]);
});

test.each([
  [['elections', 'raft'], 'etcd, mesos, zookeeper'],
  [['elections', 'etcd', '--last', '0'], '--last must be a number'],
])('%j is refused', async (argv, message) => {
  const spec = new URL('../../examples/lab.yaml', import.meta.url).pathname;
  const run = await cli([...argv, '--file', spec]);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain(message);
});
