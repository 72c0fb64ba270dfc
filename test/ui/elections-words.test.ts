import { expect, test } from 'vitest';
import { paxosText, raftText, zookeeperText } from '../../src/elections/words.js';
import { replayMasters } from '../../src/elections/paxos.js';
import { replayRaft } from '../../src/elections/raft.js';
import { replayEnsemble } from '../../src/elections/zookeeper.js';
import { electionWords } from '../../src/ui/page/election-words.js';
import { ensemble, mesosMasters, recorded, threeHosts, threeNodes } from '../elections/recorded.js';

const raft = replayRaft(recorded('etcd-split', threeNodes)).elections;
const masters = replayMasters(recorded('mesos', ['m1', 'm2', 'm3']), mesosMasters);
const servers = replayEnsemble(recorded('zookeeper', threeHosts), ensemble);

test('every step has words in both languages', () => {
  for (const language of ['en', 'zh'] as const) {
    const texts = [
      ...raft.flatMap(({ steps }) => steps.map((step) => raftText(step, language))),
      ...masters.flatMap(({ steps }) => steps.map((step) => paxosText(step, language))),
      ...servers.flatMap(({ steps }) => steps.map((step) => zookeeperText(step, language))),
    ];
    expect(texts.filter((text) => /[{}?]|undefined/.test(text))).toEqual([]);
    if (language === 'zh') expect(texts.filter((text) => !/\p{Script=Han}/u.test(text))).toEqual([]);
  }
});

test('elections have titles in both languages', () => {
  const titles = (['en', 'zh'] as const).map((language) => {
    const words = electionWords[language];
    return [raft.map(words.raftHead), masters.map(words.mastersHead), servers.map(words.ensembleHead)].map(
      (each) => each.at(-1),
    );
  });
  expect(titles).toEqual([
    ['Term 4: node2 leads, after node0', 'Number 3: m2 leads, after m1', 'Epoch 3: h3 leads'],
    ['任期 4：node2 领导，接替 node0', '编号 3：m2 领导，接替 m1', '纪元 3：h3 领导'],
  ]);
});

test('the legends have the same rows in both languages, nine for Raft', () => {
  const { en, zh } = electionWords;
  expect(en.legends.raft).toHaveLength(9);
  for (const name of ['raft', 'masters', 'ensemble'] as const) {
    expect(zh.legends[name]).toHaveLength(en.legends[name].length);
  }
});
