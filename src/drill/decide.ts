/**
 * All decisions of drills, as pure functions over plain data: how probes are aggregated, when a drill has
 * recovered, whether it met its budget, and which invariants hold afterwards. Imported by the workflow, so
 * nothing here may have side effects.
 */
import { termText } from '../etcd/term.js';
import { formatDuration } from '../cluster/units.js';
import type { BrickObservation } from '../storage/gluster.js';
import { outputsOf } from './kernels.js';
import type { DrillEvent, Evidence, HostMeasure, Invariant, Lane, Span } from './evidence.js';
import {
  followsOf,
  isOfMesos,
  keptTasks,
  missingForMesos,
  mesosOf,
  type FormerLeader,
  type MesosObservation,
} from './mesos.js';
import type { DrillPlan, Healing, NotebookFile, Recovery, Watched } from './model.js';
import type { Before } from './roles.js';

/** One probe result: an answer or a failure. */
export interface Sample {
  /** When the request was sent. */
  readonly at: number;
  readonly ok: boolean;
  /** Reason of a failure. */
  readonly why?: string;
}

/** Probes come at least this often; a longer gap means that the worker was gone. */
const gapMs = 1_500;
/** Keeps a drill's result below 200 kB. */
const mostSpans = 300;

/** Runs of equal samples, in order of time. The last one lasts for `everyMs`. */
export function spansOf(samples: readonly Sample[], everyMs: number): Span[] {
  const spans: Span[] = [];
  for (const { at, ok, why } of samples.toSorted((a, b) => a.at - b.at)) {
    const state = ok ? 'ok' : 'failed';
    const last = spans.pop();
    if (last === undefined) {
      spans.push({ from: at, to: at + everyMs, state, probes: 1, ...reason(why) });
    } else if (at - last.to > gapMs) {
      const gap: Span = { from: last.to, to: at, state: 'gap', probes: 0 };
      spans.push(last, gap, { from: at, to: at + everyMs, state, probes: 1, ...reason(why) });
    } else if (last.state === state && last.why === why) {
      spans.push({ ...last, to: at + everyMs, probes: last.probes + 1 });
    } else {
      spans.push({ ...last, to: at }, { from: at, to: at + everyMs, state, probes: 1, ...reason(why) });
    }
  }
  return limited(spans);
}

function reason(why: string | undefined) {
  return why === undefined ? {} : { why };
}

/** The spans of two consecutive periods. A longer time between them is a gap. */
export function joinSpans(earlier: readonly Span[], later: readonly Span[]): Span[] {
  const last = earlier.at(-1);
  const [first] = later;
  if (!last || !first) return [...earlier, ...later];
  const before = earlier.slice(0, -1);
  if (first.from - last.to > gapMs) {
    return limited([...earlier, { from: last.to, to: first.from, state: 'gap', probes: 0 }, ...later]);
  }
  if (last.state === first.state && last.why === first.why) {
    const joined = { ...last, to: first.to, probes: last.probes + first.probes };
    return limited([...before, joined, ...later.slice(1)]);
  }
  return limited([...before, { ...last, to: first.from }, ...later]);
}

/** Merges the shortest runs until few enough are left; a run with a failure stays failed. */
function limited(spans: readonly Span[]): Span[] {
  let rest = [...spans];
  for (let shortest = 100; rest.length > mostSpans; shortest *= 2) {
    const merged: Span[] = [];
    for (const span of rest) {
      const last = merged.at(-1);
      if (last && last.state !== 'gap' && span.state !== 'gap' && last.to - last.from < shortest) {
        const failed = [last, span].find(({ state }) => state === 'failed');
        merged.splice(-1, 1, {
          from: last.from,
          to: span.to,
          state: failed ? 'failed' : 'ok',
          probes: last.probes + span.probes,
          ...reason(failed?.why),
        });
      } else merged.push(span);
    }
    rest = merged;
  }
  return rest;
}

/** Merges what was watched in two consecutive periods. */
export function joinWatched<T extends Watched>(earlier: Watched | undefined, later: T): T {
  if (!earlier) return later;
  const faultAt = earlier.faultAt ?? later.faultAt;
  const healedAt = earlier.healedAt ?? later.healedAt;
  return {
    ...later,
    startedAt: earlier.startedAt,
    ...(faultAt !== undefined && { faultAt }),
    ...(healedAt !== undefined && { healedAt }),
    lanes: later.lanes.map((lane) => {
      const before = earlier.lanes.find(({ host }) => host === lane.host);
      if (!before) return lane;
      return {
        host: lane.host,
        http: joinSpans(before.http, lane.http),
        websocket: joinSpans(before.websocket, lane.websocket),
      };
    }),
    events: [...earlier.events, ...later.events].toSorted((a, b) => a.at - b.at),
    ...(earlier.closing && { closing: true as const }),
    ...((earlier.tallies ?? later.tallies) && {
      tallies: [...(earlier.tallies ?? []), ...(later.tallies ?? [])],
    }),
  };
}

