/** What a worker does so that no workflow waits for a build of which no worker is left. */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { pause } from '../net/pause.js';
import { workflowNames } from '../temporal/contract.js';
import { lastingOf, renew } from '../temporal/renewal.js';
import { makeCurrent, observeVersions, pinnedTo, workersOf, type Versions } from '../temporal/versions.js';

export interface Adoption {
  readonly client: Client;
  /** That of this worker. */
  readonly build: string;
  /** This worker, for operators. */
  readonly identity: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Builds die seldom, and a worker that was killed counts as polling for a minute. */
const everyMs = 15_000;
/** While the current build has no worker. */
const hurriedMs = 2_000;

/**
 * Until the signal aborts: makes this worker's build current once no worker of the current build is left, and takes
 * over the workflows that are pinned to a build without workers. While workers of the current build ask for work it
 * changes nothing; `perijove promote` and `perijove up` do. Never rejects.
 */
export async function adopt(adoption: Adoption): Promise<void> {
  const { client, build, logger, signal } = adoption;
  let earlier: Versions | undefined;
  let isTold = false;
  while (!signal.aborted) {
    let pauseMs = everyMs;
    try {
      const versions = await observeVersions(client);
      if (versions.current === build) await takeOver(adoption, versions);
      else if (workersOf(versions, versions.current).length === 0) {
        pauseMs = hurriedMs;
        if (mayTake(versions, earlier, build)) await take(adoption, versions);
      }
      earlier = versions;
      isTold = false;
    } catch (error) {
      if (!signal.aborted && !isTold)
        logger.warn({ err: error, build }, 'cannot look after the builds of the workers');
      isTold = true;
    }
    await pause(pauseMs, signal);
  }
}

/**
 * Whether nobody else is left. Pollers are not listed while a server restarts, so a build that was current must be
 * absent twice in a row.
 */
export function mayTake(versions: Versions, earlier: Versions | undefined, build: string): boolean {
  const { current, isDecided } = versions;
  if (workersOf(versions, build).length === 0 || workersOf(versions, current).length > 0) return false;
  // An operator has chosen workers without builds, which may yet be started.
  if (current === null) return !isDecided;
  return earlier?.current === current && workersOf(earlier, current).length === 0;
}

async function take({ client, build, identity, logger }: Adoption, versions: Versions): Promise<void> {
  await makeCurrent(client, build, identity, versions);
  logger.info(
    { build, before: versions.current },
    'this build is current now: the one before has no workers',
  );
}

async function takeOver({ client, build, logger, signal }: Adoption, versions: Versions): Promise<void> {
  const types = [workflowNames.framework, workflowNames.keeper].map((name) => `'${name}'`).join(', ');
  const query = `ExecutionStatus = 'Running' AND WorkflowType IN (${types})`;
  for await (const { workflowId } of client.workflow.list({ query })) {
    const lasting = lastingOf(workflowId.slice(workflowId.indexOf(':') + 1)).find(
      (each) => each.workflowId === workflowId,
    );
    if (lasting === undefined || signal.aborted) continue;
    const pin = pinnedTo(await client.workflow.getHandle(workflowId).describe());
    if (pin === undefined || pin === build || workersOf(versions, pin).length > 0) continue;
    const outcome = await renew(client, lasting, { build, versions, signal });
    logger.info({ workflowId, from: pin, build, outcome }, 'took over a workflow of a build without workers');
  }
}
