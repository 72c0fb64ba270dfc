import { expect } from 'vitest';
import { shapeOf, type Exchange } from '../support/mesos-recordings.js';
import type { Answer } from '../support/stand-in.js';
import { departuresOf } from './departures.js';

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text.replace(/^cb\((.*)\);$/s, '$1'));
  } catch {
    return undefined;
  }
};

/** Header names, with values that do not depend on time or length. */
const headersOf = (headers: Readonly<Record<string, unknown>>, length: boolean) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      const varies = name === 'date' || (name === 'content-length' && !length);
      return [name, varies ? '…' : value];
    }),
  );

/** Compares status, headers, and text or JSON shape; a departure may allow a difference. */
export function expectSame(exchange: Exchange, answer: Answer): void {
  const { reply } = exchange;
  const departures = departuresOf(exchange);
  const status = departures.find((departure) => departure.status !== undefined)?.status;
  if (status !== undefined) {
    expect(answer.status).toBe(status);
    return;
  }
  const json = parsed(reply.text);
  const isText = json === undefined && !departures.some(({ text }) => text);
  expect(answer.status).toBe(reply.status);
  expect(headersOf(answer.headers, isText)).toEqual(headersOf(reply.headers, isText));
  if (json === undefined) {
    if (isText) expect(answer.text).toBe(reply.text);
    return;
  }
  const [recorded, own] = [shapeOf(json), shapeOf(parsed(answer.text))];
  const only = (left: string[], right: string[], allowed: 'missing' | 'added') =>
    left.filter(
      (path) => !right.includes(path) && !departures.some((departure) => departure[allowed]?.test(path)),
    );
  expect({
    missing: only(recorded, own, 'missing'),
    added: only(own, recorded, 'added'),
  }).toEqual({ missing: [], added: [] });
}
