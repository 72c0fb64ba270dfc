/** Requests through a proxy, started at a fixed rate whether or not earlier ones are answered. */
import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Entrance } from './lab.js';

export interface Sample {
  /** By `performance.now()`: when it started, and when its response was complete or it failed. */
  readonly begun: number;
  readonly ended: number;
  /** HTTP status or error code. */
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
      // Not /api/status: Jupyter answers it with 500 while a kernel starts.
      path: '/api/me',
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
 * Sends requests until `stop`, whatever the responses: each over a new connection, like a new client, or with
 * `keepAlive` over kept ones, like a browser.
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

  /** Resolves when all started requests have ended. */
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

/** How long only successful responses must follow for an outage to count as over. */
const steadyMs = 1_000;

/**
 * The end of the first 200 among requests started after `since` after which, for a second, all started
 * requests succeeded; undefined until then.
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
