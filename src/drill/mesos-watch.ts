import { leaderOf } from '../mesos/masters/agreement.js';
import { namedLeader } from '../mesos/masters/named-leaders.js';
import { hostsWithRole } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { View } from './decide.js';
import type { DrillEvent } from './evidence.js';
import { every } from './every.js';
import {
  mesosEvents,
  servingLeader,
  withVanishing,
  type MesosObservation,
  type MesosState,
} from './mesos.js';
import { askMs, observeFormerLeader, stateOf, type MesosObservationDeps } from './observe-mesos.js';
import type { DrillPlan, Watched } from './model.js';

export interface MesosWatchOptions extends MesosObservationDeps {
  readonly pool: SshPool;
  readonly plan: DrillPlan;
  /** Observations of an earlier worker that died. */
  readonly earlier?: Watched;
  /** Whether the fault has been healed. */
  readonly healed: () => boolean;
  readonly report: (event: DrillEvent) => void;
}

const pollEveryMs = 300;
const silentAfter = 2;

/** Polls every Mesos master for its leader, and the leading one for agents and tasks, and reports changes. */
export class MesosWatch {
  /** Last reported observation; absent before the first complete one, which is not reported. */
  #reported: MesosObservation | undefined;
  #leader: string | undefined;
  /** The leader named by each master; complete when it has an entry for every master. */
  readonly #named = new Map<string, string | null | undefined>();
  #state: { readonly by: string; readonly state: MesosState } | undefined;
  #silences = 0;
  #since: number | undefined;
  #wordsReported = false;

  constructor(private readonly options: MesosWatchOptions) {
    const { plan, earlier } = options;
    // Report what happened while no worker was watching.
    this.#reported = earlier && plan.before.mesos;
    const last = earlier?.events.findLast(
      ({ kind }) => kind === 'mesos-leader' || kind === 'mesos-no-leader',
    );
    this.#leader = last ? last.subject : this.#reported && servingLeader(this.#reported);
    const reported = loggedBy(plan.target);
    this.#wordsReported =
      earlier?.events.some(({ kind, what }) => kind === 'master' && what.startsWith(reported)) ?? false;
  }

  run(signal: AbortSignal): Promise<void>[] {
    const masters = hostsWithRole(this.options.spec, 'master');
    return [
      ...masters.map((host) =>
        every(signal, pollEveryMs, async () => {
          this.#named.set(host.name, await namedLeader(this.options, host, askMs));
          if (this.#named.size === masters.length) this.#report();
        }),
      ),
      every(signal, pollEveryMs, async () => {
        const leader = leaderOf(this.#observation().masters);
        const state = await stateOf(this.options, leader);
        this.#silences = state ? 0 : this.#silences + 1;
        // On a busy machine, one late answer is not an event.
        if (!state && this.#silences < silentAfter) return;
        this.#state = state && leader !== undefined ? { by: leader, state } : undefined;
        if (this.#named.size === masters.length) this.#report();
      }),
      every(signal, pollEveryMs, () => this.#listen()),
    ];
  }

  view(): Pick<View, 'mesos' | 'mesosSince'> {
    return { mesos: this.#observation(), ...(this.#since !== undefined && { mesosSince: this.#since }) };
  }

  #observation(): MesosObservation {
    const named = [...this.#named].flatMap(([host, leader]) =>
      leader === undefined ? [] : [[host, leader] as const],
    );
    const masters = Object.fromEntries(named);
    const isOfLeader = this.#state !== undefined && this.#state.by === leaderOf(masters);
    return { masters, ...(isOfLeader && this.#state && { state: this.#state.state }) };
  }

  #report(): void {
    const now = this.#observation();
    const isWhole = now.state !== undefined || leaderOf(now.masters) === undefined;
    if (!this.#reported && !isWhole) return;
    const before = this.#reported ?? now;
    const events = this.#reported ? mesosEvents(before, now, this.#leader) : [];
    for (const event of events) this.#emit(event);
    this.#leader = servingLeader(now);
    // A missing answer says nothing about agents.
    const state = now.state ? withVanishing(before.state, now.state) : before.state;
    this.#reported = { masters: now.masters, ...(state && { state }) };
  }

  #emit(event: Omit<DrillEvent, 'at'>): void {
    this.#since = Date.now();
    this.options.report({ at: this.#since, ...event });
  }

  /** Reads the log of a suspended master that has resumed. */
  async #listen(): Promise<void> {
    const { plan, healed } = this.options;
    if (this.#wordsReported || !healed()) return;
    const former = await observeFormerLeader(this.options, plan.fault);
    if (former?.words === undefined) return;
    this.#wordsReported = true;
    const { target } = plan;
    this.#emit({
      kind: 'master',
      subject: target,
      what: `${loggedBy(target)} "${former.words}"`,
    });
  }
}

function loggedBy(target: string): string {
  return `the old master on ${target} logged`;
}
