/** Which secrets exist, and which must be generated, decided from what the hosts hold. */
import { randomBytes } from 'node:crypto';
import ssh2 from 'ssh2';
import { PerijoveError } from '../errors/error.js';
import type { HostSecrets } from '../hosts/secrets.js';
import { parseCredential } from '../mesos/masters/http.js';
import { defaultPrincipal, type ClusterSpec } from '../cluster/spec.js';
import { secretNames, type SecretName, type Secrets } from '../cluster/secrets.js';

/** Secrets that are not derived: a public key follows from its private key. */
export type PrimarySecret = Exclude<SecretName, `${string}.pub`>;

const publicKeys = {
  'node-ssh-key.pub': 'node-ssh-key',
  'node-host-key.pub': 'node-host-key',
} as const satisfies Partial<Record<SecretName, PrimarySecret>>;

export type SecretsDecision =
  /** No host holds these. */
  | { readonly kind: 'make'; readonly names: readonly PrimarySecret[] }
  | { readonly kind: 'complete'; readonly secrets: Secrets };

/**
 * The principal comes from the spec: a credential for another principal keeps its secret.
 *
 * @throws PerijoveError SECRETS_DIFFER if two hosts hold different values of a secret, SECRETS_DAMAGED if a
 *   private key or a credential is invalid
 */
export function decideSecrets(held: readonly HostSecrets[], spec: ClusterSpec): SecretsDecision {
  const agreed = primarySecrets().map((name) => [name, agreedValue(name, held, spec)] as const);
  const missing = agreed.flatMap(([name, value]) => (value === undefined ? [name] : []));
  if (missing.length > 0) return { kind: 'make', names: missing };
  const values = Object.fromEntries(agreed) as Record<PrimarySecret, string>;
  const derived = Object.entries(publicKeys).map(
    ([name, privateKey]) => [name, publicKeyOf(privateKey, values[privateKey])] as const,
  );
  return { kind: 'complete', secrets: { ...values, ...Object.fromEntries(derived) } as Secrets };
}

function primarySecrets(): PrimarySecret[] {
  return secretNames.filter((name): name is PrimarySecret => !(name in publicKeys));
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
    throw new PerijoveError(
      'SECRETS_DIFFER',
      `${name} differs between ${first.join(', ')} and ${second.join(', ')}`,
      { subject: name },
    );
  }
  return holders.keys().next().value;
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

/** A new value. Text has no trailing newline; keys have one. */
export function makeSecret(name: PrimarySecret, spec: ClusterSpec): string {
  switch (name) {
    case 'node-ssh-key':
    case 'node-host-key':
      return makePrivateKey();
    case 'jupyter-token':
    case 'proxy-api-token':
    case 'node-api-token':
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

/** Secrets that a host lacks or holds with another value. */
export function lackingSecrets(held: HostSecrets, secrets: Secrets): SecretName[] {
  return secretNames.filter((name) => held.values[name] !== secrets[name]);
}
