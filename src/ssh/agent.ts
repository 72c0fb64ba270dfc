import { connect } from 'node:net';
import { WireReader, uint32, wireString } from './wire.js';

/** Messages of the agent protocol (draft-miller-ssh-agent). */
const message = { requestIdentities: 11, identities: 12, signRequest: 13, signature: 14 } as const;
const flags: Readonly<Record<string, number>> = { sha256: 2, sha512: 4 };
/** An agent answers at once, except that it may ask its user before it signs. */
const identitiesTimeoutMs = 10_000;
const longestAnswer = 1024 * 1024;

export interface AgentKey {
  /** A public key or a certificate, in wire format. */
  readonly blob: Buffer;
  readonly comment: string;
}

/** The keys and certificates that the agent at a socket holds. @throws Error if it does not answer */
export async function agentKeys(socket: string): Promise<AgentKey[]> {
  const reader = await request(
    socket,
    Buffer.from([message.requestIdentities]),
    message.identities,
    AbortSignal.timeout(identitiesTimeoutMs),
  );
  const count = reader.uint32();
  return Array.from({ length: count }, () => ({ blob: reader.string(), comment: reader.text() }));
}

/**
 * A signature of the agent, in wire format. `hash` matters only for RSA keys, which else sign with SHA-1.
 *
 * @throws Error if the agent refuses or does not answer
 */
export async function agentSignature(
  socket: string,
  { blob, data, hash, signal }: { blob: Buffer; data: Buffer; hash?: string; signal: AbortSignal },
): Promise<Buffer> {
  const body = Buffer.concat([
    Buffer.from([message.signRequest]),
    wireString(blob),
    wireString(data),
    uint32(flags[hash ?? ''] ?? 0),
  ]);
  return (await request(socket, body, message.signature, signal)).string();
}

/** Sends one message and resolves with the fields of the answer. */
function request(socket: string, body: Buffer, expected: number, signal: AbortSignal): Promise<WireReader> {
  return new Promise((resolve, reject) => {
    const stream = connect(socket);
    let received = Buffer.alloc(0);
    const end = (settle: () => void) => {
      signal.removeEventListener('abort', abort);
      stream.destroy();
      settle();
    };
    const fail = (error: Error) => end(() => reject(error));
    const abort = () => fail(new Error('no answer in time'));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) return abort();
    stream.on('connect', () => stream.write(wireString(body)));
    stream.on('error', fail);
    stream.on('close', () => fail(new Error('it closed the connection')));
    stream.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) return;
      const length = received.readUInt32BE(0);
      if (length === 0 || length > longestAnswer)
        return fail(new Error('its answer is not that of an agent'));
      if (received.length < 4 + length) return;
      const reader = new WireReader(received.subarray(4, 4 + length));
      if (reader.byte() === expected) end(() => resolve(reader));
      else fail(new Error('it refused'));
    });
  });
}
