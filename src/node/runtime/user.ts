/** Who runs the services of this node, as far as whoever started it may decide that. */
import { execFile } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { PerijoveError } from '../../errors/error.js';
import type { UserIds } from '../../cluster/spec.js';
import type { NodeConfig } from '../config.js';
import { mostKept, userName, type View } from '../identity.js';

/** The user of Jupyter, kernels, terminals and sessions; undefined where all is run by whoever started the node. */
export function userOf({ user }: Pick<NodeConfig, 'user'>): UserIds | undefined {
  return process.getuid?.() === 0 ? user : undefined;
}

/**
 * What a process tree must show and hide so that the user finds these directories; undefined where mounting is not
 * permitted, and not needed.
 *
 * @throws PerijoveError NODE_USER_UNUSABLE if the user cannot reach a directory
 */
export async function viewFor(user: UserIds, directories: readonly string[]): Promise<View | undefined> {
  const needed = (await Promise.all(directories.map(async (each) => [each, await realpath(each)]))).flat();
  const hidden: string[] = [];
  const kept: string[] = [];
  for (const directory of [...new Set(needed)].sort()) {
    const blocking = await firstBlocking(directory, user);
    if (blocking === undefined) continue;
    if (!hidden.includes(blocking)) hidden.push(blocking);
    if (!kept.some((other) => directory.startsWith(`${other}/`))) kept.push(directory);
  }
  if (await mayMount()) {
    if (kept.length <= mostKept) return { hidden, kept };
  } else if (hidden.length === 0) {
    return undefined;
  }
  throw new PerijoveError(
    'NODE_USER_UNUSABLE',
    `user ${user.uid} may not pass ${hidden.join(' and ')}, and a view without it cannot be made`,
    { subject: kept.join(' ') },
  );
}

/** The first directory above that the user may not pass. */
async function firstBlocking(directory: string, user: UserIds): Promise<string | undefined> {
  const names = path.dirname(directory).split('/').slice(1);
  for (let depth = 1; depth <= names.length; depth += 1) {
    const above = `/${names.slice(0, depth).join('/')}`;
    if (!mayPass(await stat(above), user)) return above;
  }
  return undefined;
}

/** As path_resolution(7) decides by mode alone; what an access control list permits is not counted. */
export function mayPass(
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number },
  user: UserIds,
): boolean {
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
  return (mode & bit) !== 0;
}

/** The interpreter that the text of a program names, directly or as pip does where its path is long or has a space. */
export function interpreterOf(text: string): string | undefined {
  const [first = '', second = ''] = text.split('\n');
  const [, wrapped] = /^'''exec' "?(\/[^"]+?)"? "\$0"/.exec(second) ?? [];
  const [, direct] = /^#!\s*(\/\S+)/.exec(first) ?? [];
  return wrapped ?? direct;
}

async function mayMount(): Promise<boolean> {
  return promisify(execFile)('unshare', ['--mount', '--propagation', 'slave', 'true']).then(
    () => true,
    () => false,
  );
}

const ptrace = 19n;

/**
 * Root without this capability sees no environment of another user's processes, and so would find no kernel that a node
 * has left behind. @throws PerijoveError NODE_USER_UNUSABLE
 */
export async function requireSight(): Promise<void> {
  const [, capabilities = '0'] =
    /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8')) ?? [];
  if (((BigInt(`0x${capabilities}`) >> ptrace) & 1n) === 1n) return;
  throw new PerijoveError('NODE_USER_UNUSABLE', 'root lacks the capability SYS_PTRACE here');
}

/** The text of /etc/passwd with the user of the node in it. An account of the machine with its number stays. */
export function withAccount(accounts: string, { uid, gid }: UserIds, home: string): string {
  const lines = accounts.split('\n').filter((line) => line !== '');
  if (lines.some((line) => line.split(':')[2] === String(uid))) return `${lines.join('\n')}\n`;
  const others = lines.filter((line) => !line.startsWith(`${userName}:`));
  return `${[...others, `${userName}:x:${uid}:${gid}::${home}:/bin/bash`].join('\n')}\n`;
}

/** Linux has it, Node.js has no name for it. */
const O_PATH = 0o10000000;

/** Where to connect to a socket; `close` when that was done. */
export interface Door {
  readonly path: string;
  readonly close: () => void;
}

/**
 * The socket at a path in a directory of the user, which root connects to: the very file that was looked at, and only if
 * it is a socket of that user. By a link the user would reach sockets that only root may use.
 */
export function doorAt(file: string, user: UserIds | undefined): Door {
  if (user === undefined) return { path: file, close: () => undefined };
  const descriptor = openSync(file, O_PATH | constants.O_NOFOLLOW);
  const found = fstatSync(descriptor);
  if (!found.isSocket() || found.uid !== user.uid) {
    closeSync(descriptor);
    throw new Error(`${file} is not a socket of user ${user.uid}`);
  }
  let open = true;
  return {
    path: `/proc/self/fd/${descriptor}`,
    close: () => {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}
