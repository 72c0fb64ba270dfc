import { CancellationScope, isCancellation } from '@temporalio/workflow';

/**
 * Runs all concurrently. When one fails, the others are cancelled and waited for, and that failure is thrown:
 * nothing of a failed stage continues unnoticed by the workflow.
 */
export async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const failures: unknown[] = [];
    const settled = await Promise.allSettled(
      items.map(async (item) => {
        try {
          return await run(item);
        } catch (error) {
          failures.push(error);
          scope.cancel();
          throw error;
        }
      }),
    );
    if (failures.length > 0) throw failures.find((error) => !isCancellation(error)) ?? failures[0];
    return settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  });
}
