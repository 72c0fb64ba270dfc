import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { Bell } from '../../net/bell.js';
import type { JupyterState, JupyterStatus } from '../api.js';
import type { NodeConfig } from '../config.js';
import { isMissing } from '../../net/files.js';
import { DirectoryWatch } from './directory-watch.js';
import { serviceState, startWithSupervisor, tellSupervisor, type ServiceState } from './runit.js';

export interface JupyterServiceOptions {
  /** Its runit directory. */
  readonly directory: string;
  readonly standby: NodeConfig['jupyter']['standby'];
  /** Resolves to true when Jupyter answered within that time; never rejects. */
  readonly answers: (withinMs: number) => Promise<boolean>;
  /** Stands in the environment of its process, and of no other. */
  readonly mark: string;
  readonly logger: Logger;
  /** For how long one that answered before, or never did, may be silent: a minute and three by default. */
  readonly patience?: {
    readonly hungMs: number;
    readonly neverReadyMs: number;
    readonly lastAnswerMs: number;
  };
}

/** How long a Jupyter that was told to stop may take, before it is killed. */
const graceMs = 8_000;
/** A process that answers no more for so long hangs: it is killed, and its supervisor starts it anew. */
const hungMs = 60_000;
/** The same for one that has not answered yet: a first start reads a cold disk. */
const neverReadyMs = 180_000;
/** So many questions in a row it has left unanswered then. */
const leastMisses = 10;
/** One that is ready answers within this. */
const answerMs = 1_000;
/** And one that is only slow within this: it is asked so once more before it is killed. */
const lastAnswerMs = 20_000;
/** Between two looks while something is under way. */
const quickMs = 50;
/** Between two looks at the process where its supervisor does not tell of a change. */
const calmMs = 250;
/** Between two questions to a Jupyter that is ready, and two looks where the supervisor tells. */
const healthMs = 2_000;

/**
 * Brings the node's Jupyter to what is wanted, and keeps it there: each look at the service is compared with
 * that anew, so it does not matter who restarted what in between. A warm one is always wanted, a cold one while
 * it serves.
 */
export class JupyterService {
  private wanted: boolean;
  private current: JupyterState;
  private startMs: number | undefined;
  /** The process that is watched, and when it was first seen to have started. */
  private process: { readonly pid: number; readonly startedAt: number } | undefined;
  private answeredAt = 0;
  private missed = 0;
  private missedSince = 0;
  private stoppingSince: number | undefined;
  private readonly bell = new Bell();
  private readonly supervisor: DirectoryWatch;
  /** Called when the state has changed. */
  onChange: () => void = () => undefined;

  constructor(private readonly options: JupyterServiceOptions) {
    // runsv writes each change of the service there; it makes the directory when it first starts.
    this.supervisor = new DirectoryWatch(`${options.directory}/supervise`, () => this.bell.ring());
    this.wanted = options.standby === 'warm';
    this.current = this.wanted ? 'starting' : 'stopped';
  }

  get status(): Pick<JupyterStatus, 'state' | 'startMs'> {
    const { current: state, startMs } = this;
    return { state, ...(state === 'ready' && startMs !== undefined ? { startMs } : {}) };
  }

  /** Takes over whether it is to serve; `status` does not show a state from before that. */
  serve(serve: boolean): void {
    const wanted = this.options.standby === 'warm' || serve;
    if (wanted !== this.wanted) {
      this.wanted = wanted;
      this.set(wanted ? 'starting' : this.current === 'stopped' ? 'stopped' : 'stopping');
    }
    this.bell.ring();
  }

