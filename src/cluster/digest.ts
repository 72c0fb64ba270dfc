import { createHash } from 'node:crypto';
import type { ClusterSpec } from './spec.js';

/** JSON with the keys of every object sorted: equal data give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, nested: unknown) =>
    nested !== null && typeof nested === 'object' && !Array.isArray(nested)
      ? Object.fromEntries(Object.entries(nested).sort(([a], [b]) => (a < b ? -1 : 1)))
      : nested,
  );
}

/** SHA-256, in hex, over the canonical JSON of the spec. Comments and order of keys in the file do not count. */
export function specDigest(spec: ClusterSpec): string {
  return createHash('sha256').update(canonicalJson(spec)).digest('hex');
}
