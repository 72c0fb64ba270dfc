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
  'zookeeper-digest',
  'mesos-credential',
] as const;

export type SecretName = (typeof secretNames)[number];

/** All secrets of a cluster, as read from its hosts. Never put them in a payload, a log or a command line. */
export type Secrets = Readonly<Record<SecretName, string>>;
