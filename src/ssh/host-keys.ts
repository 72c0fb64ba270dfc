import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ServerHostKeyAlgorithm } from 'ssh2';
import { messageOf, PerijoveError } from '../errors/error.js';
import { isUnkeyed, placeOfTarget, targetsOf, type HostKeys } from '../cluster/host-keys.js';
import type { HostSpec, SshTarget } from '../cluster/spec.js';
import { certifiedType, hostCertificateFlaw, parseCertificate, type Certificate } from './certificate.js';
import {
  fingerprint,
  keyType,
  knownAuthorities,
  knownHostName,
  knownHostsLine,
  keyOfLine,
  knownKeys,
  publicKeyLine,
  type KnownKey,
} from './known-hosts.js';
import { hostCertificateAlgorithms } from './ssh2-internals.js';

/** The known keys of a host, and the verification of the key that it presents. */
export interface HostKeyCheck {
  /**
   * Certificates first if an authority is known for the host, then known types, so that a server with several
   * keys presents a known one.
   */
  readonly algorithms: readonly string[];
  /** Pins a key on first contact. Resolves to an error if the key or the certificate is rejected. */
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

/** What a known_hosts file has about a host. */
interface Known {
  readonly keys: readonly KnownKey[];
  readonly authorities: readonly Buffer[];
}

interface Subject {
  readonly host: string;
  readonly target: SshTarget;
  /** Where its keys are from. */
  readonly file: string;
}

/** What keys are from that the deployment or the spec gives. */
const given = 'the deployment or the spec (`hostKeys`)';

/**
 * Verifies host keys and host certificates against the target's known_hosts file if it has one, else against its
 * keys, else against the file `<address>_<port>` in `knownHostsDir`, which is written on first contact.
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
  const subject = subjectOf(host, target, knownHostsDir);
  const known = await readKnown(subject);

  const verifyKey = async (key: Buffer, certificate?: Certificate) => {
    const verdict = judge(known.keys, key);
    if (verdict === 'accepted') return undefined;
    if (verdict === 'refused') return changedKey(subject, known.keys, key);
    if (knownHostsFile !== undefined) return unknownKey(subject, known, key, certificate);
    const text = await pin(pinned, knownHostsLine(address, port, key)).catch((cause: unknown) => {
      throw unpinned('write', host, pinned, cause);
    });
    const now = knownKeys(text, knownHostName(address, port));
    return judge(now, key) === 'accepted' ? undefined : changedKey(subject, now, key);
  };

  return {
    algorithms: preferredAlgorithms(known),
    verify: async (presented) => {
      if (certifiedType(keyType(presented) ?? '') === undefined) return verifyKey(presented);
      const certificate = parseCertificate(presented);
      if (certificate === undefined) return badCertificate(subject, 'cannot be parsed');
      const verdict = judgeCertificate(subject, known, certificate);
      // As OpenSSH does: without its authority, a certificate counts as the key in it.
      return verdict === 'other authority' ? verifyKey(certificate.key, certificate) : verdict;
    },
  };
}

/** What is known of a key: `new` if no key of the target is known. @throws PerijoveError as `hostKeyCheck` */
export async function judgeHostKey(
  host: string,
  target: SshTarget,
  knownHostsDir: string,
  key: Buffer,
): Promise<'accepted' | 'refused' | 'new'> {
  return judge((await readKnown(subjectOf(host, target, knownHostsDir))).keys, key);
}

/** The keys that are pinned for the unkeyed targets of the hosts; none for those never seen from here. */
export async function pinnedKeys(hosts: readonly HostSpec[], knownHostsDir: string): Promise<HostKeys> {
  const unkeyed = targetsOf(hosts).filter(isUnkeyed);
  const found = await Promise.all(
    unkeyed.map(async (target) => {
      const { keys } = await readKnown(subjectOf(target.address, target, knownHostsDir));
      const lines = keys.filter(({ revoked }) => !revoked).map(({ key }) => publicKeyLine(key));
      return lines.length === 0 ? [] : [[placeOfTarget(target), lines] as const];
    }),
  );
  return Object.fromEntries(found.flat());
}

function subjectOf(host: string, target: SshTarget, knownHostsDir: string): Subject {
  const { knownHostsFile, hostKeys } = target;
  const own = hostKeys === undefined ? pinFile(target, knownHostsDir) : given;
  return { host, target, file: knownHostsFile ?? own };
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

/** Undefined: the certificate proves that the host is the one of that name. */
function judgeCertificate(
  subject: Subject,
  { keys, authorities }: Known,
  certificate: Certificate,
): PerijoveError | 'other authority' | undefined {
  const revoked = keys.filter((each) => each.revoked);
  if (revoked.some(({ key }) => key.equals(certificate.key)))
    return changedKey(subject, keys, certificate.key);
  if (revoked.some(({ key }) => key.equals(certificate.authority)))
    return badCertificate(subject, `is of the revoked authority ${fingerprint(certificate.authority)}`);
  if (!authorities.some((key) => key.equals(certificate.authority))) return 'other authority';
  const { hostKeyAlias, address } = subject.target;
  const flaw = hostCertificateFlaw(certificate, (hostKeyAlias ?? address).toLowerCase(), new Date());
  return flaw === undefined ? undefined : badCertificate(subject, flaw, certificate.keyId);
}

/** Of any type, as for a target of which nothing is known. */
export const allAlgorithms = preferredAlgorithms({ keys: [], authorities: [] });

function preferredAlgorithms({ keys, authorities }: Known): string[] {
  const types = new Set(keys.filter((each) => !each.revoked).map((each) => each.type));
  const rank = (type: string) => (types.has(type) ? 0 : 1);
  const plain = algorithmsByType
    .toSorted(([a], [b]) => rank(a) - rank(b))
    .flatMap(([, algorithms]): string[] => [...algorithms]);
  const certificates = Object.keys(hostCertificateAlgorithms);
  return authorities.length > 0 ? [...certificates, ...plain] : [...plain, ...certificates];
}

/** The names of a host in known_hosts. Like OpenSSH, it may be there without its port. */
function namesOf({ address, port, hostKeyAlias, knownHostsFile }: SshTarget): string[] {
  if (knownHostsFile === undefined) return [knownHostName(address, port)];
  if (hostKeyAlias !== undefined) return [hostKeyAlias.toLowerCase()];
  return [...new Set([knownHostName(address, port), knownHostName(address, 22)])];
}

async function readKnown({ host, target, file }: Subject): Promise<Known> {
  if (target.knownHostsFile === undefined && target.hostKeys !== undefined) {
    return { keys: target.hostKeys.map(keyOfLine), authorities: [] };
  }
  try {
    const text = await readFile(file, 'utf8');
    const found = namesOf(target).map((name) => ({
      keys: knownKeys(text, name),
      authorities: knownAuthorities(text, name),
    }));
    const [first = { keys: [], authorities: [] }] = found;
    return found.find(({ keys, authorities }) => keys.length + authorities.length > 0) ?? first;
  } catch (error) {
    if (target.knownHostsFile === undefined) {
      if (hasCode(error, 'ENOENT')) return { keys: [], authorities: [] };
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
  { host, target: { address, port, knownHostsFile }, file }: Subject,
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
    `${address}:${port} presents the key ${type ?? ''} ${fingerprint(key)} instead of ${was}, known from ${file}`,
    {
      host,
      subject: `${address}:${port}`,
      remedy:
        knownHostsFile === undefined
          ? 'If the host was reinstalled, set `hostKeys` in the spec to its new key: `perijove host-keys` prints it. Otherwise, do not connect.'
          : `If the host was reinstalled, replace its line in ${file}. Otherwise, do not connect.`,
    },
  );
}

function unknownKey(
  { host, target: { address, port }, file }: Subject,
  { authorities }: Known,
  key: Buffer,
  certificate: Certificate | undefined,
): PerijoveError {
  const place = { host, subject: `${address}:${port}` };
  const presented = `${keyType(key) ?? 'a key'} ${fingerprint(key)}`;
  const other = authorities.length > 0;
  if (certificate === undefined) {
    return new PerijoveError(
      'SSH_HOST_KEY_UNKNOWN',
      other
        ? `${file} has an authority for ${address}:${port}, but the host has no certificate; it presents ${presented}`
        : `${file} has no key for ${address}:${port}, which presents ${presented}`,
      other
        ? {
            ...place,
            remedy: `Give the host a certificate (\`HostCertificate\` in its sshd_config), or add its key to ${file}.`,
          }
        : place,
    );
  }
  const type = keyType(certificate.authority) ?? '';
  return new PerijoveError(
    'SSH_HOST_KEY_UNKNOWN',
    `${file} has ${other ? 'other authorities' : 'neither key nor authority'} for ${address}:${port}, which presents a certificate for ${presented} of the authority ${type} ${fingerprint(certificate.authority)}`,
    {
      ...place,
      remedy: `If you trust this authority, add it to ${file}: \`@cert-authority ${address} ${type} ${certificate.authority.toString('base64')}\`.`,
    },
  );
}

function badCertificate(
  { host, target: { address, port }, file }: Subject,
  flaw: string,
  keyId?: string,
): PerijoveError {
  const name = keyId === undefined || keyId === '' ? '' : ` "${keyId.replace(/[^\x20-\x7e]/g, '?')}"`;
  return new PerijoveError(
    'SSH_HOST_CERTIFICATE_INVALID',
    `the certificate${name} of ${address}:${port} ${flaw} (authorities: ${file})`,
    { host, subject: `${address}:${port}` },
  );
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
