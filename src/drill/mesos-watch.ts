import { leaderOf } from '../mesos/masters/agreement.js';
import { namedLeader } from '../mesos/masters/named-leaders.js';
import { hostsWithRole } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { View } from './decide.js';
import type { DrillEvent } from './evidence.js';
import { every } from './every.js';
import { mesosEvents, servingLeader, type MesosObservation, type MesosState } from './mesos.js';
import { askMs, observeFormerLeader, stateOf, type MesosObservationDeps } from './observe-mesos.js';
import type { DrillPlan, Watched } from './model.js';

export interface MesosWatchOptions extends MesosObservationDeps {
  readonly pool: SshPool;
  readonly plan: DrillPlan;
  /** What a worker that died had seen before. */
  readonly earlier?: Watched;
  /** Whether the fault is undone. */
  readonly healed: () => boolean;
  readonly say: (event: DrillEvent) => void;
}

const lookEveryMs = 300;
const silentAfter = 2;

/** Asks every Mesos master whom it follows, and the leading one for agents and tasks, and tells what happens. */
export class MesosWatch {
  /** What was told of last; absent before the first whole look, which is no news. */
  #told: MesosObservation | undefined;
  #leader: string | undefined;
  /** Whom each master names now; all have been asked when it has as many entries as there are masters. */
  readonly #named = new Map<string, string | null | undefined>();
  #state: { readonly by: string; readonly state: MesosState } | undefined;
  #silences = 0;
  #since: number | undefined;
  #words = false;

  constructor(private readonly options: MesosWatchOptions) {
    const { plan, earlier } = options;
    // What happened while nobody looked is news.
    this.#told = earlier && plan.before.mesos;
    const last = earlier?.events.findLast(
      ({ kind }) => kind === 'mesos-leader' || kind === 'mesos-no-leader',
    );
    this.#leader = last ? last.subject : this.#told && servingLeader(this.#told);
    this.#words =
      earlier?.events.some(({ kind, what }) => kind === 'master' && what.includes('said')) ?? false;
  }

  run(signal: AbortSignal): Promise<void>[] {
    const masters = hostsWithRole(this.options.spec, 'master');
    return [
      ...masters.map((host) =>
        every(signal, lookEveryMs, async () => {
          this.#named.set(host.name, await namedLeader(this.options, host, askMs));
          if (this.#named.size === masters.length) this.#tell();
        }),
      ),
      every(signal, lookEveryMs, async () => {
        const leader = leaderOf(this.#observation().masters);
        const state = await stateOf(this.options, leader);
        this.#silences = state ? 0 : this.#silences + 1;
        // One answer that does not come in time is no news on a busy machine.
        if (!state && this.#silences < silentAfter) return;
        this.#state = state && leader !== undefined ? { by: leader, state } : undefined;
        if (this.#named.size === masters.length) this.#tell();
      }),
      every(signal, lookEveryMs, () => this.#listen()),
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

  #tell(): void {
    const now = this.#observation();
    const isWhole = now.state !== undefined || leaderOf(now.masters) === undefined;
    if (!this.#told && !isWhole) return;
    const before = this.#told ?? now;
    const events = this.#told ? mesosEvents(before, now, this.#leader) : [];
    for (const event of events) this.#say(event);
    this.#leader = servingLeader(now);
    // An answer that is missing is no news of agents.
    const state = now.state ?? before.state;
    this.#told = { masters: now.masters, ...(state && { state }) };
  }

  #say(event: Omit<DrillEvent, 'at'>): void {
    this.#since = Date.now();
    this.options.say({ at: this.#since, ...event });
  }

  /** What a suspended master says when it goes on. */
  async #listen(): Promise<void> {
    const { plan, healed } = this.options;
    if (this.#words || !healed()) return;
    const former = await observeFormerLeader(this.options, plan.fault);
    if (former?.words === undefined) return;
    this.#words = true;
    const { target } = plan;
    this.#say({
      kind: 'master',
      subject: target,
      what: `the old master on ${target} logged "${former.words}"`,
    });
  }
}
