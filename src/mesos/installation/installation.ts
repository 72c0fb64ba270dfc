/** Where an installed Mesos is on a host and what it can do: observed, not assumed. */
import type { ErrorCode } from '../../errors/codes.js';
import { PerijoveError } from '../../errors/error.js';
import type { Problem } from '../../hosts/problem.js';
import { errorCodes } from '../../errors/codes.js';
import type { ClusterSpec, HostSpec, Install } from '../../cluster/spec.js';
import type { HostConnection } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import { mesosPrefix } from './paths.js';

export type MesosProgram = 'mesos-master' | 'mesos-agent';

export interface ProgramFound {
  /** Of the file to run. */
  readonly path: string;
  /** What `--version` prints, such as `1.3.2`; absent when it does not answer. */
  readonly version?: string;
  /** What it prints instead of a version. */
  readonly complaint?: string;
  /** Names of all flags in `--help`, including older names; empty when it prints none. */
  readonly flags: readonly string[];
}

/** The host's installation of the Mesos that the spec names. */
export interface MesosInstallation {
  /** The directory or package exists; its programs may be missing. */
  readonly isThere: boolean;
  readonly programs: Readonly<Partial<Record<MesosProgram, ProgramFound>>>;
  /** Directory of its executors and helpers (`--launcher_dir`). */
  readonly launcherDir?: string;
  /** Directory of its web UI (`--webui_dir`). */
  readonly webuiDir?: string;
  /** Directory of its libraries, if it finds them only through LD_LIBRARY_PATH. */
  readonly libraryDir?: string;
  /** Changes when a program or libmesos is replaced. */
  readonly stamp?: string;
  /** The version of the control groups that the host has for programs; absent if it did not report one. */
  readonly controlGroups?: 1 | 2;
  /** Of the running Docker, such as `26.1.5`. */
  readonly dockerVersion?: string;
  /** Of the Debian package, such as `1.11.0-0.9.0`. */
  readonly packageVersion?: string;
}

/** A Mesos takes a moment to load: libmesos has some hundred megabytes. */
const answerTimeoutSeconds = 20;
const observeTimeoutMs = 180_000;

/** The search order in a directory: an installation prefix, a build tree, a directory of programs. */
const places = (name: MesosProgram) => [
  `sbin/${name}`,
  `bin/${name}.sh`,
  `src/${name}`,
  `bin/${name}`,
  `${name}.sh`,
  name,
];

/** The programs that a host runs by its roles; none if Mesos is not installed on the host itself. */
export function mesosPrograms({ mesos }: ClusterSpec, { roles }: HostSpec): readonly MesosProgram[] {
  if (mesos.install.kind === 'lab' || mesos.install.kind === 'image') return [];
  return [
    ...(roles.includes('master') ? (['mesos-master'] as const) : []),
    ...(roles.includes('agent') ? (['mesos-agent'] as const) : []),
  ];
}

/**
 * Finds the host's Mesos, and asks its programs for their version and flags; undefined if the host has no
 * installation of its own. Changes nothing.
 *
 * @throws PerijoveError SSH_*, SUDO_REFUSED
 */
export async function observeMesos(
  connection: HostConnection,
  spec: ClusterSpec,
  options: { readonly signal?: AbortSignal } = {},
): Promise<MesosInstallation | undefined> {
  const { host } = connection;
  const programs = mesosPrograms(spec, host);
  if (programs.length === 0) return undefined;
  const script = installationScript(spec.mesos.install, mesosPrefix(spec.mesos.install, host), programs);
  const output = await connection.run(script, { timeoutMs: observeTimeoutMs, ...options });
  return parseInstallation(output);
}

