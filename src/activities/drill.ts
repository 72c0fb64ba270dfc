import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { budgetOf, refusalOf } from '../drill/definition.js';
import { invariantsOf, missingRecovery, patienceMs } from '../drill/decide.js';
import { closeCounters, endCounters, observeKernels, startCounters } from '../drill/counters.js';
import { findDrill, kindOf, type Drill, type Fault } from '../drill/faults/index.js';
import type { FaultDeps } from '../drill/faults/kind.js';
import { fateOf, kernelsOf } from '../drill/kernels.js';
import { observeInvariants, whoServes, type ObservationDeps } from '../drill/observe.js';
import { observeMasters } from '../drill/observe-mesos.js';
import type { Invariant } from '../drill/evidence.js';
import type { DrillPlan, Healing, Recovery, Watched } from '../drill/model.js';
import { proxyAddress } from '../proxy/address.js';
import { readNotebooks, removeMarker, writeMarker } from '../drill/notebooks.js';
import { Probe, type WorkflowFacts } from '../drill/probe.js';
import type { Roles } from '../drill/roles.js';
import { checkSafe, chooseTarget, struckHostOf } from '../drill/target.js';
import { PerijoveError } from '../errors/error.js';
import { termIn } from '../etcd/term.js';
import { readSecrets } from '../hosts/secrets.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createAccess, keeperSecretNames } from '../keeper/access.js';
import { readMesosSecrets } from '../mesos/installation/secrets.js';
import { hostsWithRole, type ClusterSpec } from '../cluster/spec.js';
import { scope } from '../net/scope.js';
import { sshReach } from '../ssh/reach.js';
import { notAnswering } from '../temporal/answers.js';
import { frameworkState, workflowIds, type DrillInput } from '../temporal/contract.js';
import { decodePayload } from '../temporal/payload-codec.js';
import { askWithin } from '../temporal/running.js';
import { askRunning } from './asking.js';
import type { ActivityDeps } from './deps.js';
import { observeCluster } from '../status/observe.js';
import { FateWatch } from './drill-end.js';
import { until, type PollResult } from './poll.js';

export interface DrillStepInput {
  readonly spec: ClusterSpec;
  readonly plan: DrillPlan;
}

const askMs = 1_000;
const readyMs = 10_000;
/** How long the probe runs before the fault, so that the evidence shows the state before it. */
const calmMs = 1_000;
const tickMs = 100;
const storedEveryMs = 20;
const heartbeatMs = 1_000;
/** Minimum time to keep watching after healing, which may cause harm of its own. */
const aftermathMs = 2_000;
/** A lost node is launched again, and an agent registers again, in less time than this. */
const wholeMs = 240_000;
/** A cluster that looks healthy for this long while an invariant is violated will not recover. */
const brokenMs = 20_000;
/** The same for kernels: a killed one is started again, and a Jupyter that was killed takes up its own. */
const kernelsBrokenMs = 90_000;
/** Later than this the attempt may have been given up, and its fault healed elsewhere: it must not strike. */
const strikeMs = 15_000;

type DrillDeps = Pick<ActivityDeps, 'client' | 'pool' | 'lab'>;

export function createDrillActivities(drillDeps: DrillDeps) {
  return {
    /**
     * Checks whether the cluster can be drilled, decides on the fault and its target, saves a notebook that must
     * survive, and starts a kernel on each node, which ends with the drill. Changes nothing else.
     *
     * @throws PerijoveError DRILL_UNKNOWN, DRILL_UNHEALTHY, DRILL_NOT_POSSIBLE, DRILL_UNSAFE, UNKNOWN_TARGET,
     *   TEARDOWN_RUNNING, and WORKFLOW_NOT_ANSWERING while the framework or the keeper does not answer
     */
    prepareDrill: (input: DrillInput): Promise<DrillPlan> =>
      withCluster(drillDeps, input.spec, (deps) => prepare(drillDeps, deps, input)),

    /**
     * Probes, injects the planned fault, and continues probing until everything it took away has recovered,
     * or until a multiple of the budget has passed. Each heartbeat carries the observations, so another
     * worker can continue; the fault names the exact process, so repeating it does nothing.
     */
    injectFault: ({ spec, plan }: DrillStepInput): Promise<Recovery> => {
      const startedAt = Date.now();
      stepAside(plan.fault);
      return withCluster(drillDeps, spec, (deps) => injectAndWatch(drillDeps, deps, { plan, startedAt }));
    },

    /**
     * Undoes the fault, and probes until the cluster is healthy and all invariants hold, or until that can no
     * longer be expected. Safe also when nothing was injected, and when it is repeated. During a teardown it heals
     * without waiting for the invariants. It fails when the cluster has been torn down.
     *
     * @throws PerijoveError CLUSTER_TORN_DOWN
     */
    healFault: ({ spec, plan }: DrillStepInput): Promise<Healing> => healFault(drillDeps, spec, plan),
  };
}

