import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defaultPayloadConverter } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noPayloadCipher, PayloadCipher } from '../../src/temporal/payload-codec.js';
import {
  createPayloadKeys,
  payloadKeysFile,
  readPayloadKeys,
  rotatePayloadKeys,
} from '../../src/temporal/payload-keys.js';

let directory: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-keys-'));
  env = { PERIJOVE_PAYLOAD_KEYS: path.join(directory, 'config', 'keys') };
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const secret = { hosts: [{ name: 'h1', address: '192.168.0.1' }] };
const payload = () => defaultPayloadConverter.toPayload(secret);

describe('the cipher', () => {
  it('encrypts the whole payload, differently each time, and gives it back', async () => {
    const cipher = new PayloadCipher(await createPayloadKeys(env));
    const [one, other] = await cipher.encode([payload(), payload()]);
    if (!one?.data || !other?.data) expect.unreachable('two payloads');
    expect(Buffer.from(one.data).includes('192.168.0.1')).toBe(false);
    expect(Object.keys(one.metadata ?? {})).toEqual(['encoding', 'encryption-key-id']);
    expect(Buffer.from(one.data).equals(Buffer.from(other.data))).toBe(false);
    const [decoded] = await cipher.decode([one]);
    expect(decoded && defaultPayloadConverter.fromPayload(decoded)).toEqual(secret);
  });

  it('reads what was stored in clear, and what earlier keys encrypted', async () => {
    const before = new PayloadCipher(await createPayloadKeys(env));
    const [old] = await before.encode([payload()]);
    const after = new PayloadCipher(await rotatePayloadKeys(env));
    const [fresh] = await after.encode([payload()]);
    if (old === undefined || fresh === undefined) expect.unreachable('two payloads');
    expect(fresh.metadata?.['encryption-key-id']).not.toEqual(old.metadata?.['encryption-key-id']);
    const decoded = await after.decode([payload(), old, fresh]);
    expect(decoded.map((each) => defaultPayloadConverter.fromPayload(each))).toEqual([
      secret,
      secret,
      secret,
    ]);
    await expect(before.decode([fresh])).rejects.toMatchObject({ code: 'PAYLOAD_KEY_MISSING' });
  });

  it('refuses a payload that was changed anywhere', async () => {
    const cipher = new PayloadCipher(await createPayloadKeys(env));
    const [encrypted] = await cipher.encode([payload()]);
    if (!encrypted?.data) expect.unreachable('one payload');
    for (let index = 0; index < encrypted.data.length; index += 1) {
      const data = Buffer.from(encrypted.data);
      data[index] = (data[index] ?? 0) ^ 1;
      await expect(cipher.decode([{ ...encrypted, data }])).rejects.toMatchObject({
        code: 'PAYLOAD_DAMAGED',
      });
    }
    for (const length of [0, 12, 27, encrypted.data.length - 1]) {
      const cut = { ...encrypted, data: encrypted.data.subarray(0, length) };
      await expect(cipher.decode([cut])).rejects.toMatchObject({ code: 'PAYLOAD_DAMAGED' });
    }
  });

  it('names the key where there is none', async () => {
    const keys = await createPayloadKeys(env);
    const [encrypted] = await new PayloadCipher(keys).encode([payload()]);
    if (encrypted === undefined) expect.unreachable('one payload');
    expect(await noPayloadCipher.decode([payload()])).toHaveLength(1);
    await expect(noPayloadCipher.decode([encrypted])).rejects.toMatchObject({
      code: 'PAYLOAD_KEY_MISSING',
      message: expect.stringContaining(keys.keys[0].id) as string,
    });
  });
});

describe('the file of the keys', () => {
  it('is made once, for its owner alone', async () => {
    expect(readPayloadKeys({ XDG_CONFIG_HOME: directory })).toBeUndefined();
    const { file } = await createPayloadKeys(env);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, 'utf8');
    await expect(createPayloadKeys(env)).rejects.toMatchObject({ code: 'PAYLOAD_KEYS_EXIST' });
    expect(readFileSync(file, 'utf8')).toBe(text);
    await rotatePayloadKeys(env);
    const ids = readPayloadKeys(env)?.keys.map(({ id }) => id) ?? [];
    expect(ids).toHaveLength(2);
    expect(text).toContain(ids[1]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('is the default one of XDG', () => {
    expect(payloadKeysFile({ XDG_CONFIG_HOME: '/c' })).toBe('/c/perijove/payload-keys');
    expect(payloadKeysFile({ PERIJOVE_PAYLOAD_KEYS: '/k' })).toBe('/k');
  });

  const key = Buffer.alloc(32, 1).toString('base64');
  it.each([
    ['', /no key/, undefined],
    ['# nothing\n\n', /no key/, undefined],
    ['one\n', /expected an ID/, 1],
    [`a ${key}\nb ${key.slice(1)}\n`, /expected an ID/, 2],
    [`a ${key}\na ${key}\n`, /twice/, 2],
    [`a ${key} b\n`, /expected an ID/, 1],
  ])('is refused with its line, without showing a key: %j', (text, message, line) => {
    const file = path.join(directory, 'keys');
    writeFileSync(file, text, { mode: 0o600 });
    const read = () => readPayloadKeys({ PERIJOVE_PAYLOAD_KEYS: file });
    expect(read).toThrow(message);
    try {
      read();
    } catch (error) {
      const {
        code,
        place,
        message: shown,
      } = error as {
        code: string;
        place: { line?: number };
        message: string;
      };
      expect(code).toBe('PAYLOAD_KEYS_INVALID');
      expect(place.line).toBe(line);
      expect(shown).not.toContain(key.slice(1));
    }
  });

  it('is refused if others can read it, or if it is named and missing', () => {
    const file = path.join(directory, 'keys');
    expect(() => readPayloadKeys({ PERIJOVE_PAYLOAD_KEYS: file })).toThrow(/ENOENT/);
    writeFileSync(file, `a ${key}\n`, { mode: 0o640 });
    expect(() => readPayloadKeys({ PERIJOVE_PAYLOAD_KEYS: file })).toThrow(/mode 640/);
  });
});
