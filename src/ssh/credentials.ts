import { readFile } from 'node:fs/promises';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { Identities, type NamedKey } from './identities.js';
import { parseKeyFile, parsePublicLine, type KeyFile } from './key-file.js';

/** The user of a login and the keys that prove it. */
export interface Credentials {
  readonly username: string;
  readonly identities: Identities;
  /** Socket of the agent, if one is used. */
  readonly agent?: string;
  /** The key of the spec, if only the agent can sign with it. */
  readonly lockedKey?: string;
}

const passphraseNote = ' has a passphrase';

interface Environment {
  readonly env?: NodeJS.ProcessEnv;
  /** Aborts a request to the agent. */
  readonly signal: AbortSignal;
}

/**
 * Reads the key files of a target and finds the agent. The passphrase of an encrypted key comes only from
 * PERIJOVE_SSH_PASSPHRASE; without it, the agent must hold the key.
 *
 * @throws PerijoveError SSH_KEY_UNREADABLE, SSH_KEY_ENCRYPTED, SSH_NO_AGENT
 */
export async function readCredentials(
  host: string,
  target: SshTarget,
  { env = process.env, signal }: Environment,
): Promise<Credentials> {
  const { user: username, keyFile, identityFiles = [], certificateFiles = [] } = target;
  const agent = agentSocket(host, target, env);
  const passphrase = env['PERIJOVE_SSH_PASSPHRASE'];
  const named =
    keyFile === undefined ? undefined : await requiredKey(host, { ...target, keyFile }, agent, passphrase);
  const others = await Promise.all(
    identityFiles.map((file) => optionalKey(file, agent !== undefined, passphrase)),
  );
  const keys = [...(named ?? []), ...others.flatMap(({ key }) => key ?? [])];
  const notes = others.flatMap(({ note }) => note ?? []);
  if (keys.length === 0 && agent === undefined) throw noKey(host, target, notes);
  const identities = new Identities({
    ...{ keys, certificateFiles, only: target.identitiesOnly === true, signal },
    ...(agent !== undefined && { agent }),
  });
  identities.notes.push(...notes);
  return {
    ...{ username, identities },
    ...(agent !== undefined && { agent }),
    ...(keyFile !== undefined && named?.[0]?.content.kind === 'encrypted' && { lockedKey: keyFile }),
  };
}

function noKey(
  host: string,
  { user, address, identityFiles }: SshTarget,
  notes: readonly string[],
): PerijoveError {
  if (identityFiles === undefined) {
    return new PerijoveError('SSH_KEY_UNREADABLE', `neither key nor agent is set for ${user}@${address}`, {
      host,
      remedy: 'Set `key: FILE` or `agent: true` for the host in the spec.',
    });
  }
  const why = notes.length > 0 ? notes.join('; ') : `none of these exists: ${identityFiles.join(', ')}`;
  return new PerijoveError(
    notes.some((note) => note.endsWith(passphraseNote)) ? 'SSH_KEY_ENCRYPTED' : 'SSH_KEY_UNREADABLE',
    `ssh_config names no key that can be used for ${user}@${address}, and no agent is used: ${why}`,
    { host },
  );
}

/** The key of the spec. @throws PerijoveError SSH_KEY_UNREADABLE, SSH_KEY_ENCRYPTED */
async function requiredKey(
  host: string,
  { keyFile: file, agent: wantsAgent }: SshTarget & { readonly keyFile: string },
  agent: string | undefined,
  passphrase: string | undefined,
): Promise<NamedKey[]> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new PerijoveError('SSH_KEY_UNREADABLE', `cannot read the key: ${messageOf(error)}`, {
      ...{ host, file, cause: error },
    });
  });
  const content = parseKeyFile(bytes, passphrase);
  switch (content.kind) {
    case 'private':
      return [{ file, content }];
    case 'unusable':
      throw new PerijoveError('SSH_KEY_UNREADABLE', `${file} is not a private key for SSH: ${content.why}`, {
        ...{ host, file },
      });
    case 'public':
      if (agent !== undefined) return [{ file, content }];
      throw new PerijoveError(
        'SSH_KEY_UNREADABLE',
        bytes.includes('PRIVATE KEY')
          ? `${file} is of a kind that only an agent can use, and none is used`
          : `${file} is a public key, and no agent is used`,
        {
          ...{ host, file },
          remedy: 'Name the private key. If an agent holds it, set `agent: true` and SSH_AUTH_SOCK.',
        },
      );
    case 'encrypted': {
      if (agent !== undefined) return [{ file, content: await withPublicFile(file, content) }];
      const why = wantsAgent ? ', and no agent holds it: SSH_AUTH_SOCK is not set' : '';
      throw new PerijoveError(
        'SSH_KEY_ENCRYPTED',
        passphrase === undefined
          ? `${file} has a passphrase${why}`
          : `PERIJOVE_SSH_PASSPHRASE is not the passphrase of ${file}`,
        { host, file },
      );
    }
  }
}

/** A key that ssh_config names: a file that is absent counts for nothing, as in OpenSSH. */
async function optionalKey(
  file: string,
  withAgent: boolean,
  passphrase: string | undefined,
): Promise<{ readonly key?: NamedKey; readonly note?: string }> {
  try {
    const content = parseKeyFile(await readFile(file), passphrase);
    if (content.kind === 'private') return { key: { file, content } };
    if (content.kind === 'unusable') return { note: `${file} is not a private key for SSH: ${content.why}` };
    if (withAgent) {
      const known = content.kind === 'encrypted' ? await withPublicFile(file, content) : content;
      return { key: { file, content: known } };
    }
    return { note: content.kind === 'encrypted' ? `${file}${passphraseNote}` : `${file} is a public key` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return { note: `${file}: ${messageOf(error)}` };
    const blob = withAgent ? await publicFile(`${file}.pub`) : undefined;
    return blob === undefined ? {} : { key: { file, content: { kind: 'public', blob } } };
  }
}

/** Finds out which key an encrypted file holds. */
async function withPublicFile(
  file: string,
  content: Extract<KeyFile, { kind: 'encrypted' }>,
): Promise<Extract<KeyFile, { kind: 'encrypted' }>> {
  const blob = content.blob ?? (await publicFile(`${file}.pub`));
  return { kind: 'encrypted', ...(blob !== undefined && { blob }) };
}

async function publicFile(file: string): Promise<Buffer | undefined> {
  return readFile(file, 'latin1').then(parsePublicLine, () => undefined);
}

function agentSocket(
  host: string,
  { agent, agentSocket: chosen, keyFile, identityFiles }: SshTarget,
  env: NodeJS.ProcessEnv,
): string | undefined {
  if (!agent) return undefined;
  const socket = chosen ?? env['SSH_AUTH_SOCK'];
  if (socket !== undefined && socket !== '') return socket;
  if (keyFile !== undefined || identityFiles !== undefined) return undefined;
  throw new PerijoveError('SSH_NO_AGENT', 'SSH_AUTH_SOCK is not set', { host });
}
