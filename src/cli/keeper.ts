/** Connects to a cluster's keeper (a single error when none runs), and sends orders to workflows. */
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { untilAnswered } from '../temporal/answers.js';
import { workflowIds } from '../temporal/contract.js';
import { aborted } from './aborted.js';
import type { CommandContext } from './command.js';
import { printNotice } from './io.js';
import { openSpec } from './spec-file.js';
import { temporalSettings, withTemporal, type TemporalChoice } from './temporal.js';
import { silenceOf } from './waits.js';

export interface Keeper {
  readonly spec: ClusterSpec;
  readonly client: Client;
  readonly handle: WorkflowHandle;
}

const patienceMs = 5_000;
/** How long the server holds an update that no worker accepts. */
const longPollMs = 20_000;

/** @throws PerijoveError KEEPER_ABSENT when no keeper runs for the cluster, TEMPORAL_*, SPEC_* */
export async function withKeeper<T>(
  context: CommandContext,
  options: TemporalChoice & { readonly file: string | undefined },
  work: (keeper: Keeper) => Promise<T>,
): Promise<T> {
  const { spec, absolute } = await openSpec(context, options.file);
  return withTemporal(temporalSettings(context, options, absolute), async ({ client }) => {
    const handle = client.workflow.getHandle(workflowIds.keeper(spec.name));
    try {
      return await work({ spec, client, handle });
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      throw new PerijoveError('KEEPER_ABSENT', `${spec.name} has no running keeper`, { subject: spec.name });
    }
  });
}

/**
 * Sends an order to a workflow, such as the keeper, and waits for its end, also while its worker is busy or away;
 * notifies the user when there is no response for some seconds. `ask` receives the same update ID at each attempt.
 * Resolves to undefined when the context's signal aborts: an accepted order is still carried out.
 */
export async function order<T>(
  context: CommandContext,
  { client, handle }: Pick<Keeper, 'client' | 'handle'>,
  ask: (updateId: string) => Promise<T>,
): Promise<T | undefined> {
  const { workflowId } = handle;
  const ended = new AbortController();
  const askedAt = Date.now();
  void delay(patienceMs, undefined, { signal: ended.signal }).then(
    async () => {
      const why = await silenceOf(client, workflowId, askedAt);
      if (!ended.signal.aborted) printNotice(context, `${why}\n`);
    },
    () => undefined,
  );
  const updateId = crypto.randomUUID();
  const stopped = aborted(context.signal).then(() => undefined);
  const asked = untilAnswered(client, () => ask(updateId), {
    receiver: workflowId,
    signal: context.signal,
    firstMs: longPollMs,
  }).catch((error: unknown) => {
    if (!context.signal.aborted) throw error;
    return undefined;
  });
  asked.catch(() => undefined);
  try {
    return await Promise.race([asked, stopped]);
  } finally {
    ended.abort();
  }
}
