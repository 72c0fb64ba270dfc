/**
 * The kernels by which a drill observes what happens to those of users: on each node one that counts, and prints each
 * number. Pure: the workflow imports it.
 */
import type { ClusterSpec } from '../cluster/spec.js';
import type { DrillDefinition, KernelFate } from './definition.js';
import type { Invariant } from './evidence.js';

export interface Counter {
  readonly node: string;
  /** The node's host before the fault. */
  readonly host: string;
  /** Of its session, which is one of a notebook. */
  readonly path: string;
  readonly session: string;
  readonly kernel: string;
  /** Hosts through which its output is watched. */
  readonly through: readonly string[];
  readonly fate: KernelFate;
}

/** Before it is known what the fault is. */
export type Started = Omit<Counter, 'fate'>;

export interface KernelPlan {
  readonly counters: readonly Counter[];
  /** Nodes without a counter, and why. */
  readonly without: Readonly<Record<string, string>>;
}

/** Both ends included. */
export type NumberRange = readonly [from: number, to: number];

/** The output of one counter as one worker saw it. What came before and after it, nobody saw. */
export interface Tally {
  readonly node: string;
  /** The numbers that came, through any host. */
  readonly seen: readonly NumberRange[];
  /** Those that an open websocket left out. */
  readonly missing: readonly NumberRange[];
  /** Those that a websocket brought after a higher one. */
  readonly late: readonly number[];
}

/** The ranges with one more number, in order and as few as possible. */
export function withNumber(ranges: readonly NumberRange[], number: number): NumberRange[] {
  const last = ranges.at(-1);
  if (last && number === last[1] + 1) return [...ranges.slice(0, -1), [last[0], number]];
  if (ranges.some(([from, to]) => from <= number && number <= to)) return [...ranges];
  const merged: NumberRange[] = [];
  const all: NumberRange[] = [...ranges, [number, number]];
  for (const range of all.toSorted((a, b) => a[0] - b[0])) {
    const previous = merged.at(-1);
    if (previous && range[0] <= previous[1] + 1) {
      merged.splice(-1, 1, [previous[0], Math.max(previous[1], range[1])]);
    } else merged.push(range);
  }
  return merged;
}

interface Strike {
  readonly definition: Pick<DrillDefinition, 'kernels' | 'mayFail' | 'target'>;
  readonly target: string;
  readonly struckHost?: string | undefined;
  readonly downHost?: string | undefined;
  readonly spec: {
    readonly jupyter: Pick<ClusterSpec['jupyter'], 'standby'>;
    readonly proxy: Pick<ClusterSpec['proxy'], 'topology'>;
  };
}

/** What a drill may do to a counter. */
export function fateOf(
  { node, host, through }: Pick<Counter, 'node' | 'host' | 'through'>,
  { definition, target, struckHost, downHost, spec }: Strike,
): KernelFate {
  const { kernels, mayFail, target: kind } = definition;
  const isStruck = (kind === 'host' ? host : node) === target;
  if (kernels === 'restarted' && isStruck) return kernels;
  // It ends when Jupyter moves, and an election may move it during any drill.
  if (spec.jupyter.standby === 'cold') return 'lost';
  if (kernels !== undefined && isStruck) return kernels;
  const silent = downHost ?? (mayFail === 'target' ? struckHost : undefined);
  if (silent === undefined) return 'kept';
  // Elsewhere than with `direct`, the way through another host may lead through this one.
  const isCut = spec.proxy.topology !== 'direct' || through.every((each) => each === silent);
  return isCut ? 'cut' : 'kept';
}

/** The kernels and sessions that a host lists. */
export interface Listed {
  /** IDs. */
  readonly kernels: readonly string[];
  readonly sessions: readonly { readonly id: string; readonly kernel?: string }[];
}

/** One observation of all kernels, after the fault. */
export interface KernelsObservation {
  /** By host with a proxy; null where it did not answer. */
  readonly listed: Readonly<Record<string, Listed | null>>;
  /** By node: IDs of its kernels; null where it did not answer. */
  readonly byNode: Readonly<Record<string, readonly string[] | null>>;
  /** By kernel of a counter: its processes on all hosts; undefined if a host did not answer. */
  readonly processes?: Readonly<Record<string, number>>;
  /** By node, since the healing: whether its counter has printed more; undefined while it is not connected. */
  readonly counting: Readonly<Record<string, boolean | undefined>>;
  /** By node: whether a killed kernel runs cells again, without its variables; undefined if that is not known. */
  readonly restarted: Readonly<Record<string, boolean | undefined>>;
}

