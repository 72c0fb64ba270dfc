import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** A host's key in a known_hosts file. */
export interface KnownKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  readonly key: Buffer;
  /** Marked `@revoked`: never accepted. */
  readonly revoked: boolean;
}

/** The name of a host in known_hosts: the plain address on port 22, otherwise `[address]:port`. */
export function knownHostName(address: string, port: number): string {
  return port === 22 ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`;
}

/**
 * All keys for a host in the text of a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): plain
 * names, wildcards, negated and hashed names. Without those of authorities. Ignores invalid lines, as OpenSSH does.
 */
export function knownKeys(text: string, name: string): KnownKey[] {
  return linesFor(text, name).flatMap(({ marker, type, key }) =>
    marker === '@cert-authority' ? [] : [{ type, key, revoked: marker === '@revoked' }],
  );
}

/** The keys of the authorities that may certify the host (`@cert-authority`). */
export function knownAuthorities(text: string, name: string): Buffer[] {
  return linesFor(text, name).flatMap(({ marker, key }) => (marker === '@cert-authority' ? [key] : []));
}

function linesFor(
  text: string,
  name: string,
): { readonly marker: string | undefined; readonly type: string; readonly key: Buffer }[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    if (fields[0] === undefined || fields[0] === '' || fields[0].startsWith('#')) return [];
    const marker = fields[0].startsWith('@') ? fields.shift() : undefined;
    const [names, type, base64] = fields;
    if (names === undefined || type === undefined || base64 === undefined) return [];
    if (!matchesNames(names, name)) return [];
    const key = Buffer.from(base64, 'base64');
    return keyType(key) === type ? [{ marker, type, key }] : [];
  });
}

/** A known_hosts line for a key. */
export function knownHostsLine(address: string, port: number, key: Buffer): string {
  return `${knownHostName(address, port)} ${publicKeyLine(key)}\n`;
}

/** `TYPE BASE64`, as in a `.pub` file. */
export function publicKeyLine(key: Buffer): string {
  return `${keyType(key) ?? ''} ${key.toString('base64')}`;
}

/** The key of such a line. */
export function keyOfLine(line: string): KnownKey {
  const [type = '', base64 = ''] = line.split(' ');
  return { type, key: Buffer.from(base64, 'base64'), revoked: false };
}

/** The fingerprint in OpenSSH format: `SHA256:…`. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** The type of a key in SSH wire format (RFC 4253, 6.6); undefined if it is not a key. */
export function keyType(key: Buffer): string | undefined {
  if (key.length < 4) return undefined;
  const length = key.readUInt32BE(0);
  return length > 0 && length <= 64 && key.length > 4 + length
    ? key.subarray(4, 4 + length).toString('latin1')
    : undefined;
}

function matchesNames(names: string, name: string): boolean {
  if (names.startsWith('|1|')) return matchesHash(names, name);
  const patterns = names.toLowerCase().split(',');
  if (patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(pattern.slice(1), name)))
    return false;
  return patterns.some((pattern) => matchesPattern(pattern, name));
}

/** `|1|salt|hash`, both base64: HMAC-SHA1 of the name, keyed with the salt. */
function matchesHash(hashed: string, name: string): boolean {
  const [, , salt, hash] = hashed.split('|');
  if (salt === undefined || hash === undefined) return false;
  const expected = Buffer.from(hash, 'base64');
  const actual = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** Whether a name matches a pattern with `*` and `?` (ssh_config(5), PATTERNS). */
export function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(name);
}