// --- recovery ---------------------------------------------------------------------------------------------

/** What a drill observes while it waits. */
export interface View {
  readonly now: number;
  readonly faultAt: number;
  /** By host: since when it has answered without a failure; absent if it does not answer. */
  readonly answering: Readonly<Record<string, number>>;
  readonly leader?: { readonly node: string; readonly term: number };
  /** Nodes whose port 8888 answers. */
  readonly serving: readonly string[];
  readonly zookeeperLeader?: string;
  /** In drills of Mesos. */
  readonly mesos?: MesosObservation;
  /** Time of its last event. */
  readonly mesosSince?: number;
  readonly scheduler?: string;
  readonly keeper?: string;
}

/** A fault may take this long to show: before that, nothing counts as recovered. */
const settleMs = 2_000;
/** Ten probes. */
const calmMs = 500;

/** What is missing for recovery, as a sentence; undefined when the drill has recovered. */
export function missingRecovery(
  plan: DrillPlan,
  view: View,
  follow: 'leader' | 'sticky',
): string | undefined {
  const { before } = plan;
  if (view.now - view.faultAt < settleMs) return 'the fault has only just been injected';
  const { leader, serving, zookeeperLeader, scheduler, keeper } = view;
  if (!leader) return 'no majority of etcd agrees on a leader';
  if (plan.expects === 'leader-moves' && !isAnother(before, leader.node, leader.term)) {
    return `${leader.node} still leads etcd at term ${termText(leader.term)}`;
  }
  const [node, ...more] = serving;
  if (node === undefined) return 'no Jupyter is serving';
  if (more.length > 0) return `more than one Jupyter is serving: ${serving.join(', ')}`;
  if (follow === 'leader' && node !== leader.node)
    return `Jupyter serves on ${node}, but ${leader.node} leads`;
  if (plan.expects === 'zookeeper-moves') {
    if (zookeeperLeader === undefined) return 'ZooKeeper has no leader';
    if (zookeeperLeader === before.zookeeperLeader) return `${zookeeperLeader} still leads ZooKeeper`;
  }
  if (plan.expects === 'worker-moves' && plan.fault.kind === 'worker-kill') {
    const { worker } = plan.fault;
    if (scheduler === undefined || scheduler === worker) return 'no live worker runs the scheduler';
    if (keeper === undefined || keeper === worker) return 'no live worker runs the watch of the keeper';
  }
  if (isOfMesos(plan.expects)) {
    if (!view.mesos || !before.mesos) return 'Mesos has not been observed yet';
    const expectation = { expects: plan.expects, host: plan.target, before: before.mesos };
    const missing = missingForMesos(expectation, view.mesos, view.now - (view.mesosSince ?? view.faultAt));
    if (missing !== undefined) return missing;
  }
  const silent = expectedHosts(plan).filter((host) => {
    const since = view.answering[host];
    return since === undefined || view.now - since < calmMs;
  });
  return silent.length > 0 ? `no steady responses through ${silent.join(', ')}` : undefined;
}

function isAnother(before: Before, leader: string, term: number): boolean {
  return leader !== before.leader || term > before.term;
}

/** The hosts that must answer before healing: all except one that is down or cut off. */
export function expectedHosts({ hosts, downHost }: Pick<DrillPlan, 'hosts' | 'downHost'>): readonly string[] {
  return hosts.filter((host) => host !== downHost);
}

/** How long a drill waits for recovery before it heals anyway: a multiple of its budget. */
export function patienceMs(budgetMs: number): number {
  return Math.max(30_000, 5 * budgetMs);
}

// --- measures and verdict ---------------------------------------------------------------------------------

/** A request may have been in flight when the fault came: it counts from when it was sent. */
const underWayMs = 1_000;

