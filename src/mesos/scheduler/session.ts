import { messageOf, PerijoveError } from '../../errors/error.js';
import { notKnown, type Observation } from '../../hosts/observation.js';
import { hostOf } from '../../cluster/host-of.js';
import { hostsWithRole, nodeNames } from '../../cluster/spec.js';
import { mayBeLost, settleFences } from '../fencing/fences.js';
import type { Fencing, FenceQuestion, TaskObservation } from '../fencing/fencing.js';
import { observeTask } from '../fencing/observe.js';
import { Inbox } from '../../net/inbox.js';
import { launchesOf, taskInfo } from './launch.js';
import { mostPerHost, place, type HostOffer, type Placement } from './placement.js';
import { mayHoldNodes, nodesOn } from './cordons.js';
import { changesAt, maintenanceNotes, maintenanceOf, type MaintenanceWindow } from './maintenance.js';
import { Kills } from './kills.js';
import { MissingReport, quietMs } from './missing.js';
import { Offers } from './offers.js';
import { Strangers } from './strangers.js';
import { WaitingTimes } from './waiting.js';
import { Reconciliation } from './reconcile.js';
import { errorOfEvent, type Subscription } from './client.js';
import { Leaving } from './leaving.js';
import type { SchedulerDeps, StoredFramework } from './deps.js';
import {
  applyUpdates,
  kindOf,
  offersWanted,
  planTasks,
  type NodeNeed,
  type NodeTask,
  type Roll,
  type TaskPlan,
  type TaskPlanInput,
  type TaskUpdate,
} from './tasks.js';
import type { InverseOffer, SchedulerEvent, TaskStatus } from './types.js';

const healthAgainMs = 2_000;
/** While a task may be lost, an operator's word about its host is looked for this often. */
const wordAgainMs = 2_000;
/**
 * No task is launched this soon after the subscription, so that Mesos can first tell of tasks that no table has
 * (it does not say when it has told them all). A framework that launched nothing yet need not wait.
 */
const listenFirstMs = 500;
/** Of a task whose agent has not come to the master that leads now. */
const unheard = 'the leading Mesos master has not heard from its agent';
const mebibyte = 2 ** 20;
/** A request to leave an agent that still has nodes is asked again after this time. */
const inverseAgainSeconds = 5;

/**
 * One subscription, from its first event to its end: takes in what Mesos says, stores it, acknowledges it, and
 * acts on it. Events are handled one batch after the other, and so are the effects: an intent is stored before
 * the ACCEPT that carries it, a state before its acknowledgement.
 */
export class SchedulerSession {
  readonly #deps: SchedulerDeps;
  readonly #subscription: Subscription;
  readonly #fencing: Fencing;
  /** Undefined: a question of the fencing was answered, or an agent came or went. */
  readonly #inbox = new Inbox<SchedulerEvent | undefined>();
  readonly #reconciliation = new Reconciliation(Date.now());
  readonly #nodes: readonly string[];
  readonly #agentHosts: readonly string[];
  readonly #launchFrom: number;
  #table: StoredFramework;
  readonly #offers: Offers;
  readonly #kills: Kills;
  readonly #missing: MissingReport;
  readonly #waiting = new WaitingTimes();
  readonly #strangers = new Strangers();
  #healthAskedAt = 0;
  readonly #leaving: Leaving;
  #loadedAt = Date.now();
  /** Hosts whose agents the master has. */
  #here: Observation<ReadonlySet<string>> = notKnown('not observed yet');
  #windows: readonly MaintenanceWindow[] = [];
  /** @param fencing what earlier subscriptions of this scheduler have found */
  constructor(deps: SchedulerDeps, subscription: Subscription, table: StoredFramework, fencing: Fencing) {
    this.#deps = deps;
    this.#fencing = fencing;
    fencing.subscribed(Date.now());
    this.#subscription = subscription;
    this.#table = table;
    this.#launchFrom = Date.now() + (table.launches === 0 ? 0 : listenFirstMs);
    this.#offers = new Offers(deps.spec, subscription);
    this.#kills = new Kills(subscription, deps.logger);
    this.#missing = new MissingReport(deps.store, table.missing);
    this.#nodes = nodeNames(deps.spec);
    this.#agentHosts = hostsWithRole(deps.spec, 'agent').map(({ name }) => name);
    this.#leaving = new Leaving(deps, () => this.#inbox.put(undefined));
  }

  /** The hosts whose agents the master has now. */
  sees(here: Observation<ReadonlySet<string>>): void {
    this.#here = here;
    this.#inbox.put(undefined);
  }

  /** The schedule of maintenance that the master has now. */
  schedules(windows: readonly MaintenanceWindow[]): void {
    this.#windows = windows;
    this.#inbox.put(undefined);
  }

