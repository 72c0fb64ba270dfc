/**
 * The identity of an etcd member. The IDs of a static bootstrap follow from its configuration, and every data
 * directory identifies its member in the write-ahead log. So neither has to be stored separately, where it
 * could be lost or contradict the data.
 */
import { createHash } from 'node:crypto';

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

const metadataRecord = 1n;

/**
 * The identity in the first segment (`*-0000000000000000.wal`, or the oldest that is left) of a write-ahead
 * log: every segment begins with a CRC record and a metadata record with both IDs. Undefined if it has none.
 *
 * A record is a 64-bit little-endian length (its top byte encodes the padding) and a protobuf
 * `walpb.Record {int64 type = 1; uint32 crc = 2; bytes data = 3}`; the metadata are
 * `etcdserverpb.Metadata {uint64 NodeID = 1; uint64 ClusterID = 2}`.
 */
export function walIdentity(segment: Buffer): Identity | undefined {
  let at = 0;
  while (at + 8 <= segment.length) {
    const length = Number(segment.readBigUInt64LE(at) & 0x00ff_ffff_ffff_ffffn);
    const padding = (segment[at + 7] ?? 0) & 0x80 ? (segment[at + 7] ?? 0) & 0x07 : 0;
    const end = at + 8 + length;
    if (length === 0 || end > segment.length) return undefined;
    const record = protobufFields(segment.subarray(at + 8, end));
    const data = record.get(3);
    if (record.get(1) === metadataRecord && data instanceof Buffer) {
      const metadata = protobufFields(data);
      const memberId = metadata.get(1);
      const clusterId = metadata.get(2);
      return typeof memberId === 'bigint' && typeof clusterId === 'bigint'
        ? { memberId: String(memberId), clusterId: String(clusterId) }
        : undefined;
    }
    at = end + padding;
  }
  return undefined;
}

/** Varint and length-delimited fields by number; a truncated last field is omitted. */
function protobufFields(bytes: Buffer): Map<number, bigint | Buffer> {
  const fields = new Map<number, bigint | Buffer>();
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) return undefined;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    if (tag === undefined || value === undefined) break;
    const field = Number(tag >> 3n);
    switch (tag & 7n) {
      case 0n:
        fields.set(field, value);
        break;
      case 2n:
        fields.set(field, bytes.subarray(at, at + Number(value)));
        at += Number(value);
        break;
      default:
        return fields;
    }
  }
  return fields;
}

function firstUint64(hash: ReturnType<typeof createHash>): string {
  return String(hash.digest().readBigUInt64BE(0));
}
