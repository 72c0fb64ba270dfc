import { nearestName } from '../cluster/nearest.js';

/** The remedy for a name that there is none of: the one that is probably meant, and all that there are. */
export function choices(given: string, names: readonly string[]): string {
  if (names.length === 0) return 'There are none.';
  const nearest = nearestName(given, names);
  const meant = nearest === undefined ? '' : `Did you mean \`${nearest}\`? `;
  return `${meant}There ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}.`;
}
