/** A drill does not outlive its cluster: how a teardown ends drills, and how a drill notices a teardown. */
import { setTimeout as delay } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import { workflowIds, type DrillState } from '../temporal/contract.js';
import { runningDrills, type Ask } from '../temporal/drills.js';
import { askWithin, storedState } from '../temporal/running.js';
import { ask, askRunning } from './asking.js';
import { until } from './poll.js';

export interface EndedDrill {
  readonly number: number;
  /** Its name and target, for people. */
  readonly what: string;
  /** Why its fault may still be there; absent when it is healed, or was never injected. */
  readonly unhealed?: string;
}

const everyMs = 300;

/**
 * Cancels the drills of the cluster that run, and waits until their faults are healed and they have ended; for
 * `patienceMs` since the activity was first scheduled, for all of them together.
 */
export async function endDrills(client: Client, cluster: string, patienceMs: number): Promise<EndedDrill[]> {
  const { scheduledTimestampMs } = Context.current().info;
  const end = scheduledTimestampMs + patienceMs;
  const asking: Ask = (receiver, question) => ask(client, receiver, question);
  const numbers = await runningDrills(client, cluster, asking);
  const ended: EndedDrill[] = [];
  for (const number of numbers) {
    const workflowId = workflowIds.drill(cluster, number);
    try {
      await asking(workflowId, () => client.workflow.getHandle(workflowId).cancel());
    } catch (error) {
      // It ended in between.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
    ended.push(await endOf(client, { number, workflowId, deadlineMs: Math.max(0, end - Date.now()) }));
  }
  return ended;
}

async function endOf(
  client: Client,
  {
    number,
    workflowId,
    deadlineMs,
  }: { readonly number: number; readonly workflowId: string; readonly deadlineMs: number },
): Promise<EndedDrill> {
  const running = (why: string) =>
    new PerijoveError('DRILL_RUNNING', `drill ${number} is healing its fault${why}`, { subject: workflowId });
  try {
    await until(
      async () => ((await askRunning(client, workflowId)) ? { not: running('') } : { done: undefined }),
      { everyMs, deadlineMs },
    );
  } catch (error) {
    if (!(error instanceof PerijoveError && error.code === 'DRILL_RUNNING')) throw error;
  }
  const described = await ask(client, workflowId, () => client.workflow.getHandle(workflowId).describe());
  const state = storedState<DrillState>(described);
  const what = `${state?.drill ?? 'unknown'}${state?.target === undefined ? '' : ` of ${state.target}`}`;
  if (state?.unhealed !== true) return { number, what };
  const why = state.failure?.message ?? lastFailure(client, described) ?? 'it has not ended in time';
  return { number, what, unhealed: why };
}

/** What the last attempt of a step that is retried failed with. */
function lastFailure(client: Client, { raw }: WorkflowExecutionDescription): string | undefined {
  const failure = raw.pendingActivities?.find(({ lastFailure: last }) => last)?.lastFailure;
  if (!failure) return undefined;
  const { failureConverter, payloadConverter } = client.options.loadedDataConverter;
  return failureConverter.failureToError(failure, payloadConverter).message;
}

/** `ending`: a teardown runs and has not ended the framework yet; `gone`: it has, or it has ended. */
export type Fate = 'kept' | 'ending' | 'gone';

const askMs = 2_000;
const watchEveryMs = 1_000;

/** What became of the cluster of the drill that runs this activity. What is not known is `kept`. */
export class FateWatch {
  #fate: Fate = 'kept';
  #drillStartedAt: Promise<Date> | undefined;
  readonly #gone = new AbortController();
  readonly #ended = new AbortController();

  constructor(
    private readonly client: Client,
    private readonly cluster: string,
  ) {}

  get fate(): Fate {
    return this.#fate;
  }

  /** Aborts when the cluster is gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Looks once, and then again and again until `end` is called. */
  async begin(): Promise<void> {
    await this.#look();
    void this.#watch();
  }

  end(): void {
    this.#ended.abort();
  }

  async #watch(): Promise<void> {
    while (!this.#ended.signal.aborted && this.#fate !== 'gone') {
      await delay(watchEveryMs, undefined, { signal: this.#ended.signal }).catch(() => undefined);
      if (!this.#ended.signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      this.#fate = await this.#ask();
    } catch {
      // Not known; the next look may tell.
    }
    if (this.#fate === 'gone') this.#gone.abort();
  }

  async #ask(): Promise<Fate> {
    const teardown = await this.#describe(workflowIds.teardown(this.cluster));
    const startedAt = await (this.#drillStartedAt ??= this.#ownStart());
    if (teardown === undefined || teardown.startTime < startedAt) return 'kept';
    const framework = await this.#describe(workflowIds.framework(this.cluster));
    switch (teardown.status.name) {
      case 'COMPLETED':
      case 'FAILED':
        return 'gone';
      default:
        if (framework?.status.name !== 'RUNNING') return 'gone';
        return teardown.status.name === 'RUNNING' ? 'ending' : 'kept';
    }
  }

  async #ownStart(): Promise<Date> {
    const { workflowId, runId } = Context.current().info.workflowExecution ?? {};
    if (workflowId === undefined) throw new Error('a drill is a workflow');
    try {
      const handle = this.client.workflow.getHandle(workflowId, runId);
      return (await askWithin(this.client, askMs, () => handle.describe())).startTime;
    } catch (error) {
      this.#drillStartedAt = undefined;
      throw error;
    }
  }

  async #describe(workflowId: string): Promise<WorkflowExecutionDescription | undefined> {
    try {
      return await askWithin(this.client, askMs, () => this.client.workflow.getHandle(workflowId).describe());
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }
}
