import { expect, test } from 'vitest';
import { callOnce } from '../../src/etcd/call-once.js';

test('returns the result of a call', async () => {
  await expect(callOnce.execute(() => 'answer')).resolves.toBe('answer');
});

test('makes each call once, however often calls have failed', async () => {
  let calls = 0;
  for (let count = 1; count <= 10; count += 1) {
    const failed = callOnce.execute(() => {
      calls += 1;
      throw new Error(`failure ${calls}`);
    });
    await expect(failed).rejects.toThrow(`failure ${count}`);
  }
  expect(calls).toBe(10);
});