type Found = { readonly holds: boolean | null; readonly what: string };

/** The worst of them decides; what is not known is worse than what holds. */
function worst(name: Invariant['name'], found: readonly Found[], good: string): Invariant {
  const broken = found.filter(({ holds }) => holds === false);
  const unknown = found.filter(({ holds }) => holds === null);
  const text = (each: readonly Found[]) => each.map(({ what }) => what).join('; ');
  if (broken.length > 0) return { name, holds: false, what: text(broken) };
  if (unknown.length > 0) return { name, holds: null, what: text(unknown) };
  return { name, holds: true, what: good };
}

/** What must hold of kernels while the drill still has its own. */
export function kernelsOf(plan: KernelPlan, observation: KernelsObservation): Invariant[] {
  if (plan.counters.length === 0) {
    const why = [...new Set(Object.values(plan.without))].join('; ');
    return [{ name: 'kernels', holds: null, what: `no kernel of the drill ran: ${why}` }];
  }
  return [runOn(plan, observation), listsOf(observation)];
}

function runOn({ counters, without }: KernelPlan, observation: KernelsObservation): Invariant {
  const judged = counters.filter(({ fate }) => fate !== 'lost');
  const found = judged.map((counter) => oneRunsOn(counter, observation));
  const lost = counters.filter(({ fate }) => fate === 'lost').map(({ node }) => node);
  const notes = [
    ...(lost.length > 0 ? [`not judged: ${lost.join(', ')}, where the fault may end kernels`] : []),
    ...Object.entries(without).map(([node, why]) => `none on ${node}: ${why}`),
  ];
  if (judged.length === 0) return { name: 'kernels', holds: null, what: notes.join('; ') };
  const again = judged.filter(({ fate }) => fate === 'restarted').map(({ node }) => node);
  const kept = judged.filter(({ fate }) => fate !== 'restarted').map(({ node }) => node);
  const good = [
    ...(kept.length > 0 ? [`the kernels on ${kept.join(', ')} run on`] : []),
    ...again.map((node) => `the killed kernel on ${node} was started again`),
    ...notes,
  ];
  return worst('kernels', found, good.join('; '));
}

function oneRunsOn(counter: Counter, { listed, processes, counting, restarted }: KernelsObservation): Found {
  const { node, kernel, session, fate } = counter;
  const of = `the kernel on ${node}`;
  const running = processes?.[kernel];
  if (running !== undefined && running > 1) {
    return { holds: false, what: `${of} runs ${running} times` };
  }
  const lists = Object.values(listed);
  const known = lists.flatMap((list) => list ?? []);
  const owned = known.map(({ sessions }) => sessions.find(({ id }) => id === session)?.kernel);
  const other = owned.find((id) => id !== undefined && id !== kernel);
  if (other !== undefined) return { holds: false, what: `${of} was replaced by ${other}` };
  if (
    known.length > 0 &&
    known.length === lists.length &&
    !known.some((list) => list.kernels.includes(kernel))
  )
    return { holds: false, what: `${of} is gone` };
  const lives = fate === 'restarted' ? restarted[node] : counting[node];
  if (lives === undefined) return { holds: null, what: `it is not known whether ${of} runs` };
  const dead = fate === 'restarted' ? `${of} was not started again` : `${of} prints nothing any more`;
  return lives ? { holds: true, what: of } : { holds: false, what: dead };
}

/** Every host lists the same, and each kernel that a node has, once. */
function listsOf({ listed, byNode }: KernelsObservation): Invariant {
  const hosts = Object.entries(listed);
  const nodes = Object.entries(byNode);
  const answers = hosts.flatMap(([host, list]) => (list === null ? [] : [{ host, list }]));
  const found: Found[] = [
    ...hosts.filter(([, list]) => list === null).map(([host]) => silent(`kernels through ${host}`)),
    ...nodes.filter(([, kernels]) => kernels === null).map(([node]) => silent(`the kernels of ${node}`)),
  ];
  const [first, ...others] = answers;
  for (const { host, list } of others) {
    const differs = first && contentOf(first.list) !== contentOf(list);
    if (differs) found.push({ holds: false, what: `${first.host} and ${host} list different kernels` });
  }
  for (const { host, list } of answers) {
    const twice = repeated([...list.kernels, ...list.sessions.map(({ id }) => id)]);
    if (twice !== undefined) found.push({ holds: false, what: `${host} lists ${twice} twice` });
  }
  const owned = nodes.flatMap(([, kernels]) => kernels ?? []);
  const double = repeated(owned);
  if (double !== undefined) found.push({ holds: false, what: `kernel ${double} runs on two nodes` });
  if (first && found.length === 0) {
    const listedIds = new Set(first.list.kernels);
    const unlisted = owned.find((id) => !listedIds.has(id));
    const nobodys = first.list.kernels.find((id) => !owned.includes(id));
    if (unlisted !== undefined) found.push({ holds: false, what: `no host lists kernel ${unlisted}` });
    if (nobodys !== undefined) found.push({ holds: false, what: `no node has the listed kernel ${nobodys}` });
  }
  const count = first?.list.kernels.length ?? 0;
  return worst('lists', found, `every host lists the same ${count} kernels, each of one node`);
}

