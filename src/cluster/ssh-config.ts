/**
 * `~/.ssh/config` as OpenSSH itself reads it: `ssh -G NAME` prints what applies to a name after Include, Host,
 * Match, wildcards and negation. It connects nowhere, but runs the commands of `Match exec`, as every `ssh` does.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A hop of ProxyJump. */
export interface ProxyJump {
  readonly address: string;
  readonly user?: string;
  readonly port?: number;
}

/** What ssh_config has for a name. */
export interface SshConfigEntry {
  readonly hostName: string;
  readonly port: number;
  /** OpenSSH's default is the user who runs it. */
  readonly user: string;
  /** Absolute. Without IdentityFile: OpenSSH's defaults. They need not exist. */
  readonly identityFiles: readonly string[];
  readonly certificateFiles: readonly string[];
  readonly identitiesOnly: boolean;
  /** `none`: no agent; undefined: the one at SSH_AUTH_SOCK. */
  readonly identityAgent?: string;
  /** Undefined: OpenSSH's default, or none. */
  readonly userKnownHostsFile?: string;
  readonly hostKeyAlias?: string;
  readonly proxyJump?: ProxyJump;
  /** Why Perijove cannot connect as `ssh` would: each names the directive with its file and line. */
  readonly flaws: readonly SshConfigFlaw[];
}

export interface SshConfigFlaw {
  readonly message: string;
  readonly remedy: string;
  /** It concerns only how the host is reached without a jump host in the spec. */
  readonly proxy?: boolean;
}

/** Resolves a name with `file`, or else with the files of the user and the system. */
export type SshConfigReader = (name: string, file?: string) => SshConfigEntry;

/** Asks for each name once. */
export function sshConfigReader(): SshConfigReader {
  const known = new Map<string, SshConfigEntry>();
  return (name, file) => {
    const key = JSON.stringify([name, file]);
    const entry = known.get(key) ?? resolve(name, file);
    known.set(key, entry);
    return entry;
  };
}

function resolve(name: string, file: string | undefined): SshConfigEntry {
  const answer = spawnSync('ssh', ['-v', '-G', ...(file === undefined ? [] : ['-F', file]), '--', name], {
    ...{ encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 },
  });
  if (answer.status !== 0) return unread(name, answer.error, answer.stderr);
  const values = new Map<string, string[]>();
  for (const line of answer.stdout.split('\n')) {
    const [, keyword = '', value = ''] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (keyword !== '') values.set(keyword, [...(values.get(keyword) ?? []), value]);
  }
  const files = [...answer.stderr.matchAll(/Reading configuration data (.+?)\r?$/gm)].map(
    ([, read = '']) => read,
  );
  return entryOf(name, values, files);
}

function unread(name: string, error: Error | undefined, stderr: string | undefined): SshConfigEntry {
  const missing = error !== undefined && 'code' in error && error.code === 'ENOENT';
  const said = (stderr ?? '')
    .split(/\r?\n/)
    .filter((line) => line !== '' && !/^(OpenSSH_|debug\d|Pseudo-terminal)/.test(line))
    .join('; ');
  const flaw = missing
    ? {
        message: '`ssh`, which reads ssh_config, is not installed on this machine',
        remedy: 'Install an OpenSSH client (Debian: openssh-client), or remove `config` from the spec.',
      }
    : {
        message: `ssh_config cannot be read: ${said || (error?.message ?? 'ssh failed')}`,
        remedy: 'Correct the file: `ssh -G NAME` must print what applies to the host.',
      };
  return {
    ...{ hostName: name, port: 22, user: 'root', identityFiles: [], certificateFiles: [] },
    ...{ identitiesOnly: false, flaws: [flaw] },
  };
}

type Values = ReadonlyMap<string, readonly string[]>;

function entryOf(name: string, values: Values, files: readonly string[]): SshConfigEntry {
  const one = (keyword: string) => values.get(keyword)?.[0];
  const hostName = one('hostname') ?? name;
  const port = Number(one('port') ?? 22);
  const user = one('user') ?? 'root';
  const hostKeyAlias = one('hostkeyalias');
  const local = localPathReader({ name, hostName, port, user, key: hostKeyAlias ?? name });
  const paths = (keyword: string) =>
    (values.get(keyword) ?? []).filter((value) => value !== 'none').map(local);
  const agent = one('identityagent');
  const knownHosts = knownHostsFiles(one('userknownhostsfile') ?? '').map(local);
  const jump = parseJump(one('proxyjump'));
  return {
    ...{ hostName, port, user },
    identityFiles: paths('identityfile'),
    certificateFiles: paths('certificatefile'),
    identitiesOnly: one('identitiesonly') === 'yes',
    ...(agent !== undefined && agent !== 'SSH_AUTH_SOCK' && { identityAgent: agentPath(agent, local) }),
    ...(knownHosts[0] !== undefined && { userKnownHostsFile: knownHosts[0] }),
    ...(hostKeyAlias !== undefined && { hostKeyAlias }),
    ...(jump !== undefined && { proxyJump: jump }),
    flaws: flawsOf(name, values, knownHosts, files),
  };
}

function agentPath(value: string, local: (text: string) => string): string {
  if (value === 'none') return value;
  return value.startsWith('$') ? (process.env[value.replace(/^\$\{?|\}$/g, '')] ?? 'none') : local(value);
}

