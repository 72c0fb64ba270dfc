/**
 * Read-only commands, replaced on a host under test by ones that fail, print nothing, print half, or hang:
 * one call of one command at a time, while a real Perijove script runs there.
 */
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PerijoveError } from '../../../src/errors/error.js';
import type { HostConnection, SshPool } from '../../../src/ssh/connection.js';

/** First on PATH of all sessions, and of scripts that set PATH. */
const wrappers = '/usr/local/sbin';
/** On a tmpfs on both kinds of hosts. */
const state = '/run/perijove-broken';
/** Set only in SSH sessions, so that nothing else on the host runs a broken command. */
export const scopeVariable = 'PERIJOVE_BROKEN';
/** For `SetEnv` of sshd. */
export const brokenEnvironment = `PATH=${wrappers}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ${scopeVariable}=1`;

/** A host under test, accessed without SSH. */
export interface Place {
  /** Its file system, as seen from this machine. */
  readonly root: string;
  /** Runs a script as root. */
  run(script: string): Promise<string>;
}

export const ways = ['fails', 'prints nothing', 'prints half', 'hangs'] as const;
export type Way = (typeof ways)[number];

export interface Call {
  readonly command: string;
  /** Number of the command's call, from 1. */
  readonly number: number;
  readonly words: string;
}

export interface Break extends Call {
  readonly way: Way;
}

/** Commands that only read, whatever their arguments. */
const alwaysReads = [
  ...[
    'awk',
    'base64',
    'cat',
    'cut',
    'date',
    'df',
    'dirname',
    'dpkg-query',
    'egrep',
    'getent',
    'grep',
    'head',
    'id',
  ],
  ...['journalctl', 'ls', 'nproc', 'pgrep', 'pidof', 'ps', 'readlink', 'sha256sum', 'sort', 'ss', 'stat'],
  ...['tail', 'tr', 'uname', 'wc', 'findmnt', 'mountpoint'],
] as const;

/** Commands that only read for some arguments, matched by their beginning. */
const sometimesReads: Readonly<Record<string, RegExp>> = {
  bridge: /\bshow\b/,
  docker: /^(ps|version|info|inspect|(container|image|network|volume) (inspect|ls))\b/,
  'dpkg-deb': /^--(field|fsys-tarfile)/,
  dpkg: /^-[Ls]\b/,
  find: /^(?!.*(-delete|-exec))/,
  gluster: /\b(pool list|peer status|volume (info|list|status))\b/,
  ip: /\b(show|get)\b/,
  iptables: /-[SLC]\b/,
  sed: /^(?!-i)/,
  sv: /^status\b/,
  systemctl: /^(is-|show|list-|status|cat)/,
  tar: /^-?t/,
};

const commands = [...alwaysReads, ...Object.keys(sometimesReads)];

function onlyReads({ command, words }: Call): boolean {
  const pattern = sometimesReads[command];
  return pattern === undefined ? true : pattern.test(words);
}

/** The answer is its exit code: its output is empty anyway. */
function answersByExitCode({ command, words }: Call): boolean {
  return (
    (command === 'grep' && /^-[a-zA-Z]*q/.test(words)) ||
    (command === 'systemctl' && /^is-\S+ --quiet/.test(words)) ||
    command === 'mountpoint'
  );
}

/** Exit codes for an error; 1 is "no match" or "not installed" for some programs. */
const failureOf: Readonly<Record<string, number>> = {
  'dpkg-deb': 2,
  'dpkg-query': 2,
  egrep: 2,
  grep: 2,
  tar: 2,
};

function wrapper(command: string): string {
  return `#!/bin/sh
for real in /usr/local/bin/${command} /usr/bin/${command} /usr/sbin/${command} /bin/${command} /sbin/${command}; do
  [ ! -x "$real" ] || break
done
# Maintainer scripts are not Perijove's, and \`cat\` alone is a pipe: it is what ends a script whose session ended.
[ -n "\${${scopeVariable}-}" ] && [ -z "\${DPKG_MAINTSCRIPT_PACKAGE-}" ] && [ -e ${state}/target ] && [ "${command} $#" != 'cat 0' ] ||
  exec "$real" "$@"
number=1
set -C
until { echo "$*" > "${state}/calls/${command}.$number"; } 2>/dev/null || [ "$number" = 999 ]; do number=$((number + 1)); done
set +C
read -r command number_ way < ${state}/target
[ "$command $number_" = "${command} $number" ] || exec "$real" "$@"
: > ${state}/reached
case $way in
fails) echo '${command}: broken' >&2; exit ${failureOf[command] ?? 1} ;;
'prints nothing') exit 0 ;;
'prints half')
  "$real" "$@" > ${state}/half
  code=$?
  /usr/bin/head -c "$(($(/usr/bin/stat -c %s ${state}/half) / 2))" ${state}/half
  exit "$code" ;;
hangs) : > ${state}/hung; exec /usr/bin/sleep 987 ;;
esac
`;
}

/** Drops repeated calls: of calls that differ only in numbers, the first two are kept. */
function unlike(calls: readonly Call[]): Call[] {
  const alike = new Map<string, number>();
  return calls.filter((call) => {
    const kind = `${call.command} ${call.words.replaceAll(/\d+/g, '#')}`;
    const before = alike.get(kind) ?? 0;
    alike.set(kind, before + 1);
    return before < 2;
  });
}

