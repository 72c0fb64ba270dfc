import { expect, test } from 'vitest';
import { replayMasters } from '../../src/elections/paxos.js';
import { mesosMasters, recorded, text } from './recorded.js';

const masters = ['m1', 'm2', 'm3'] as const;

test('a failover of Apache Mesos 1.3.2', () => {
  const elections = replayMasters(recorded('mesos', masters), mesosMasters);
  expect(elections).toHaveLength(1);
  expect(elections[0]).toMatchObject({
    ...{ outcome: 'won', sequence: 3, leader: 'm2', before: 'm1', tookMs: 79 },
    ...{ proposal: 21, promised: ['m2', 'm3'], denied: [], positions: [13] },
    ...{ laterWrites: 3, lastPosition: 16 },
  });
  const steps = elections[0]?.steps.map(({ member, kind }) => `${member} ${kind}`) ?? [];
  const order = [
    'm2 elected',
    'm2 promise-asked',
    'm3 promises',
    'm2 writer-started',
    'm3 write-asked',
    'm3 learned',
  ];
  expect(order.map((step) => steps.indexOf(step))).toEqual(
    order.map((step) => steps.indexOf(step)).toSorted((a, b) => a - b),
  );
  expect(steps.at(-1)).toBe('m1 exits');
});

test('a replica denies a proposal, promises a higher one and fills its positions', () => {
  const elections = replayMasters(recorded('mesos-restarted', ['m1']), mesosMasters);
  expect(elections.map(({ sequence, leader }) => [sequence, leader])).toEqual([
    [8, 'm1'],
    [9, 'm2'],
  ]);
  expect(elections[1]).toMatchObject({ proposal: 23, promised: ['m1'], denied: ['m1'] });
  expect(elections[1]?.positions).toEqual([17, 18, 19, 20, 21, 22, 23, 24]);
  // The leader's own log is not there: when it had read the registry is not known.
  expect(elections[1]?.recoveredAt).toBeUndefined();
});

test('each line is one step, or one of the later writes', () => {
  const elections = replayMasters(recorded('mesos', masters), mesosMasters);
  const found = elections.flatMap(({ steps }) => steps.map(({ evidence }) => evidence));
  const about =
    /Detected|implicit promise|Persisted|Coordinator|Writer|position 13 |Elected|Lost leadership|cancelled/;
  for (const master of masters) {
    for (const line of text(`mesos-${master}`)
      .split('\n')
      .filter((each) => about.test(each))) {
      const count = found.filter((each) => line.endsWith(each)).length;
      expect(count, line).toBe(/at position 1[456]/.test(line) ? 0 : 1);
    }
  }
});

test('the stand-in has a contest, and no promises', () => {
  const at = '2026-01-01_00:00:00.00000 I0101 00:00:00.000000 7 stand-in] ';
  const value = [
    "New candidate (id='4') has entered the contest for leadership",
    "Detected a new leader: (id='4')",
    'A new leading master (UPID=master@127.0.0.1:15050) is detected',
    'Elected as the leading master!',
    'Recovering from registrar',
    'Successfully recovered registrar',
  ].map((message) => `${at}${message}\n`);
  const [election] = replayMasters(
    [{ member: 'm1', log: { known: true, value: value.join('') } }],
    mesosMasters,
  );
  expect(election).toMatchObject({ outcome: 'won', sequence: 4, leader: 'm1', promised: [], positions: [] });
  expect(election?.proposal).toBeUndefined();
  expect(election?.steps).toHaveLength(6);
});

test('a leader that is restarted at once finds its own old number, which does not vanish from the replay', () => {
  const at = (second: number) => `2026-01-01_00:00:0${second}.00000 I0101 00:00:00.000000 7 stand-in] `;
  const log = [
    [0, "Detected a new leader: (id='4')"],
    [0, 'A new leading master (UPID=master@127.0.0.1:15050) is detected'],
    [0, 'Elected as the leading master!'],
    [0, 'Successfully recovered registrar'],
    [5, 'Replica recovered with log positions 0 -> 3 with 0 holes and 0 unlearned'],
    [5, "New candidate (id='7') has entered the contest for leadership"],
    [5, "Detected a new leader: (id='4')"],
    [9, "Detected a new leader: (id='5')"],
    [9, 'A new leading master (UPID=master@127.0.0.1:15060) is detected'],
  ] as const;
  const value = log.map(([second, message]) => `${at(second)}${message}\n`).join('');
  const elections = replayMasters([{ member: 'm1', log: { known: true, value } }], mesosMasters);
  expect(elections.map(({ sequence, leader, steps }) => [sequence, leader, steps.length])).toEqual([
    [4, 'm1', 7],
    [5, 'm2', 2],
  ]);
});