/** The files that a user chose: neither OpenSSH's defaults, nor those that say that there are none. */
function knownHostsFiles(text: string): string[] {
  const files = text.split(/\s+/).filter((file) => !['', 'none', '/dev/null'].includes(file));
  const standard = /[/]\.ssh\/known_hosts2?$/;
  return files.length === 2 && files.every((file) => standard.test(file)) ? [] : files;
}

interface Names {
  readonly name: string;
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  readonly key: string;
}

/** Expands `~`, `${VARIABLES}` and tokens (ssh_config(5), TOKENS) of a path. */
function localPathReader({ name, hostName, port, user, key }: Names): (text: string) => string {
  // OpenSSH takes the home directory from the system, not from HOME.
  const self = os.userInfo();
  const machine = os.hostname();
  const tokens: Readonly<Record<string, string>> = {
    '%': '%',
    d: self.homedir,
    h: hostName,
    i: String(self.uid),
    k: key,
    L: machine.split('.')[0] ?? machine,
    l: machine,
    n: name,
    p: String(port),
    r: user,
    u: self.username,
  };
  return (text) => {
    const home = text.replace(/^~(?=\/|$)/, self.homedir);
    const expanded = home
      .replace(/\$\{(\w+)\}/g, (whole, variable: string) => process.env[variable] ?? whole)
      .replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole);
    return path.resolve(expanded);
  };
}

function parseJump(text: string | undefined): ProxyJump | undefined {
  if (text === undefined || text === 'none' || text.includes(',')) return undefined;
  const match = /^(?:ssh:\/\/)?(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?\/?$/.exec(text);
  const address = match?.[2] ?? match?.[3];
  if (match === null || address === undefined) return undefined;
  return {
    address,
    ...(match[1] !== undefined && { user: match[1] }),
    ...(match[4] !== undefined && { port: Number(match[4]) }),
  };
}

/** Directives that decide how `ssh` connects and that Perijove cannot follow. */
const unsupported: readonly {
  readonly keyword: string;
  readonly name: string;
  readonly harmless?: readonly string[];
  readonly proxy?: boolean;
}[] = [
  { keyword: 'proxycommand', name: 'ProxyCommand', harmless: ['none'], proxy: true },
  {
    keyword: 'pubkeyauthentication',
    name: 'PubkeyAuthentication',
    harmless: ['true', 'yes', 'unbound', 'host-bound'],
  },
  { keyword: 'pkcs11provider', name: 'PKCS11Provider', harmless: ['none'] },
  { keyword: 'knownhostscommand', name: 'KnownHostsCommand', harmless: ['none'] },
  { keyword: 'bindaddress', name: 'BindAddress' },
  { keyword: 'bindinterface', name: 'BindInterface' },
];

function flawsOf(
  name: string,
  values: Values,
  knownHosts: readonly string[],
  files: readonly string[],
): SshConfigFlaw[] {
  const where = (directive: string) => placeOf(directive, files);
  const flaws = unsupported.flatMap(({ keyword, name: directive, harmless = [], proxy }): SshConfigFlaw[] =>
    (values.get(keyword) ?? [])
      .filter((value) => !harmless.includes(value))
      .map((value) => ({
        message: `${directive} ${value}${where(directive)} applies to ${name}, and Perijove does not support it`,
        remedy: proxy
          ? 'Use ProxyJump there, or `jump` in the spec.'
          : 'Exempt the host from it, or set the keys of `ssh` in the spec in place of `config`.',
        ...(proxy && { proxy }),
      })),
  );
  const jump = values.get('proxyjump')?.[0];
  if (jump !== undefined && jump !== 'none' && parseJump(jump) === undefined) {
    flaws.push({
      message: `ProxyJump ${jump}${where('ProxyJump')} applies to ${name}, and Perijove supports one jump host`,
      remedy: 'Name one jump host there, or set `jump` in the spec.',
      proxy: true,
    });
  }
  if (knownHosts.length > 1) {
    flaws.push({
      message: `UserKnownHostsFile${where('UserKnownHostsFile')} names ${knownHosts.length} files for ${name}, and Perijove reads one`,
      remedy: 'Set `knownHosts` in the spec.',
    });
  }
  return flaws;
}

/** ` (FILE:LINE)` of the first line with a directive; empty if none is found. */
function placeOf(directive: string, files: readonly string[]): string {
  const pattern = new RegExp(`^\\s*${directive}(\\s|=)`, 'i');
  for (const file of new Set(files)) {
    const line = linesOf(file).findIndex((each) => pattern.test(each));
    if (line >= 0) return ` (${file}:${line + 1})`;
  }
  return '';
}

/** `FILE:LINE` where the user's ssh_config names a host; undefined if it does not. Runs no command. */
export function placeInSshConfig(
  name: string,
  file = path.join(os.userInfo().homedir, '.ssh', 'config'),
): string | undefined {
  const line = linesOf(file).findIndex((each) => {
    const [, names = ''] = /^\s*Host(?:\s+|\s*=\s*)(.*)$/i.exec(each) ?? [];
    return names.toLowerCase().replaceAll('"', '').split(/\s+/).includes(name.toLowerCase());
  });
  return line < 0 ? undefined : `${file}:${line + 1}`;
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}
