/** What differs between two specs, for people. Pure. */
import { isSameData } from './canonical.js';

const longestValue = 60;

/** One line for each key that differs, such as `nodes.count: 5 → 3`; a list of named parts is compared by name. */
export function specChanges(before: unknown, after: unknown): string[] {
  return changesAt('', before, after);
}

function changesAt(place: string, before: unknown, after: unknown): string[] {
  if (isSameData(before, after)) return [];
  const [old, now] = [partsOf(before), partsOf(after)];
  if (old === undefined || now === undefined) return [`${place}: ${shown(before)} → ${shown(after)}`];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((key) => {
    const below = place === '' ? key : `${place}.${key}`;
    if (!Object.hasOwn(now, key)) return [`${below}: removed`];
    if (!Object.hasOwn(old, key))
      return [`${below}: added${partsOf(now[key]) ? '' : ` (${shown(now[key])})`}`];
    return changesAt(below, old[key], now[key]);
  });
}

/** Keys of an object, or names of a list; undefined for what is compared as a whole. */
function partsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (Array.isArray(value)) {
    const isNamed =
      value.length > 0 && value.every((each) => typeof (each as { name?: unknown })?.name === 'string');
    return isNamed
      ? Object.fromEntries(value.map((each: { readonly name: string }) => [each.name, each]))
      : undefined;
  }
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
  return text.length > longestValue ? `${text.slice(0, longestValue - 1)}…` : text;
}