export type DrillActivities = ReturnType<typeof createDrillActivities>;

async function prepare(
  drillDeps: DrillDeps,
  deps: ObservationDeps & FaultDeps,
  { spec, number, drill, budgetMs, waitMs = 0, ...chosen }: DrillInput,
): Promise<DrillPlan> {
  const definition = findDrill(drill);
  if (!definition) throw new PerijoveError('DRILL_UNKNOWN', `unknown drill: ${drill}`);
  const refusal = refusalOf(definition, spec, deps.lab !== undefined);
  if (refusal !== undefined) throw new PerijoveError('DRILL_NOT_POSSIBLE', `${drill}: ${refusal}`);
  if (await askRunning(drillDeps.client, workflowIds.teardown(spec.name))) {
    throw new PerijoveError('TEARDOWN_RUNNING', `${spec.name} is being taken down`, { subject: spec.name });
  }
  const roles = await until(() => rolesOf(drillDeps, deps), { everyMs: 1_000, deadlineMs: waitMs });
  const target = chooseTarget(definition, roles, spec, chosen);
  checkSafe(definition, roles, spec, target);
  const token = await jupyterToken(deps);
  let starting: ReturnType<typeof startCounters> | undefined;
  const kernels = () => (starting ??= startCounters(deps, { number, token, hostOf: roles.hostOf }));
  try {
    const fault = await definition.plan({ ...deps, kernels }, roles, target);
    const plan = await planOf(
      { ...deps, kernels },
      { definition, roles, target, fault, number, budgetMs, token },
    );
    // After this, the healing ends the kernels.
    Context.current().cancellationSignal.throwIfAborted();
    return plan;
  } catch (error) {
    if (starting) await endCounters(deps, token, (await starting).counters);
    throw error;
  }
}

interface Planned {
  readonly definition: Drill;
  readonly roles: Roles;
  readonly target: string;
  readonly fault: Fault;
  readonly number: number;
  readonly budgetMs: number | undefined;
  /** Jupyter's. */
  readonly token: string;
}

async function planOf(
  deps: ObservationDeps & FaultDeps & Required<Pick<FaultDeps, 'kernels'>>,
  { definition, roles, target, fault, number, budgetMs, token }: Planned,
): Promise<DrillPlan> {
  const { spec } = deps;
  const proxies = hostsWithRole(spec, 'proxy');
  const [first] = proxies;
  if (!first) throw new PerijoveError('DRILL_UNHEALTHY', 'no host has the role proxy');
  const marker = `perijove-drill-${number}.ipynb`;
  const proxy = await proxyAddress(spec, first, deps);
  await writeMarker(proxy, token, marker, `Written before drill ${number}.`);
  const notebooks = await readNotebooks(deps.pool, spec);
  if (!notebooks.some(({ path }) => path === marker)) {
    throw new PerijoveError('DRILL_UNHEALTHY', `${marker} was saved, but is missing on the storage`);
  }
  const { hostOf: _, ...before } = roles;
  const struckHost = struckHostOf(definition, roles, target);
  const downHost = kindOf(fault).downHost?.(fault);
  const { counters, without } = await deps.kernels();
  const strike = { definition, target, struckHost, downHost, spec };
  return {
    drill: definition.name,
    target,
    fault,
    expects: definition.expects,
    budgetMs: budgetMs ?? budgetOf(definition, spec),
    mayFail: definition.mayFail,
    before,
    hosts: proxies.map(({ name }) => name),
    ...(struckHost !== undefined && { struckHost }),
    ...(downHost !== undefined && { downHost }),
    notebooks,
    marker,
    kernels: { counters: counters.map((each) => ({ ...each, fate: fateOf(each, strike) })), without },
  };
}

