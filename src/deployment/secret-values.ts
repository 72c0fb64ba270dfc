/** Which secrets exist, and which must be generated, decided from what the hosts hold. */
import { randomBytes, X509Certificate } from 'node:crypto';
import ssh2 from 'ssh2';
import { PerijoveError } from '../errors/error.js';
import type { HostSecrets } from '../hosts/secrets.js';
import { parseCredential } from '../mesos/masters/http.js';
import { certificatesIn } from '../cluster/certificate.js';
import { defaultPrincipal, type ClusterSpec } from '../cluster/spec.js';
import {
  isDerived,
  lastOf,
  nextOf,
  passingNames,
  secretNames,
  type HeldName,
  type HeldSecrets,
  type PrimarySecret,
  type SecretName,
  type Secrets,
  type SteppedSecret,
} from '../cluster/secrets.js';
import { issueClient, issueMember, makeAuthority } from '../etcd/authority.js';
import { authorityCertificates, authorityFlaw, isCurrent, memberNames } from '../etcd/certificates.js';

const publicKeys = {
  'node-ssh-key.pub': 'node-ssh-key',
  'node-host-key.pub': 'node-host-key',
} as const satisfies Partial<Record<SecretName, PrimarySecret>>;

const authorityCertificate = 'etcd-authority.crt' satisfies SecretName;

export type SecretsDecision =
  /** No host holds these, or one that can be used. `authority` issues certificates. */
  | { readonly kind: 'make'; readonly names: readonly PrimarySecret[]; readonly authority?: string }
  /** With what replaces a secret now, where hosts have that. */
  | { readonly kind: 'complete'; readonly secrets: Secrets & HeldSecrets };

/** The authority issues these; they are replaced when they do not fit it or the spec any more, or end soon. */
const issued = ['etcd-member', 'etcd-client'] as const satisfies readonly PrimarySecret[];
type IssuedSecret = (typeof issued)[number];

/**
 * The principal comes from the spec: a credential for another principal keeps its secret.
 *
 * @throws PerijoveError SECRETS_DIFFER if two hosts hold different values of a secret, SECRETS_DAMAGED if a
 *   private key, a credential or the authority is invalid
 */
export function decideSecrets(
  held: readonly HostSecrets[],
  spec: ClusterSpec,
  now = new Date(),
): SecretsDecision {
  const authority = agreedValue('etcd-authority', held, spec);
  const flaw = authority === undefined ? undefined : authorityFlaw(authority);
  if (flaw !== undefined) {
    throw new PerijoveError('SECRETS_DAMAGED', `etcd-authority cannot be used: ${flaw}`, {
      subject: 'etcd-authority',
    });
  }
  const agreed = primarySecrets().map(
    (name) =>
      [
        name,
        isIssued(name) ? currentValue(name, held, { authority, spec, now }) : agreedValue(name, held, spec),
      ] as const,
  );
  const missing = agreed.flatMap(([name, value]) =>
    // Without the authority, its certificates come with the next turn.
    value === undefined && !(authority === undefined && isIssued(name)) ? [name] : [],
  );
  if (missing.length > 0) return { kind: 'make', names: missing, ...(authority && { authority }) };
  const values = Object.fromEntries(agreed) as Record<PrimarySecret, string>;
  const passing = passingSecrets(held);
  const derived = [
    ...Object.entries(publicKeys).map(
      ([name, privateKey]) => [name, publicKeyOf(privateKey, values[privateKey])] as const,
    ),
    [authorityCertificate, trusted(values['etcd-authority'], passing)] as const,
  ];
  return { kind: 'complete', secrets: { ...passing, ...values, ...Object.fromEntries(derived) } as Secrets };
}

function primarySecrets(): PrimarySecret[] {
  return secretNames.filter((name): name is PrimarySecret => !isDerived(name));
}

