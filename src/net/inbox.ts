/** A queue for one reader: items in order, optionally followed by a failure. */
export class Inbox<T> {
  #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  put(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  /** The reader gets this error after all queued items. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** All queued items; waits up to `ms` for the first one. May be empty. */
  async take(ms: number): Promise<T[]> {
    if (this.#items.length === 0 && this.#failure === undefined) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, Math.max(0, ms));
      });
      clearTimeout(timer);
      this.#wake = () => {};
    }
    const items = this.#items;
    this.#items = [];
    if (items.length === 0 && this.#failure !== undefined) throw this.#failure.error;
    return items;
  }
}
