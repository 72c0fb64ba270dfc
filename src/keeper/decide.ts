/**
 * All decisions of the keeper, as pure functions over plain data: when the watch reports, what follows, and
 * what is stored. Imported by the workflow, so nothing here may have side effects.
 */
import { termText } from '../etcd/term.js';
import type { Finding } from '../etcd/verdict.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { pauseAfter, type BackOff } from '../net/back-off.js';
import type { Drift, DriftKind, Incident, KeeperEvent, KeeperState, Verdict } from './state.js';

export const initialState: KeeperState = {
  generation: 0,
  routes: {},
  drifts: [],
  repairs: 0,
  incidents: [],
  events: [],
};

/** Elections take about a second; only a longer time without a leader is reported. */
const lostAfterMs = 3_000;
/** A repair this long after the previous one counts as the first again. */
const calmMs = 60_000;
const backOff: BackOff = { firstMs: 1_000, longestMs: 60_000 };
const incidentsKept = 20;
const eventsKept = 50;
/**
 * After this many returns in a row, leadership is no longer moved back but followed. A return takes some
 * tenths of a second and costs users nothing, while following ends their kernels; but a member that loses its
 * leadership each time must not keep the keeper busy forever.
 */
export const mostReturns = 20;

/** How long a drift lasts before the watch reports it: 0, 1 s, 2 s, 4 s, … 60 s. */
export function pauseMs(repairs: number): number {
  return pauseAfter(repairs, backOff);
}

// --- events of the watch ----------------------------------------------------------------------------------

export type WatchEvent =
  /** A leader that the keeper did not know, or that is known again. */
  | {
      readonly kind: 'verdict';
      readonly reason: string;
      readonly verdict: Verdict;
      /** ISO 8601: when the previous verdict was last confirmed; absent for the first one. */
      readonly since?: string;
    }
  | {
      readonly kind: 'drift';
      readonly reason: string;
      readonly verdict: Verdict;
      /** ISO 8601: when the drift was first seen. */
      readonly since: string;
      /** Duration of this watch. */
      readonly watchedMs: number;
    }
  | { readonly kind: 'lost'; readonly reason: string; readonly since: string };

/** The keeper's state when the watch begins. */
export type Known = Pick<KeeperState, 'verdict' | 'lostSince' | 'specChanged' | 'drifts' | 'repairs'>;

/** One observation of the watch. */
export interface WatchObservation {
  readonly finding: Finding;
  /** The live nodes, once unchanged for a while; undefined before. */
  readonly settledLive?: readonly string[];
  /** All differences from the desired state for the known verdict; undefined without a desired state. */
  readonly drifts?: readonly Drift[];
  readonly watchedMs: number;
  /** How long `finding` has been `none`. */
  readonly noneForMs: number;
  /** ISO 8601: when the known verdict was last confirmed by the watch. */
  readonly confirmedAt?: string;
  /** ISO 8601. */
  readonly now: string;
}

/**
 * Whether the watch reports an event. It does for a new leader or term, when the loss of a leader is new or
 * has ended, for a changed spec, and for a drift that is new or may be retried after its pause.
 */
export function notice(known: Known, observation: WatchObservation): WatchEvent | undefined {
  const { finding, now, watchedMs } = observation;
  if (finding.kind === 'none') {
    if (known.lostSince !== undefined || observation.noneForMs < lostAfterMs) return undefined;
    const since = observation.confirmedAt ?? now;
    return { kind: 'lost', reason: `the etcd leader is unknown: ${finding.reason}`, since };
  }
  const { verdict } = finding;
  const since = observation.confirmedAt ?? known.lostSince;
  if (!known.verdict || !sameLeadership(known.verdict, verdict)) {
    const before = known.verdict
      ? `after ${known.verdict.leader} at term ${termText(known.verdict.term)}`
      : 'the first';
    const reason = `${verdict.leader} leads at term ${termText(verdict.term)}, ${before}`;
    return { kind: 'verdict', reason, verdict, ...(since !== undefined && { since }) };
  }
  if (known.lostSince !== undefined) {
    const reason = `${verdict.leader} leads again, at the same term ${termText(verdict.term)}`;
    return { kind: 'verdict', reason, verdict, since: known.lostSince };
  }
  const drift = (what: string, live = known.verdict?.live ?? []): WatchEvent => ({
    kind: 'drift',
    reason: what,
    verdict: { ...verdict, live },
    since: now,
    watchedMs,
  });
  if (known.specChanged) return drift('the spec has changed');
  if (watchedMs < pauseMs(known.repairs)) return undefined;
  if (observation.settledLive && observation.settledLive.join() !== known.verdict.live.join()) {
    return drift(`members that answer: ${observation.settledLive.join(', ')}`, observation.settledLive);
  }
  if (!observation.drifts) return undefined;
  const news = observation.drifts.filter((each) => !known.drifts.some((old) => sameDrift(old, each)));
  const over = known.drifts.filter((old) => !observation.drifts?.some((each) => sameDrift(old, each)));
  const left = observation.drifts.filter((each) => repairable[each.kind]);
  if (news.length > 0) return drift(sentence(news));
  if (left.length > 0) return drift(`still ${sentence(left)}`);
  if (over.length > 0) return drift(`resolved: ${sentence(over)}`);
  return undefined;
}