function hostMeasure(host: string, during: Lane | undefined, whole: Lane | undefined): HostMeasure {
  const concerned = (spans: readonly Span[] = []) =>
    spans.filter((span) => span.state === 'failed' && span.to > -underWayMs);
  const failed = concerned(during?.http);
  const last = during?.http.at(-1);
  const outage = failed.at(-1);
  const backMs = last?.state === 'failed' ? null : Math.max(0, outage?.to ?? 0);
  let longestMs = 0;
  let since: number | undefined;
  for (const span of during?.http ?? []) {
    if (span.state === 'failed' && span.to > -underWayMs) {
      since ??= span.from;
      longestMs = Math.max(longestMs, span.to - since);
    } else if (span.state === 'ok') since = undefined;
  }
  return {
    host,
    failedRequests: concerned(whole?.http).reduce((sum, { probes }) => sum + probes, 0),
    backMs,
    longestMs,
    cut: concerned(whole?.websocket).length > 0,
  };
}

/**
 * A fault that is not healed may strike again after the first recovery, when another timeout expires:
 * failures until then count toward its recovery. Later failures count toward the healing.
 */
function beforeHealing(
  during: Lane | undefined,
  whole: Lane | undefined,
  healedMs: number | null,
): Lane | undefined {
  if (healedMs === null || whole === undefined) return during;
  return { ...whole, http: whole.http.filter(({ state, from }) => state !== 'failed' || from < healedMs) };
}

/** All times in milliseconds after the fault. */
function relative<T extends Watched>(watched: T, zero: number): T {
  const shift = (spans: readonly Span[]) =>
    spans.map((span) => ({ ...span, from: span.from - zero, to: span.to - zero }));
  return {
    ...watched,
    lanes: watched.lanes.map(({ host, http, websocket }) => ({
      host,
      http: shift(http),
      websocket: shift(websocket),
    })),
    events: watched.events.map((event) => ({ ...event, at: event.at - zero })),
  };
}

export interface Conclusion {
  readonly cluster: string;
  readonly number: number;
  readonly standby: string;
  readonly seed?: string;
  readonly plan: DrillPlan;
  readonly recovery: Recovery;
  readonly healing: Healing;
}

/** The evidence of a completed drill. */
export function conclude(input: Conclusion): Evidence {
  const { plan, cluster, number, standby, seed } = input;
  const zero = input.recovery.faultAt ?? input.recovery.startedAt;
  const during = relative(input.recovery, zero);
  const after = relative(input.healing, zero);
  const all = joinWatched(during, after);
  const { recovered } = input.recovery;

  const first = (kind: DrillEvent['kind']) =>
    after.events.find((event) => event.kind === kind && event.at >= 0)?.at ?? null;
  const healedMs = first('healed');
  const laneOf = (lanes: readonly Lane[], host: string) => lanes.find((lane) => lane.host === host);
  const hosts = plan.hosts.map((host) => {
    const whole = laneOf(all.lanes, host);
    // A host that is down returns with the healing.
    const healed = !expectedHosts(plan).includes(host);
    return hostMeasure(
      host,
      healed ? whole : beforeHealing(laneOf(during.lanes, host), whole, recovered ? healedMs : null),
      whole,
    );
  });
  const last = (...kinds: readonly DrillEvent['kind'][]) =>
    during.events.findLast(({ kind, at }) => kinds.includes(kind) && at >= 0)?.at ?? null;
  const elected = during.events.find(
    ({ kind, at, subject = '', term = 0 }) =>
      kind === 'leader' && at >= 0 && isAnother(plan.before, subject, term),
  );
  const electedMs = elected?.at ?? null;
  const readyMs = last('serving');
  const expected = hosts.filter(({ host }) => expectedHosts(plan).includes(host));
  const own: Readonly<Record<DrillPlan['expects'], number | null>> = {
    'leader-moves': electedMs,
    'jupyter-back': null,
    'zookeeper-moves': last('zookeeper'),
    'master-moves': last('mesos-leader', 'agent'),
    'agent-back': last('agent'),
    'agent-unreachable': last('agent-lost'),
    'worker-moves': last('worker'),
  };
  const recoveredMs = recovered
    ? Math.max(0, readyMs ?? 0, own[plan.expects] ?? 0, ...expected.map(({ backMs }) => backMs ?? 0))
    : null;
  const mayFail =
    plan.mayFail === 'all'
      ? plan.hosts
      : plan.mayFail === 'target' && plan.struckHost !== undefined
        ? [plan.struckHost]
        : [];
  const measures = {
    electedMs,
    readyMs,
    hosts,
    recoveredMs,
    healedMs,
    wholeMs: first('whole'),
  };
  const outputs = plan.kernels ? outputsOf(plan.kernels, all.tallies ?? []) : [];
  const invariants = [...input.healing.invariants, ...outputs];
  const reasons = judge(plan, { recoveredMs, healedMs, hosts, mayFail }, after, invariants);
  return {
    version: 1,
    cluster,
    number,
    drill: plan.drill,
    target: plan.target,
    standby,
    ...(seed !== undefined && { seed }),
    startedAt: new Date(input.recovery.startedAt).toISOString(),
    faultAt: new Date(zero).toISOString(),
    budgetMs: plan.budgetMs,
    mayFail: [...mayFail],
    lanes: [...all.lanes],
    events: [...all.events],
    measures,
    invariants,
    verdict: { passed: reasons.length === 0, reasons },
  };
}

