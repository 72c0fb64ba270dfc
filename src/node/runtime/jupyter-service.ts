import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { Bell } from '../../net/bell.js';
import type { JupyterState, JupyterStatus } from '../api.js';
import type { NodeConfig } from '../config.js';
import { isMissing } from '../../net/files.js';
import { DirectoryWatch } from './directory-watch.js';
import { serviceState, startWithSupervisor, commandSupervisor, type ServiceState } from './runit.js';

export interface JupyterAnswer {
  /** Undefined if it does not say. */
  readonly kernels: number | undefined;
}

export interface JupyterServiceOptions {
  /** Its runit directory. */
  readonly directory: string;
  readonly standby: NodeConfig['jupyter']['standby'];
  /** What Jupyter says of itself, undefined if it did not respond within that time; never rejects. */
  readonly answers: (withinMs: number) => Promise<JupyterAnswer | undefined>;
  /** Ends its kernels, which outlive it; rejects if any is left. */
  readonly endKernels: () => Promise<void>;
  /** Present in the environment of its process, and of no other. */
  readonly mark: string;
  readonly logger: Logger;
  /** How long Jupyter may be silent: by default one minute if it has responded before, else three. */
  readonly patience?: {
    readonly hungMs: number;
    readonly neverReadyMs: number;
    readonly lastAnswerMs: number;
  };
}

/** How long Jupyter may take to stop before it is killed. */
const graceMs = 8_000;
/** A process that has stopped responding for this long hangs: it is killed and its supervisor restarts it. */
const hungMs = 60_000;
/** The same for one that has not responded yet: a first start reads from a cold disk. */
const neverReadyMs = 180_000;
/** It must also have left this many requests in a row unanswered. */
const leastMisses = 10;
/** A Jupyter that has started responds within this time. */
const answerMs = 1_000;
/** The same for one that has responded before: no other node would serve people while this one is slow. */
const busyAnswerMs = 3_000;
/** A late one responds within this time: it gets one last request before it is killed. */
const lastAnswerMs = 20_000;
/** Between two checks during a transition. */
const quickMs = 50;
/** Between two checks of the process if its supervisor's changes cannot be watched. */
const calmMs = 250;
/** Between two requests to a ready Jupyter, and two checks if the supervisor's changes are watched. */
const healthMs = 2_000;

/**
 * Keeps the node's Jupyter in its desired state: each observation of the service is compared with it anew, so
 * it does not matter who restarted what in between. A warm Jupyter always runs, a cold one while it serves. Kernels
 * end when it stops because it is not to run; after any other end its successor takes them up.
 */
export class JupyterService {
  private wanted: boolean;
  private current: JupyterState;
  private startMs: number | undefined;
  private kernels: number | undefined;
  /** The watched process, and when it was first seen to have started. */
  private process: { readonly pid: number; readonly startedAt: number } | undefined;
  private answeredAt = 0;
  private missed = 0;
  private missedSince = 0;
  private stoppingSince: number | undefined;
  /** Since it last ran. */
  private kernelsEnded = false;
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

  get status(): Pick<JupyterStatus, 'state' | 'startMs' | 'kernels'> {
    const { current: state, startMs, kernels } = this;
    if (state !== 'ready') return { state };
    return { state, ...(startMs !== undefined && { startMs }), ...(kernels !== undefined && { kernels }) };
  }

  /** Sets whether it should serve; `status` no longer shows an earlier state then. */
  serve(serve: boolean): void {
    const wanted = this.options.standby === 'warm' || serve;
    if (wanted !== this.wanted) {
      this.wanted = wanted;
      this.set(wanted ? 'starting' : this.current === 'stopped' ? 'stopped' : 'stopping');
    }
    this.bell.ring();
  }

  /** Runs until `signal`; errors of one round are logged and retried in the next. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.bell.ring(), { once: true });
    while (!signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        this.options.logger.error({ err: error }, 'cannot bring Jupyter to its desired state');
      }
      const calm = this.current === 'ready' || this.current === 'stopped';
      const watched = this.supervisor.listen();
      await this.bell.pause(!calm ? quickMs : watched ? healthMs : calmMs);
    }
    this.supervisor.close();
  }

  private async round(): Promise<void> {
    const { directory } = this.options;
    const { wanted } = this;
    if (wanted) this.kernelsEnded = false;
    await startWithSupervisor(directory, wanted);
    const service = await serviceState(directory);
    this.follow(service);
    if (wanted) {
      // A process that is stopping must end before it can start again.
      if (service.state === 'ending') await this.killLate(service);
      else this.stoppingSince = undefined;
      if (service.state === 'down') await commandSupervisor(directory, 'u');
      await this.check(service);
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

  /** Ready: this very process has responded, and has not missed two requests since. */
  private async check(service: ServiceState): Promise<void> {
    const seen = this.process;
    if (service.state !== 'up' || seen === undefined) {
      this.set('starting');
      return;
    }
    if (this.answeredAt !== 0 && this.missed === 0 && performance.now() - this.answeredAt < healthMs) return;
    const answered = await this.options.answers(this.answeredAt === 0 ? answerMs : busyAnswerMs);
    if (!this.wanted || this.process !== seen) return;
    if (answered === undefined) {
      if (this.missed === 0) this.missedSince = performance.now();
      this.missed += 1;
      if (this.answeredAt === 0 || this.missed >= 2) this.set('starting');
      await this.killHung(seen);
      return;
    }
    if (this.answeredAt === 0) this.startMs = Math.max(0, Math.round(Date.now() - seen.startedAt));
    this.answeredAt = performance.now();
    this.missed = 0;
    this.kernels = answered.kernels;
    this.set('ready');
  }

  private async end(service: ServiceState): Promise<void> {
    const { directory } = this.options;
    if (this.wanted) return;
    if (service.state === 'down') {
      this.stoppingSince = undefined;
      if (!this.kernelsEnded) await this.options.endKernels();
      this.kernelsEnded = true;
      if (!this.wanted) this.set('stopped');
      return;
    }
    this.kernelsEnded = false;
    this.set('stopping');
    this.stoppingSince ??= performance.now();
    if (service.state === 'up') await commandSupervisor(directory, 'd');
    else await this.killLate(service);
  }

  private async killLate({ pid }: ServiceState): Promise<void> {
    this.stoppingSince ??= performance.now();
    // Not with the supervisor's command `k`: it then skips `finish`, which would leave terminals behind.
    if (pid !== undefined && performance.now() - this.stoppingSince > graceMs) await this.kill(pid);
  }

  private async killHung(seen: NonNullable<JupyterService['process']>): Promise<void> {
    const patience = this.options.patience ?? { hungMs, neverReadyMs, lastAnswerMs };
    const most = this.answeredAt === 0 ? patience.neverReadyMs : patience.hungMs;
    const silentMs = performance.now() - this.missedSince;
    // Time without requests, because this process was stopped as well, does not count.
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

  /** The supervisor may have been killed, and the process ID reused. */
  private async kill(pid: number): Promise<void> {
    const { mark, logger } = this.options;
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch((error: unknown) => {
      if (!isMissing(error))
        logger.warn({ pid, err: error }, 'it is unknown whether this process is Jupyter');
      return '';
    });
    if (environment.split('\0').includes(mark)) killIfAlive(pid);
  }

  private set(state: JupyterState): void {
    if (state === this.current) return;
    this.current = state;
    this.options.logger.info(this.status, 'jupyter');
    this.onChange();
  }
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has already ended.
  }
}