/** Whether a reconcile can repair it now; unreachable things must respond first. */
const repairable: Readonly<Record<DriftKind, boolean>> = {
  'node-silent': false,
  'proxy-silent': false,
  'jupyter-down': true,
  'jupyter-elsewhere': true,
  route: true,
  hosts: true,
  failed: true,
};

function sameLeadership(a: Verdict, b: Verdict): boolean {
  return a.leader === b.leader && a.term === b.term;
}

function sameDrift(a: Drift, b: Drift): boolean {
  return a.kind === b.kind && a.subject === b.subject;
}

function sentence(said: readonly { readonly what: string }[]): string {
  return said.map(({ what }) => what).join('; ');
}

// --- decisions --------------------------------------------------------------------------------------------

export type Decision =
  | {
      readonly action: 'reconcile';
      readonly reason: string;
      readonly generation: number;
      readonly verdict: Verdict;
    }
  /** Leadership returns to the node that Jupyter stays on. */
  | { readonly action: 'return'; readonly reason: string; readonly to: string; readonly verdict: Verdict }
  /** Nothing is moved. */
  | { readonly action: 'hold'; readonly reason: string };

/**
 * The action for an event, and the next state. Without a verdict nothing moves. The generation rises when the
 * leader or term changes, and otherwise stays. With `sticky`, leadership that drifted away from a node whose
 * member is alive is moved back first; the previous verdict stays in force until the next event.
 */
export function decide(
  state: KeeperState,
  event: WatchEvent,
  follow: ClusterSpec['jupyter']['follow'] = 'leader',
): { readonly state: KeeperState; readonly decision: Decision } {
  const { reason } = event;
  switch (event.kind) {
    case 'lost':
      return { state: { ...state, lostSince: event.since }, decision: { action: 'hold', reason } };
    case 'verdict': {
      const { verdict } = event;
      const { home, returns = 0, ...rest } = found(state);
      const sticks = follow === 'sticky' && home !== undefined && verdict.live.includes(home);
      if (sticks && home !== verdict.leader && returns < mostReturns) {
        const why = `${verdict.leader} leads at term ${termText(verdict.term)}; leadership returns to ${home}, where Jupyter runs`;
        return {
          state: { ...rest, home, returns: returns + 1 },
          decision: { action: 'return', reason: why, to: home, verdict },
        };
      }
      const another = !state.verdict || !sameLeadership(state.verdict, verdict);
      const generation = another ? state.generation + 1 : Math.max(1, state.generation);
      const next: KeeperState = {
        ...rest,
        generation,
        verdict,
        repairs: 0,
        ...(follow === 'sticky' && { home: verdict.leader }),
      };
      return { state: next, decision: { action: 'reconcile', reason, generation, verdict } };
    }
    case 'drift': {
      const { verdict, watchedMs } = event;
      const { generation } = state;
      const repairs = watchedMs >= pauseMs(state.repairs) + calmMs ? 1 : state.repairs + 1;
      const next: KeeperState = {
        ...found(state),
        verdict,
        repairs,
        ...(follow === 'sticky' && { home: state.home ?? verdict.leader }),
      };
      return { state: next, decision: { action: 'reconcile', reason, generation, verdict } };
    }
  }
}

/** The state once a leader is known. */
function found({ lostSince, ...state }: KeeperState): KeeperState {
  return state;
}

// --- state transitions ------------------------------------------------------------------------------------

export interface KeeperChange {
  /** Name of the node or host. */
  readonly subject: string;
  /** Human-readable. */
  readonly what: string;
  /** Follows from every membership change. */
  readonly routine?: true;
}

/** What one reconcile changed, and what is left. */
export interface ReconcileResult {
  readonly generation: number;
  readonly changes: readonly KeeperChange[];
  /** The leader, if its Jupyter responds. */
  readonly jupyter?: string;
  /** By host: the routes of the proxies that responded. */
  readonly routes: Readonly<Record<string, { readonly target: string; readonly generation: number }>>;
  /** Hosts and nodes that did not respond. */
  readonly unreachable: readonly string[];
  readonly drifts: readonly Drift[];
  /** The highest generation of a node or proxy, if above ours: that one was left alone. */
  readonly stale?: number;
  /** Another node took over leadership before this was done; the rest was skipped. */
  readonly superseded: boolean;
  /** ISO 8601: when every responding proxy had the route. */
  readonly routedAt?: string;
  readonly tookMs: {
    readonly jupyter: number;
    readonly routes: number;
    readonly hosts: number;
    readonly others: number;
    readonly total: number;
  };
}

/** The state after a reconcile caused by `event`. `before` is the state from before the decision. */
export function conclude(
  before: KeeperState,
  state: KeeperState,
  event: WatchEvent,
  result: ReconcileResult,
  now: string,
): KeeperState {
  const incident = incidentOf(before, event, result, now);
  const { jupyter, specChanged, ...rest } = state;
  return {
    ...rest,
    ...(result.jupyter !== undefined && { jupyter: result.jupyter }),
    routes: result.routes,
    drifts: result.drifts,
    incidents: incident ? [incident, ...state.incidents].slice(0, incidentsKept) : state.incidents,
  };
}

