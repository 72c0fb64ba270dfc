/** Finds what operators are to be notified of, and starts one workflow for each notice and receiver. */
import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Logger } from 'pino';
import { pause } from '../net/pause.js';
import {
  workflowIds,
  workflowNames,
  type DeployProgress,
  type KeeperState,
  type Notice,
  type NotifyInput,
} from '../temporal/contract.js';
import { storedState } from '../temporal/running.js';
import { startOptions } from '../temporal/start-options.js';

const everyMs = 10_000;
/** What is older was reported then, or no longer matters. */
const newsMs = 60 * 60_000;
/** A server that holds more is not read to its end every ten seconds. */
const mostWorkflows = 100;

export interface NoticeWatch {
  readonly client: Client;
  readonly receivers: readonly { readonly name: string }[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Until the signal aborts: looks for incidents in the memos of keepers, and for failed deployments, in the whole
 * namespace. It asks no workflow, and adds nothing to the history of any but its own. Never rejects.
 */
export async function watchNotices({ client, receivers, logger, signal }: NoticeWatch): Promise<void> {
  const begun = new Set<string>();
  let isTold = false;
  while (!signal.aborted) {
    try {
      for (const notice of await noticesOf(client, new Date())) {
        for (const { name } of receivers) await begin(client, { notice, receiver: name }, begun);
      }
      isTold = false;
    } catch (error) {
      if (!signal.aborted && !isTold) logger.warn({ err: error }, 'cannot look for what to notify of');
      isTold = true;
    }
    await pause(everyMs, signal);
  }
}

/** What happened in the last hour, in the namespace. */
async function noticesOf(client: Client, now: Date): Promise<Notice[]> {
  const since = new Date(now.getTime() - newsMs).toISOString();
  const keepers = await found(
    client,
    `WorkflowType = '${workflowNames.keeper}' AND ExecutionStatus = 'Running'`,
  );
  const failed = await found(
    client,
    `WorkflowType = '${workflowNames.deploy}' AND ExecutionStatus = 'Failed' AND CloseTime > '${since}'`,
  );
  return [
    ...keepers.flatMap(({ workflowId, memo }) => incidentNotices(workflowId, storedState({ memo }), since)),
    ...failed.flatMap(({ workflowId, closeTime, memo }) =>
      failureNotices(workflowId, closeTime ?? now, storedState({ memo })),
    ),
  ];
}

/** With their memos as they are, which the list may have of an earlier time. */
async function found(client: Client, query: string) {
  const descriptions = [];
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    if (descriptions.length >= mostWorkflows) break;
    descriptions.push(await client.workflow.getHandle(workflowId, runId).describe());
  }
  return descriptions;
}

/** Of a keeper with this ID: incidents since then that are not routine. @param since ISO 8601 */
export function incidentNotices(workflowId: string, state: KeeperState | undefined, since: string): Notice[] {
  const cluster = workflowId.slice(workflowIds.keeper('').length);
  return (state?.incidents ?? [])
    .filter(({ at, routine }) => routine !== true && Date.parse(at) >= Date.parse(since))
    .map(({ at, what }) => ({ cluster, kind: 'incident', at, what }));
}

/** Of a failed deployment; none of one that only waited for another with the ID of its cluster. */
export function failureNotices(workflowId: string, at: Date, progress: DeployProgress | undefined): Notice[] {
  const prefix = workflowIds.deploy('');
  if (!workflowId.startsWith(prefix)) return [];
  const { failure } = progress ?? {};
  const why = failure === undefined ? '' : `: ${failure.message} (${failure.code})`;
  const cluster = workflowId.slice(prefix.length);
  return [{ cluster, kind: 'deployment-failed', at: at.toISOString(), what: `the deployment failed${why}` }];
}

/** Starts the workflow of a notice, which exists if this or another worker has done so. */
async function begin(client: Client, input: NotifyInput, begun: Set<string>): Promise<void> {
  const { notice, receiver } = input;
  const digest = createHash('sha256')
    .update(JSON.stringify([notice, receiver]))
    .digest('hex')
    .slice(0, 16);
  const workflowId = workflowIds.notify(notice.cluster, digest);
  if (begun.has(workflowId)) return;
  try {
    await client.workflow.start(workflowNames.notify, {
      ...{ workflowId, args: [input], workflowExecutionTimeout: '1 day' },
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      ...startOptions(notice.cluster, `Notify ${receiver}`),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  begun.add(workflowId);
}
