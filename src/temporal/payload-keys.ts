import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { xdgDirectory } from '../cluster/home.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { isMissing, replaceFile } from '../net/files.js';

/** A key of AES-256. */
export interface PayloadKey {
  /** Stored with each payload, to find the key again. */
  readonly id: string;
  readonly key: Buffer;
}

export interface PayloadKeys {
  readonly file: string;
  /** The first one encrypts; all decrypt. */
  readonly keys: readonly [PayloadKey, ...PayloadKey[]];
}

const keyBytes = 32;
const line = /^(?<id>[A-Za-z0-9_-]{1,64})\s+(?<key>[A-Za-z0-9+/]{43}=)$/;

/** PERIJOVE_PAYLOAD_KEYS, else `~/.config/perijove/payload-keys`. @throws PerijoveError LOCAL_FILE */
export function payloadKeysFile(env: NodeJS.ProcessEnv): string {
  const named = env['PERIJOVE_PAYLOAD_KEYS'] ?? '';
  if (named !== '') return path.resolve(named);
  return path.join(xdgDirectory('XDG_CONFIG_HOME', env), 'perijove', 'payload-keys');
}

/**
 * The keys of this machine; undefined if there is no file and PERIJOVE_PAYLOAD_KEYS names none.
 *
 * @throws PerijoveError PAYLOAD_KEYS_INVALID
 */
export function readPayloadKeys(env: NodeJS.ProcessEnv): PayloadKeys | undefined {
  const file = payloadKeysFile(env);
  const invalid = (why: string, place: { readonly line?: number; readonly cause?: unknown } = {}) =>
    new PerijoveError('PAYLOAD_KEYS_INVALID', `${file}: ${why}`, { file, ...place });
  let text: string;
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0) {
      throw new PerijoveError('PAYLOAD_KEYS_INVALID', `${file} can be read by others (mode ${octal(mode)})`, {
        file,
        remedy: `Run \`chmod 600 ${file}\`. If others may have read it, also \`perijove payload-keys rotate\`.`,
      });
    }
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof PerijoveError) throw cause;
    if (isMissing(cause) && (env['PERIJOVE_PAYLOAD_KEYS'] ?? '') === '') return undefined;
    throw invalid(messageOf(cause), { cause });
  }
  const keys: PayloadKey[] = [];
  for (const [index, content] of text.split('\n').entries()) {
    if (content.trim() === '' || content.startsWith('#')) continue;
    const { id, key } = content.trim().match(line)?.groups ?? {};
    // Without the line: it may be a key with a typing error.
    if (id === undefined || key === undefined)
      throw invalid('expected an ID and 32 bytes in base64', { line: index + 1 });
    if (keys.some((each) => each.id === id))
      throw invalid(`the ID ${id} is there twice`, { line: index + 1 });
    keys.push({ id, key: Buffer.from(key, 'base64') });
  }
  const [first, ...others] = keys;
  if (first === undefined) throw invalid('there is no key');
  return { file, keys: [first, ...others] };
}

/** Makes the file with a new key. @throws PerijoveError PAYLOAD_KEYS_EXIST */
export async function createPayloadKeys(env: NodeJS.ProcessEnv): Promise<PayloadKeys> {
  const file = payloadKeysFile(env);
  if (existsSync(file)) {
    throw new PerijoveError('PAYLOAD_KEYS_EXIST', `${file} exists`, { file });
  }
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  return write(file, [newKey()]);
}

/** Puts a new key before those that there are. @throws PerijoveError PAYLOAD_KEYS_INVALID */
export async function rotatePayloadKeys(env: NodeJS.ProcessEnv): Promise<PayloadKeys> {
  const before = readPayloadKeys({ ...env, PERIJOVE_PAYLOAD_KEYS: payloadKeysFile(env) });
  if (before === undefined) throw new Error('a named file is never taken for none');
  return write(before.file, [newKey(), ...before.keys]);
}

function newKey(): PayloadKey {
  return { id: randomBytes(6).toString('hex'), key: randomBytes(keyBytes) };
}

async function write(file: string, keys: PayloadKeys['keys']): Promise<PayloadKeys> {
  const lines = keys.map(({ id, key }) => `${id} ${key.toString('base64')}\n`);
  const about =
    '# Keys of Perijove for what Temporal stores: the first one encrypts, all decrypt. Keep it secret.\n' +
    '# Each worker and each machine that runs perijove needs this file. See docs/how-to/encrypt-payloads.md.\n';
  await replaceFile(file, `${about}${lines.join('')}`, 0o600);
  return { file, keys };
}

const octal = (mode: number): string => (mode & 0o777).toString(8);