/** Prints `name value` lines for `parseInstallation`. */
export function installationScript(
  install: Install,
  prefix: string,
  programs: readonly MesosProgram[],
): string {
  const names = install.kind === 'package' ? quote(install.package) : '';
  const find = (name: MesosProgram) =>
    install.kind === 'package'
      ? `found=$(dpkg -L ${names} 2>/dev/null | grep -m 1 -E '/s?bin/${name}$')
[ -n "$found" ] || found=$(PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v ${name})`
      : `found=
for each in ${places(name)
          .map((place) => quote(`${prefix}/${place}`))
          .join(' ')}; do
  if [ -f "$each" ]; then found=$each; break; fi
done`;
  const isThere =
    install.kind === 'package'
      ? `[ "$(dpkg-query -W -f '\${db:Status-Status}' ${names} 2>/dev/null)" = installed ]`
      : `[ -d ${quote(prefix)} ]`;
  return `
say() { [ -z "$2" ] || printf '%s %s\\n' "$1" "$2"; }
ask() { timeout ${answerTimeoutSeconds} "$found" "$1" </dev/null 2>&1; }
look() {
  home=\${found%/*}
  case \${home##*/} in sbin | bin | src) home=\${home%/*} ;; esac
  [ -x "$found" ] || { say complaint "$1 it is not executable"; return; }
  answer=$(ask --version); code=$?
  # 127: the loader misses a library.
  if [ "$code" = 127 ]; then
    for each in "$home/lib" "$home/lib64" "$home/src/.libs"; do
      [ -d "$each" ] || continue
      LD_LIBRARY_PATH=$each; export LD_LIBRARY_PATH
      if second=$(ask --version); then answer=$second; code=0; say library-dir "$each"; break; fi
      unset LD_LIBRARY_PATH
    done
  fi
  version=$(printf '%s\\n' "$answer" | sed -n 's/^mesos \\([0-9][^ ]*\\).*/\\1/p' | head -n 1)
  if [ "$code" = 0 ] && [ -n "$version" ]; then say version "$1 $version"
  elif [ "$code" = 124 ]; then say complaint "$1 it did not answer within ${answerTimeoutSeconds} s"
  else say complaint "$1 $(printf '%s\\n' "\${answer:-exit status $code}" | grep . | tail -n 1 | cut -c1-200)"; fi
  say flags "$1 $(ask --help | grep '^  --' | grep -oE -e '--(\\[no-\\])?[a-z][a-z0-9_]*' | sed 's/^--\\(\\[no-\\]\\)*//' | tr '\\n' ' ')"
}
support() {
  for each in "$home/libexec/mesos" "$home/lib/mesos" "$home/src"; do
    if [ -f "$each/mesos-containerizer" ] || [ -f "$each/mesos-executor" ]; then say launcher-dir "$each"; break; fi
  done
  # The web UI of a build lies with the sources, of which the build's directory may be a part.
  for each in "$home/share/mesos/webui" "$home/src/webui" "\${home%/*}/src/webui"; do
    if [ -d "$each" ]; then say webui-dir "$each"; break; fi
  done
}
stamp() {
  for each in "$@" "$home"/lib/libmesos*.so* "$home"/lib64/libmesos*.so* "$home"/src/.libs/libmesos*.so* \\
    "$home/src/.libs/mesos-master" "$home/src/.libs/mesos-agent"; do
    if [ -f "$each" ]; then stat -Lc '%n %s %Y' -- "$each"; fi
  done | sha256sum | cut -c1-16
}
if ${isThere}; then say there yes; fi
case $(stat -fc %T /sys/fs/cgroup 2>/dev/null) in cgroup2fs) say control-groups 2 ;; tmpfs) say control-groups 1 ;; esac
if command -v docker >/dev/null; then say docker "$(timeout 5 docker version --format '{{.Server.Version}}' 2>/dev/null)"; fi
${install.kind === 'package' ? `say package-version "$(dpkg-query -W -f '\${Version}' ${names} 2>/dev/null)"` : ''}
set --
${programs
  .map(
    (name) => `${find(name)}
if [ -n "$found" ]; then set -- "$@" "$found"; say program "${name} $found"; look ${name}; fi`,
  )
  .join('\n')}
if [ $# -gt 0 ]; then support; say stamp "$(stamp "$@")"; fi
exit 0`.trim();
}

