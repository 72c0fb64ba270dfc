/** Requests through an entrance, begun at a fixed rate whether or not those before are answered. */
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Entrance } from './lab.js';

export interface Sample {
  /** Of `performance.now()`: when it was begun, and when its answer was complete or it failed. */
  readonly begun: number;
  readonly ended: number;
  /** HTTP status, or the code of the error. */
  readonly outcome: number | string;
}

const deadlineMs = 5_000;

function ask({ address, port, token }: Entrance, agent: Agent | false): Promise<Sample> {
  const begun = performance.now();
  return new Promise((resolve) => {
    const end = (outcome: number | string) => resolve({ begun, ended: performance.now(), outcome });
    const request = get({
      host: address,
      port,
      path: '/api/status',
      agent,
      headers: { authorization: `token ${token}` },
      signal: AbortSignal.timeout(deadlineMs),
    });
    request.on('response', (answer) => {
      answer.resume();
      answer.on('end', () => end(answer.statusCode ?? 0));
      answer.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.name));
    });
    request.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.name));
  });
}

/**
 * Asks until `stop`, whatever becomes of the answers: each time over a connection of its own, as one who comes
 * new, or with `keepAlive` over kept ones, as a browser.
 */
export class Probe {
  readonly samples: Sample[] = [];
  private stopped = false;
  private readonly agent: Agent | false;
  private readonly running: Promise<void>;

  constructor(
    private readonly entrance: Entrance,
    private readonly everyMs: number,
    { keepAlive = false }: { readonly keepAlive?: boolean } = {},
  ) {
    this.agent = keepAlive && new Agent({ keepAlive: true });
    this.running = this.run();
  }

  get host(): string {
    return this.entrance.host;
  }

  /** Resolves when every request that was begun has ended. */
  async stop(): Promise<readonly Sample[]> {
    this.stopped = true;
    await this.running;
    if (this.agent) this.agent.destroy();
    return this.samples.toSorted((a, b) => a.begun - b.begun);
  }

  private async run(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    for (let next = performance.now(); !this.stopped; next += this.everyMs) {
      const one = ask(this.entrance, this.agent).then((sample) => {
        this.samples.push(sample);
        underWay.delete(one);
      });
      underWay.add(one);
      await delay(Math.max(0, next + this.everyMs - performance.now()));
    }
    await Promise.all(underWay);
  }
}

/** How long an answer must be followed by nothing but answers, to count as the end of the dark time. */
const steadyMs = 1_000;

/**
 * The end of the first 200 among requests that were begun after `since` and from which on, for a second, all
 * that was begun got one; undefined while that is not so yet.
 */
export function servedAt(samples: readonly Sample[], since: number): number | undefined {
  const after = samples.filter(({ begun }) => begun >= since).toSorted((a, b) => a.begun - b.begun);
  const lastBad = after.findLastIndex(({ outcome }) => outcome !== 200);
  const good = after.slice(lastBad + 1);
  const [first] = good;
  const last = good.at(-1);
  if (!first || !last || last.begun - first.begun < steadyMs) return undefined;
  return Math.min(...good.map(({ ended }) => ended));
}