async function injectAndWatch(
  drillDeps: DrillDeps,
  deps: ObservationDeps & FaultDeps,
  { plan, startedAt }: { readonly plan: DrillPlan; readonly startedAt: number },
): Promise<Recovery> {
  const { cancellationSignal: signal } = Context.current();
  const probe = await startProbe(drillDeps, deps, plan);
  try {
    if (probe.view().faultAt === undefined) {
      await probe.ready(readyMs);
      await delay(calmMs, undefined, { signal });
    }
    const what = kindOf(plan.fault).injected(plan.fault);
    probe.fault(what);
    await stored(drillDeps, probe.watched(), startedAt + strikeMs, ({ faultAt }) => faultAt !== undefined);
    probe.fault(what);
    await kindOf(plan.fault).inject(deps, plan.fault);
    const recovered = await watch(probe, plan, deps.spec, signal);
    return { ...probe.watched(), recovered };
  } finally {
    await probe.end({ keepKernel: !signal.aborted });
  }
}

async function healFault(drillDeps: DrillDeps, spec: ClusterSpec, plan: DrillPlan): Promise<Healing> {
  const cluster = new FateWatch(drillDeps.client, spec.name);
  const left = kindOf(plan.fault).injected(plan.fault);
  const gone = () =>
    new PerijoveError('CLUSTER_TORN_DOWN', `the cluster was torn down before this was healed: ${left}`);
  try {
    await cluster.begin();
    if (cluster.signal.aborted) throw gone();
    const { promise, ended } = abortOf(cluster.signal, gone);
    const healing = withCluster(drillDeps, spec, (deps) => healAndProve(drillDeps, deps, { plan, cluster }));
    return await Promise.race([healing, promise]).finally(ended);
  } finally {
    cluster.end();
  }
}

/** Rejects when the signal aborts. `ended` must be called. */
function abortOf(signal: AbortSignal, reason: () => Error) {
  let give: () => void = () => undefined;
  const promise = new Promise<never>((_, reject) => {
    give = () => reject(reason());
    signal.addEventListener('abort', give, { once: true });
  });
  return { promise, ended: () => signal.removeEventListener('abort', give) };
}

async function healAndProve(
  drillDeps: DrillDeps,
  deps: ObservationDeps & FaultDeps,
  { plan, cluster }: { readonly plan: DrillPlan; readonly cluster: FateWatch },
): Promise<Healing> {
  // Healing must not wait for what it heals.
  const starting = startProbe(drillDeps, deps, plan).catch(() => undefined);
  let probe = await Promise.race([starting, delay(askMs).then(() => undefined)]);
  try {
    await kindOf(plan.fault).heal(deps, plan.fault);
    probe ??= (await starting) ?? (await startProbe(drillDeps, deps, plan));
    probe.healed(kindOf(plan.fault).healed(plan.fault));
    const over = scope(Context.current().cancellationSignal, cluster.signal);
    const whole = await proveAndClose(drillDeps, deps, { probe, plan, cluster }, over.signal).finally(
      over.end,
    );
    const healing = { ...probe.watched(), invariants: whole };
    if (cluster.fate !== 'kept') return { ...healing, tornDown: true };
    if (whole.every(({ holds }) => holds !== false)) await removeMarker(deps.pool, deps.spec, plan.marker);
    return healing;
  } finally {
    await (probe ?? (await starting))?.end({ keepKernel: false });
  }
}

interface Proof {
  readonly probe: Probe;
  readonly plan: DrillPlan;
  readonly cluster: FateWatch;
}

/**
 * What must hold while the drill's kernels run, and then that they end with their sessions. They are ended in a teardown
 * too.
 */
async function proveAndClose(
  drillDeps: DrillDeps,
  deps: ObservationDeps,
  { probe, plan, cluster }: Proof,
  signal: AbortSignal,
): Promise<Healing['invariants']> {
  const token = await jupyterToken(deps);
  const invariants = await untilWhole(drillDeps, deps, { probe, plan, cluster, token }, signal);
  if (plan.kernels === undefined || plan.kernels.counters.length === 0) return invariants;
  probe.closing();
  if (cluster.fate !== 'kept') {
    await endCounters(deps, token, plan.kernels.counters);
    return invariants;
  }
  await stored(drillDeps, probe.watched(), Date.now() + wholeMs, ({ closing }) => closing === true);
  return [...invariants, await closeCounters(deps, token, plan.kernels, signal)];
}

