/**
 * Which keys an OpenPGP key file has, and until when they hold (RFC 4880, RFC 9580). Enough to choose one by its
 * fingerprint; signatures are verified by apt on the host.
 */
import { createHash } from 'node:crypto';

/** A primary key, with its user IDs, subkeys and signatures. */
export interface OpenPgpKey {
  /** Upper-case hexadecimal digits: 40 of a version 4 key, 64 of a version 6 key. */
  readonly fingerprint: string;
  /** By its newest self-signature; absent: it does not expire. */
  readonly expiresAt?: Date;
  /** Its packets alone, without armor. */
  readonly data: Buffer;
}

interface Packet {
  readonly tag: number;
  readonly body: Buffer;
  /** Header and body. */
  readonly raw: Buffer;
}

const tags = { signature: 2, key: 6, subkey: 14 } as const;

/** The keys of a file, ASCII-armored or binary; empty if it is no OpenPGP key file. */
export function openPgpKeys(file: Buffer): readonly OpenPgpKey[] {
  const packets = packetsOf(dearmored(file));
  if (packets === undefined) return [];
  const starts = packets.flatMap(({ tag }, index) => (tag === tags.key ? [index] : []));
  return starts.flatMap((start, index) => keyOf(packets.slice(start, starts[index + 1])) ?? []);
}

function dearmored(file: Buffer): Buffer {
  const text = file.toString('latin1');
  const blocks = [
    ...text.matchAll(/-----BEGIN PGP PUBLIC KEY BLOCK-----([\s\S]*?)-----END PGP PUBLIC KEY BLOCK-----/g),
  ];
  if (blocks.length === 0) return file;
  return Buffer.concat(
    blocks.map(([, block = '']) => {
      const lines = block.split(/\r?\n/).map((line) => line.trim());
      // Headers end with an empty line; a line that starts with `=` is the checksum.
      const body = lines.slice(lines.indexOf('', 1) + 1).filter((line) => !line.startsWith('='));
      return Buffer.from(body.join(''), 'base64');
    }),
  );
}

/** Undefined if the data is not a sequence of packets. */
function packetsOf(data: Buffer): readonly Packet[] | undefined {
  const packets: Packet[] = [];
  let at = 0;
  while (at < data.length) {
    const header = headerAt(data, at);
    if (header === undefined || header.end > data.length) return undefined;
    const { tag, start, end } = header;
    packets.push({ tag, body: data.subarray(start, end), raw: data.subarray(at, end) });
    at = end;
  }
  return packets;
}

/** RFC 4880, section 4.2. Keys have no partial or indeterminate lengths. */
function headerAt(data: Buffer, at: number): { tag: number; start: number; end: number } | undefined {
  const first = data[at] ?? 0;
  if ((first & 0x80) === 0) return undefined;
  if ((first & 0x40) !== 0) {
    const length = newLength(data, at + 1);
    if (length === undefined) return undefined;
    const start = at + 1 + length.bytes;
    return { tag: first & 0x3f, start, end: start + length.value };
  }
  const bytes = [1, 2, 4][first & 3];
  if (bytes === undefined || at + 1 + bytes > data.length) return undefined;
  const start = at + 1 + bytes;
  return { tag: (first >> 2) & 0xf, start, end: start + data.readUIntBE(at + 1, bytes) };
}

/** A length of one, two or five bytes, of a packet or of a subpacket. */
function newLength(data: Buffer, at: number): { value: number; bytes: number } | undefined {
  const [first, second] = [data[at], data[at + 1]];
  if (first === undefined) return undefined;
  if (first < 192) return { value: first, bytes: 1 };
  if (first < 224) {
    return second === undefined ? undefined : { value: (first - 192) * 256 + second + 192, bytes: 2 };
  }
  return first === 255 && at + 5 <= data.length ? { value: data.readUInt32BE(at + 1), bytes: 5 } : undefined;
}