  /** Ends only by throwing: what ended the subscription, or what the store threw. */
  async run(): Promise<never> {
    void this.#receive();
    let wakeAt = Date.now();
    for (;;) {
      await this.#takeIn(await this.#inbox.take(wakeAt - Date.now()));
      wakeAt = await this.#act();
    }
  }

  /** Reads on while the loop is busy: the master's heartbeats must be heard. */
  async #receive(): Promise<void> {
    try {
      for await (const event of this.#subscription.events) this.#inbox.put(event);
    } catch (error) {
      this.#inbox.fail(error);
    }
  }

  async #takeIn(events: readonly (SchedulerEvent | undefined)[]): Promise<void> {
    const statuses: TaskStatus[] = [];
    const inverse: InverseOffer[] = [];
    for (const event of events) {
      switch (event?.kind) {
        case 'offers':
          this.#offers.add(event.offers);
          break;
        case 'rescind':
          this.#offers.remove([event.offerId]);
          break;
        case 'update':
          statuses.push(event.status);
          break;
        case 'inverse-offers':
          inverse.push(...event.offers);
          break;
        case 'error':
          throw errorOfEvent(event.message, this.#subscription.master);
        case 'subscribed':
        case 'heartbeat':
        case 'other':
        case undefined:
          break;
      }
    }
    if (statuses.length > 0) await this.#takeStatuses(statuses);
    await this.#answer(inverse);
  }

  /** Declined where the other hosts may not hold all nodes; the operator reads that in Mesos' status. */
  async #answer(offers: readonly InverseOffer[]): Promise<void> {
    if (offers.length === 0) return;
    const ids = offers.map(({ id }) => id);
    const leaving = new Set(
      Object.values(this.#table.tasks)
        .filter(({ agentId }) => offers.some((offer) => (offer.agentId ?? agentId) === agentId))
        .map(({ host }) => host),
    );
    const agentHosts = this.#openHosts.filter((host) => !leaving.has(host));
    const { allowMajorityOnOneHost } = this.#deps.spec.nodes;
    const nodeCount = this.#nodes.length;
    const most = mostPerHost({ nodeCount, agentHosts, allowMajorityOnOneHost });
    if (most * agentHosts.length >= nodeCount) await this.#subscription.acceptInverse(ids);
    else await this.#subscription.declineInverse(ids, inverseAgainSeconds);
  }

