import { PerijoveError } from '../../errors/error.js';

/** Mesos sends no record whose length has more digits than this. */
const longestLengthDigits = 10;
const defaultLargestRecordBytes = 64 * 2 ** 20;

/**
 * Decodes a RecordIO stream, however it is split into chunks: each record is its length in bytes as decimal
 * digits, a newline, and that many bytes. (Format: Mesos' "Scheduler HTTP API" document; recordings in
 * `test/fixtures/mesos`.)
 */
export class RecordDecoder {
  readonly #largestRecordBytes: number;
  #digits = '';
  /** Bytes that the current record still lacks; undefined while its length is being read. */
  #missing: number | undefined;
  #parts: Uint8Array[] = [];

  constructor(options: { readonly largestRecordBytes?: number } = {}) {
    this.#largestRecordBytes = options.largestRecordBytes ?? defaultLargestRecordBytes;
  }

  /**
   * The records that end in this chunk. The decoder keeps the rest.
   *
   * @throws PerijoveError MESOS_BAD_STREAM; the decoder cannot be used afterwards
   */
  push(chunk: Uint8Array): Buffer[] {
    const records: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#missing === undefined) {
        const newline = chunk.indexOf(newlineByte, at);
        const end = newline === -1 ? chunk.length : newline;
        this.#readDigits(chunk.subarray(at, end));
        if (newline !== -1) this.#missing = this.#length();
        at = end + 1;
      } else {
        const part = chunk.subarray(at, at + this.#missing);
        this.#parts.push(part);
        this.#missing -= part.length;
        at += part.length;
      }
      if (this.#missing === 0) {
        records.push(Buffer.concat(this.#parts));
        this.#parts = [];
        this.#missing = undefined;
      }
    }
    return records;
  }

  /**
   * Call at the end of the stream.
   *
   * @throws PerijoveError MESOS_BAD_STREAM when it ended inside a record
   */
  end(): void {
    if (this.#missing !== undefined || this.#digits !== '') {
      throw new PerijoveError('MESOS_BAD_STREAM', 'the stream of the Mesos master ended inside a record');
    }
  }

  #readDigits(bytes: Uint8Array): void {
    this.#digits += Buffer.from(bytes).toString('latin1');
    if (this.#digits.length > longestLengthDigits || !/^\d*$/.test(this.#digits)) {
      const shown = JSON.stringify(this.#digits.slice(0, 40));
      throw new PerijoveError(
        'MESOS_BAD_STREAM',
        `the stream of the Mesos master contains ${shown} instead of a record length`,
      );
    }
  }

  #length(): number {
    const length = Number(this.#digits);
    if (this.#digits === '' || length > this.#largestRecordBytes) {
      throw new PerijoveError(
        'MESOS_BAD_STREAM',
        this.#digits === ''
          ? 'the stream of the Mesos master contains a record without a length'
          : `the stream of the Mesos master announces a record of ${length} bytes`,
      );
    }
    this.#digits = '';
    return length;
  }
}

const newlineByte = 0x0a;