/** Which worker runs what of a cluster's workflows, as far as Temporal responds in time. Never rejects. */
async function workflowFacts({ client }: Pick<DrillDeps, 'client'>, cluster: string): Promise<WorkflowFacts> {
  const ask = <T>(question: () => Promise<T>): Promise<T | undefined> =>
    askWithin(client, askMs, question).catch(() => undefined);
  const [framework, keeper] = await Promise.all([
    ask(() => client.workflow.getHandle(workflowIds.framework(cluster)).query(frameworkState)),
    ask(() => client.workflow.getHandle(workflowIds.keeper(cluster)).describe()),
  ]);
  const holder = keeper?.raw.pendingActivities?.find(({ lastWorkerIdentity }) => lastWorkerIdentity);
  return {
    ...(framework && { tasks: framework.tasks }),
    ...(framework?.scheduler !== undefined && { scheduler: framework.scheduler }),
    ...(holder?.lastWorkerIdentity && { keeper: holder.lastWorkerIdentity }),
  };
}

async function withCluster<T>(
  { pool, lab }: DrillDeps,
  spec: ClusterSpec,
  work: (deps: ObservationDeps & FaultDeps) => Promise<T>,
): Promise<T> {
  const reach = sshReach(pool, spec);
  const { credential } = await readMesosSecrets(pool, spec);
  const access = createAccess({
    spec,
    reach,
    secrets: () => readSecrets(pool, spec, keeperSecretNames),
    etcdAccess: () => readEtcdAccess(pool, spec),
    // These activities set no route.
    placement: async () => ({}),
  });
  try {
    return await work({
      spec,
      pool,
      reach,
      access,
      ...(credential && { credential }),
      ...(lab && { lab }),
    });
  } finally {
    access.close();
  }
}

async function jupyterToken({ pool, spec }: Pick<ObservationDeps, 'pool' | 'spec'>): Promise<string> {
  return (await readSecrets(pool, spec, ['jupyter-token']))['jupyter-token'];
}

async function startProbe(drillDeps: DrillDeps, deps: ObservationDeps, plan: DrillPlan): Promise<Probe> {
  const { spec } = deps;
  const earlier = Context.current().info.heartbeatDetails as Watched | undefined;
  const token = await jupyterToken(deps);
  const probe = new Probe({
    ...deps,
    plan,
    token,
    workflows: () => workflowFacts(drillDeps, spec.name),
    ...(earlier && { earlier }),
  });
  probe.start();
  return probe;
}

/**
 * Heartbeats the observations, and resolves when Temporal has stored what `has` asks for: if this worker dies, perhaps
 * from its own fault, its successor knows the state before the fault and the time of it.
 *
 * @throws PerijoveError STEP_TIMED_OUT
 */
async function stored(
  { client }: DrillDeps,
  watched: Watched,
  end: number,
  has: (watched: Watched) => boolean,
): Promise<void> {
  const { info, heartbeat, cancellationSignal: signal } = Context.current();
  const { workflowId, runId } = info.workflowExecution ?? {};
  if (workflowId === undefined) throw new Error('a drill is a workflow');
  const handle = client.workflow.getHandle(workflowId, runId);
  heartbeat(watched);
  for (;;) {
    signal.throwIfAborted();
    const described = await askWithin(client, askMs, () => handle.describe()).catch(() => undefined);
    if (Date.now() > end) throw new PerijoveError('STEP_TIMED_OUT', 'this worker started the step too late');
    const own = described?.raw.pendingActivities?.find(({ activityId }) => activityId === info.activityId);
    const [payload] = own?.heartbeatDetails?.payloads ?? [];
    const { loadedDataConverter } = client.options;
    const details = payload && (await decodePayload<Watched | undefined>(loadedDataConverter, payload));
    if (details && has(details)) return;
    await delay(storedEveryMs, undefined, { signal });
  }
}

async function untilWhole(
  { client, pool }: DrillDeps,
  deps: ObservationDeps,
  { probe, plan, cluster, token }: Proof & { readonly token: string },
  signal: AbortSignal,
): Promise<Healing['invariants']> {
  const healedAt = Date.now();
  let readySince: number | undefined;
  for (;;) {
    signal.throwIfAborted();
    Context.current().heartbeat(probe.watched());
    const { status } = await observeCluster({ client, pool }, deps.spec);
    const isReady = status.phase === 'ready';
    readySince = isReady ? (readySince ?? Date.now()) : undefined;
    const now = Date.now();
    // A teardown waits for the healing, not for a cluster that is whole again.
    const isLate = now - healedAt > wholeMs || cluster.fate === 'ending';
    const readyForMs = readySince === undefined ? 0 : now - readySince;
    if (isReady || isLate) {
      const [whole, kernels] = await Promise.all([
        observeInvariants(deps, plan).then((observation) => invariantsOf(observation, plan)),
        kernelInvariants(deps, { probe, plan, token }),
      ]);
      const invariants = [...whole, ...kernels];
      const holds = whole.every((each) => each.holds);
      if (isLate || readyForMs > (holds ? kernelsBrokenMs : brokenMs)) return invariants;
      if (holds && (probe.isClosing || !kernels.some((each) => isAwaited(plan, each)))) {
        probe.whole();
        const rest = healedAt + aftermathMs - Date.now();
        await delay(Math.max(0, rest), undefined, { signal });
        return invariants;
      }
    }
    await delay(heartbeatMs, undefined, { signal });
  }
}

