/** Names of the secrets: files with mode 0600 in `<dir>/etc/secrets` on every host. */
export const secretNames = [
  'node-ssh-key',
  'node-ssh-key.pub',
  'node-host-key',
  'node-host-key.pub',
  'jupyter-token',
  'jupyter-cookie-secret',
  'proxy-api-token',
  'node-api-token',
  'node-kernels-token',
  'zookeeper-digest',
  'mesos-credential',
  'etcd-authority',
  'etcd-authority.crt',
  'etcd-member',
  'etcd-client',
  'https-authority',
  'https-authority.crt',
  'https-server',
] as const;

export type SecretName = (typeof secretNames)[number];

/**
 * What a node needs: the keys of SSH among nodes, Jupyter's token and cookies, the tokens by which this cluster's
 * programs order the node and reach its kernels, and the certificates of etcd. Nothing in it opens Mesos, ZooKeeper or a proxy, or issues a
 * certificate.
 */
export const nodeSecretNames = [
  'node-ssh-key',
  'node-ssh-key.pub',
  'node-host-key',
  'node-host-key.pub',
  'jupyter-token',
  'jupyter-cookie-secret',
  'node-api-token',
  'node-kernels-token',
  'etcd-authority.crt',
  'etcd-member',
  'etcd-client',
] as const satisfies readonly SecretName[];

/** Secrets that follow from others: a public key from its private key, the authority's certificate from the text with its key. */
export type DerivedSecret = Extract<SecretName, `${string}.pub` | `${string}.crt`>;
export type PrimarySecret = Exclude<SecretName, DerivedSecret>;

/**
 * Of these, programs accept two values while one replaces the other. A host then has three files: the one in force, the
 * one to come (`.next`), and, once that is in force, the one before (`.last`). Of other secrets, the first two.
 */
export const acceptedTwice = [
  'proxy-api-token',
  'node-api-token',
  'node-kernels-token',
  'etcd-authority',
] as const satisfies readonly PrimarySecret[];

/** Certificates by the authority that issues them; they are replaced at once. */
export const issuers = {
  'etcd-member': 'etcd-authority',
  'etcd-client': 'etcd-authority',
  'https-server': 'https-authority',
} as const satisfies Partial<Record<PrimarySecret, PrimarySecret>>;
export type IssuedSecret = keyof typeof issuers;
export type Authority = (typeof issuers)[IssuedSecret];
/** A secret that is replaced in steps. */
export type SteppedSecret = Exclude<PrimarySecret, IssuedSecret>;
export type NextName = `${SteppedSecret}.next`;
export type LastName = `${(typeof acceptedTwice)[number]}.last`;
/** All files of secrets that a host may have. */
export type HeldName = SecretName | NextName | LastName;
export type HeldSecrets = Readonly<Partial<Record<HeldName, string>>>;

export const nextOf = (name: SteppedSecret): NextName => `${name}.next`;
export const lastOf = (name: (typeof acceptedTwice)[number]): LastName => `${name}.last`;

export function isDerived(name: SecretName): name is DerivedSecret {
  return name.endsWith('.pub') || name.endsWith('.crt');
}

export function isIssued(name: SecretName): name is IssuedSecret {
  return name in issuers;
}

export function isAcceptedTwice(name: SecretName): name is (typeof acceptedTwice)[number] {
  return acceptedTwice.some((each) => each === name);
}

export const steppedNames: readonly SteppedSecret[] = secretNames.filter(
  (name): name is SteppedSecret => !isDerived(name) && !isIssued(name),
);

/** Files that a host has only while a secret is replaced. */
export const passingNames: readonly (NextName | LastName)[] = [
  ...steppedNames.map(nextOf),
  ...acceptedTwice.map(lastOf),
];

export const heldNames: readonly HeldName[] = [...secretNames, ...passingNames];

/** The files of a token that its servers accept; only the first one must be there. */
export function acceptedFiles(name: (typeof acceptedTwice)[number]): readonly HeldName[] {
  return [name, nextOf(name), lastOf(name)];
}

/** All secrets of a cluster, as read from its hosts. Never put them in a payload, a log or a command line. */
export type Secrets = Readonly<Record<SecretName, string>>;