interface Measured {
  readonly recoveredMs: number | null;
  readonly healedMs: number | null;
  readonly hosts: readonly HostMeasure[];
  readonly mayFail: readonly string[];
}

/** Reasons why a drill has failed, each a sentence without its full stop; empty if it passed. */
function judge(
  plan: DrillPlan,
  { recoveredMs, healedMs, hosts, mayFail }: Measured,
  after: Pick<Healing, 'lanes'>,
  invariants: readonly Invariant[],
): string[] {
  const reasons: string[] = [];
  const over = formatDuration(plan.budgetMs);
  if (recoveredMs === null) {
    reasons.push(`no recovery within ${formatDuration(patienceMs(plan.budgetMs))}`);
  } else if (recoveredMs > plan.budgetMs) {
    reasons.push(`recovery took ${formatDuration(recoveredMs)}, over the budget of ${over}`);
  }
  for (const { host, failedRequests } of hosts) {
    if (failedRequests > 0 && !mayFail.includes(host)) {
      reasons.push(`${failedRequests} requests failed through ${host}, where none may fail`);
    }
  }
  for (const lane of after.lanes) {
    const late = lane.http.filter((span) => span.state === 'failed' && span.from >= (healedMs ?? -Infinity));
    const known = !mayFail.includes(lane.host) || !expectedHosts(plan).includes(lane.host);
    if (recoveredMs === null || known || late.length === 0) continue;
    const count = late.reduce((sum, { probes }) => sum + probes, 0);
    reasons.push(`${count} requests failed through ${lane.host} after the recovery`);
  }
  reasons.push(...invariants.filter(({ holds }) => holds === false).map(({ what }) => what));
  return reasons;
}

// --- invariants -------------------------------------------------------------------------------------------

/** One observation of the whole cluster. */
export interface InvariantsObservation {
  /** Nodes whose port 8888 answers. */
  readonly serving: readonly string[];
  /** By host with a proxy; null where there is none or it did not report. */
  readonly routes: Readonly<Record<string, { readonly generation: number; readonly node: string } | null>>;
  readonly etcd: {
    readonly leader?: string;
    readonly members: readonly { readonly node: string; readonly healthy: boolean }[];
  };
  /** By node: the number of its live tasks in Mesos; undefined when no master answers. */
  readonly tasks?: Readonly<Record<string, number>>;
  readonly mesos?: MesosObservation;
  /** Undefined when no master was suspended, or its host is unreachable. */
  readonly formerLeader?: FormerLeader;
  /** By node: the hosts with live processes of it; undefined when a host is unreachable. */
  readonly processes?: Readonly<Record<string, readonly string[]>>;
  /** Of a GlusterFS volume; empty when no host reports it, undefined without a volume. */
  readonly bricks?: readonly BrickObservation[];
  /** Undefined when unreadable. */
  readonly notebooks?: readonly NotebookFile[];
}

/** What must hold after every drill. */
export function invariantsOf(
  observation: InvariantsObservation,
  {
    drill,
    target,
    expects,
    before,
    notebooks,
    marker,
  }: Pick<DrillPlan, 'drill' | 'target' | 'expects' | 'before' | 'notebooks' | 'marker'>,
): Invariant[] {
  const { mesos, formerLeader } = observation;
  return [
    servingOf(observation),
    routesOf(observation),
    etcdOf(observation),
    mesosOf(mesos),
    nodesOf(observation),
    ...(isOfMesos(expects) ? [keptTasks(before.mesos, mesos)] : []),
    ...(drill === 'master-suspend' ? [followsOf(formerLeader, mesos, target)] : []),
    kept(observation, notebooks, marker),
    ...(observation.bricks === undefined ? [] : [storageOf(observation.bricks)]),
  ];
}