function keyOf(packets: readonly Packet[]): OpenPgpKey | undefined {
  const [primary, ...others] = packets;
  if (primary === undefined) return undefined;
  const fingerprint = fingerprintOf(primary.body);
  if (fingerprint === undefined) return undefined;
  const subkey = others.findIndex(({ tag }) => tag === tags.subkey);
  const signatures = (subkey === -1 ? others : others.slice(0, subkey)).filter(
    ({ tag }) => tag === tags.signature,
  );
  const own = signatures
    .flatMap(({ body }) => selfSignature(body, fingerprint) ?? [])
    .toSorted((a, b) => b.madeAt - a.madeAt);
  const lifetime = own[0]?.lifetimeSeconds ?? 0;
  return {
    fingerprint,
    ...(lifetime === 0 ? {} : { expiresAt: new Date((primary.body.readUInt32BE(1) + lifetime) * 1000) }),
    data: Buffer.concat(packets.map(({ raw }) => raw)),
  };
}

/** RFC 4880, section 12.2; RFC 9580, section 5.5.4.3. */
function fingerprintOf(body: Buffer): string | undefined {
  if (body.length < 6) return undefined;
  const prefix = Buffer.alloc(body[0] === 6 ? 5 : 3);
  if (body[0] === 6) {
    prefix[0] = 0x9b;
    prefix.writeUInt32BE(body.length, 1);
  } else if (body[0] === 4) {
    prefix[0] = 0x99;
    prefix.writeUInt16BE(body.length, 1);
  } else return undefined;
  const hash = createHash(body[0] === 6 ? 'sha256' : 'sha1');
  return hash.update(prefix).update(body).digest('hex').toUpperCase();
}

interface SelfSignature {
  /** Unix time in seconds. */
  readonly madeAt: number;
  /** From the creation of the key; 0: it does not expire. */
  readonly lifetimeSeconds: number;
}

const subpackets = { madeAt: 2, lifetime: 9, issuer: 16, issuerFingerprint: 33 } as const;

/** A certification of a user ID (0x10 to 0x13), or a signature of the key itself (0x1f), by the key itself. */
function selfSignature(body: Buffer, fingerprint: string): SelfSignature | undefined {
  const [version, type = 0] = body;
  if ((version !== 4 && version !== 6) || !((type >= 0x10 && type <= 0x13) || type === 0x1f))
    return undefined;
  const width = version === 6 ? 4 : 2;
  const hashed = areaAt(body, 4, width);
  const unhashed = hashed && areaAt(body, hashed.end, width);
  if (hashed === undefined || unhashed === undefined) return undefined;
  const all = [...hashed.entries, ...unhashed.entries];
  const issuers = all.flatMap(({ type: kind, value }) => {
    if (kind === subpackets.issuer) return [value.toString('hex').toUpperCase()];
    return kind === subpackets.issuerFingerprint ? [value.subarray(1).toString('hex').toUpperCase()] : [];
  });
  if (!issuers.some((issuer) => issuer !== '' && fingerprint.endsWith(issuer))) return undefined;
  const seconds = (kind: number) => {
    const value = hashed.entries.find((entry) => entry.type === kind)?.value;
    return value?.length === 4 ? value.readUInt32BE(0) : 0;
  };
  return { madeAt: seconds(subpackets.madeAt), lifetimeSeconds: seconds(subpackets.lifetime) };
}

function areaAt(body: Buffer, at: number, width: number) {
  if (at + width > body.length) return undefined;
  const end = at + width + body.readUIntBE(at, width);
  const entries: { type: number; value: Buffer }[] = [];
  let next = at + width;
  while (next < end) {
    const length = newLength(body, next);
    if (length === undefined || length.value === 0) return undefined;
    const start = next + length.bytes;
    // The highest bit says that who does not know the type must refuse the signature.
    entries.push({ type: (body[start] ?? 0) & 0x7f, value: body.subarray(start + 1, start + length.value) });
    next = start + length.value;
  }
  return next === end ? { entries, end } : undefined;
}
