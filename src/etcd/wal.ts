/** etcd's write-ahead log, as far as it says how much a member knows. */

/** Of the records (etcd: `server/wal/wal.go`, the same in 3.4 and 3.5). */
export const recordTypes = { metadata: 1n, entry: 2n, state: 3n, snapshot: 5n } as const;

export interface WalRecord {
  readonly type: bigint;
  readonly data: Buffer;
}

/**
 * The records of a segment, up to the first that is incomplete: segments are allocated before they are filled.
 *
 * A record is a 64-bit little-endian length (its top byte encodes the padding) and a protobuf
 * `walpb.Record {int64 type = 1; uint32 crc = 2; bytes data = 3}`.
 */
export function* walRecords(segment: Buffer): Generator<WalRecord, void> {
  let at = 0;
  while (at + 8 <= segment.length) {
    const length = Number(segment.readBigUInt64LE(at) & 0x00ff_ffff_ffff_ffffn);
    const padding = (segment[at + 7] ?? 0) & 0x80 ? (segment[at + 7] ?? 0) & 0x07 : 0;
    const end = at + 8 + length;
    if (length === 0 || end > segment.length) return;
    const record = protobufFields(segment.subarray(at + 8, end));
    const type = record.get(1);
    const data = record.get(3);
    if (typeof type === 'bigint' && data instanceof Buffer) yield { type, data };
    at = end + padding;
  }
}

/** How much a member knows. Of two members, the one with the higher term, then the higher index, knows more. */
export interface Position {
  /** Raft term of the last entry, which a snapshot may include. */
  readonly term: number;
  /** Of that entry. */
  readonly index: number;
  /** Of the last entry that the member knew to be committed. */
  readonly commit: number;
}

/**
 * The end of a log, from its last segments in order. Undefined if they have no entry: the member knows nothing. The
 * entries are `raftpb.Entry {Type = 1; Term = 2; Index = 3}`, the states `raftpb.HardState {term = 1; vote = 2;
 * commit = 3}`, the snapshots `walpb.Snapshot {index = 1; term = 2}`, an empty one in each new log.
 */
export function walPosition(segments: readonly Buffer[]): Position | undefined {
  let last: { readonly term: number; readonly index: number } | undefined;
  let commit = 0;
  for (const segment of segments) {
    for (const { type, data } of walRecords(segment)) {
      const fields = protobufFields(data);
      if (type === recordTypes.entry)
        last = { term: numberOf(fields.get(2)), index: numberOf(fields.get(3)) };
      else if (type === recordTypes.state) commit = numberOf(fields.get(3));
      else if (type === recordTypes.snapshot) {
        const index = numberOf(fields.get(1));
        if (index > (last?.index ?? 0)) last = { term: numberOf(fields.get(2)), index };
      }
    }
  }
  return last && { ...last, commit };
}

function numberOf(field: bigint | Buffer | undefined): number {
  return typeof field === 'bigint' ? Number(field) : 0;
}

/** Varint and length-delimited fields by number; a truncated last field is omitted. */
export function protobufFields(bytes: Buffer): Map<number, bigint | Buffer> {
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
