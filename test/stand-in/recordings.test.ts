import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeMasterInfo } from '../../src/stand-in/election.js';
import { agentFlags, flagAliases, masterFlags } from '../../src/stand-in/flags.js';
import { at } from '../support/mesos.js';
import { exchanges, recording, recordsOf, sections, shapeOf } from '../support/mesos-recordings.js';
import { recordedStream, Replay, type Json } from '../support/stand-in-replay.js';
import { departures } from './departures.js';
import { expectSame } from './expect-same.js';

const replay = new Replay('127.23.0.3');
beforeAll(async () => await replay.run());
afterAll(async () => await replay.stop());

const masters = ['scheduler-api.txt', 'master-endpoints.txt', 'operator-api.txt', 'outage.txt'];
const transcripts = [...masters, 'agent-endpoints.txt'];

describe.each(masters)('%s', (file) => {
  const all = exchanges(file).filter(({ reply }) => reply.headers['mesos-stream-id'] === undefined);

  it.each(all.map((exchange) => [exchange.title, exchange] as const))('%s', (_title, exchange) => {
    expectSame(exchange, replay.answerTo(exchange));
  });
});

describe('the event streams', () => {
  /** Without times and heartbeats, which depend on the clock. */
  const comparable = (records: readonly Json[]) =>
    records
      .filter(({ type }) => type !== 'HEARTBEAT')
      .map((record) => JSON.parse(JSON.stringify(record).replace(/,?"timestamp":[\d.e+]+/g, '')) as Json)
      .sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  /** Of two tasks that change at the same time either may be reported first. */
  const keyOf = (record: Json) => JSON.stringify(at(record, 'update', 'status', 'task_id') ?? '');
  const printed = (stream: number) => {
    const section = sections('scheduler-api.txt').find(({ title }) =>
      title.startsWith(`everything that came over stream ${stream}`),
    );
    return [...(section?.text ?? '').matchAll(/^(?:\d+\n)?(\{.*\})(?:\d+)?$/gm)].map(
      ([, record]) => JSON.parse(record ?? '') as Json,
    );
  };
  const own = (stream: number): Json[] =>
    JSON.parse(replay.inRecordedIds(JSON.stringify(replay.streams[stream - 1]?.records))) as Json[];

  it('has the same events with the same texts over the whole run', () => {
    expect(comparable(own(1))).toEqual(comparable(recordedStream));
    expect(replay.streams[0]?.ended).toBe(true);
  });

  it.each([2, 3])('has the same events for successors: stream %d', (stream) => {
    const [recorded, events] = [printed(stream), own(stream)];
    expect(recorded.map(({ type }) => type)).toEqual(['SUBSCRIBED', 'HEARTBEAT', 'OFFERS']);
    expect(events.map(({ type }) => type)).toEqual(recorded.map(({ type }) => type));
    expect(events.map(shapeOf)).toEqual(recorded.map(shapeOf));
    expect(events[0]).toEqual(recorded[0]);
  });

  it('reports a torn-down framework, and ends', () => {
    const [, , third, last] = replay.streams;
    expect(third?.ended).toBe(true);
    expect(last?.records).toEqual([{ type: 'ERROR', error: { message: 'Framework has been removed' } }]);
    expect(last?.ended).toBe(true);
  });

  it('has the same head, and one chunk for each record', () => {
    const [real = '', standIn = ''] = [
      recording('scheduler-stream-chunked.raw').toString(),
      replay.rawStream,
    ];
    const names = (raw: string) =>
      raw
        .slice(0, raw.indexOf('\r\n\r\n'))
        .split('\r\n')
        .map((line) => line.replace(/^(Date|Mesos-Stream-Id): .*$/, '$1'))
        .sort();
    expect(names(standIn)).toEqual(names(real));
    const records = (raw: string) => {
      const found: Json[] = [];
      for (let at = raw.indexOf('\r\n\r\n') + 4; at < raw.length;) {
        const size = /^([0-9a-f]+)\r\n/.exec(raw.slice(at))?.[1] ?? '';
        at += size.length + 2;
        const chunk = raw.slice(at, at + parseInt(size, 16));
        const [length, record = ''] = chunk.split('\n');
        expect(Number(length)).toBe(record.length);
        found.push(JSON.parse(record) as Json);
        at += chunk.length + 2;
      }
      return found;
    };
    expect(records(standIn)).toEqual(records(real));
  });

  it('is not served to operators', () => {
    expect(recordsOf('operator-subscribe.records.txt')).not.toHaveLength(0);
    expect(replay.operatorSubscribe?.status).toBe(501);
  });
});

describe('what a master writes into ZooKeeper', () => {
  const infos = [
    ...recording('znodes.txt')
      .toString()
      .matchAll(/^\{.*\}$/gm),
  ].map(
    ([text]) => JSON.parse(text) as { id: string; hostname: string; address: { ip: string; port: number } },
  );

  it('is the same', () => {
    expect(infos).toHaveLength(5);
    for (const info of infos) {
      const { id, hostname, address } = info;
      expect(makeMasterInfo(id, hostname, address.ip, address.port)).toEqual(info);
    }
  });
});

describe.each([
  ['mesos-master', masterFlags],
  ['mesos-agent', agentFlags],
] as const)('the flags of %s', (program, table) => {
  it('are complete, with all names and defaults', () => {
    const [, ...entries] = recording(`help-${program}.txt`)
      .toString()
      .split(/^ {2}(?=--)/m);
    const flags = entries.map((entry) => {
      const [head = ''] = entry.split(/ {2,}|\n/);
      const names = [...head.matchAll(/--(?:\[no-\])?(\w+)/g)].map(([, name]) => name ?? '');
      const value = /\(default: ([^)]*)\)\s*$/.exec(entry.replaceAll(/\s+/g, ' '))?.[1]?.trim();
      return { names, boolean: head.startsWith('--[no-]'), value };
    });
    const canonical = (name: string) => flagAliases[name] ?? name;
    expect(new Set(flags.flatMap(({ names }) => names.map(canonical)))).toEqual(new Set(Object.keys(table)));
    for (const { names, boolean, value } of flags) {
      expect(new Set(names.map(canonical)).size).toBe(1);
      const name = canonical(names[0] ?? '');
      // Values relative to the installation, or empty, have no default; and the stand-in has no cgroups.
      const own = value === undefined || value === '' || value.startsWith('PREFIX') || name === 'launcher';
      if (!own) expect([name, table[name]?.value]).toEqual([name, value]);
      expect([name, table[name]?.boolean === true]).toEqual([name, boolean]);
    }
  });
});

describe('the departures', () => {
  const subjects = readFileSync(new URL('../../docs/reference/stand-in.md', import.meta.url), 'utf8')
    .split('\n')
    .map((line) => /^\| (.*?) +\|/.exec(line)?.[1]);

  it.each(departures.map((departure) => [departure.subject, departure] as const))(
    '%s: is documented, and occurs in an exchange',
    (subject, { file, title }) => {
      expect(subjects).toContain(subject);
      const all = transcripts.flatMap(exchanges);
      expect(all.filter((exchange) => file.test(exchange.file) && title.test(exchange.title))).not.toEqual(
        [],
      );
    },
  );
});
