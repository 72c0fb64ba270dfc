/** Configuration of a node's SSH server and client: nodes know each other's key and prompt for nothing. */
import { quote } from '../../ssh/shell.js';
import type { HostsEntry } from '../api.js';
import type { NodeConfig } from '../config.js';
import { nodeLayout } from '../layout.js';

export interface SshdFacts {
  readonly user: string;
  /** The account's password is locked with `!`: sshd then admits nobody unless PAM decides. */
  readonly locked: boolean;
  /** A program; `internal-sftp` would bypass the session's command. */
  readonly sftpServer?: string;
  /** The environment of a session. */
  readonly environment: Readonly<Record<string, string>>;
}

export function sshdConfig(config: NodeConfig, facts: SshdFacts): string {
  const layout = nodeLayout(config.paths.base);
  const environment = Object.entries(facts.environment).map(([name, value]) => `"${name}=${value}"`);
  return lines(
    `ListenAddress ${config.address}`,
    `Port ${config.ports.ssh}`,
    `HostKey ${layout.hostKey}`,
    'PidFile none',
    `AuthorizedKeysFile ${layout.authorizedKeys}`,
    'AuthenticationMethods publickey',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    `AllowUsers ${facts.user}`,
    'PermitRootLogin prohibit-password',
    `UsePAM ${facts.locked ? 'yes' : 'no'}`,
    // The tree may be below a directory that others can write to (with the sticky bit), such as /tmp.
    'StrictModes no',
    'UseDNS no',
    'PrintMotd no',
    'X11Forwarding no',
    // Of a session that becomes another user, sshd itself stays root: it must use no file on its behalf.
    'AllowStreamLocalForwarding no',
    'PermitUserRC no',
    'LoginGraceTime 30',
    'MaxStartups 100',
    'AcceptEnv LANG LC_*',
    `SetEnv ${environment.join(' ')}`,
    `ForceCommand ${quote(`${layout.bin}/session`)}`,
    ...(facts.sftpServer === undefined ? [] : [`Subsystem sftp ${facts.sftpServer}`]),
  );
}

/** The client's configuration: each name in the hosts file, and each address, leads to a node's sshd. */
export function sshConfig(
  config: NodeConfig,
  { user, secrets }: { readonly user: string; readonly secrets: string },
  entries: readonly HostsEntry[],
): string {
  const layout = nodeLayout(config.paths.base);
  const addresses = new Set([...config.nodes, ...entries].map(({ address }) => address));
  return lines(
    ...entries.flatMap(({ name, address }) => [`Host ${name}`, `  HostName ${address}`]),
    `Host ${[...entries.map(({ name }) => name), ...addresses].join(' ')}`,
    `  Port ${config.ports.ssh}`,
    `  User ${user}`,
    `  IdentityFile "${secrets}/node-ssh-key"`,
    '  IdentitiesOnly yes',
    `  HostKeyAlias ${hostKeyAlias(config)}`,
    `  UserKnownHostsFile "${layout.knownHosts}"`,
    '  GlobalKnownHostsFile none',
    '  StrictHostKeyChecking yes',
    // -F ignores what the user and the machine have configured for other hosts.
    'Host *',
    '  Include ~/.ssh/config',
    '  Include /etc/ssh/ssh_config',
  );
}

/** All nodes have the same host key, so one name stands for all. */
export function knownHosts(config: NodeConfig, hostKey: string): string {
  const [type, key] = hostKey.trim().split(/\s+/);
  return lines(`${hostKeyAlias(config)} ${type ?? ''} ${key ?? ''}`);
}

function hostKeyAlias(config: NodeConfig): string {
  return `perijove-${config.cluster}`;
}

function lines(...all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
