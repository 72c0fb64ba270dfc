import { describe, expect, it } from 'vitest';
import { MissingReport } from '../../../src/mesos/scheduler/missing.js';

function recorded() {
  const stored: (string | null)[] = [];
  const report = new MissingReport(
    {
      storeMissing: async (missing) => void stored.push(missing),
    },
    undefined,
  );
  return { stored, report };
}

describe('the report of what is missing', () => {
  it('is stored when it changes, and its end at once', async () => {
    const { stored, report } = recorded();
    expect(await report.report(['no offer', 'h2 is closed'], 1_000_000)).toBe(Infinity);
    expect(await report.report(['no offer', 'h2 is closed'], 1_000_100)).toBe(Infinity);
    await report.report([], 1_000_200);
    expect(stored).toEqual(['no offer. h2 is closed', null]);
  });

  it('is stored ever more seldom while it alternates', async () => {
    const { stored, report } = recorded();
    const hourMs = 3_600_000;
    for (let now = 1_000_000, turn = 0; now < 1_000_000 + hourMs; now += 2_000, turn++) {
      await report.report([turn % 2 === 0 ? 'this' : 'that'], now);
    }
    expect(stored.length).toBeLessThan(60);
    // The newest reason is stored in the end.
    const due = await report.report(['something else'], 1_000_000 + hourMs);
    await report.report(['something else'], due);
    expect(stored.at(-1)).toBe('something else');
  });

  it('is stored promptly again after a quiet time', async () => {
    const { stored, report } = recorded();
    let now = 1_000_000;
    for (let turn = 0; turn < 100; turn++) await report.report([`reason ${turn % 3}`], (now += 2_000));
    now += 600_000;
    await report.report(['after the quiet time'], now);
    expect(stored.at(-1)).toBe('after the quiet time');
    const due = await report.report(['soon after it'], now + 1_000);
    expect(due).toBe(now + 5_000);
  });
});
