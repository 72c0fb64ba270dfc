import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { LoadedDataConverter, Payload, PayloadCodec } from '@temporalio/common';
import proto, { type temporal } from '@temporalio/proto';
import { PerijoveError } from '../errors/error.js';
import type { PayloadKeys } from './payload-keys.js';

/** As in Temporal's own samples, so that its tools recognize an encrypted payload. */
const encoding = 'binary/encrypted';
const keyIdField = 'encryption-key-id';
const algorithm = 'aes-256-gcm';
/** NIST SP 800-38D: 96 bits. Random: one key may encrypt 2^32 payloads. */
const ivBytes = 12;
const tagBytes = 16;

const { Payload: PayloadMessage } = proto.temporal.api.common.v1;

/**
 * Encrypts each payload as a whole with AES-256-GCM: its data is the IV, the authentication tag and the ciphertext. A
 * payload in clear is returned as it is: those of the time before there was a key can be read.
 */
export class PayloadCipher implements PayloadCodec {
  constructor(private readonly keys: PayloadKeys) {}

  encode(payloads: Payload[]): Promise<Payload[]> {
    return Promise.resolve(payloads.map((payload) => this.#encrypt(payload)));
  }

  /** Rejects with PAYLOAD_KEY_MISSING or PAYLOAD_DAMAGED. */
  decode(payloads: Payload[]): Promise<Payload[]> {
    return Promise.resolve().then(() => payloads.map((payload) => this.#decrypt(payload)));
  }

  #encrypt(payload: Payload): Payload {
    const [{ id, key }] = this.keys.keys;
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv(algorithm, key, iv);
    cipher.setAAD(Buffer.from(id));
    const text = Buffer.concat([cipher.update(PayloadMessage.encode(payload).finish()), cipher.final()]);
    return {
      metadata: { encoding: Buffer.from(encoding), [keyIdField]: Buffer.from(id) },
      data: Buffer.concat([iv, cipher.getAuthTag(), text]),
    };
  }

  #decrypt(payload: Payload): Payload {
    if (!isEncrypted(payload)) return payload;
    const id = Buffer.from(payload.metadata?.[keyIdField] ?? []).toString();
    const found = this.keys.keys.find((each) => each.id === id);
    if (found === undefined) throw keyMissing(id, this.keys.file);
    const data = Buffer.from(payload.data ?? []);
    try {
      const decipher = createDecipheriv(algorithm, found.key, data.subarray(0, ivBytes), {
        authTagLength: tagBytes,
      });
      decipher.setAAD(Buffer.from(id));
      decipher.setAuthTag(data.subarray(ivBytes, ivBytes + tagBytes));
      const text = Buffer.concat([decipher.update(data.subarray(ivBytes + tagBytes)), decipher.final()]);
      return PayloadMessage.decode(text);
    } catch (cause) {
      throw new PerijoveError('PAYLOAD_DAMAGED', `a payload cannot be decrypted with the key ${id}`, {
        subject: id,
        cause,
      });
    }
  }
}

/** Where there is no key: says so, instead of an unknown encoding. */
export const noPayloadCipher: PayloadCodec = {
  encode: (payloads) => Promise.resolve(payloads),
  decode: async (payloads) => {
    const encrypted = payloads.find(isEncrypted);
    if (encrypted === undefined) return Promise.resolve(payloads);
    throw keyMissing(Buffer.from(encrypted.metadata?.[keyIdField] ?? []).toString());
  },
};

export function payloadCodec(keys: PayloadKeys | undefined): PayloadCodec {
  return keys === undefined ? noPayloadCipher : new PayloadCipher(keys);
}

/** A value from a raw answer of the server, which the client has not decoded. */
export async function decodePayload<T>(converter: LoadedDataConverter, payload: Payload): Promise<T> {
  const [decoded = payload] = await decodeAll(converter, [payload]);
  return converter.payloadConverter.fromPayload<T>(decoded);
}

/** The same for a failure: the details of application failures, down the chain of causes. */
export async function decodeFailure(
  converter: LoadedDataConverter,
  failure: temporal.api.failure.v1.IFailure,
): Promise<Error> {
  return converter.failureConverter.failureToError(
    await decodeDetails(converter, failure),
    converter.payloadConverter,
  );
}

async function decodeDetails(
  converter: LoadedDataConverter,
  failure: temporal.api.failure.v1.IFailure,
): Promise<temporal.api.failure.v1.IFailure> {
  const { applicationFailureInfo: info, cause } = failure;
  const payloads = await decodeAll(converter, info?.details?.payloads ?? []);
  return {
    ...failure,
    ...(info && { applicationFailureInfo: { ...info, details: { payloads } } }),
    ...(cause && { cause: await decodeDetails(converter, cause) }),
  };
}

/** The last codec encoded last. */
async function decodeAll({ payloadCodecs }: LoadedDataConverter, payloads: Payload[]): Promise<Payload[]> {
  let decoded = payloads;
  for (const codec of payloadCodecs.toReversed()) decoded = await codec.decode(decoded);
  return decoded;
}

function isEncrypted({ metadata }: Payload): boolean {
  return Buffer.from(metadata?.['encoding'] ?? []).toString() === encoding;
}

function keyMissing(id: string, file?: string): PerijoveError {
  const where = file === undefined ? 'this machine has no payload keys' : `${file} does not have it`;
  return new PerijoveError('PAYLOAD_KEY_MISSING', `a payload is encrypted with the key ${id}, and ${where}`, {
    subject: id,
    ...(file !== undefined && { file }),
  });
}
