import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.js';
import type { ClusterSpec } from './spec.js';

/** SHA-256, in hex, of the canonical JSON of the spec. Independent of comments and the order of keys. */
export function specDigest(spec: ClusterSpec): string {
  return createHash('sha256').update(canonicalJson(spec)).digest('hex');
}
