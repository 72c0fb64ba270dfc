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
  isIssued,
  issuers,
  lastOf,
  nextOf,
  passingNames,
  secretNames,
  type Authority,
  type HeldName,
  type HeldSecrets,
  type IssuedSecret,
  type PrimarySecret,
  type SecretName,
  type Secrets,
  type SteppedSecret,
} from '../cluster/secrets.js';
import {
  issueClient,
  issueMember,
  issueServer,
  makeAuthority,
  type CertifiedNames,
} from '../cluster/authority.js';
import { authorityCertificates, authorityFlaw, isCurrent } from '../cluster/issued.js';
import { memberNames } from '../etcd/certificates.js';
import { serverNames } from '../proxy/certificate.js';

const publicKeys = {
  'node-ssh-key.pub': 'node-ssh-key',
  'node-host-key.pub': 'node-host-key',
} as const satisfies Partial<Record<SecretName, PrimarySecret>>;

const authorities = ['etcd-authority', 'https-authority'] as const satisfies readonly Authority[];

export type SecretsDecision =
  /** No host holds these, or one that can be used. `issuing` are the authorities that there are. */
  | { readonly kind: 'make'; readonly names: readonly PrimarySecret[]; readonly issuing: Issuing }
  /** With what replaces a secret now, where hosts have that. */
  | { readonly kind: 'complete'; readonly secrets: Secrets & HeldSecrets };

/** Texts of the authorities that hosts hold. */
export type Issuing = Readonly<Partial<Record<Authority, string>>>;

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
  const issuing: Issuing = Object.fromEntries(
    authorities.flatMap((name) => {
      const value = usableAuthority(name, held, spec);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
  const agreed = primarySecrets().map(
    (name) =>
      [
        name,
        isIssued(name) ? currentValue(name, held, { issuing, spec, now }) : agreedValue(name, held, spec),
      ] as const,
  );
  const missing = agreed.flatMap(([name, value]) =>
    // Without the authority, its certificates come with the next turn.
    value === undefined && !(isIssued(name) && issuing[issuers[name]] === undefined) ? [name] : [],
  );
  if (missing.length > 0) return { kind: 'make', names: missing, issuing };
  const values = Object.fromEntries(agreed) as Record<PrimarySecret, string>;
  const passing = passingSecrets(held);
  const derived = [
    ...Object.entries(publicKeys).map(
      ([name, privateKey]) => [name, publicKeyOf(privateKey, values[privateKey])] as const,
    ),
    ['etcd-authority.crt', trusted(values['etcd-authority'], passing)] as const,
    ['https-authority.crt', authorityCertificates(values['https-authority'])] as const,
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

/** @throws PerijoveError SECRETS_DIFFER, SECRETS_DAMAGED */
function usableAuthority(
  name: Authority,
  held: readonly HostSecrets[],
  spec: ClusterSpec,
): string | undefined {
  const value = agreedValue(name, held, spec);
  const flaw = value === undefined ? undefined : authorityFlaw(value);
  if (flaw === undefined) return value;
  throw new PerijoveError('SECRETS_DAMAGED', `${name} cannot be used: ${flaw}`, { subject: name });
}

function namesOf(name: IssuedSecret, spec: ClusterSpec): CertifiedNames {
  switch (name) {
    case 'etcd-member':
      return memberNames(spec);
    case 'etcd-client':
      return { names: [], addresses: [] };
    case 'https-server':
      return serverNames(spec);
  }
}

/** Hosts may hold different ones: the newest that can be used. */
function currentValue(
  name: IssuedSecret,
  held: readonly HostSecrets[],
  {
    issuing: { [issuers[name]]: authority },
    spec,
    now,
  }: { readonly issuing: Issuing; readonly spec: ClusterSpec; readonly now: Date },
): string | undefined {
  if (authority === undefined) return undefined;
  const names = namesOf(name, spec);
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
 * A new value. Text has no trailing newline; keys have one. A certificate only with its authority.
 */
export async function makeSecret(
  name: PrimarySecret,
  spec: ClusterSpec,
  issuing: Issuing = {},
  now = new Date(),
): Promise<string> {
  switch (name) {
    case 'etcd-authority':
      return makeAuthority(spec.name, now);
    case 'etcd-member':
      return issueMember(issuing['etcd-authority'] ?? '', memberNames(spec), now);
    case 'etcd-client':
      return issueClient(issuing['etcd-authority'] ?? '', now);
    case 'https-authority':
      return makeAuthority(spec.name, now, 'HTTPS');
    case 'https-server':
      return issueServer(issuing['https-authority'] ?? '', serverNames(spec), now);
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