  async #takeStatuses(statuses: readonly TaskStatus[]): Promise<void> {
    const now = Date.now();
    const at = new Date(now).toISOString();
    const news: TaskUpdate[] = [];
    let table = this.#table;
    for (const status of statuses) {
      const { taskId, state, message = status.reason } = status;
      const update = { taskId, state, ...(message === undefined ? {} : { message }) };
      const next = applyUpdates(table, [update], at);
      if (next !== table) news.push(update);
      table = next;
      this.#strangers.heard(status, this.#table);
      this.#reconciliation.heard(taskId, state, now);
      this.#fencing.heard(taskId, state);
      this.#deps.logger.info({ taskId, state, reason: status.reason, text: message }, 'task status');
    }
    if (news.length > 0) await this.#deps.store.storeTaskUpdates(news);
    this.#table = settleFences(table);
    for (const { taskId, agentId, uuid } of statuses) {
      if (uuid === undefined || agentId === undefined) continue;
      await this.#subscription.acknowledge(taskId, agentId, uuid);
    }
  }

  /** @returns when to act again though nothing happens */
  async #act(): Promise<number> {
    const now = Date.now();
    await this.#reconcile(now);
    const wakes = [await this.#fence(now), this.#reconciliation.wakeAt, changesAt(this.#windows, now)];
    const plan = planTasks({
      nodes: this.#nodes,
      tasks: this.#table.tasks,
      ...(this.#table.homes && { homes: this.#table.homes }),
      strangers: this.#strangers.all,
      configOf: this.#deps.configOf,
      mayHold: (host) => this.#mayHold(host),
      ...this.#spread,
      noteOf: (task) => this.#fencing.note(task),
      now,
    });
    if (plan.wakeAt !== undefined) wakes.push(plan.wakeAt);
    for (const kill of plan.kill) wakes.push(await this.#kills.send(kill, now));
    if (plan.roll !== undefined) wakes.push(await this.#roll(plan.roll, now));
    const { notes, wakeAt } = await this.#useOffers(plan, now);
    const leaving = this.#leaving.note(plan.roll?.taskId);
    const why = maintenanceNotes(this.#maintenance(now), (host) => nodesOn(this.#table, host));
    wakes.push(wakeAt, await this.#missing.report([...why, ...plan.notes, ...leaving, ...notes], now));
    return Math.min(...wakes);
  }

  /** A node is moved only to a host that is there; while that is not known, none is. */
  get #spread(): Pick<TaskPlanInput, 'spread'> {
    const here = this.#here;
    if (!here.known) return {};
    const agentHosts = this.#openHosts;
    const most = mostPerHost({
      nodeCount: this.#nodes.length,
      agentHosts,
      allowMajorityOnOneHost: this.#deps.spec.nodes.allowMajorityOnOneHost,
    });
    return { spread: { most, hosts: agentHosts.filter((host) => here.value.has(host)) } };
  }

  #maintenance(now = Date.now()) {
    return maintenanceOf(this.#deps.spec, this.#windows, now);
  }

  #mayHold(host: string): boolean {
    return mayHoldNodes(this.#deps.spec, this.#table, host) && this.#maintenance()[host] === undefined;
  }

  get #openHosts(): string[] {
    return this.#agentHosts.filter((host) => this.#mayHold(host));
  }

  async #reconcile(now: number): Promise<void> {
    const { explicit, implicit } = this.#reconciliation.due(this.#table.tasks, now);
    if (explicit.length > 0) await this.#subscription.reconcile(explicit);
    if (implicit) await this.#subscription.reconcile([]);
  }

  /** Gives up what is known to be over; asks about the rest beside the loop. @returns when to act again */
  async #fence(now: number): Promise<number> {
    await this.#miss(this.#fencing.missing(this.#table, now), now);
    const waits = Object.values(this.#table.tasks).some(mayBeLost);
    if (waits && now - this.#loadedAt >= wordAgainMs) {
      this.#table = await this.#deps.store.load();
      this.#loadedAt = now;
    }
    for (const question of this.#fencing.due(this.#table, now)) void this.#ask(question);
    const outcomes = this.#fencing.outcomes(this.#table, now);
    if (outcomes.length > 0) {
      for (const outcome of outcomes) this.#deps.logger.warn(outcome, 'fenced a task');
      this.#table = await this.#deps.store.storeFencing(outcomes);
    }
    return Math.min(waits ? this.#loadedAt + wordAgainMs : Infinity, this.#fencing.wakeAt(this.#table));
  }

  /** Calls tasks unreachable of which nothing is heard. Mesos is asked for them as before. */
  async #miss(tasks: readonly NodeTask[], now: number): Promise<void> {
    if (tasks.length === 0) return;
    const updates = tasks.map(
      ({ taskId }) => ({ taskId, state: 'TASK_UNREACHABLE', message: unheard }) as const,
    );
    for (const { taskId, state, message } of updates) {
      this.#deps.logger.warn({ taskId }, message);
      this.#fencing.heard(taskId, state);
    }
    await this.#deps.store.storeTaskUpdates(updates);
    this.#table = applyUpdates(this.#table, updates, new Date(now).toISOString());
  }

  async #ask(question: FenceQuestion): Promise<void> {
    const { taskId } = question;
    let answer: TaskObservation;
    try {
      answer = await observeTask(this.#deps, question);
    } catch (error) {
      answer = { kind: 'unclear', why: messageOf(error) };
    }
    this.#deps.logger.debug({ taskId, answer }, 'checked a task that may be lost');
    this.#fencing.answered(taskId, answer, Date.now());
    this.#inbox.put(undefined);
  }

  /** @returns when to look again */
  async #roll(roll: Roll, now: number): Promise<number> {
    if (this.#kills.wasSent(roll.taskId)) return await this.#kills.send(roll, now);
    // The next offers ring the bell.
    if (roll.moves && this.#placeOf(roll).accepts.length === 0) return Infinity;
    if (!roll.leaves) {
      const again = await this.#othersHealthyFrom(roll.node, now);
      if (again > now) return again;
    }
    const step = this.#leaving.next(roll, now);
    switch (step.kind) {
      case 'kill':
        return await this.#kills.send(roll, now);
      case 'store':
        this.#table = await this.#deps.store.storeRetiring(roll.taskId);
        this.#leaving.retire(roll);
        return Infinity;
      case 'wait':
        return step.until;
    }
  }

  /** @returns `now` when all nodes but this one are healthy, else when to look again */
  async #othersHealthyFrom(node: string, now: number): Promise<number> {
    if (now - this.#healthAskedAt < healthAgainMs) return this.#healthAskedAt + healthAgainMs;
    const others = this.#nodes.filter((other) => other !== node);
    const healthy = await Promise.all(others.map((other) => this.#deps.healthy(other)));
    if (healthy.every((each) => each.known && each.value)) return now;
    this.#healthAskedAt = Date.now();
    return this.#healthAskedAt + healthAgainMs;
  }

  async #useOffers(plan: TaskPlan, now: number): Promise<{ notes: readonly string[]; wakeAt: number }> {
    const needs = this.#waiting.apply(
      plan.launch.map((need) => this.#withoutDeadHost(need)),
      now,
    );
    if (!offersWanted(plan)) {
      await this.#offers.wantNone();
      return { notes: [], wakeAt: Infinity };
    }
    await this.#offers.want();
    if (now < this.#launchFrom) return { notes: [], wakeAt: this.#launchFrom };
    if (needs.length === 0 && plan.roll?.moves === true) return await this.#keepPlaceFor(plan.roll);
    const placement = this.#place(needs, now);
    if (placement.accepts.length > 0) await this.#launch(placement.accepts, now);
    await this.#offers.declineForNow(placement.declines);
    const longest = Math.max(0, ...needs.map(({ waitedMs }) => waitedMs));
    return longest >= quietMs || placement.notes.length === 0
      ? { notes: placement.notes, wakeAt: Infinity }
      : { notes: [], wakeAt: now + quietMs - longest };
  }

  #place(needs: readonly NodeNeed[], now: number): Placement {
    const ofOpenHost = ({ host, ...offer }: HostOffer): HostOffer => ({
      ...offer,
      host: host !== undefined && this.#mayHold(host) ? host : undefined,
    });
    return place({
      needs,
      occupied: this.#occupied(),
      offers: this.#offers.standing.map(ofOpenHost),
      declined: this.#offers.declinedLately(now).map(ofOpenHost),
      agentHosts: this.#openHosts,
      nodeCount: this.#nodes.length,
      cpus: this.#deps.spec.nodes.cpus,
      memoryMebibytes: Math.ceil(this.#deps.spec.nodes.memoryBytes / mebibyte),
      allowMajorityOnOneHost: this.#deps.spec.nodes.allowMajorityOnOneHost,
    });
  }

  /** Where a node that must move off its host would go with the standing offers. */
  #placeOf({ node }: Roll): Placement {
    return this.#place([{ node, waitedMs: Infinity }], Date.now());
  }

  /** The offers stand until the node has moved; those that are too small for it may come again. */
  async #keepPlaceFor(roll: Roll): Promise<{ notes: readonly string[]; wakeAt: number }> {
    const { accepts, notes } = this.#placeOf(roll);
    if (accepts.length > 0) return { notes: [], wakeAt: Infinity };
    await this.#offers.declineForNow(this.#offers.standing.map(({ id }) => id));
    return { notes, wakeAt: Infinity };
  }

  /** No offer of a host that was taken for dead is worth waiting for. */
  #withoutDeadHost({ node, previousHost, waitedMs }: NodeNeed): NodeNeed {
    const isDead = this.#table.presumed?.some((task) => task.node === node && task.host === previousHost);
    return { node, ...(previousHost === undefined || isDead ? {} : { previousHost }), waitedMs };
  }

  /** Nodes by host: those that run there, and those that may. */
  #occupied(): Record<string, number> {
    const occupied: Record<string, number> = {};
    for (const { host, state } of Object.values(this.#table.tasks)) {
      if (kindOf(state) !== 'terminal') occupied[host] = (occupied[host] ?? 0) + 1;
    }
    return occupied;
  }

  async #launch(accepts: Placement['accepts'], now: number): Promise<void> {
    const { spec, store, command, logger } = this.#deps;
    const launches = launchesOf(accepts, this.#table.launches + 1, this.#deps.configOf);
    try {
      this.#table = await store.storeIntents(
        launches.flatMap(({ nodes }) => nodes.map(({ intent }) => intent)),
      );
    } catch (error) {
      if (!(error instanceof PerijoveError && error.code === 'INTENT_REJECTED')) throw error;
      logger.warn({ reason: error.message }, 'the stored tasks differ from those of this scheduler');
      this.#table = await store.load();
      return;
    }
    for (const { offerIds, nodes } of launches) {
      const tasks = nodes.map(({ intent, placed }) => {
        const host = hostOf(spec, placed.host);
        const { etcdFormed, etcdEpoch } = this.#table;
        const { taskId } = intent;
        const nodeCommand = command(placed.node, placed.host, {
          etcdFormed,
          ...(etcdEpoch !== undefined && { etcdEpoch }),
          taskId,
        });
        return taskInfo(spec, intent, host, nodeCommand, placed.resources);
      });
      await this.#subscription.accept(offerIds, tasks);
      this.#offers.remove(offerIds);
      for (const { intent } of nodes) {
        this.#reconciliation.launched(intent.taskId, now);
        this.#fencing.heard(intent.taskId, 'INTENDED');
        this.#waiting.launched(intent.node);
        logger.info({ taskId: intent.taskId, host: intent.host }, 'launching a task');
      }
    }
  }
}
