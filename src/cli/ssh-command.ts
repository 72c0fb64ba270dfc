import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import { isUnkeyed, targetsOf } from '../cluster/host-keys.js';
import { exitCodes, messageOf, PerijoveError } from '../errors/error.js';
import type { HostSpec, SshTarget } from '../cluster/spec.js';
import { pinFile } from '../ssh/host-keys.js';
import { keyOfLine, knownHostsLine } from '../ssh/known-hosts.js';
import { replaceFile } from '../net/files.js';
import { quote } from '../ssh/shell.js';

/**
 * Arguments for OpenSSH's `ssh` to connect to a host as Perijove does: with the key, the known host keys and
 * the jump host of the spec.
 *
 * @param command run on the host instead of a shell
 */
export function sshArguments(
  host: HostSpec,
  knownHostsDir: string,
  { tty, command }: { readonly tty: boolean; readonly command?: string },
): string[] {
  const jump = host.jump;
  const proxy = jump
    ? [
        '-o',
        `ProxyCommand=${['ssh', ...targetArguments(jump, knownHostsDir), '-W', '[%h]:%p', jump.address].map(quoteForProxy).join(' ')}`,
      ]
    : [];
  return [
    ...targetArguments(host.ssh, knownHostsDir),
    ...proxy,
    tty ? '-t' : '-T',
    host.ssh.address,
    ...(command === undefined ? [] : [command]),
  ];
}

function targetArguments(target: SshTarget, knownHostsDir: string): string[] {
  const { user, port, keyFile, agent, hostKeyAlias, agentSocket } = target;
  const { identityFiles = [], certificateFiles = [], identitiesOnly = false } = target;
  const keys = keyFile === undefined ? identityFiles : [keyFile];
  const options: readonly (readonly [string, string])[] = [
    ['User', user],
    ['Port', String(port)],
    ['UserKnownHostsFile', fileOption(keysFile(target, knownHostsDir))],
    ['GlobalKnownHostsFile', 'none'],
    // As in workers: only keys that are given are accepted; without any, the first one is pinned.
    ['StrictHostKeyChecking', isUnkeyed(target) ? 'accept-new' : 'yes'],
    ['HashKnownHosts', 'no'],
    ...(hostKeyAlias === undefined ? [] : [['HostKeyAlias', hostKeyAlias] as const]),
    ...(agentSocket === undefined ? [] : [['IdentityAgent', fileOption(agentSocket)] as const]),
    ...keys.map((file) => ['IdentityFile', fileOption(file)] as const),
    ...certificateFiles.map((file) => ['CertificateFile', fileOption(file)] as const),
    ...(identitiesOnly || (keyFile !== undefined && !agent) ? [['IdentitiesOnly', 'yes'] as const] : []),
  ];
  return options.flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Where `ssh` finds the keys of a target. Those of the spec are in a file of their own: see `writeSpecKeys`. */
function keysFile(target: SshTarget, knownHostsDir: string): string {
  const pins = pinFile(target, knownHostsDir);
  return target.knownHostsFile ?? (target.hostKeys === undefined ? pins : `${pins}.spec`);
}

/** Writes the keys that the spec has for a host and its jump host, for `ssh`. @throws PerijoveError LOCAL_FILE */
export async function writeSpecKeys(host: HostSpec, knownHostsDir: string): Promise<void> {
  for (const target of targetsOf([host])) {
    if (target.knownHostsFile !== undefined || target.hostKeys === undefined) continue;
    const { address, port, hostKeys } = target;
    const file = keysFile(target, knownHostsDir);
    const lines = hostKeys.map((line) => knownHostsLine(address, port, keyOfLine(line).key));
    try {
      await mkdir(knownHostsDir, { recursive: true, mode: 0o700 });
      await replaceFile(file, lines.join(''), 0o600);
    } catch (cause) {
      throw new PerijoveError('LOCAL_FILE', `cannot write ${file}: ${messageOf(cause)}`, { file, cause });
    }
  }
}

/** Option values are split at spaces, and `%` starts a token (ssh_config(5)). */
function fileOption(file: string): string {
  return `"${file.replaceAll('%', '%%')}"`;
}

/**
 * ProxyCommand is expanded once (`%%` becomes `%`) and then parsed by a shell; `[%h]:%p` is left to be
 * expanded.
 */
function quoteForProxy(word: string): string {
  return word === '[%h]:%p' ? `'${word}'` : quote(word).replaceAll('%', '%%');
}

export interface SshRun {
  readonly args: readonly string[];
  /** Receives the output; without it ssh uses this process's terminal. */
  readonly onOutput?: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Runs `ssh` until it ends or the signal aborts. Resolves to its exit code, which is that of the remote
 * command.
 *
 * @throws PerijoveError LOCAL_PROGRAM_MISSING; SSH_LOST when it could not connect or lost the connection, and
 *   SSH_AUTH_FAILED when the host refused the login
 */
export async function runSsh(host: HostSpec, { args, onOutput, signal }: SshRun): Promise<number> {
  const child = spawn('ssh', args, { stdio: onOutput ? ['ignore', 'pipe', 'pipe'] : 'inherit' });
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', onOutput ?? (() => undefined));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors = `${errors}${text}`.slice(-2_000)));
  const stop = () => child.kill();
  // Ctrl-C in a session is a character that ssh passes on. A signal is for this process, and ends both.
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (signal.aborted) return exitCodes.interrupted;
    if (code === sshFailed) {
      const why = errors.trim().split('\n').at(-1) ?? '';
      throw new PerijoveError(
        loginRefused.test(why) ? 'SSH_AUTH_FAILED' : 'SSH_LOST',
        why === '' ? 'ssh could not connect, or lost the connection' : why,
        { host: host.name },
      );
    }
    return code ?? 128 + (os.constants.signals[killedBy ?? 'SIGTERM'] ?? 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new PerijoveError('LOCAL_PROGRAM_MISSING', '`ssh` is not installed on this machine', {
      remedy: 'Install an OpenSSH client (Debian: openssh-client).',
      cause: error,
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The last words of `ssh`, which has one exit code for all its errors. */
const loginRefused = /Permission denied \(|Too many authentication failures/;
/** ssh(1): exit code of an error in ssh itself. */
const sshFailed = 255;
