/** What happened in the cluster, from all that remembers it, on one axis. Pure. */
import type { Incident, KeeperEvent } from '../keeper/state.js';
import type { FrameworkEvent } from '../mesos/scheduler/framework-events.js';

export const momentKinds = [
  'deployment',
  'drill',
  'move',
  'incident',
  'etcd',
  'mesos',
  'task',
  'operator',
] as const;
export type MomentKind = (typeof momentKinds)[number];

export type Outcome = 'running' | 'good' | 'bad';

export interface Moment {
  /** Names it in a link; the same in each observation. */
  readonly id: string;
  /** ISO 8601: its beginning, or when it was seen. */
  readonly at: string;
  readonly kind: MomentKind;
  /** A sentence without its full stop. */
  readonly what: string;
  readonly tookMs?: number;
  /** Absent for what neither succeeds nor fails. */
  readonly outcome?: Outcome;
  /** Its workflow, for Temporal's Web UI. */
  readonly workflow?: { readonly id: string; readonly runId: string };
}

/** One run of a workflow, as Temporal lists it. */
export interface Run {
  readonly workflowId: string;
  readonly runId: string;
  /** Temporal's, in lower case. */
  readonly status: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly endedAt?: string;
}

/** A drill's run, with what its memo says. */
export interface DrillRun extends Run {
  readonly number: number;
  readonly drill?: string;
  readonly target?: string;
  readonly phase?: string;
  readonly recoveredMs?: number;
}

export interface Remembered {
  readonly incidents: readonly Incident[];
  readonly keeper: readonly KeeperEvent[];
  readonly framework: readonly FrameworkEvent[];
  readonly deployments: readonly Run[];
  readonly drills: readonly DrillRun[];
}

/** All that is remembered, newest first. What two sources report is there once. */
export function momentsOf(remembered: Remembered): readonly Moment[] {
  const { incidents, keeper, framework, deployments, drills } = remembered;
  return [
    ...incidents.map(ofIncident),
    ...keeper.flatMap((event) => ofKeeper(event, incidents)),
    ...framework.flatMap(ofFramework),
    ...deployments.map(ofDeployment),
    ...drills.map(ofDrill),
  ].toSorted((a, b) => (a.at === b.at ? compare(b.id, a.id) : compare(b.at, a.at)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function ofIncident({ at, what, tookMs, routine }: Incident): Moment {
  return { id: `incident-${at}`, at, kind: 'incident', what, tookMs, outcome: routine ? 'good' : 'bad' };
}

const keeperKinds: Readonly<Record<KeeperEvent['kind'], MomentKind | undefined>> = {
  found: 'incident',
  lost: 'etcd',
  // The incident says it.
  done: undefined,
  returned: 'move',
  moved: 'move',
  paused: 'operator',
  resumed: 'operator',
  spec: 'operator',
  failed: 'incident',
};

function ofKeeper({ seq, at, kind, what }: KeeperEvent, incidents: readonly Incident[]): Moment[] {
  // An election, not another finding.
  const shown = kind === 'found' && / leads at /.test(what) ? 'etcd' : keeperKinds[kind];
  if (shown === undefined) return [];
  if (shown === 'incident' && incidents.some((incident) => incident.what.startsWith(`${what} →`))) return [];
  const isBad = kind === 'lost' || kind === 'failed';
  return [{ id: `keeper-${seq}`, at, kind: shown, what, ...(isBad && { outcome: 'bad' as const }) }];
}

const frameworkKinds: Record<FrameworkEvent['kind'], MomentKind> = {
  leader: 'mesos',
  agent: 'mesos',
  scheduler: 'mesos',
  failed: 'mesos',
  framework: 'mesos',
  launched: 'task',
  running: 'task',
  lost: 'task',
  fenced: 'task',
  ended: 'task',
  cordoned: 'operator',
  uncordoned: 'operator',
};

function ofFramework({ seq, at, kind, what }: FrameworkEvent): Moment[] {
  const isBad = kind === 'failed' || kind === 'lost' || kind === 'fenced';
  const moment = { id: `framework-${seq}`, at, kind: frameworkKinds[kind], what };
  return [isBad ? { ...moment, outcome: 'bad' } : moment];
}

function ofDeployment(run: Run): Moment {
  const state = { running: 'runs', completed: 'completed', failed: 'failed' }[run.status] ?? run.status;
  return { ...ofRun(run), kind: 'deployment', what: `deployment ${state.replaceAll('_', ' ')}` };
}

function ofDrill(run: DrillRun): Moment {
  const { number, drill = 'drill', target, phase, recoveredMs } = run;
  const of = target === undefined ? '' : ` of ${target}`;
  const recovered = recoveredMs === undefined ? '' : `, recovered in ${seconds(recoveredMs)}`;
  const outcome: Outcome | undefined = phase === 'failed' ? 'bad' : ofRun(run).outcome;
  return {
    ...ofRun(run),
    ...(outcome && { outcome }),
    kind: 'drill',
    what: `drill ${number}: ${drill}${of}${phase === undefined ? '' : ` (${phase})`}${recovered}`,
  };
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function ofRun({ workflowId, runId, status, startedAt, endedAt }: Run): Omit<Moment, 'kind' | 'what'> {
  const outcome: Outcome = status === 'running' ? 'running' : status === 'completed' ? 'good' : 'bad';
  return {
    id: `run-${runId}`,
    at: startedAt,
    outcome,
    workflow: { id: workflowId, runId },
    ...(endedAt !== undefined && { tookMs: Date.parse(endedAt) - Date.parse(startedAt) }),
  };
}

// --- the axis -------------------------------------------------------------------------------------------

/** What the axis shows, in milliseconds. */
export const spans = { day: 86_400_000, hour: 3_600_000, minute: 60_000 } as const;
export type SpanName = keyof typeof spans;

/** The part of the page's address that shows one moment: `#at=2026-12-01T10:00:00.000Z&span=minute`. */
export interface Place {
  /** Absent: now, and it follows. */
  readonly at?: string;
  readonly span: SpanName;
}

export function placeOf(hash: string): Place {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const span = (Object.keys(spans) as SpanName[]).find((name) => name === given.get('span')) ?? 'hour';
  const at = given.get('at');
  const time = at === null ? NaN : Date.parse(at);
  return Number.isNaN(time) ? { span } : { at: new Date(time).toISOString(), span };
}

export function hashOf({ at, span }: Place): string {
  return `#${new URLSearchParams({ ...(at !== undefined && { at }), span }).toString()}`;
}

export interface Window {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
}

/** A moment is shown in the middle; now, close to the right end. */
export function windowOf({ at, span }: Place, now: number): Window {
  const width = spans[span];
  const to = at === undefined ? now + width * 0.02 : Date.parse(at) + width / 2;
  return { from: to - width, to };
}

/** The moments that overlap a window. */
export function within(moments: readonly Moment[], { from, to }: Window): readonly Moment[] {
  return moments.filter(({ at, tookMs = 0 }) => Date.parse(at) <= to && Date.parse(at) + tookMs >= from);
}

const tickSteps: Record<SpanName, number> = { day: 4 * spans.hour, hour: 600_000, minute: 10_000 };

/** Round times of the given zone in a window. */
export function ticksOf(window: Window, span: SpanName, offsetMs: number): readonly number[] {
  const step = tickSteps[span];
  const first = Math.ceil((window.from + offsetMs) / step) * step - offsetMs;
  const count = Math.max(0, Math.floor((window.to - first) / step) + 1);
  return Array.from({ length: count }, (_, index) => first + index * step);
}
