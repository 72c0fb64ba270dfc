import { footprint, type Trace } from '../../src/hosts/footprint.js';
import type { Difference } from './snapshot.js';

export type Phase = 'up' | 'purged';

/** Whether a pattern of the list matches. */
function matches(pattern: RegExp, { entry, change, after = '' }: Difference): boolean {
  return pattern.test(change === 'added' ? `${entry} ${after}`.trim() : entry);
}

function patterns({ until, added = [], changed = [] }: Trace, phase: Phase) {
  if (phase === 'purged' && until === 'purge') return [];
  return [
    ...added.map((pattern) => ({ change: 'added', pattern })),
    ...changed.map((pattern) => ({ change: 'changed', pattern })),
  ];
}

/** Differences not in the list. */
export function unlisted(phase: Phase, differences: readonly Difference[]): Difference[] {
  const listed = footprint.flatMap((trace) => patterns(trace, phase));
  return differences.filter(
    (each) => !listed.some(({ change, pattern }) => change === each.change && matches(pattern, each)),
  );
}

/** Patterns of the list that match none of the differences. */
export function unseen(phase: Phase, differences: readonly Difference[]): string[] {
  return footprint
    .flatMap((trace) => patterns(trace, phase))
    .filter(
      ({ change, pattern }) => !differences.some((each) => change === each.change && matches(pattern, each)),
    )
    .map(({ change, pattern }) => `${change}: ${pattern.source}`);
}

/** One line per difference. */
export function describeDifferences(differences: readonly Difference[]): string[] {
  return differences.map(
    ({ entry, change, before = '', after = '' }) =>
      `${entry} ${change}${change === 'changed' ? `: ${before} → ${after}` : ` ${after}${before}`.trimEnd()}`,
  );
}
