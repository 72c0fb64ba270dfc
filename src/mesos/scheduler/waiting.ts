import type { NodeNeed } from './tasks.js';

/** How long each node has needed a place, as seen by one subscription. */
export class WaitingTimes {
  /** Milliseconds since the epoch, by node. */
  readonly #since = new Map<string, number>();

  /** A node that never had a task has waited since this subscription first saw that it needs one. */
  apply(needs: readonly NodeNeed[], now: number): NodeNeed[] {
    const nodes = new Set(needs.map(({ node }) => node));
    for (const node of this.#since.keys()) if (!nodes.has(node)) this.#since.delete(node);
    return needs.map((need) => {
      const since = this.#since.get(need.node) ?? now;
      this.#since.set(need.node, since);
      const listenedMs = now - since;
      return { ...need, waitedMs: Math.max(need.waitedMs, listenedMs), listenedMs };
    });
  }

  launched(node: string): void {
    this.#since.delete(node);
  }
}
