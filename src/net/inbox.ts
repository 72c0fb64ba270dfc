/** What arrives while its reader is busy: items in their order, then perhaps a failure. One reader. */
export class Inbox<T> {
  #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  put(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  /** After all items that are there, the reader gets this error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** All items that are there; waits for the first one, but no longer than `ms`. May be empty. */
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
