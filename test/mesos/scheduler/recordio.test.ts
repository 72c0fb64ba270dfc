import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordDecoder } from '../../../src/mesos/scheduler/recordio.js';

const recording = (name: string) => readFileSync(new URL(`../../fixtures/mesos/${name}`, import.meta.url));

/** The body of a recorded response, without its headers. */
function bodyOf(name: string): Buffer {
  const raw = recording(name);
  return raw.subarray(raw.indexOf('\r\n\r\n') + 4);
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return [...chunks, bytes.subarray(at)];
}

function decode(chunks: readonly Buffer[]): string[] {
  const decoder = new RecordDecoder();
  const records = chunks.flatMap((chunk) => decoder.push(chunk));
  decoder.end();
  return records.map((record) => record.toString());
}

const encode = (record: string) => `${Buffer.byteLength(record)}\n${record}`;

describe('a recorded stream of Mesos 1.3.2', () => {
  it('is decoded into its events', () => {
    const types = decode([bodyOf('scheduler-stream-1.raw')]).map(
      (record) => (JSON.parse(record) as { type: string }).type,
    );
    expect(types).toHaveLength(27);
    expect(types.slice(0, 4)).toEqual(['SUBSCRIBED', 'HEARTBEAT', 'OFFERS', 'UPDATE']);
    expect(types.at(-1)).toBe('ERROR');
  });

  it.each(['scheduler-stream-1.raw', 'scheduler-stream-2.raw'])(
    '%s: the chunk boundaries do not matter',
    (name) => {
      const body = bodyOf(name);
      const whole = decode([body]);
      fc.assert(
        fc.property(fc.array(fc.nat({ max: 700 }), { maxLength: 20 }), (sizes) => {
          expect(decode(cut(body, sizes))).toEqual(whole);
        }),
      );
      expect(decode(cut(body, Array<number>(body.length).fill(1)))).toEqual(whole);
    },
  );
});

it('decodes any records, whatever their content and chunks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 30 }), { maxLength: 8 }),
      fc.array(fc.nat({ max: 20 }), { maxLength: 12 }),
      (records, sizes) => {
        expect(decode(cut(Buffer.from(records.map(encode).join('')), sizes))).toEqual(records);
      },
    ),
  );
});

it.each([
  ['no digit', 'x12\n'],
  ['a sign', '-1\n'],
  ['an HTML page', '<html>'],
  ['no length', '\n{}'],
  ['a length above the limit', '99999999999\n'],
  ['garbage after a record', '2\n{}{"type":1}'],
])('refuses %s', (_what, text) => {
  expect(() => new RecordDecoder().push(Buffer.from(text))).toThrowError(
    expect.objectContaining({ code: 'MESOS_BAD_STREAM' }) as Error,
  );
});

it('refuses a record larger than the limit', () => {
  const decoder = new RecordDecoder({ largestRecordBytes: 10 });
  expect(decoder.push(Buffer.from(encode('0123456789')))).toHaveLength(1);
  expect(() => decoder.push(Buffer.from('11\n'))).toThrowError(/11 bytes/);
});

it('distinguishes a stream that ended inside a record from one that ended after it', () => {
  for (const [text, whole] of [
    ['20\n{"type":"HEARTBEAT"}', true],
    ['20\n{"type":"HEARTB', false],
    ['20\n', false],
    ['2', false],
  ] as const) {
    const decoder = new RecordDecoder();
    decoder.push(Buffer.from(text));
    if (whole) decoder.end();
    else expect(() => decoder.end()).toThrowError(/inside a record/);
  }
});
