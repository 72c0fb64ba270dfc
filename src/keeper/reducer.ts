/**
 * The keeper workflow's state, as plain data, and how it changes: by observations of the watch, activity
 * results and requests. Pure: times are passed in.
 */
import { nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { formatDuration } from '../cluster/units.js';
import type { ErrorCode } from '../errors/codes.js';
import {
  adopt,
  conclude,
  concludeFailed,
  decide,
  giveUpReturning,
  initialState,
  note,
  outcomeOf,
  pause,
  respecified,
  resume,
  withIncident,
  type Decision,
  type ReconcileResult,
  type WatchEvent,
} from './decide.js';
import type { LeadershipOutcome } from './leadership.js';
import type { Incident, KeeperEvent, KeeperState, MoveResult } from './state.js';

/** A planned move with a caller waiting. */
export interface Move {
  /** Number of the move within this run. */
  readonly number: number;
  readonly to: string;
  /** The node that served before; absent if none did. */
  readonly from?: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Leadership has moved; a verdict should follow. */
  readonly led: boolean;
  /** The node leads, and its Jupyter has not responded in time yet: the following events may settle the move. */
  readonly waits?: true;
}

export interface MoveFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

export type MoveOutcome = MoveResult | MoveFailure;

export interface KeeperMemory {
  readonly spec: ClusterSpec;
  readonly state: KeeperState;
  /** The first caller to pass a spec starts the keeper. */
  readonly isNew: boolean;
  readonly stopping: boolean;
  readonly move?: Move;
  /** Outcome of the last finished move. */
  readonly ended?: { readonly number: number; readonly outcome: MoveOutcome };
}

export function firstMemory(spec: ClusterSpec, state: KeeperState | undefined): KeeperMemory {
  return { spec, state: { ...initialState, ...state }, isNew: state === undefined, stopping: false };
}

function noted(memory: KeeperMemory, kind: KeeperEvent['kind'], what: string, now: Date): KeeperMemory {
  return { ...memory, state: note(memory.state, kind, what, now.toISOString()) };
}

// --- observations and reconciles --------------------------------------------------------------------------

/** A decision, and the state before it, from which a reconcile is concluded. */
export interface Decided {
  readonly memory: KeeperMemory;
  readonly before: KeeperState;
  readonly decision: Decision;
}

export function decided(memory: KeeperMemory, event: WatchEvent, now: Date): Decided {
  const { state, decision } = decide(memory.state, event, memory.spec.jupyter.follow);
  const next = noted({ ...memory, state }, event.kind === 'lost' ? 'lost' : 'found', decision.reason, now);
  return { memory: next, before: memory.state, decision };
}

/** Each adoption raises the generation; more in a row would mean two keepers. */
const mostAdoptions = 5;

/** A reconcile when it started. */
export interface Began {
  readonly before: KeeperState;
  readonly event: WatchEvent;
  /** The spec in use. */
  readonly spec: ClusterSpec;
  /** Number of generations adopted before it. */
  readonly adoptions: number;
}

/** After a reconcile. `again`: nodes or proxies have a higher generation, which is adopted first. */
export function reconciled(
  memory: KeeperMemory,
  { before, event, spec, adoptions }: Began,
  result: ReconcileResult,
  now: Date,
): { readonly memory: KeeperMemory; readonly again: boolean } {
  const { stale } = result;
  if (stale !== undefined && adoptions < mostAdoptions) {
    return { memory: { ...memory, state: adopt(memory.state, stale) }, again: true };
  }
  const state = conclude(before, memory.state, event, result, now.toISOString());
  const done = noted({ ...memory, state }, 'done', outcomeOf(result), now);
  // The spec may have changed while this reconcile completed.
  return {
    memory: memory.spec === spec ? done : { ...done, state: respecified(done.state) },
    again: false,
  };
}

/**
 * After an attempt to move leadership back. `again`: it failed, and the event is decided again and followed.
 */
export function returned(
  memory: KeeperMemory,
  to: string,
  outcome: LeadershipOutcome,
  now: Date,
): { readonly memory: KeeperMemory; readonly again: boolean } {
  const what = outcome.led ? `leadership is back at ${to}` : `leadership stays: ${outcome.reason}`;
  const next = noted(memory, 'returned', what, now);
  // Users are served meanwhile: the next event shows where leadership is.
  if (outcome.led || outcome.again) return { memory: next, again: false };
  return { memory: { ...next, state: giveUpReturning(next.state) }, again: true };
}

/** After a failed activity. */
export function failed(memory: KeeperMemory, message: string, now: Date): KeeperMemory {
  const state = concludeFailed(memory.state, message);
  const next = noted({ ...memory, state }, 'failed', message, now);
  return moveEnded(next, { code: 'MOVE_FAILED', message }, now);
}

// --- planned moves ----------------------------------------------------------------------------------------

/** Why Jupyter cannot be moved to a node now; undefined when it can. */
export function moveRefusal({ spec, state, move }: KeeperMemory, to: string): MoveFailure | undefined {
  if (!nodeNames(spec).includes(to))
    return { code: 'NODE_UNKNOWN', message: `unknown node of ${spec.name}: ${to}` };
  if (state.paused)
    return { code: 'KEEPER_PAUSED', message: `the keeper has been paused since ${state.paused.since}` };
  if (move) return { code: 'MOVE_UNDER_WAY', message: `Jupyter is being moved to ${move.to}` };
  if (!state.verdict) return { code: 'MOVE_FAILED', message: 'the keeper knows of no etcd leader' };
  return undefined;
}

/** A move is requested. Without a number: Jupyter is already served there. */
export function moveWanted(
  memory: KeeperMemory,
  to: string,
  now: Date,
): { readonly memory: KeeperMemory; readonly number?: number } {
  const { state, move, ended } = memory;
  if (state.verdict?.leader === to && state.jupyter === to) return { memory };
  const number = Math.max(move?.number ?? 0, ended?.number ?? 0) + 1;
  const from = state.jupyter;
  const wanted: Move = {
    number,
    to,
    ...(from !== undefined && { from }),
    startedAt: now.getTime(),
    led: false,
  };
  return { memory: { ...memory, move: wanted }, number };
}

/** After the order that moves Jupyter and leadership to the node; the following verdict does the rest. */
export function moveOrdered(memory: KeeperMemory, outcome: LeadershipOutcome, now: Date): KeeperMemory {
  const { move, spec, state } = memory;
  if (!move) return memory;
  if (!outcome.led) {
    const message = `Jupyter was not moved to ${move.to}: ${outcome.reason}`;
    return moveEnded(memory, { code: 'MOVE_FAILED', message }, now);
  }
  return {
    ...memory,
    ...(spec.jupyter.follow === 'sticky' && { state: { ...state, home: move.to } }),
    move: { ...move, led: true },
  };
}

/** How long a move may take until Jupyter responds on a node that leads. */
const moveMs = 60_000;

/**
 * Whether the move's node leads, and Jupyter has not responded there: a busy machine answers late, and the drift that
 * this is causes another reconcile.
 */
export function moveAwaitsJupyter({ move, state }: KeeperMemory): boolean {
  return move?.led === true && state.verdict?.leader === move.to && state.jupyter !== move.to;
}

/** Remaining time of a move that waits for Jupyter; undefined for any other. */
export function moveLeftMs({ move }: KeeperMemory, now: Date): number | undefined {
  return move?.waits && Math.max(0, move.startedAt + moveMs - now.getTime());
}

/** Leaves the move to the following events. */
export function moveDeferred(memory: KeeperMemory): KeeperMemory {
  return memory.move === undefined ? memory : { ...memory, move: { ...memory.move, waits: true } };
}

/** A planned move is finished by the first reconcile after leadership has moved, unless it was deferred. */
export function moveSettled(memory: KeeperMemory, now: Date): KeeperMemory {
  const { move } = memory;
  if (!move?.led) return memory;
  const { to, from, startedAt } = move;
  const { verdict, jupyter, generation } = memory.state;
  if (verdict?.leader === to && jupyter === to) {
    const tookMs = now.getTime() - startedAt;
    return moveEnded(
      memory,
      { moved: true, to, generation, tookMs, ...(from !== undefined && { from }) },
      now,
    );
  }
  const message =
    verdict?.leader === to
      ? `${to} leads etcd, but Jupyter does not respond there`
      : `leadership moved on to ${verdict?.leader ?? 'no member'}`;
  return moveEnded(memory, { code: 'MOVE_FAILED', message }, now);
}

function moveEnded(memory: KeeperMemory, outcome: MoveOutcome, now: Date): KeeperMemory {
  const { move, ...rest } = memory;
  if (!move) return memory;
  const next = { ...rest, ended: { number: move.number, outcome } };
  return 'moved' in outcome
    ? noted(
        next,
        'moved',
        `completed the planned move to ${move.to} in ${formatDuration(outcome.tookMs)}`,
        now,
      )
    : noted(next, 'failed', outcome.message, now);
}

// --- requests ---------------------------------------------------------------------------------------------

/** The reply to a request; `changed` interrupts the activity in progress. */
export interface Asked {
  readonly memory: KeeperMemory;
  readonly changed: boolean;
}

export function paused(memory: KeeperMemory, reason: string | undefined, now: Date): Asked {
  if (memory.state.paused) return { memory, changed: false };
  const state = pause(memory.state, now.toISOString(), reason);
  const what = `paused${reason === undefined ? '' : `: ${reason}`}`;
  const message = 'the keeper was paused before the move ended';
  const next = noted({ ...memory, state }, 'paused', what, now);
  return { memory: moveEnded(next, { code: 'KEEPER_PAUSED', message }, now), changed: true };
}

export function resumed(memory: KeeperMemory, now: Date): Asked {
  if (!memory.state.paused) return { memory, changed: false };
  return {
    memory: noted({ ...memory, state: resume(memory.state) }, 'resumed', 'resumed', now),
    changed: true,
  };
}

/** An incident was repaired elsewhere. */
export function incidentNoted(memory: KeeperMemory, incident: Incident, now: Date): Asked {
  const state = withIncident(memory.state, incident);
  if (state === memory.state) return { memory, changed: false };
  return { memory: noted({ ...memory, state }, 'done', incident.what, now), changed: true };
}

/** A spec is passed. `differs`: whether it differs from the one in force. */
export function configured(
  memory: KeeperMemory,
  spec: ClusterSpec,
  { differs, now }: { readonly differs: boolean; readonly now: Date },
): Asked {
  const next = { ...memory, isNew: false };
  if (!differs) return { memory: next, changed: memory.isNew };
  return { memory: withSpec(next, spec, 'continues with a changed spec', now), changed: true };
}

/** More nodes than before may lead from now on. */
export function nodesAnnounced(memory: KeeperMemory, count: number, now: Date): Asked {
  const { spec } = memory;
  if (count <= spec.nodes.count) return { memory, changed: false };
  const grown = { ...spec, nodes: { ...spec.nodes, count } };
  return { memory: withSpec(memory, grown, `watching ${count} nodes from now on`, now), changed: true };
}

function withSpec(memory: KeeperMemory, spec: ClusterSpec, what: string, now: Date): KeeperMemory {
  return noted({ ...memory, spec, state: respecified(memory.state) }, 'spec', what, now);
}

export function stopped(memory: KeeperMemory, now: Date): KeeperMemory {
  const message = 'the keeper was stopped before the move ended';
  return moveEnded({ ...memory, stopping: true }, { code: 'KEEPER_ABSENT', message }, now);
}
