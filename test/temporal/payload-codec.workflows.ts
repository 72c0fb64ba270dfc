import { proxyActivities } from '@temporalio/workflow';

const { waits } = proxyActivities<{ waits(input: unknown): Promise<unknown> }>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '500ms', backoffCoefficient: 1 },
});

export async function encrypted(input: unknown): Promise<unknown> {
  return waits(input);
}
