/** Which node a new kernel starts on. No clock and no I/O: `now` is in ms, of one monotonic clock. */
import type { Placed, PlaceOrder } from './kernels.js';

/** A node with less available memory has no room for a kernel. */
export const leastBytes = 256 * 1024 * 1024;

/** For so long a kernel that was given to a node may be missing among those that it counts. */
export const startingMs = 5_000;

/** For so long the creation of a notebook's session may take before somebody else's attempt counts as the first. */
export const claimMs = 10_000;

interface Grant {
  readonly node: string;
  readonly path: string | undefined;
  readonly at: number;
  /** Its session is being created. */
  readonly underWay: boolean;
}

/** What the serving node remembers of the last seconds. */
export class Placements {
  #grants: readonly Grant[] = [];

  constructor(private readonly self: string) {}

  /**
   * The node where the notebook's session is being created; else, of those with room, not this one while there is another,
   * the one with the fewest kernels, then the one with the most memory. Where none has room, the one with the most.
   */
  place({ path, rooms }: PlaceOrder, now: number): Placed {
    this.#grants = this.#grants.filter(({ at }) => now - at < claimMs);
    const claim = this.#grants.find((grant) => path !== undefined && grant.path === path && grant.underWay);
    if (claim !== undefined && rooms.some(({ node }) => node === claim.node)) {
      return { node: claim.node, underWay: true };
    }
    const node = this.#choose(rooms, now);
    const others = this.#grants.filter((grant) => grant !== claim);
    this.#grants = [...others, { node, path, at: now, underWay: path !== undefined }];
    return { node, underWay: false };
  }

  /** The notebook's session is there, or its creation has failed. */
  end(path: string): void {
    this.#grants = this.#grants.map((grant) => (grant.path === path ? { ...grant, underWay: false } : grant));
  }

  #choose(rooms: PlaceOrder['rooms'], now: number): string {
    const starting = (node: string) =>
      this.#grants.filter((grant) => grant.node === node && now - grant.at < startingMs).length;
    const counted = rooms.map((room) => ({ ...room, kernels: room.kernels + starting(room.node) }));
    const roomy = counted.filter(({ availableBytes }) => availableBytes >= leastBytes);
    const others = roomy.filter(({ node }) => node !== this.self);
    const open = others.length > 0 ? others : roomy;
    const byMemory = (a: PlaceOrder['rooms'][number], b: typeof a) => b.availableBytes - a.availableBytes;
    const [best] =
      open.length > 0
        ? open.toSorted((a, b) => a.kernels - b.kernels || byMemory(a, b))
        : counted.toSorted(byMemory);
    if (best === undefined) throw new Error('a placement needs a node');
    return best.node;
  }
}