const silent = (what: string): Found => ({ holds: null, what: `${what} are not known` });

function contentOf({ kernels, sessions }: Listed): string {
  const pairs = sessions.map(({ id, kernel = '' }) => `${id} ${kernel}`);
  return JSON.stringify([kernels.toSorted(), pairs.toSorted()]);
}

function repeated(ids: readonly string[]): string | undefined {
  return ids.find((id, index) => ids.indexOf(id) !== index);
}

/** After the sessions were closed: no kernel is left without one. */
export function closedOf(
  { counters }: KernelPlan,
  { listed, processes }: Pick<KernelsObservation, 'listed' | 'processes'>,
): Invariant {
  const found: Found[] = Object.entries(listed).flatMap(([host, list]): Found[] => {
    if (list === null) return [silent(`kernels through ${host}`)];
    const left = counters.filter(
      ({ kernel, session }) =>
        list.kernels.includes(kernel) || list.sessions.some(({ id }) => id === session),
    );
    return left.map(({ node }) => ({
      holds: false,
      what: `${host} still lists the closed kernel on ${node}`,
    }));
  });
  if (!processes) found.push(silent('the processes of closed kernels'));
  for (const { kernel, node } of counters) {
    if ((processes?.[kernel] ?? 0) > 0) {
      found.push({ holds: false, what: `the kernel on ${node} runs on after its session was closed` });
    }
  }
  return worst('closed', found, `${counters.length} sessions were closed, and their kernels have ended`);
}

/** Whether the output of the counters is complete and in order, as far as anybody watched. */
export function outputsOf({ counters }: KernelPlan, tallies: readonly Tally[]): Invariant[] {
  const judged = counters.filter(({ fate }) => fate !== 'lost');
  if (judged.length === 0) return [];
  const found = judged.flatMap((counter) =>
    outputOf(
      counter,
      tallies.filter(({ node }) => node === counter.node),
    ),
  );
  const lines = tallies.flatMap(({ seen }) => seen).reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const nodes = judged.map(({ node }) => node).join(', ');
  return [worst('outputs', found, `no output is missing from ${nodes}: ${lines} lines in order`)];
}

const mostNamed = 3;

function outputOf({ node, fate }: Counter, tallies: readonly Tally[]): Found[] {
  const lines = (ranges: readonly NumberRange[]) => {
    const named = ranges.slice(0, mostNamed).map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`));
    return `${named.join(', ')}${ranges.length > mostNamed ? ', …' : ''}`;
  };
  if (tallies.every(({ seen }) => seen.length === 0)) {
    return [{ holds: null, what: `the output of ${node} was not seen` }];
  }
  const missing = tallies.flatMap((tally) => tally.missing);
  const late = tallies.flatMap((tally) => tally.late);
  const gaps = tallies.flatMap(({ seen }) => gapsIn(seen));
  return [
    ...(missing.length > 0
      ? [{ holds: false, what: `an open websocket left out output of ${node}: ${lines(missing)}` }]
      : []),
    ...(late.length > 0
      ? [
          {
            holds: false,
            what: `output of ${node} came out of order: ${lines(late.map((each) => [each, each]))}`,
          },
        ]
      : []),
    ...(gaps.length > 0 && missing.length === 0
      ? [
          fate === 'cut'
            ? {
                holds: null,
                what: `output of ${node} may have been under way when the fault cut it: ${lines(gaps)}`,
              }
            : { holds: false, what: `output of ${node} is missing: ${lines(gaps)}` },
        ]
      : []),
  ];
}

function gapsIn(seen: readonly NumberRange[]): NumberRange[] {
  return seen.slice(1).map(([from], index): NumberRange => [(seen[index]?.[1] ?? 0) + 1, from - 1]);
}
