import type { Logger } from 'pino';
import type { Subscription } from './client.js';
import type { Kill } from './tasks.js';

/** A KILL may be lost: it is sent again until the task has ended. */
const againMs = 10_000;

/** The KILL calls of one subscription. */
export class Kills {
  readonly #sentAt = new Map<string, number>();

  constructor(
    private readonly subscription: Pick<Subscription, 'kill'>,
    private readonly logger: Logger,
  ) {}

  wasSent(taskId: string): boolean {
    return this.#sentAt.has(taskId);
  }

  /** @returns when to send it again (milliseconds since the epoch) */
  async send({ taskId, agentId, why }: Kill, now: number): Promise<number> {
    const sentAt = this.#sentAt.get(taskId);
    if (sentAt !== undefined && now - sentAt < againMs) return sentAt + againMs;
    this.logger.info({ taskId, why }, 'killing a task');
    await this.subscription.kill({ taskId, ...(agentId === undefined ? {} : { agentId }) });
    this.#sentAt.set(taskId, now);
    return now + againMs;
  }
}
