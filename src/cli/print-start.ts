/** The calls that start a deployment without this command: for a CI job, a schedule, or a program. */
import { quote } from '../ssh/shell.js';
import type { TemporalSettings } from '../temporal/connect.js';
import { taskQueue, workflowIds, workflowNames, type DeployInput } from '../temporal/contract.js';
import { passing } from '../temporal/options.js';

/** Where a program starts it if neither an option nor a profile says otherwise. */
const usualAddress = '127.0.0.1:7233';

/** How a deployment is started: what all callers have in common. */
export function startOf({ spec }: DeployInput) {
  return {
    type: workflowNames.deploy,
    workflowId: workflowIds.deploy(spec.name),
    taskQueue,
    taskTimeout: passing.workflowTaskTimeout,
    summary: `Deploy ${spec.name}`,
  };
}

/** A command line of Temporal's own `temporal`, for a POSIX shell. Its exit code is 1 while a deployment runs. */
export function shellCall(input: DeployInput, { address, profile, namespace }: TemporalSettings): string {
  const { type, workflowId, taskQueue: queue, taskTimeout, summary } = startOf(input);
  const flags: readonly (readonly [string, string | undefined])[] = [
    ['--address', address],
    ['--namespace', namespace],
    ['--profile', profile],
    ['--type', type],
    ['--workflow-id', workflowId],
    ['--task-queue', queue],
    ['--task-timeout', taskTimeout],
    ['--static-summary', summary],
    ['--input', JSON.stringify(input)],
  ];
  const lines = flags.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${quote(value)}`]));
  return `${['temporal workflow start', ...lines].join(' \\\n  ')}\n`;
}

/** A program for Temporal's TypeScript SDK that starts it and waits for its result. */
export function sdkCall(input: DeployInput, settings: TemporalSettings): string {
  const { address = usualAddress, namespace = 'default' } = settings;
  const { type, workflowId, taskQueue: queue, taskTimeout, summary } = startOf(input);
  const options = { workflowId, taskQueue: queue, workflowTaskTimeout: taskTimeout, staticSummary: summary };
  return `import { Client, Connection } from '@temporalio/client';

const connection = await Connection.connect({ address: ${JSON.stringify(address)} });
const client = new Client({ connection, namespace: ${JSON.stringify(namespace)} });
const result = await client.workflow.execute(${JSON.stringify(type)}, ${JSON.stringify({ ...options, args: [input] }, undefined, 2)});
console.log(JSON.stringify(result));
await connection.close();
`;
}
