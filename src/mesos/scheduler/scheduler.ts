import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, PerijoveError } from '../../errors/error.js';
import { agentPatienceMs } from '../../cluster/spec.js';
import { pauseAfter, type BackOff } from '../../net/back-off.js';
import { pause } from '../../net/pause.js';
import { scope, type Scope } from '../../net/scope.js';
import type { MasterInfo } from '../masters/detector.js';
import { Fencing } from '../fencing/fencing.js';
import { findFramework, type FoundFramework } from './found.js';
import { frameworkInfo, isOurs } from './launch.js';
import { requireMaster, type Credential, type MasterAddress } from '../masters/http.js';
import { watchMesos } from '../masters/facts-watch.js';
import { recoveredState, type MasterState } from '../masters/operator-client.js';
import { Pulse, silentAfter } from './pulse.js';
import { subscribe, type Subscription } from './client.js';
import type { SchedulerDeps, StoredFramework } from './deps.js';
import { SchedulerSession } from './session.js';

const backOff: BackOff = { firstMs: 100, longestMs: 5_000 };
/** After a subscription that lasted this long, the next attempt needs no long pause. */
const goodSessionMs = 5_000;
/** A missing leading master is reported after this time. */
const quietMs = 10_000;

/**
 * Keeps the nodes of a cluster running on Mesos until the signal aborts. Retries after every failure that can
 * heal: no leading master, no ZooKeeper, a lost connection, a change of the leading master.
 *
 * With `handOver` it gives up its place instead when ZooKeeper, or the master that ZooKeeper names, does not
 * respond to this worker: another worker may reach them. It does not while ZooKeeper names no leader.
 *
 * A leader at an address that is no master's of the spec is reported, and neither dialled nor sent the credential; ZooKeeper is
 * read again until it names another one.
 *
 * When a master refuses the credential, it is read again, once, in case the masters were restarted with
 * another one. A refused credential is never sent to the same master twice.
 *
 * @throws PerijoveError SCHEDULER_REPLACED, SCHEDULER_CUT_OFF, MESOS_FRAMEWORK_REMOVED,
 * MESOS_CREDENTIAL_REFUSED, MESOS_REFUSED, MESOS_BAD_REQUEST, ZOOKEEPER_AUTH_FAILED; the reason of the signal
 */
export async function runScheduler(deps: SchedulerDeps, signal: AbortSignal): Promise<never> {
  const run = scope(signal);
  const leadership = new Leadership(deps.leaders, run.signal);
  try {
    return await keepScheduling(deps, leadership, signal);
  } finally {
    run.abort();
  }
}

async function keepScheduling(
  given: SchedulerDeps,
  leadership: Leadership,
  signal: AbortSignal,
): Promise<never> {
  let deps = given;
  const { store, logger, handOver } = deps;
  const fencing = new Fencing({
    afterMs: deps.spec.mesos.fenceAfterMs,
    agentMs: agentPatienceMs(deps.spec.mesos),
  });
  let failures = 0;
  let troubleSince = Date.now();
  let reported: string | undefined;
  let unanswered = 0;
  for (;;) {
    signal.throwIfAborted();
    let sessionSince: number | undefined;
    let pulse: Pulse | undefined;
    const session = scope(signal);
    try {
      const leader = await leadership.leader(backOff.longestMs);
      requireMaster(deps.spec, addressOf(leader));
      pulse = new Pulse(() => deps.dial(addressOf(leader)));
      pulse.unanswered = unanswered;
      if (!(await pulse.ask(signal))) throw silent(leader);
      const stored = await store.claim();
      sessionSince = Date.now();
      await runSession(deps, leadership, leader, stored, fencing, pulse, session);
    } catch (error) {
      signal.throwIfAborted();
      const renewed = await renewedAfter(error, deps);
      if (renewed !== undefined) {
        logger.info({ master: messageOf(error) }, 'the credential of Mesos has changed');
        deps = { ...deps, credential: renewed };
        continue;
      }
      if (!(error instanceof PerijoveError && canHeal(error))) throw error;
      if (sessionSince !== undefined && Date.now() - sessionSince >= goodSessionMs) {
        failures = 0;
        troubleSince = Date.now();
        reported = undefined;
      }
      logger.warn({ code: error.code, reason: error.message }, 'no session with a leading Mesos master');
      unanswered = pulse?.unanswered ?? (leadership.isBlind ? unanswered + silentAfter : 0);
      if (handOver !== undefined && unanswered >= handOver.afterUnanswered) {
        throw new PerijoveError('SCHEDULER_CUT_OFF', error.message, { cause: error });
      }
      if (Date.now() - troubleSince >= quietMs && reported !== error.code) {
        await store.claim();
        await store.storeMissing(error.message);
        reported = error.code;
      }
      failures += 1;
      await pause(pauseAfter(failures, backOff), signal);
    } finally {
      session.abort();
    }
  }
}