async function kernelInvariants(
  deps: ObservationDeps,
  { probe, plan: { kernels }, token }: Pick<Proof, 'probe' | 'plan'> & { readonly token: string },
): Promise<readonly Invariant[]> {
  if (kernels === undefined) return [];
  if (probe.isClosing) {
    return [
      { name: 'kernels', holds: null, what: 'a worker died while it closed the sessions of the drill' },
    ];
  }
  return kernelsOf(kernels, await observeKernels(deps, token, kernels, probe.counting()));
}

/** Whether it may still come to hold, or to be known. */
function isAwaited({ kernels }: DrillPlan, { name, holds }: Invariant): boolean {
  if (holds !== null) return !holds;
  const { counters = [] } = kernels ?? {};
  return name === 'lists' ? counters.length > 0 : counters.some(({ fate }) => fate !== 'lost');
}

async function rolesOf(drillDeps: DrillDeps, deps: ObservationDeps): Promise<PollResult<Roles>> {
  const { spec } = deps;
  const unhealthy = (why: string) => ({
    not: new PerijoveError('DRILL_UNHEALTHY', `the cluster is not healthy: ${why}`),
  });
  const { status, reasons } = await observeCluster(drillDeps, spec);
  // What was not answered in time is not known to be unhealthy: the next attempt asks again.
  if (status.stale || Object.values(status.workflows).includes('unknown')) {
    throw notAnswering(`a workflow of ${spec.name}`, 'no answer in time', undefined);
  }
  if (status.phase !== 'ready') return unhealthy([status.phase, ...reasons].join('; '));
  const { leader, term, epoch = 0 } = status.etcd;
  const [[serving, ...more], { scheduler, keeper }, mesos] = await Promise.all([
    whoServes(deps),
    workflowFacts(drillDeps, spec.name),
    observeMasters(deps),
  ]);
  if (leader === null || term === null) return unhealthy('etcd has no leader');
  if (serving === undefined || more.length > 0) return unhealthy('not exactly one Jupyter is serving');
  const zookeeperLeader = status.zookeeper.members.find(({ mode }) => mode === 'leader')?.host;
  const hosts = status.framework.tasks.flatMap(({ node, host }) => (host === null ? [] : [[node, host]]));
  const roles: Roles = {
    leader,
    term: termIn(epoch, term),
    serving,
    mesos,
    hostOf: Object.fromEntries(hosts) as Record<string, string>,
    ...(zookeeperLeader !== undefined && { zookeeperLeader }),
    ...(scheduler !== undefined && { scheduler }),
    ...(keeper !== undefined && { keeper }),
  };
  return { done: roles };
}

/** A worker that will be killed cannot report the recovery: another one runs this step. */
function stepAside(fault: Fault): void {
  if (kindOf(fault).endsWorker?.(fault) !== `${process.pid}@${hostname()}`) return;
  throw ApplicationFailure.create({
    message: 'this worker is about to be killed; another worker continues',
    type: 'WORKER_SHUTDOWN',
    category: ApplicationFailureCategory.BENIGN,
    nextRetryDelay: '50ms',
  });
}

/** Whether it recovered in time. */
async function watch(
  probe: Probe,
  plan: DrillPlan,
  spec: ClusterSpec,
  signal: AbortSignal,
): Promise<boolean> {
  let reportedAt = 0;
  for (;;) {
    signal.throwIfAborted();
    const view = probe.view();
    const faultAt = view.faultAt ?? view.now;
    if (view.now - reportedAt >= heartbeatMs) {
      reportedAt = view.now;
      Context.current().heartbeat(probe.watched());
    }
    if (missingRecovery(plan, { ...view, faultAt }, spec.jupyter.follow) === undefined) return true;
    if (view.now - faultAt > patienceMs(plan.budgetMs)) return false;
    await delay(tickMs, undefined, { signal });
  }
}
