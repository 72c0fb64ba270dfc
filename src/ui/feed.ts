/** One observer for all viewers, which observes only while somebody looks. */
import { messageOf } from '../errors/error.js';
import { encoded } from './sse.js';

export interface Observed<View> {
  /** ISO 8601. */
  readonly observedAt: string;
  readonly view: View;
}

export interface FeedOptions<View> {
  readonly observe: (signal: AbortSignal) => Promise<View>;
  /** From the end of one observation to the beginning of the next. */
  readonly intervalMs: number;
  /** How to observe less while nothing happens. */
  readonly calm?: Calm<View>;
}

export interface Calm<View> {
  readonly isCalm: (view: View) => boolean;
  /** Asked at each interval in place of an observation: what changes when something has happened. Costs little. */
  readonly pulse: () => Promise<string>;
  /** From one observation to the next at the latest. */
  readonly longestMs: number;
}

/** Receives events as they go on the wire. */
export type Viewer = (text: string) => void;

/**
 * Observes again and again while it has viewers, once for all of them, and sends them what has changed. An event has an
 * ID, by which a viewer that connects again is spared what it knows. Keeps the newest view alone, however long it lasts.
 */
export class Feed<View> {
  readonly #viewers = new Set<Viewer>();
  readonly #options: FeedOptions<View>;
  readonly #end = new AbortController();
  /** Those of an earlier process do not count. */
  readonly #epoch = Date.now().toString(36);
  #count = 0;
  #latest: (Observed<View> & { readonly text: string }) | undefined;
  #failure: { readonly since: string; readonly why: string } | undefined;
  #observing: Promise<void> | undefined;
  #isLooping = false;
  #beat: string | undefined;
  #wake: (() => void) | undefined;

  constructor(options: FeedOptions<View>) {
    this.#options = options;
  }

  /** How many look now. */
  get viewers(): number {
    return this.#viewers.size;
  }

  /**
   * Sends the newest view, unless the viewer knows it, and then what changes.
   *
   * @returns what ends it
   */
  subscribe(viewer: Viewer, lastEventId?: string): () => void {
    if (this.#latest !== undefined) {
      const isKnown = lastEventId === this.#id();
      viewer(isKnown ? this.#same() : this.#changed());
    }
    if (this.#failure !== undefined) viewer(encoded({ event: 'failed', data: this.#failure }));
    this.#viewers.add(viewer);
    if (!this.#isLooping) void this.#loop();
    return () => {
      this.#viewers.delete(viewer);
      if (this.#viewers.size === 0) this.#wake?.();
    };
  }

  /** An observation that is as new as that of a viewer. Rejects when the cluster cannot be observed. */
  async latest(): Promise<Observed<View>> {
    const at = this.#latest?.observedAt;
    const ageMs = at === undefined ? Infinity : Date.now() - Date.parse(at);
    if (ageMs > this.#options.intervalMs || this.#failure !== undefined) await this.#observe();
    if (this.#failure !== undefined) throw new Error(this.#failure.why);
    if (this.#latest === undefined) throw new Error('the cluster was not observed');
    return this.#latest;
  }

  /** Ends all observing; viewers get nothing more. */
  close(): void {
    this.#viewers.clear();
    this.#end.abort();
    this.#wake?.();
  }

  async #loop(): Promise<void> {
    this.#isLooping = true;
    while (this.#viewers.size > 0 && !this.#end.signal.aborted) {
      await this.#observe();
      await this.#untilNext();
    }
    this.#isLooping = false;
  }

  async #untilNext(): Promise<void> {
    const { calm } = this.#options;
    const until = Date.now() + (calm?.longestMs ?? 0);
    const isCalm = () =>
      this.#failure === undefined && this.#latest !== undefined && calm?.isCalm(this.#latest.view) === true;
    do {
      if (this.#viewers.size === 0 || this.#end.signal.aborted) return;
      await this.#pause();
    } while (isCalm() && Date.now() < until && !(await this.#hasBeaten()));
  }

  /** Whether something has happened since the last time. */
  async #hasBeaten(): Promise<boolean> {
    const beat = await this.#options.calm?.pulse().catch(() => 'none');
    const hasChanged = beat !== this.#beat;
    this.#beat = beat;
    return hasChanged;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), this.#options.intervalMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  /** Whoever asks meanwhile waits for the same observation. */
  #observe(): Promise<void> {
    this.#observing ??= this.#observeOnce().finally(() => (this.#observing = undefined));
    return this.#observing;
  }

  async #observeOnce(): Promise<void> {
    try {
      const view = await this.#options.observe(this.#end.signal);
      const text = JSON.stringify(view);
      const isNew = text !== this.#latest?.text;
      if (isNew) this.#count += 1;
      this.#failure = undefined;
      this.#latest = { observedAt: new Date().toISOString(), view, text };
      this.#send(isNew ? this.#changed() : this.#same());
    } catch (error) {
      const since = this.#failure?.since ?? new Date().toISOString();
      this.#failure = { since, why: messageOf(error) };
      this.#send(encoded({ event: 'failed', data: this.#failure }));
    }
  }

  #id(): string {
    return `${this.#epoch}-${this.#count}`;
  }

  #changed(): string {
    const { observedAt, view } = this.#latest ?? {};
    return encoded({ id: this.#id(), event: 'view', data: { observedAt, view } });
  }

  #same(): string {
    return encoded({ id: this.#id(), event: 'same', data: { observedAt: this.#latest?.observedAt } });
  }

  #send(text: string): void {
    if (this.#end.signal.aborted) return;
    for (const viewer of this.#viewers) viewer(text);
  }
}
