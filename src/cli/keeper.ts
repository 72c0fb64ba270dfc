/** Connects to a cluster's keeper (a single error when none runs), and sends orders to workflows. */
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { workflowIds } from '../temporal/contract.js';
import { aborted } from './aborted.js';
import type { CommandContext } from './command.js';
import { printNotice } from './io.js';
import { openSpec } from './spec-file.js';
import { temporalSettings, withTemporal, type TemporalChoice } from './temporal.js';

export interface Keeper {
  readonly spec: ClusterSpec;
  readonly client: Client;
  readonly handle: WorkflowHandle;
}

const patienceMs = 5_000;

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
 * Sends an order to the keeper, or to another `receiver`, and waits for its end; notifies the user when there
 * is no response for some seconds. Resolves to undefined when the context's signal aborts: an accepted order
 * is still carried out.
 */
export async function order<T>(
  context: CommandContext,
  client: Client,
  ask: () => Promise<T>,
  receiver = 'the keeper',
): Promise<T | undefined> {
  const ended = new AbortController();
  void delay(patienceMs, undefined, { signal: ended.signal }).then(
    () =>
      printNotice(
        context,
        `${receiver} is not responding yet: it is busy, or no worker runs (start one with \`perijove worker\`)\n`,
      ),
    () => undefined,
  );
  const stopped = aborted(context.signal).then(() => undefined);
  const asked = client.connection.withAbortSignal(context.signal, ask);
  asked.catch(() => undefined);
  try {
    return await Promise.race([asked, stopped]);
  } finally {
    ended.abort();
  }
}