/** Adds an incident that was repaired elsewhere; unchanged if already present. */
export function withIncident(state: KeeperState, incident: Incident): KeeperState {
  const isKnown = state.incidents.some(({ at, what }) => at === incident.at && what === incident.what);
  return isKnown ? state : { ...state, incidents: [incident, ...state.incidents].slice(0, incidentsKept) };
}

/** The state after leadership could not be moved back: the keeper follows the next event. */
export function giveUpReturning(state: KeeperState): KeeperState {
  return { ...state, returns: mostReturns };
}

/**
 * The state in which the keeper suspends moves and repairs. Pausing twice keeps the first time and reason.
 */
export function pause(state: KeeperState, now: string, reason?: string): KeeperState {
  return state.paused ? state : { ...state, paused: { since: now, ...(reason !== undefined && { reason }) } };
}

/** The resumed state; everything is checked again. */
export function resume({ paused, ...state }: KeeperState): KeeperState {
  return state;
}

/** The state with one more event. */
export function note(state: KeeperState, kind: KeeperEvent['kind'], what: string, now: string): KeeperState {
  const seq = (state.events[0]?.seq ?? 0) + 1;
  return { ...state, events: [{ seq, at: now, kind, what }, ...state.events].slice(0, eventsKept) };
}

/** Describes one reconcile in a sentence. */
export function outcomeOf({
  changes,
  drifts: left,
  superseded,
  tookMs,
  generation,
}: ReconcileResult): string {
  const done = changes.length === 0 ? 'no changes needed' : sentence(changes);
  const open = left.length === 0 ? '' : `; remaining: ${sentence(left)}`;
  const then = superseded ? '; leadership has since moved' : '';
  return `generation ${generation}: ${done}${open}${then} (${tookMs.total} ms)`;
}

/** The state after a reconcile failed with an error. */
export function concludeFailed(state: KeeperState, message: string): KeeperState {
  const failed: Drift = { kind: 'failed', subject: 'keeper', what: `the last reconcile failed: ${message}` };
  return {
    ...state,
    repairs: state.repairs + 1,
    drifts: [...state.drifts.filter(({ kind }) => kind !== 'failed'), failed],
  };
}

/** The keeper's condition in one word. */
export type KeeperPhase = 'waiting' | 'serving' | 'degraded' | 'no-leader' | 'paused';

export function phaseOf(state: KeeperState): KeeperPhase {
  if (state.paused) return 'paused';
  if (!state.verdict) return 'waiting';
  if (state.lostSince !== undefined) return 'no-leader';
  return state.jupyter === state.verdict.leader && state.drifts.length === 0 ? 'serving' : 'degraded';
}

/** The state with another spec: everything is checked again once the leader is confirmed. */
export function respecified(state: KeeperState): KeeperState {
  return { ...state, specChanged: true, repairs: 0 };
}

/** The part of the state that the watch needs. */
export function knownOf({ verdict, lostSince, specChanged, drifts, repairs }: KeeperState): Known {
  return {
    ...(verdict && { verdict }),
    ...(lostSince !== undefined && { lostSince }),
    ...(specChanged && { specChanged }),
    drifts,
    repairs,
  };
}

/** The state that adopts a generation already held by nodes or proxies, after this state was lost. */
export function adopt(state: KeeperState, stale: number): KeeperState {
  return { ...state, generation: Math.max(state.generation, stale) + 1 };
}

function incidentOf(
  before: KeeperState,
  event: WatchEvent,
  result: ReconcileResult,
  now: string,
): Incident | undefined {
  if (event.kind === 'lost' || !before.verdict) return undefined;
  // Without a time it took place before this watch: while no worker ran, or between two watches.
  const at = event.since ?? now;
  const tookMs = Math.max(0, Date.parse(result.routedAt ?? now) - Date.parse(at));
  if (event.kind === 'drift') {
    if (result.changes.length === 0) return undefined;
    const done = result.changes.map(({ what }) => what).join('; ');
    const isRoutine = result.changes.every(({ routine }) => routine === true);
    return { at, what: `${event.reason} → ${done}`, tookMs, ...(isRoutine && { routine: true }) };
  }
  const { leader, term } = event.verdict;
  const moved =
    before.verdict.leader === leader ? `${leader} leads again` : `${before.verdict.leader} → ${leader}`;
  const routes = Object.values(result.routes).filter(
    (route) => route.generation === result.generation,
  ).length;
  const outcome =
    result.jupyter === undefined
      ? `Jupyter on ${leader} does not respond yet`
      : `Jupyter responds on ${leader}, through ${routes} ${routes === 1 ? 'host' : 'hosts'}`;
  const isRoutine = result.jupyter !== undefined;
  return {
    at,
    what: `${moved}, term ${termText(term)}: ${outcome}`,
    tookMs,
    ...(isRoutine && { routine: true }),
  };
}
