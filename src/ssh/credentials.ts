import { readFile } from 'node:fs/promises';
import ssh2 from 'ssh2';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';

/** The part of ssh2's configuration that identifies the user. */
export interface Credentials {
  readonly username: string;
  readonly privateKey?: Buffer;
  readonly passphrase?: string;
  readonly agent?: string;
}

/**
 * Reads the key file of a target and finds the agent. The passphrase of an encrypted key comes only from
 * PERIJOVE_SSH_PASSPHRASE; without it, the agent must hold the key.
 *
 * @throws PerijoveError SSH_KEY_UNREADABLE, SSH_KEY_ENCRYPTED, SSH_NO_AGENT
 */
export async function readCredentials(
  host: string,
  target: SshTarget,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Credentials> {
  const username = target.user;
  const agent = target.agent ? agentSocket(host, target, environment) : {};
  if (target.keyFile === undefined) {
    if (target.agent) return { username, ...agent };
    throw new PerijoveError(
      'SSH_KEY_UNREADABLE',
      `neither key nor agent is set for ${username}@${target.address}`,
      {
        host,
        remedy: 'Set `key: FILE` or `agent: true` for the host in the spec.',
      },
    );
  }

  const privateKey = await readFile(target.keyFile).catch((error: unknown) => {
    throw new PerijoveError('SSH_KEY_UNREADABLE', `cannot read the key: ${messageOf(error)}`, {
      host,
      file: target.keyFile ?? '',
      cause: error,
    });
  });
  const passphrase = environment['PERIJOVE_SSH_PASSPHRASE'];
  const parsed = ssh2.utils.parseKey(privateKey, passphrase);
  if (!(parsed instanceof Error)) {
    const [key] = [parsed].flat();
    if (key?.isPrivateKey() !== true) {
      throw new PerijoveError('SSH_KEY_UNREADABLE', `${target.keyFile} is a public key`, {
        host,
        file: target.keyFile,
      });
    }
    return { username, privateKey, ...(passphrase === undefined ? {} : { passphrase }), ...agent };
  }
  if (!isAboutPassphrase(parsed)) {
    throw new PerijoveError(
      'SSH_KEY_UNREADABLE',
      `${target.keyFile} is not a private key: ${parsed.message}`,
      {
        host,
        file: target.keyFile,
        cause: parsed,
      },
    );
  }
  if (agent.agent !== undefined) return { username, ...agent };
  const why = target.agent ? ', and no agent holds it: SSH_AUTH_SOCK is not set' : '';
  throw new PerijoveError(
    'SSH_KEY_ENCRYPTED',
    passphrase === undefined
      ? `${target.keyFile} has a passphrase${why}`
      : `PERIJOVE_SSH_PASSPHRASE is not the passphrase of ${target.keyFile}`,
    { host, file: target.keyFile, cause: parsed },
  );
}

function agentSocket(host: string, target: SshTarget, environment: NodeJS.ProcessEnv): { agent?: string } {
  const socket = environment['SSH_AUTH_SOCK'];
  if (socket !== undefined && socket !== '') return { agent: socket };
  if (target.keyFile !== undefined) return {};
  throw new PerijoveError('SSH_NO_AGENT', 'SSH_AUTH_SOCK is not set', { host });
}

/** ssh2 has no code for this; the text is that of its key parser. */
function isAboutPassphrase(error: Error): boolean {
  return /passphrase/i.test(error.message);
}
