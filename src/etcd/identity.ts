/**
 * The identity of an etcd member. The IDs of a static bootstrap follow from its configuration, and every data
 * directory identifies its member in the write-ahead log. So neither has to be stored separately, where it
 * could be lost or contradict the data.
 */
import { createHash } from 'node:crypto';
import { protobufFields, recordTypes, walRecords } from './wal.js';

export interface Identity {
  /** Unsigned 64-bit, in decimal. */
  readonly memberId: string;
  readonly clusterId: string;
}

/**
 * The ID of a member of a static initial cluster: the first 8 bytes of the SHA-1 of its peer URL and the
 * cluster's token (etcd: `server/etcdserver/api/membership/member.go`, the same in 3.4 and 3.5).
 */
export function staticMemberId(peerUrl: string, token: string): string {
  return firstUint64(createHash('sha1').update(peerUrl + token));
}

/** The cluster ID of a static initial cluster: the same over the sorted IDs of its members. */
export function staticClusterId(peerUrls: readonly string[], token: string): string {
  const ids = peerUrls
    .map((url) => BigInt(staticMemberId(url, token)))
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const bytes = Buffer.alloc(8 * ids.length);
  ids.forEach((id, at) => bytes.writeBigUInt64BE(id, 8 * at));
  return firstUint64(createHash('sha1').update(bytes));
}

/**
 * The identity in the first segment (`*-0000000000000000.wal`, or the oldest that is left) of a write-ahead
 * log: every segment begins with a CRC record and a metadata record with both IDs. Undefined if it has none.
 * The metadata are `etcdserverpb.Metadata {uint64 NodeID = 1; uint64 ClusterID = 2}`.
 */
export function walIdentity(segment: Buffer): Identity | undefined {
  for (const { type, data } of walRecords(segment)) {
    if (type !== recordTypes.metadata) continue;
    const metadata = protobufFields(data);
    const memberId = metadata.get(1);
    const clusterId = metadata.get(2);
    return typeof memberId === 'bigint' && typeof clusterId === 'bigint'
      ? { memberId: String(memberId), clusterId: String(clusterId) }
      : undefined;
  }
  return undefined;
}

function firstUint64(hash: ReturnType<typeof createHash>): string {
  return String(hash.digest().readBigUInt64BE(0));
}
