import { expect, vi } from 'vitest';
import type { ClusterStatus } from '../../src/status/cluster-status.js';

/** Looks again and again until the status is as `assertion` has it. */
export function untilStatus(
  look: () => Promise<ClusterStatus>,
  assertion: (status: ClusterStatus) => void,
  options: { readonly timeout: number; readonly interval: number },
): Promise<ClusterStatus> {
  return vi.waitFor(async () => {
    const status = await look();
    assertion(status);
    return status;
  }, options);
}

export function expectReady(status: ClusterStatus): void {
  expect(status, JSON.stringify(status)).toMatchObject({ phase: 'ready' });
}
