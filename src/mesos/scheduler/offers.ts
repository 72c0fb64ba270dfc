import type { ClusterSpec } from '../../cluster/spec.js';
import type { Subscription } from './client.js';
import { hostOfAgent } from './launch.js';
import type { HostOffer } from './placement.js';
import type { Offer } from './types.js';

/** An offer that does not help now comes again after this time. */
const refuseWhileWantedSeconds = 5;
/** Nothing is wanted; REVIVE takes it back. */
const refuseSeconds = 3_600;

/** The offers of one subscription: those that stand, those declined lately, and whether more are wanted. */
export class Offers {
  readonly #standing = new Map<string, Offer>();
  /** The last offer of each agent that was declined, and when (milliseconds since the epoch). */
  readonly #declined = new Map<string, { readonly offer: Offer; readonly at: number }>();
  /** Undefined until this subscription said either: the master may remember it from the one before. */
  #suppressed: boolean | undefined;

  constructor(
    private readonly spec: ClusterSpec,
    private readonly subscription: Pick<Subscription, 'decline' | 'suppress' | 'revive'>,
  ) {}

  add(offers: readonly Offer[]): void {
    for (const offer of offers) this.#standing.set(offer.id, offer);
  }

  /** They were accepted or rescinded. */
  remove(ids: readonly string[]): void {
    for (const id of ids) this.#standing.delete(id);
  }

  get standing(): HostOffer[] {
    return [...this.#standing.values()].map((offer) => this.#ofHost(offer));
  }

  /** What agents had to offer a short time ago. */
  declinedLately(now: number): HostOffer[] {
    return [...this.#declined.values()]
      .filter(({ at }) => now - at < 2 * 1_000 * refuseWhileWantedSeconds)
      .map(({ offer }) => this.#ofHost(offer));
  }

  /** Has Mesos make offers. */
  async want(): Promise<void> {
    if (this.#suppressed === false) return;
    await this.subscription.revive();
    this.#suppressed = false;
  }

  /** Declines all offers, and has Mesos make none until `want`. */
  async wantNone(): Promise<void> {
    await this.#decline([...this.#standing.keys()], refuseSeconds);
    if (this.#suppressed === true) return;
    await this.subscription.suppress();
    this.#suppressed = true;
  }

  /** They come again after some seconds, as other agents' may. */
  async declineForNow(ids: readonly string[]): Promise<void> {
    await this.#decline(ids, refuseWhileWantedSeconds);
  }

  async #decline(ids: readonly string[], seconds: number): Promise<void> {
    const present = ids.filter((id) => this.#standing.has(id));
    if (present.length === 0) return;
    await this.subscription.decline(present, seconds);
    for (const id of present) {
      const offer = this.#standing.get(id);
      if (offer !== undefined) this.#declined.set(offer.agentId, { offer, at: Date.now() });
      this.#standing.delete(id);
    }
  }

  #ofHost(offer: Offer): HostOffer {
    const { id, agentId, hostname, resources, address } = offer;
    const host = hostOfAgent(this.spec, offer);
    // Agents register without a credential, under any name.
    const isThere = host !== undefined && (address === undefined || address.ip === host.address);
    return { id, agentId, hostname, host: isThere ? host.name : undefined, resources };
  }
}
