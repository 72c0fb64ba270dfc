import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { canonicalJson } from './canonical.js';
import { withoutHostKeys } from './host-keys.js';
import type { ClusterSpec } from './spec.js';

/** SHA-256, in hex, of the canonical JSON of the spec without host keys. Independent of comments and order. */
export function specDigest(spec: ClusterSpec): string {
  // Workflows have no `node:crypto`.
  return bytesToHex(sha256(utf8ToBytes(canonicalJson(withoutHostKeys(spec)))));
}
