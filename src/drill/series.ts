/** Reproducible random series of drills: the seed determines everything. */
import { createHash } from 'node:crypto';
import type { Drill, DrillName } from './faults/index.js';

export interface Step {
  readonly drill: DrillName;
  /** Which of the available targets: this number modulo their count. */
  readonly pick: number;
}

/**
 * The first `count` steps of a seed. The same seed, definitions and count give the same steps, and a longer
 * series starts with the steps of a shorter one.
 */
export function randomSeries(
  definitions: readonly Pick<Drill, 'name'>[],
  count: number,
  seed: string,
): readonly Step[] {
  if (definitions.length === 0) return [];
  return Array.from({ length: count }, (_, index) => {
    const digest = createHash('sha256').update(`${seed}/${index}`).digest();
    const definition = definitions[digest.readUInt32BE(0) % definitions.length];
    if (!definition) throw new RangeError('an index modulo the length is in range');
    return { drill: definition.name, pick: digest.readUInt32BE(4) };
  });
}