/**
 * A foreign address is reported and never dialled, and what names it may end: otherwise whoever writes a single znode
 * would end the scheduler for good.
 */
function canHeal(error: PerijoveError): boolean {
  return error.retryable || error.code === 'MESOS_ADDRESS_REFUSED';
}

/** A credential other than the refused one; undefined when there is none, or none was refused. */
async function renewedAfter(error: unknown, deps: SchedulerDeps): Promise<Credential | undefined> {
  if (!(error instanceof PerijoveError && error.code === 'MESOS_CREDENTIAL_REFUSED')) return undefined;
  const now = await deps.renewed?.();
  const isSame = now?.principal === deps.credential?.principal && now?.secret === deps.credential?.secret;
  return isSame ? undefined : now;
}

async function runSession(
  deps: SchedulerDeps,
  leadership: Leadership,
  leader: MasterInfo,
  stored: StoredFramework,
  fencing: Fencing,
  pulse: Pulse,
  session: Scope,
): Promise<void> {
  const { store, spec, logger, credential, handOver } = deps;
  const master = addressOf(leader);
  const found =
    stored.frameworkId === undefined ? await recoverFramework(deps, master, session.signal) : undefined;
  const frameworkId = stored.frameworkId ?? found?.frameworkId;
  const subscription = await subscribe({
    master,
    dial: deps.dial,
    framework: frameworkInfo(spec),
    ...(frameworkId === undefined ? {} : { frameworkId }),
    ...(credential === undefined ? {} : { credential }),
    signal: session.signal,
  });
  const stopWatching = leadership.onChange((next) => {
    if (next.id !== (subscription.masterId ?? leader.id)) {
      session.abort(new PerijoveError('MESOS_UNREACHABLE', 'another Mesos master is leading now'));
    }
  });
  void pulse.watch(() => session.abort(silent(leader)), session.signal);
  try {
    handOver?.subscribed();
    logger.info({ frameworkId: subscription.frameworkId, master: leader.pid }, 'subscribed to Mesos');
    if (stored.frameworkId === undefined) {
      await store.storeFrameworkId(subscription.frameworkId, found?.tasks ?? []);
    }
    // Load only now: this includes what an earlier scheduler stored until this subscription cut it off.
    const table = await store.load();
    const work = new SchedulerSession(deps, subscription, table, fencing);
    const listener = {
      agents: work.sees.bind(work),
      windows: work.schedules.bind(work),
    };
    void watchMesos(deps, subscription.master, table.mesos, listener, session.signal).catch(
      (error: unknown) => session.abort(error),
    );
    await work.run();
  } catch (error) {
    // A call that broke with the session says less than what ended the session.
    if (session.signal.aborted) throw session.signal.reason;
    throw error;
  } finally {
    stopWatching();
    session.abort();
    subscription.close();
  }
}

function addressOf(leader: MasterInfo): MasterAddress {
  return { host: leader.address.ip, port: leader.address.port };
}

function silent(leader: MasterInfo): PerijoveError {
  const { host, port } = addressOf(leader);
  return new PerijoveError('MESOS_UNREACHABLE', `the Mesos master at ${host}:${port} does not respond`);
}

async function recoverFramework(
  { spec, dial, credential, logger }: SchedulerDeps,
  master: MasterAddress,
  signal: AbortSignal,
): Promise<FoundFramework | undefined> {
  const state = await recoveredState(await dial(master), {
    ...(credential === undefined ? {} : { credential }),
    signal,
  });
  const found = findFramework(spec, state, new Date().toISOString());
  if (found === 'wait') throw waitsForAgents(state);
  if (found !== undefined) {
    logger.warn(
      { frameworkId: found.frameworkId },
      'adopted a framework that Mesos knows and the workflow had not stored',
    );
  }
  return found;
}

function waitsForAgents({ recoveredAgents }: MasterState): PerijoveError {
  return new PerijoveError(
    'MESOS_UNREACHABLE',
    `the Mesos master still waits for ${recoveredAgents} of its agents, which may run nodes of this cluster`,
  );
}

