import { patched, setCurrentDetails, upsertMemo } from '@temporalio/workflow';
import type { ClusterIdentity } from '../cluster/identity.js';
import type { HostSpec } from '../cluster/spec.js';
import { compact, remember, withoutHistory } from '../mesos/scheduler/framework-events.js';
import {
  memoKeys,
  type FrameworkInput,
  type FrameworkState,
  type StopFrameworkResult,
} from '../temporal/contract.js';
import { isHistoryLong } from './history.js';
import { publishIdentity } from './identity.js';
import { details, firstMemory, sameJson, withoutPlan, type FrameworkMemory } from './framework-state.js';

/** One run of the framework workflow: its memory, and whether it should end. */
export class FrameworkRun {
  #memory: FrameworkMemory;
  #published: FrameworkState | undefined;
  #publishedHosts: readonly HostSpec[] | undefined;
  /** The run must tear down the framework; `result` is set once it has. */
  readonly end: { wanted: boolean; result?: StopFrameworkResult } = { wanted: false };
  /**
   * The history is so long that a new run should continue. Set when an update is accepted, never in a
   * condition: conditions are also evaluated at a rejected update, which leaves no event to repeat that in a
   * replay.
   */
  grown = false;
  /** A new run was asked for. */
  renewing = false;

  constructor(input: FrameworkInput) {
    this.#memory = firstMemory(input);
    publishIdentity(input.identity);
  }

  get memory(): FrameworkMemory {
    return this.#memory;
  }

  get state(): FrameworkState {
    return this.#memory.state;
  }

  /** Changes the state, and publishes it. Its return value goes into the history of this workflow. */
  become(state: FrameworkState): FrameworkState {
    if (state !== this.state) {
      this.#memory = { ...this.#memory, state: remember(this.state, state, now()) };
      this.publish();
    }
    return withoutPlan(withoutHistory(this.state));
  }

  /** Applies a memory with another spec, and publishes it. */
  configure(memory: FrameworkMemory): void {
    this.#memory = { ...memory, state: remember(this.state, memory.state, now()) };
    this.publish();
    this.publishHosts();
  }

  /** Keeps the identity of the cluster, and publishes it if it is another than before. */
  identify(identity: ClusterIdentity | undefined): void {
    if (identity === undefined || sameJson(identity, this.#memory.identity)) return;
    this.#memory = { ...this.#memory, identity };
    publishIdentity(identity);
  }

  /** Moves to a state with which the scheduler must be restarted. */
  restartWith(state: FrameworkState): void {
    // The workflow restarts the scheduler for another spec object, even an equal one.
    this.configure({ ...this.#memory, spec: { ...this.#memory.spec }, state });
  }

  /** Counts another start of the scheduler. @returns its number */
  countScheduler(): number {
    this.#memory = { ...this.#memory, run: this.#memory.run + 1 };
    return this.#memory.run;
  }

  publish(): void {
    setCurrentDetails(details(this.#memory));
    const memo = withoutPlan(compact(this.state));
    if (this.#published !== undefined && sameJson(this.#published, memo)) return;
    this.#published = memo;
    upsertMemo({ [memoKeys.state]: memo });
  }

  /** A later deployment, by a spec that lacks some of the hosts, needs to reach them. */
  publishHosts(): void {
    const { hosts } = this.#memory.spec;
    if (sameJson(this.#publishedHosts, hosts) || !patched('publish-hosts')) return;
    this.#publishedHosts = hosts;
    upsertMemo({ [memoKeys.hosts]: hosts });
  }

  noteHistoryLength(): void {
    this.grown = this.renewing || isHistoryLong();
  }

  renew(): void {
    this.renewing = true;
    this.grown = true;
  }
}

/** The workflow's time, in ISO 8601. */
export function now(): string {
  return new Date().toISOString();
}