/** Every way to break each read-only call. */
export function breaksOf(calls: readonly Call[]): Break[] {
  return unlike(calls.filter(onlyReads)).flatMap((call) =>
    ways
      .filter((way) => way === 'fails' || way === 'hangs' || !answersByExitCode(call))
      .map((way) => ({ ...call, way })),
  );
}

/** At most this many, spread over the whole list with a step that covers every way. */
export function spread(breaks: readonly Break[], most: number): readonly Break[] {
  if (breaks.length <= most) return breaks;
  const picked = new Set<number>();
  for (let turn = 0; picked.size < most; turn += 1) {
    const even = Math.floor((turn * breaks.length) / most);
    // Ways come in groups of four: each round of picks is shifted by one.
    picked.add((even + turn) % breaks.length);
    if (turn > 4 * most) break;
  }
  return [...picked].sort((a, b) => a - b).flatMap((index) => breaks[index] ?? []);
}

export class BrokenCommands {
  constructor(private readonly place: Place) {}

  private file(...parts: readonly string[]): string {
    return path.join(this.place.root, state, ...parts);
  }

  /** Installs the wrappers. They pass everything through until something is to be broken or recorded. */
  async install(): Promise<void> {
    const directory = path.join(this.place.root, wrappers);
    for (const command of commands) {
      const places = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/bin', '/sbin'];
      const there = await this.place.run(
        `for each in ${places.map((each) => `${each}/${command}`).join(' ')}; do [ ! -x "$each" ] || echo yes; done`,
      );
      if (there === '') continue;
      await writeFile(path.join(directory, command), wrapper(command), { mode: 0o755 });
    }
    await mkdir(this.file(), { recursive: true });
  }

  private async arm(target: string): Promise<void> {
    await this.disarm();
    await mkdir(this.file('calls'));
    await writeFile(this.file('target'), `${target}\n`);
  }

  async disarm(): Promise<void> {
    await rm(this.file('target'), { force: true });
    for (const name of ['calls', 'reached', 'hung', 'half']) {
      await rm(this.file(name), { recursive: true, force: true });
    }
  }

  /** The calls made by `work`. */
  async record(work: () => Promise<unknown>): Promise<Call[]> {
    await this.arm('nothing 0 fails');
    await work();
    const names = await readdir(this.file('calls'));
    const calls = await Promise.all(
      names.map(async (name) => {
        const dot = name.lastIndexOf('.');
        const words = (await readFile(this.file('calls', name), 'utf8')).trimEnd();
        return { command: name.slice(0, dot), number: Number(name.slice(dot + 1)), words };
      }),
    );
    await this.disarm();
    return calls.sort((a, b) => a.command.localeCompare(b.command) || a.number - b.number);
  }

  break({ command, number, way }: Break): Promise<void> {
    return this.arm(`${command} ${number} ${way}`);
  }

  async reached(): Promise<boolean> {
    return isThere(this.file('reached'));
  }

  /** Aborts a script once one of its commands hangs, as its deadline would, without the wait. */
  async whileNothingHangs<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ending = new AbortController();
    let over = false;
    const watch = async () => {
      while (!over) {
        if (await isThere(this.file('hung'))) {
          ending.abort(new PerijoveError('COMMAND_TIMEOUT', 'a command did not end in time'));
          return;
        }
        await delay(10);
      }
    };
    const watching = watch();
    try {
      return await work(ending.signal);
    } finally {
      over = true;
      await watching;
    }
  }

  /**
   * Processes left by SSH sessions, each as `PID COMMAND LINE`; without the watchdog that waits five seconds
   * after the end of a session to kill what is left.
   */
  async left(): Promise<string[]> {
    const printed = await this.place.run(`
for pid in $(/usr/bin/grep -lsazx '${scopeVariable}=1' /proc/[0-9]*/environ | /usr/bin/cut -d/ -f3); do
  line=$(/usr/bin/tr '\\0\\n' '  ' < "/proc/$pid/cmdline" 2>/dev/null | /usr/bin/head -c 80) && [ -n "$line" ] && echo "$pid $line"
done
:`);
    return printed.split('\n').filter((line) => !/^(|\d+ (sh -s|sleep 5) )$/.test(line));
  }

  /** Ends only the hanging command. */
  async endHanging(): Promise<void> {
    await this.place.run("pkill -KILL -f '^/usr/bin/sleep 987$' || :");
  }
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/** The connection, whose scripts end with COMMAND_TIMEOUT when the signal aborts. */
export function endedBy(connection: HostConnection, signal: AbortSignal): HostConnection {
  const together = <T extends { readonly signal?: AbortSignal }>(options: T | undefined): T => ({
    ...(options as T),
    signal: options?.signal === undefined ? signal : AbortSignal.any([options.signal, signal]),
  });
  return {
    ...connection,
    exec: (script, options) => connection.exec(script, together(options)),
    run: (script, options) => connection.run(script, together(options)),
    upload: (source, file, options) => connection.upload(source, file, together(options)),
    download: (file, to, options) => connection.download(file, to, together(options)),
  };
}

/** A pool whose connections use `endedBy`. */
export function poolEndedBy(pool: SshPool, signal: AbortSignal): SshPool {
  return { ...pool, get: async (host) => endedBy(await pool.get(host), signal) };
}