  /** Runs until `signal`; errors of one round are logged and met again in the next. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.bell.ring(), { once: true });
    while (!signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        this.options.logger.error({ err: error }, 'cannot bring Jupyter to its desired state');
      }
      const calm = this.current === 'ready' || this.current === 'stopped';
      const told = this.supervisor.listen();
      await this.bell.pause(!calm ? quickMs : told ? healthMs : calmMs);
    }
    this.supervisor.close();
  }

  private async round(): Promise<void> {
    const { directory } = this.options;
    const { wanted } = this;
    await startWithSupervisor(directory, wanted);
    const service = await serviceState(directory);
    this.follow(service);
    if (wanted) {
      // One that was told to stop must end before it can start.
      if (service.state === 'ending') await this.killLate(service);
      else this.stoppingSince = undefined;
      if (service.state === 'down') await tellSupervisor(directory, 'u');
      await this.look(service);
    } else {
      await this.end(service);
    }
  }

  private follow(service: ServiceState): void {
    if (service.state !== 'up' || service.pid === undefined) {
      this.process = undefined;
    } else if (service.pid !== this.process?.pid) {
      this.process = { pid: service.pid, startedAt: service.startedAt ?? Date.now() };
      this.answeredAt = 0;
      this.missed = 0;
    }
  }

  /** Ready means that this very process has answered, and did not fail to answer twice since. */
  private async look(service: ServiceState): Promise<void> {
    const seen = this.process;
    if (service.state !== 'up' || seen === undefined) {
      this.set('starting');
      return;
    }
    if (this.answeredAt !== 0 && this.missed === 0 && performance.now() - this.answeredAt < healthMs) return;
    const answered = await this.options.answers(answerMs);
    if (!this.wanted || this.process !== seen) return;
    if (!answered) {
      if (this.missed === 0) this.missedSince = performance.now();
      this.missed += 1;
      if (this.answeredAt === 0 || this.missed >= 2) this.set('starting');
      await this.killHung(seen);
      return;
    }
    if (this.answeredAt === 0) this.startMs = Math.max(0, Math.round(Date.now() - seen.startedAt));
    this.answeredAt = performance.now();
    this.missed = 0;
    this.set('ready');
  }

  private async end(service: ServiceState): Promise<void> {
    const { directory } = this.options;
    if (this.wanted) return;
    if (service.state === 'down') {
      this.stoppingSince = undefined;
      this.set('stopped');
      return;
    }
    this.set('stopping');
    this.stoppingSince ??= performance.now();
    if (service.state === 'up') await tellSupervisor(directory, 'd');
    else await this.killLate(service);
  }

  private async killLate({ pid }: ServiceState): Promise<void> {
    this.stoppingSince ??= performance.now();
    // Not by the supervisor's command `k`: after that it does not run `finish`, and kernels would be left.
    if (pid !== undefined && performance.now() - this.stoppingSince > graceMs) await this.kill(pid);
  }

  private async killHung(seen: NonNullable<JupyterService['process']>): Promise<void> {
    const patience = this.options.patience ?? { hungMs, neverReadyMs, lastAnswerMs };
    const most = this.answeredAt === 0 ? patience.neverReadyMs : patience.hungMs;
    const silentMs = performance.now() - this.missedSince;
    // Of a time in which nobody asked, because this process was stopped as well, nothing is known.
    if (silentMs < most || this.missed < leastMisses) return;
    const { pid } = seen;
    if (await this.options.answers(patience.lastAnswerMs)) {
      this.options.logger.warn({ pid }, 'Jupyter responds late');
      this.missed = 0;
      return;
    }
    if (this.process !== seen || !this.wanted) return;
    this.options.logger.warn(
      { pid, silentMs: Math.round(silentMs) },
      'killing a Jupyter that does not respond',
    );
    await this.kill(pid);
  }

  /** The supervisor may have been killed and the number given to another process since. */
  private async kill(pid: number): Promise<void> {
    const { mark, logger } = this.options;
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch((error: unknown) => {
      if (!isMissing(error))
        logger.warn({ pid, err: error }, 'it is unknown whether this process is Jupyter');
      return '';
    });
    if (environment.split('\0').includes(mark)) killIfThere(pid);
  }

  private set(state: JupyterState): void {
    if (state === this.current) return;
    this.current = state;
    this.options.logger.info(this.status, 'jupyter');
    this.onChange();
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