/** What hosts have of a replacement that has begun. The first host decides, to which each value was written first. */
function passingSecrets(held: readonly HostSecrets[]): HeldSecrets {
  return Object.fromEntries(
    passingNames.flatMap((name) => {
      const value = held.map(({ values }) => values[name]).find((each) => each !== undefined);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** While one authority replaces another, members and clients trust both. */
function trusted(authority: string, passing: HeldSecrets): string {
  const others = [passing[nextOf('etcd-authority')], passing[lastOf('etcd-authority')]];
  return authorityCertificates([authority, ...others.filter((each) => each !== undefined)].join('\n'));
}

function isIssued(name: SecretName): name is IssuedSecret {
  return issued.some((each) => each === name);
}

/** Hosts may hold different ones: the newest that can be used. */
function currentValue(
  name: IssuedSecret,
  held: readonly HostSecrets[],
  {
    authority,
    spec,
    now,
  }: { readonly authority: string | undefined; readonly spec: ClusterSpec; readonly now: Date },
): string | undefined {
  if (authority === undefined) return undefined;
  const names = name === 'etcd-member' ? memberNames(spec) : { names: [], addresses: [] };
  const usable = held.flatMap(({ values }) => {
    const text = values[name];
    return text !== undefined && isCurrent(text, authority, names, now) ? [text] : [];
  });
  return usable.toSorted((a, b) => startOf(b) - startOf(a) || (a < b ? -1 : 1))[0];
}

function startOf(pem: string): number {
  return Date.parse(new X509Certificate(certificatesIn(pem)[0] ?? '').validFrom);
}

function agreedValue(
  name: PrimarySecret,
  held: readonly HostSecrets[],
  spec: ClusterSpec,
): string | undefined {
  const holders = new Map<string, string[]>();
  for (const { host, values } of held) {
    const text = values[name];
    const value = text !== undefined && name === 'mesos-credential' ? credentialOf(text, spec) : text;
    if (value !== undefined) holders.set(value, [...(holders.get(value) ?? []), host]);
  }
  const [first, second] = holders.values();
  if (first !== undefined && second !== undefined) {
    const next = isIssued(name) ? undefined : replacementOf(name, held, spec);
    if (next !== undefined && holders.size === 2 && holders.has(next)) return next;
    throw new PerijoveError(
      'SECRETS_DIFFER',
      `${name} differs between ${first.join(', ')} and ${second.join(', ')}`,
      { subject: name },
    );
  }
  return holders.keys().next().value;
}

/** The value that replaces the secret; a replacement that was cut leaves it on some hosts. */
function replacementOf(
  name: SteppedSecret,
  held: readonly HostSecrets[],
  spec: ClusterSpec,
): string | undefined {
  const text = passingSecrets(held)[nextOf(name)];
  return text !== undefined && name === 'mesos-credential' ? credentialOf(text, spec) : text;
}

function credentialOf(text: string, spec: ClusterSpec): string {
  const { principal, secret } = parseCredential(text);
  return JSON.stringify({ principal: spec.mesos.principal ?? principal, secret });
}

function publicKeyOf(name: SecretName, privateKey: string): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error) {
    throw new PerijoveError('SECRETS_DAMAGED', `${name} is not a private key: ${key.message}`, {
      subject: name,
    });
  }
  return `${key.type} ${key.getPublicSSH().toString('base64')} perijove\n`;
}

/**
 * A new value. Text has no trailing newline; keys have one. Only with `authority`, the certificates that it issues.
 */
export async function makeSecret(
  name: PrimarySecret,
  spec: ClusterSpec,
  authority = '',
  now = new Date(),
): Promise<string> {
  switch (name) {
    case 'etcd-authority':
      return makeAuthority(spec.name, now);
    case 'etcd-member':
      return issueMember(authority, memberNames(spec), now);
    case 'etcd-client':
      return issueClient(authority, now);
    case 'node-ssh-key':
    case 'node-host-key':
      return makePrivateKey();
    case 'jupyter-token':
    case 'proxy-api-token':
    case 'node-api-token':
    case 'node-kernels-token':
      return randomBytes(24).toString('hex');
    case 'jupyter-cookie-secret':
      return randomBytes(32).toString('base64');
    case 'zookeeper-digest':
      return `perijove:${randomBytes(24).toString('hex')}`;
    case 'mesos-credential':
      return JSON.stringify({
        principal: spec.mesos.principal ?? defaultPrincipal,
        secret: randomBytes(24).toString('hex'),
      });
  }
}

/** ssh2 1.17 could not read 17 of 3,000 keys that it generated. */
function makePrivateKey(): string {
  for (;;) {
    const key = ssh2.utils.generateKeyPairSync('ed25519', { comment: 'perijove' }).private;
    if (!(ssh2.utils.parseKey(key) instanceof Error)) return key;
  }
}

/** Secrets that a host lacks or holds with another value. What replaces a secret comes before what it replaces. */
export function lackingSecrets(held: HostSecrets, secrets: Secrets & HeldSecrets): HeldName[] {
  return [...passingNames, ...secretNames].filter(
    (name) => secrets[name] !== undefined && held.values[name] !== secrets[name],
  );
}
