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

/** All secrets of a cluster, as read from its hosts. Never put them in a payload, a log or a command line. */
export type Secrets = Readonly<Record<SecretName, string>>;
