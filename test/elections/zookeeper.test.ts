import { expect, test } from 'vitest';
import { notKnown } from '../../src/hosts/observation.js';
import { replayEnsemble } from '../../src/elections/zookeeper.js';
import { ensemble, recorded, text, threeHosts } from './recorded.js';

test('the elections of three servers: first start, a killed leader, a suspended one', () => {
  const elections = replayEnsemble(recorded('zookeeper', threeHosts), ensemble);
  expect(elections.map(({ outcome, epoch, leader, round }) => [outcome, epoch, leader, round])).toEqual([
    ['won', 1, 'h3', 1],
    ['won', 2, 'h2', 2],
    ['won', 3, 'h3', 3],
  ]);
  expect(elections.map(({ votes }) => votes.length)).toEqual([3, 2, 2]);
  expect(
    elections.flatMap(({ votes, leader }) => votes.filter(({ candidate }) => candidate !== leader)),
  ).toEqual([]);
  // The killed server came back, and found the leader of that epoch.
  const late = elections[1]?.steps.filter(({ member }) => member === 'h3').map(({ kind }) => kind);
  expect(late?.[0]).toBe('started');
  expect(late).toContain('following');
});

test('each line about an election is one step', () => {
  const elections = replayEnsemble(recorded('zookeeper', threeHosts), ensemble);
  const found = elections.flatMap(({ steps }) => steps.map(({ evidence }) => evidence));
  const about =
    /- (LOOKING|LEADING|FOLLOWING)$|Notification: my state:LOOKING|quorum of supporters| - broadcast|Starting/;
  for (const host of threeHosts) {
    const lines = text(`zookeeper-${host}`)
      .split('\n')
      .filter((each) => about.test(each));
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines)
      expect(
        found.filter((each) => line.endsWith(each)),
        line,
      ).toHaveLength(1);
  }
});

test('with the log of the leader missing, the others still name it', () => {
  const logs = recorded('zookeeper', threeHosts).map((log) =>
    log.member === 'h2' ? { member: 'h2', log: notKnown('no answer') } : log,
  );
  const second = replayEnsemble(logs, ensemble).find(({ leader }) => leader === 'h2');
  expect(second?.unknown).toContainEqual({ member: 'h2', why: 'no answer' });
  expect(second?.epoch).toBeUndefined();
});
