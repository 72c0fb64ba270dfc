import { closest, distance } from 'fastest-levenshtein';

/**
 * The known name that a misspelled one probably stands for: a prefix of it, or one that differs in at most
 * half of its letters.
 */
export function nearestName(given: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const plain = (text: string) => text.toLowerCase().replace(/[_-]/g, '');
  const within = known.find((candidate) => plain(given).startsWith(plain(candidate)));
  if (within !== undefined) return within;
  const nearest = closest(given, known);
  return distance(given, nearest) <= Math.max(1, Math.floor(nearest.length / 2)) ? nearest : undefined;
}

/** The remedy for an unknown name: the one that is probably meant, and all valid ones. */
export function choices(given: string, names: readonly string[]): string {
  if (names.length === 0) return 'There are none.';
  const nearest = nearestName(given, names);
  const meant = nearest === undefined ? '' : `Did you mean \`${nearest}\`? `;
  return names.length === 1
    ? `${meant}The only one is ${names[0]}.`
    : `${meant}Use one of ${names.join(', ')}.`;
}
