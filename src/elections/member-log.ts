/** What a replay is made of: the logs of a group's members, and how their lines are put in order. Pure. */
import { timed } from '../hosts/kept-lines.js';
import type { Observation } from '../hosts/observation.js';

/** The log of one member of a group, or why it is not known. */
export interface MemberLog {
  /** Name of the node or host. */
  readonly member: string;
  /** Lines as svlogd and journald keep them, oldest first. */
  readonly log: Observation<string>;
}

/** What one line of a member's log reports. */
export interface Step {
  /** Milliseconds since the epoch, by the clock of the member. */
  readonly at: number;
  readonly member: string;
  /** The line, without what the log's writer put before it. */
  readonly evidence: string;
}

/** A member of which something is not known, and why. */
export interface Unknown {
  readonly member: string;
  readonly why: string;
}

/** Members' clocks may differ by less than this; steps of one election are closer together than this. */
export const togetherMs = 10_000;

export interface LogLine {
  /** NaN if the line has no time. */
  readonly at: number;
  readonly text: string;
}

export function linesOf(log: string): readonly LogLine[] {
  return log.split('\n').flatMap((line) => (line === '' ? [] : [timed(line)]));
}

/** When the known part of each log begins. NaN without a line that has a time. */
export function beginnings(logs: readonly MemberLog[]): ReadonlyMap<string, number> {
  return new Map(
    logs.flatMap(({ member, log }) => {
      if (!log.known) return [];
      return [[member, linesOf(log.value).find(({ at }) => !Number.isNaN(at))?.at ?? Number.NaN] as const];
    }),
  );
}

/** The members whose part in something that began at `at` is not known. */
export function unknownAt(
  logs: readonly MemberLog[],
  begins: ReadonlyMap<string, number>,
  at: number,
): Unknown[] {
  return logs.flatMap(({ member, log }) => {
    if (!log.known) return [{ member, why: log.why }];
    const begin = begins.get(member) ?? Number.NaN;
    if (Number.isNaN(begin)) return [{ member, why: 'its log has no line about elections' }];
    return begin > at ? [{ member, why: `its log begins at ${new Date(begin).toISOString()}` }] : [];
  });
}

/**
 * Joins the steps of several members, each in the order of its log; between members, the lower rank is first, and the
 * earlier time within one rank. So a member whose clock is wrong cannot move a later term before an earlier one.
 */
export function merged<S extends Step>(steps: readonly S[], rank: (step: S) => number): S[] {
  const members = [...new Set(steps.map(({ member }) => member))];
  const queues = members.map((member) => steps.filter((step) => step.member === member));
  const result: S[] = [];
  for (;;) {
    const heads = queues.flatMap((queue) => (queue[0] ? [{ queue, head: queue[0] }] : []));
    const [next] = heads.toSorted((a, b) => rank(a.head) - rank(b.head) || a.head.at - b.head.at);
    if (!next) return result;
    result.push(next.head);
    next.queue.shift();
  }
}

/** Splits steps, ordered by time, wherever nothing happened for longer than `togetherMs`. */
export function bursts<S extends Step>(steps: readonly S[]): S[][] {
  const result: S[][] = [];
  for (const step of steps.toSorted((a, b) => a.at - b.at)) {
    const last = result.at(-1);
    if (last && step.at - (last.at(-1)?.at ?? 0) <= togetherMs) last.push(step);
    else result.push([step]);
  }
  return result;
}

/** Appends to the list of a key. */
export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