export function parseInstallation(output: string): MesosInstallation {
  const lines = output
    .split('\n')
    .filter((line) => line.includes(' '))
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const);
  const one = (name: string) => lines.find(([key]) => key === name)?.[1];
  const of = (name: string, program: MesosProgram) =>
    lines
      .find(([key, value]) => key === name && value.startsWith(`${program} `))?.[1]
      .slice(program.length + 1);
  const foundAs = (program: MesosProgram): ProgramFound | undefined => {
    const path = of('program', program);
    if (path === undefined) return undefined;
    const version = of('version', program);
    const complaint = of('complaint', program);
    return {
      path,
      ...(version === undefined ? {} : { version }),
      ...(complaint === undefined ? {} : { complaint }),
      flags: (of('flags', program) ?? '').split(' ').filter(Boolean),
    };
  };
  const master = foundAs('mesos-master');
  const agent = foundAs('mesos-agent');
  const optional = { launcherDir: one('launcher-dir'), webuiDir: one('webui-dir') };
  const libraryDir = one('library-dir');
  const stamp = one('stamp');
  const controlGroups = one('control-groups');
  const dockerVersion = one('docker');
  const packageVersion = one('package-version');
  return {
    isThere: one('there') === 'yes',
    programs: {
      ...(master === undefined ? {} : { 'mesos-master': master }),
      ...(agent === undefined ? {} : { 'mesos-agent': agent }),
    },
    ...(optional.launcherDir === undefined ? {} : { launcherDir: optional.launcherDir }),
    ...(optional.webuiDir === undefined ? {} : { webuiDir: optional.webuiDir }),
    ...(libraryDir === undefined ? {} : { libraryDir }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(controlGroups === undefined ? {} : { controlGroups: controlGroups === '2' ? 2 : 1 }),
    ...(dockerVersion === undefined ? {} : { dockerVersion }),
    ...(packageVersion === undefined ? {} : { packageVersion }),
  };
}

/**
 * What is wrong with a host's Mesos, checked before it is started. `found` is undefined when no installation
 * is expected. A package or an archive that is still to be installed is not a problem.
 */
export function installationProblems(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
): Problem[] {
  if (found === undefined) return [];
  const { install } = spec.mesos;
  if (!found.isThere && install.kind !== 'path') return [];
  const problem = (code: ErrorCode, message: string, remedy: string = errorCodes[code].remedy): Problem => ({
    code,
    host: host.name,
    message: `${host.name}: ${message}`,
    remedy,
  });
  return mesosPrograms(spec, host).flatMap((name): Problem[] => {
    const program = found.programs[name];
    if (program === undefined) {
      return [
        problem('MESOS_NOT_FOUND', `no ${name} in ${whereOf(install, host)}: ${lookedFor(install, name)}`),
      ];
    }
    if (program.version === undefined) {
      return [
        problem(
          'MESOS_NOT_RUNNABLE',
          `${program.path} --version: ${program.complaint ?? 'no output'}`,
          `Run \`${program.path} --version\` there. It must print a version, such as \`mesos 1.3.2\`.`,
        ),
      ];
    }
    const given = Object.keys(name === 'mesos-master' ? spec.mesos.masterFlags : spec.mesos.agentFlags);
    const unknown = given.filter((flag) => program.flags.length > 0 && !program.flags.includes(flag));
    if (unknown.length === 0) return [];
    const flags = unknown.map((flag) => `--${flag}`).join(', ');
    return [problem('MESOS_FLAG_UNKNOWN', `unknown flags of ${name} ${program.version}: ${flags}`)];
  });
}

/** @throws PerijoveError MESOS_NOT_FOUND, MESOS_NOT_RUNNABLE, MESOS_FLAG_UNKNOWN */
export function requireInstallation(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
): void {
  // By now it must exist, whatever its source.
  const [first] = installationProblems(spec, host, found && { ...found, isThere: true });
  if (first === undefined) return;
  throw new PerijoveError(first.code, first.message, { host: host.name, remedy: first.remedy });
}

function whereOf(install: Install, host: HostSpec): string {
  return install.kind === 'package' ? `the package ${install.package}` : mesosPrefix(install, host);
}

function lookedFor(install: Install, name: MesosProgram): string {
  return install.kind === 'package'
    ? `it is neither among the files of the package nor on PATH`
    : `searched for ${places(name).join(', ')}`;
}
