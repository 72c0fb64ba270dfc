import { expect, it } from 'vitest';
import { pauseAfter } from '../../src/net/back-off.js';

it('doubles the pause with each failure, up to the longest one', () => {
  const pauses = [0, 1, 2, 3, 4, 5, 6, 5_000].map((failures) =>
    pauseAfter(failures, { firstMs: 100, longestMs: 1_500 }),
  );
  expect(pauses).toEqual([0, 100, 200, 400, 800, 1_500, 1_500, 1_500]);
});
