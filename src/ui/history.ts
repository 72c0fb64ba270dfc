/** The deployments and drills of a cluster, as Temporal lists them. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { drillPrefix, workflowIds, workflowNames, type DrillState } from '../temporal/contract.js';
import { askWithin, storedState } from '../temporal/running.js';
import type { DrillRun, Run } from './timeline.js';

const askMs = 3_000;
/** Newest ones of each kind. */
const longest = 100;

export interface History {
  readonly deployments: readonly Run[];
  readonly drills: readonly DrillRun[];
}

/** @throws ServiceError */
export async function readHistory(client: Client, cluster: string): Promise<History> {
  const prefix = drillPrefix(cluster);
  const [deployments, drills] = await Promise.all([
    listed(
      client,
      `WorkflowType = '${workflowNames.deploy}' AND WorkflowId = '${workflowIds.deploy(cluster)}'`,
    ),
    listed(client, `WorkflowType = '${workflowNames.drill}' AND WorkflowId STARTS_WITH '${prefix}'`),
  ]);
  return {
    deployments: deployments.map(runOf),
    drills: drills.map((info) => {
      const { drill, target, phase, recoveredMs } = storedState<DrillState>(info) ?? {};
      return {
        ...runOf(info),
        number: Number(info.workflowId.slice(prefix.length)),
        ...(drill !== undefined && { drill }),
        ...(target !== undefined && { target }),
        ...(phase !== undefined && { phase }),
        ...(recoveredMs !== undefined && { recoveredMs }),
      };
    }),
  };
}

async function listed(client: Client, query: string): Promise<WorkflowExecutionInfo[]> {
  return askWithin(client, askMs, async () => {
    const found: WorkflowExecutionInfo[] = [];
    for await (const info of client.workflow.list({ query, pageSize: longest })) {
      found.push(info);
      if (found.length === longest) break;
    }
    return found;
  });
}

function runOf({ workflowId, runId, status, startTime, closeTime }: WorkflowExecutionInfo): Run {
  return {
    workflowId,
    runId,
    status: status.name.toLowerCase(),
    startedAt: startTime.toISOString(),
    ...(closeTime !== undefined && { endedAt: closeTime.toISOString() }),
  };
}