const held = (name: Invariant['name'], what: string): Invariant => ({ name, holds: true, what });
const broken = (name: Invariant['name'], what: string): Invariant => ({ name, holds: false, what });

function servingOf({ serving }: InvariantsObservation): Invariant {
  const [only] = serving;
  if (only === undefined) return broken('serving', 'no Jupyter is serving');
  return serving.length === 1
    ? held('serving', `one Jupyter is serving, on ${only}`)
    : broken('serving', `${serving.length} Jupyters are serving: ${serving.join(', ')}`);
}

function routesOf({ routes, serving }: InvariantsObservation): Invariant {
  const all = Object.entries(routes);
  const missing = all.filter(([, route]) => route === null).map(([host]) => host);
  if (missing.length > 0) return broken('routes', `the route is unknown on ${missing.join(', ')}`);
  const generations = new Set(all.map(([, route]) => route?.generation));
  if (generations.size !== 1) {
    const each = all.map(([host, route]) => `${host}: ${route?.generation}`).join(', ');
    return broken('routes', `the routes have different generations (${each})`);
  }
  const astray = all.filter(([, route]) => route?.node !== serving[0]);
  if (astray.length > 0) {
    const each = astray.map(([host, route]) => `${host} to ${route?.node}`).join(', ');
    return broken('routes', `not all routes lead to the serving Jupyter: ${each}`);
  }
  return held('routes', `all routes lead to ${serving[0]}, at generation ${[...generations].join()}`);
}

function etcdOf({ etcd: { leader, members } }: InvariantsObservation): Invariant {
  const ill = members.filter(({ healthy }) => !healthy).map(({ node }) => node);
  if (leader === undefined) return broken('etcd', 'no majority of etcd agrees on a leader');
  if (ill.length > 0) return broken('etcd', `etcd members are unhealthy: ${ill.join(', ')}`);
  return held('etcd', `etcd is healthy: ${members.length} members, ${leader} leads`);
}

function nodesOf({ tasks, processes }: InvariantsObservation): Invariant {
  if (!tasks) return broken('nodes', 'no Mesos master reports the tasks');
  if (!processes) return broken('nodes', 'the processes of a host cannot be observed');
  const odd = Object.entries(tasks).filter(([, count]) => count !== 1);
  if (odd.length > 0) {
    return broken('nodes', `tasks in Mesos: ${odd.map(([node, count]) => `${node} ${count}`).join(', ')}`);
  }
  const twice = Object.entries(processes).filter(([, hosts]) => hosts.length !== 1);
  if (twice.length > 0) {
    const each = twice.map(([node, hosts]) => `${node} on ${hosts.join(' and ') || 'no host'}`);
    return broken('nodes', `nodes that do not run exactly once: ${each.join(', ')}`);
  }
  return held('nodes', `each of ${Object.keys(processes).length} nodes runs once`);
}

/** All replicas are up and have healed what was written while one was down. */
function storageOf(bricks: readonly BrickObservation[]): Invariant {
  const lost = bricks.filter(({ online }) => !online).map(({ brick }) => brick);
  if (bricks.length === 0) return broken('storage', 'no host reports the GlusterFS volume');
  if (lost.length > 0) return broken('storage', `bricks that are down: ${lost.join(', ')}`);
  const ill = bricks.filter(({ pending }) => pending !== 0);
  if (ill.length > 0) {
    const each = ill.map(({ brick, pending }) => `${brick} ${pending ?? 'unknown'}`);
    return broken('storage', `files pending heal: ${each.join(', ')}`);
  }
  return held('storage', `all ${bricks.length} bricks are online, and no file is pending heal`);
}

/**
 * A notebook is lost when it is gone, became empty, or has other content without a newer time. One that a
 * user saved meanwhile is not lost; only the drill writes the marker.
 */
function kept(
  { notebooks: now }: InvariantsObservation,
  before: readonly NotebookFile[],
  marker: string,
): Invariant {
  if (!now) return broken('notebooks', 'the notebooks cannot be read');
  const lost = before.filter((old) => {
    const file = now.find(({ path }) => path === old.path);
    if (!file) return true;
    if (file.sha256 === old.sha256) return false;
    return old.path === marker || file.bytes === 0 || file.modified <= old.modified;
  });
  return lost.length > 0
    ? broken('notebooks', `lost notebooks: ${lost.map(({ path }) => path).join(', ')}`)
    : held('notebooks', `all ${before.length} files are present and intact`);
}
