import { expect, vi } from 'vitest';
import type { ClusterStatus } from '../../src/status/cluster-status.js';

/** Polls until the status satisfies `assertion`. */
export function untilStatus(
  observe: () => Promise<ClusterStatus>,
  assertion: (status: ClusterStatus) => void,
  options: { readonly timeout: number; readonly interval: number },
): Promise<ClusterStatus> {
  return vi.waitFor(async () => {
    const status = await observe();
    assertion(status);
    return status;
  }, options);
}

export function expectReady(status: ClusterStatus): void {
  expect(status, JSON.stringify(status)).toMatchObject({ phase: 'ready' });
}