/**
 * Ends the framework and all its tasks. Also resolves when Mesos does not have the framework, or no longer.
 *
 * @throws PerijoveError MESOS_UNREACHABLE (also while the framework ID is unknown and the master waits for
 * agents that may report it), MESOS_CREDENTIAL_REFUSED, MESOS_REFUSED
 */
export async function teardownFramework(
  deps: Pick<SchedulerDeps, 'spec' | 'leaders' | 'dial' | 'credential' | 'logger'>,
  frameworkId: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const run = scope(signal);
  const leadership = new Leadership(deps.leaders, run.signal);
  try {
    const leader = await leadership.leader(backOff.longestMs);
    const master = addressOf(leader);
    const { credential } = deps;
    const state = await recoveredState(await deps.dial(master), {
      ...(credential === undefined ? {} : { credential }),
      signal,
    });
    if (frameworkId === undefined && state.recoveredAgents > 0) throw waitsForAgents(state);
    const ours = state.frameworks.filter((framework) => isOurs(deps.spec, framework)).map(({ id }) => id);
    const ids = new Set(frameworkId === undefined ? ours : [frameworkId, ...ours]);
    for (const id of ids) {
      if (!state.completedFrameworks.includes(id)) await teardownById(deps, master, id, signal);
    }
  } finally {
    run.abort();
  }
}

async function teardownById(
  { spec, dial, credential, logger }: Pick<SchedulerDeps, 'spec' | 'dial' | 'credential' | 'logger'>,
  master: MasterAddress,
  frameworkId: string,
  signal: AbortSignal,
): Promise<void> {
  let subscription: Subscription | undefined;
  try {
    subscription = await subscribe({
      master,
      dial,
      framework: frameworkInfo(spec),
      frameworkId,
      ...(credential === undefined ? {} : { credential }),
      signal,
    });
    await subscription.teardown();
    logger.info({ frameworkId }, 'tore down the framework');
  } catch (error) {
    if (!(error instanceof PerijoveError && error.code === 'MESOS_FRAMEWORK_REMOVED')) throw error;
  } finally {
    subscription?.close();
  }
}

/** The latest observation of who leads. */
class Leadership {
  #leader: MasterInfo | undefined;
  #blind: unknown;
  #listeners = new Set<(leader: MasterInfo) => void>();
  readonly #signal: AbortSignal;

  constructor(leaders: SchedulerDeps['leaders'], signal: AbortSignal) {
    this.#signal = signal;
    void this.#follow(leaders(signal));
  }

  /** ZooKeeper cannot be asked. */
  get isBlind(): boolean {
    return this.#blind !== undefined;
  }

  /**
   * Waits for a leader.
   *
   * @throws PerijoveError MESOS_UNREACHABLE when there is none within `ms`, or ZooKeeper cannot be asked;
   * ZOOKEEPER_AUTH_FAILED when it refuses access
   */
  async leader(ms: number): Promise<MasterInfo> {
    if (this.#leader !== undefined) return this.#leader;
    const wait = scope(this.#signal);
    const known = new Promise<MasterInfo>((resolve) => {
      const stop = this.onChange(resolve);
      wait.signal.addEventListener('abort', stop);
    });
    try {
      const late = delay(ms, undefined, { signal: wait.signal });
      const leader = await Promise.race([known, late.catch(() => undefined)]);
      this.#signal.throwIfAborted();
      if (leader !== undefined) return leader;
      const blind = this.#blind;
      if (blind instanceof PerijoveError && blind.code === 'ZOOKEEPER_AUTH_FAILED') throw blind;
      throw new PerijoveError(
        'MESOS_UNREACHABLE',
        this.#blind === undefined
          ? 'ZooKeeper has no leading Mesos master'
          : `the leading Mesos master cannot be read from ZooKeeper: ${messageOf(this.#blind)}`,
        { cause: this.#blind },
      );
    } finally {
      wait.abort();
    }
  }

  /** @returns a function that removes the listener */
  onChange(listener: (leader: MasterInfo) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #follow(news: ReturnType<SchedulerDeps['leaders']>): Promise<void> {
    try {
      for await (const each of news) {
        if (each.kind === 'blind') {
          this.#blind = each.error;
          continue;
        }
        this.#blind = undefined;
        this.#leader = each.leader;
        if (each.leader === undefined) continue;
        for (const listener of [...this.#listeners]) listener(each.leader);
      }
    } catch (error) {
      this.#blind = error;
    }
  }
}
