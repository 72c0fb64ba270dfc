import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { fingerprint, keyType, knownHostsLine, knownKeys, type KnownKey } from './known-hosts.js';

/** The known keys of a host, and the verification of the key that it presents. */
export interface HostKeyCheck {
  /** Known types first, so that a server with several keys presents a known one. */
  readonly algorithms: ServerHostKeyAlgorithm[];
  /** Pins a key on first contact. Resolves to an error if the key is rejected. */
  verify(key: Buffer): Promise<PerijoveError | undefined>;
}

const algorithmsByType: readonly (readonly [type: string, algorithms: readonly ServerHostKeyAlgorithm[]])[] =
  [
    ['ssh-ed25519', ['ssh-ed25519']],
    ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
    ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
    ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
    ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
  ];

/**
 * Verifies host keys against the target's known_hosts file if it has one, otherwise against the file
 * `<address>_<port>` in `knownHostsDir`, which is written on first contact.
 *
 * @throws PerijoveError SSH_HOST_KEY_UNKNOWN when the known_hosts file cannot be read, LOCAL_FILE for the other one
 */
export async function hostKeyCheck(
  host: string,
  target: SshTarget,
  knownHostsDir: string,
): Promise<HostKeyCheck> {
  const { address, port, knownHostsFile } = target;
  const pinned = pinFile(target, knownHostsDir);
  const file = knownHostsFile ?? pinned;
  const known = await readKnownKeys(host, target, file);

  return {
    algorithms: preferredAlgorithms(known),
    verify: async (key) => {
      const verdict = judge(known, key);
      if (verdict === 'accepted') return undefined;
      if (verdict === 'refused') return changedKey(host, target, file, known, key);
      if (knownHostsFile !== undefined) {
        return new PerijoveError(
          'SSH_HOST_KEY_UNKNOWN',
          `${knownHostsFile} has no key for ${address}:${port}, which presents ${keyType(key) ?? 'a key'} ${fingerprint(key)}`,
          { host, subject: `${address}:${port}` },
        );
      }
      const text = await pin(pinned, knownHostsLine(address, port, key)).catch((cause: unknown) => {
        throw unpinned('write', host, pinned, cause);
      });
      const now = knownKeys(text, address, port);
      return judge(now, key) === 'accepted' ? undefined : changedKey(host, target, file, now, key);
    },
  };
}

/** The file, in known_hosts format, that pins the keys of targets without their own known_hosts file. */
export function pinFile({ address, port }: SshTarget, knownHostsDir: string): string {
  return path.join(knownHostsDir, `${address.replace(/[^\w.-]/g, '_')}_${port}`);
}

function judge(known: readonly KnownKey[], key: Buffer): 'accepted' | 'refused' | 'new' {
  if (known.some((each) => each.revoked && each.key.equals(key))) return 'refused';
  const valid = known.filter((each) => !each.revoked);
  if (valid.some((each) => each.key.equals(key))) return 'accepted';
  return valid.length === 0 ? 'new' : 'refused';
}

function preferredAlgorithms(known: readonly KnownKey[]): ServerHostKeyAlgorithm[] {
  const types = new Set(known.filter((each) => !each.revoked).map((each) => each.type));
  const rank = (type: string) => (types.has(type) ? 0 : 1);
  return algorithmsByType.toSorted(([a], [b]) => rank(a) - rank(b)).flatMap(([, algorithms]) => algorithms);
}

async function readKnownKeys(host: string, target: SshTarget, file: string): Promise<KnownKey[]> {
  try {
    return knownKeys(await readFile(file, 'utf8'), target.address, target.port);
  } catch (error) {
    if (target.knownHostsFile === undefined) {
      if (hasCode(error, 'ENOENT')) return [];
      throw unpinned('read', host, file, error);
    }
    throw new PerijoveError('SSH_HOST_KEY_UNKNOWN', `cannot read ${file}: ${messageOf(error)}`, {
      host,
      cause: error,
    });
  }
}

/** Creates the file atomically unless it exists. Resolves to its final content. */
async function pin(file: string, line: string): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(temporary, line, { mode: 0o600, flag: 'wx' });
  try {
    await link(temporary, file);
  } catch (error) {
    // Another worker connected first; its key stays pinned.
    if (!hasCode(error, 'EEXIST')) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  return readFile(file, 'utf8');
}

/** A fault of this machine, not of the host's. */
function unpinned(what: 'read' | 'write', host: string, file: string, cause: unknown): PerijoveError {
  return new PerijoveError('LOCAL_FILE', `cannot ${what} ${file}, the key of ${host}: ${messageOf(cause)}`, {
    host,
    file,
    remedy:
      'Make its directory writable, set XDG_STATE_HOME to a directory that is, or name a known_hosts file in the spec (`ssh.knownHosts`).',
    cause,
  });
}

function changedKey(
  host: string,
  { address, port }: SshTarget,
  file: string,
  known: readonly KnownKey[],
  key: Buffer,
): PerijoveError {
  const type = keyType(key);
  const before = known.find((each) => each.type === type) ?? known[0];
  const was =
    before === undefined
      ? 'nothing'
      : `${before.revoked ? 'revoked ' : ''}${before.type} ${fingerprint(before.key)}`;
  return new PerijoveError(
    'SSH_HOST_KEY_CHANGED',
    `${address}:${port} presents the key ${type ?? ''} ${fingerprint(key)} instead of ${was}`,
    {
      host,
      subject: `${address}:${port}`,
      remedy: `If the host was reinstalled, remove its line from ${file}. Otherwise, do not connect.`,
    },
  );
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
