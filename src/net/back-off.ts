/** Exponential back-off: each pause is twice the one before, up to the longest one. */
export interface BackOff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Milliseconds to pause after a number of consecutive failures; 0 before the first one. */
export function pauseAfter(failures: number, { firstMs, longestMs }: BackOff): number {
  return failures < 1 ? 0 : Math.min(longestMs, firstMs * 2 ** (failures - 1));
}
