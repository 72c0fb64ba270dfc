import { setTimeout as delay } from 'node:timers/promises';

/** They send requests through every host repeatedly. */
export class Users {
  readonly failures: string[] = [];
  readonly #over = new AbortController();
  readonly #loops: Promise<void>[];

  constructor(urls: readonly { readonly url: string }[]) {
    this.#loops = urls.map(({ url }) => this.#ask(`${url}/api`));
  }

  async leave(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#loops);
  }

  async #ask(url: string): Promise<void> {
    while (!this.#over.signal.aborted) {
      const failure = await fetch(url).then(
        (answer) => (answer.ok ? undefined : `${answer.status}`),
        (error: unknown) => String(error),
      );
      if (failure !== undefined) this.failures.push(`${new Date().toISOString()} ${url}: ${failure}`);
      await delay(50);
    }
  }
}
