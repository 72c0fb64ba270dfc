import { canonicalJson } from './canonical.js';
import { withoutHostKeys } from './host-keys.js';
import { sha256Hex } from './sha256.js';
import type { ClusterSpec } from './spec.js';

/** SHA-256, in hex, of the canonical JSON of the spec without host keys. Independent of comments and order. */
export function specDigest(spec: ClusterSpec): string {
  return sha256Hex(canonicalJson(withoutHostKeys(spec)));
}
