/** Reads the fields of an SSH message, key or certificate (RFC 4251, section 5). */
export class WireReader {
  #at = 0;

  constructor(readonly bytes: Buffer) {}

  /** How many bytes have been read. */
  get position(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at >= this.bytes.length;
  }

  /** @throws RangeError if the bytes end earlier, as every method does */
  byte(): number {
    const value = this.bytes.readUInt8(this.#at);
    this.#at += 1;
    return value;
  }

  uint32(): number {
    const value = this.bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  uint64(): bigint {
    const value = this.bytes.readBigUInt64BE(this.#at);
    this.#at += 8;
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    if (this.#at + length > this.bytes.length) throw new RangeError('a field ends after the last byte');
    this.#at += length;
    return this.bytes.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return this.string().toString('utf8');
  }
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function wireString(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** A positive integer: no leading zeros, except one where the first bit is set. */
export function mpint(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length && value[start] === 0) start += 1;
  const digits = value.subarray(start);
  return wireString((digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}
