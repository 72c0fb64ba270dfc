import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.js';
import { withoutHostKeys } from './host-keys.js';
import type { ClusterSpec } from './spec.js';

/** SHA-256, in hex, of the canonical JSON of the spec without host keys. Independent of comments and order. */
export function specDigest(spec: ClusterSpec): string {
  return createHash('sha256')
    .update(canonicalJson(withoutHostKeys(spec)))
    .digest('hex');
}
