import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EtcdClient } from '../../etcd/client.js';
import { messageOf } from '../../errors/error.js';
import { Bell } from '../../net/bell.js';
import { DirectoryWatch } from './directory-watch.js';
import type { Answer, Question, When } from './gate-decide.js';

export interface MemberWatchOptions {
  /** Of the node's own member. */
  readonly client: Pick<EtcdClient, 'status' | 'linearizableRead'>;
  /** Reads in an earlier epoch prove nothing. */
  readonly leastEpoch: () => number;
  /** What to ask now; evaluated after each answer, and at each turn. */
  readonly next: () => { readonly ask: Question; readonly when: When } | undefined;
  readonly learned: (answer: Answer) => void;
  /** Directory of the member's log, which records every election. */
  readonly log: string;
  readonly logger: Logger;
}

/** Between the starts of two turns, when each answer counts. */
const turnMs = 100;
/** The same, when the member's log shows what could change the answer. */
const calmMs = 500;
/** The minimum, however much it logs. */
const leastMs = 10;
/** For one request. A stalled member delays the next request by no more than this. */
const deadlineMs = 300;

/**
 * Asks the node's own etcd member, one request at a time, so that a member that stalled has no queue of
 * requests when it resumes.
 */
export class MemberWatch {
  private readonly bell = new Bell();
  private readonly elections: DirectoryWatch;
  private answering = true;

  constructor(private readonly options: MemberWatchOptions) {
    this.elections = new DirectoryWatch(options.log, () => this.wake());
  }

  /** Begins the next turn now. */
  wake(): void {
    this.bell.ring();
  }

  /** Asks until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.wake(), { once: true });
    while (!signal.aborted) {
      const begunAt = performance.now();
      let question = this.options.next();
      while (question !== undefined && !signal.aborted) {
        this.options.learned(await this.ask(question.ask));
        question = this.options.next();
        if (question?.when !== 'at-once') break;
      }
      const calm = this.elections.listen() && this.answering && question?.when === 'when-told';
      await this.bell.pause(Math.max(0, begunAt + (calm ? calmMs : turnMs) - performance.now()));
      await delay(Math.max(0, begunAt + leastMs - performance.now()));
    }
    this.elections.close();
  }

  private async ask(question: Question): Promise<Answer> {
    const { client } = this.options;
    if (question === 'status') {
      try {
        const { memberId, leader, term } = await client.status({ deadlineMs });
        this.note(true);
        return { asked: 'status', view: { leads: leader === memberId, term } };
      } catch (error) {
        this.note(false, error);
        return { asked: 'status' };
      }
    }
    const begunAt = performance.now();
    try {
      const { epoch } = await client.linearizableRead({ deadlineMs });
      this.note(true);
      // A quorum of an earlier epoch was lost and recovered since: it must not serve.
      return { asked: 'read', begunAt, succeeded: epoch >= this.options.leastEpoch(), epoch };
    } catch (error) {
      this.note(false, error);
      return { asked: 'read', begunAt, succeeded: false };
    }
  }

  /** Logs when the member stops responding, and when it responds again; not ten times a second. */
  private note(answered: boolean, error?: unknown): void {
    if (answered === this.answering) return;
    this.answering = answered;
    if (answered) this.options.logger.info('the etcd member of this node responds again');
    else
      this.options.logger.warn({ reason: messageOf(error) }, 'the etcd member of this node does not respond');
  }
}
