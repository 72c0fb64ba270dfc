/** The shell scripts of a node's tree. */
import { quote } from '../ssh/shell.js';
import type { NodeConfig } from './config.js';
import { asScript, type Identity, type View } from './identity.js';
import { kernelMarks, marks, nodeLayout, serviceMark, userOomScore, type ServiceName } from './layout.js';

/** Absolute paths of the machine's programs that a node uses. */
export interface Programs {
  readonly etcd: string;
  readonly jupyter: string;
  readonly sshd: string;
  readonly ssh: string;
  readonly scp: string;
  readonly sftp: string;
  readonly svlogd: string;
}

/** Who the services become; a service without an entry stays whoever started the node. */
export interface Identities {
  readonly user: { readonly identity: Identity; readonly view?: View };
  readonly etcd: { readonly identity: Identity; readonly view?: View };
}

export interface Script {
  readonly path: string;
  readonly text: string;
}

/** `bin/sweep`; it must exist before anything else of the node runs. */
export function sweepScript(config: NodeConfig): Script {
  const layout = nodeLayout(config.paths.base);
  return { path: `${layout.bin}/sweep`, text: sweep(layout.base, layout.sshdConfig) };
}

/** `run`, `finish` and `log/run` of every service, and the programs in the node's `bin`. */
export function nodeScripts(config: NodeConfig, programs: Programs, as?: Identities): Script[] {
  const layout = nodeLayout(config.paths.base);
  const service = (name: ServiceName, run: string): Script[] => [
    { path: `${layout.service}/${name}/run`, text: run },
    {
      path: `${layout.service}/${name}/log/run`,
      text: `#!/bin/sh\nexec ${quote(programs.svlogd)} -tt ${quote(`${layout.log}/${name}`)}\n`,
    },
  ];
  const control = `${quote(`${config.paths.bin}/perijove-node`)} serve ${quote(layout.base)}`;
  const sshd = `${quote(programs.sshd)} -D -e -f ${quote(layout.sshdConfig)}`;
  return [
    sweepScript(config),
    {
      path: `${layout.bin}/session`,
      text:
        as === undefined
          ? session(layout.bin, config.ownsMachine ? undefined : layout.home)
          : session(layout.bin, layout.home, { asUser: layout.asUser, ...as.user.identity }),
    },
    ...(as === undefined
      ? []
      : [
          { path: layout.asUser, text: asScript(as.user.identity, as.user.view) },
          { path: layout.asEtcd, text: asScript(as.etcd.identity, as.etcd.view) },
        ]),
    { path: `${layout.bin}/hostname`, text: hostname(config.name, layout.bin) },
    { path: `${layout.bin}/ssh`, text: sshWrapper(programs.ssh, layout.sshConfig) },
    {
      path: `${layout.bin}/scp`,
      text: sshWrapper(programs.scp, layout.sshConfig, `-S ${quote(programs.ssh)}`),
    },
    {
      path: `${layout.bin}/sftp`,
      text: sshWrapper(programs.sftp, layout.sshConfig, `-S ${quote(programs.ssh)}`),
    },
    ...service('etcd', etcdRun(config, as)),
    ...service('sshd', run(config, 'sshd', sshd)),
    ...service('control', run(config, 'control', control)),
    ...service(
      'jupyter',
      run(
        config,
        'jupyter',
        jupyterCommand(config, programs.jupyter, as),
        `${as === undefined ? '' : takeOwnership(config, as.user.identity)}cd ${quote(config.jupyter.notebooks)} || exit 1\n`,
      ),
    ),
    {
      path: `${layout.service}/jupyter/finish`,
      text: `#!/bin/sh\n# Terminals end with the server that they belong to; the next server takes up the kernels.\n${sweepCall(config, 'jupyter', 'TERM 10')}\n`,
    },
    { path: `${layout.service}/jupyter/control/t`, text: jupyterRestart },
  ];
}

/**
 * Runs instead of SIGTERM, by which Jupyter ends its kernels: a restart ends it as a crash does. `runsv` sends SIGTERM
 * where this fails.
 */
const jupyterRestart = `#!/bin/sh
case $(cat supervise/stat) in
*want*) exit 1 ;;
run*) kill -s HUP "$(cat supervise/pid)" ;;
*) exit 1 ;;
esac
`;

/** Runs one service, after ending what an earlier supervisor of it may have left running. */
function run(config: NodeConfig, service: ServiceName, command: string, first = ''): string {
  const mark = quote(serviceMark(config.paths.base, service));
  return `#!/bin/sh\nexec 2>&1\n${sweepCall(config, service, 'KILL 0')} || exit 1\n${first}exec env ${mark} ${command}\n`;
}

/**
 * Gives existing notebooks to the user, who may change directories meanwhile: each file is named within its directory,
 * no link is followed, and a file with another name elsewhere stays.
 */
function takeOwnership({ takeOwnership: wanted, jupyter }: NodeConfig, { uid, gid }: Identity): string {
  if (wanted !== true) return '';
  const others = `\\( ! -uid ${uid} -o ! -gid ${gid} \\) \\( -type d -o -links 1 \\)`;
  return `find ${quote(jupyter.notebooks)} -xdev ${others} -execdir chown -h ${uid}:${gid} {} +\n`;
}

function sweepCall(config: NodeConfig, service: ServiceName, how: string): string {
  return `${quote(`${nodeLayout(config.paths.base).bin}/sweep`)} ${service} ${how}`;
}

function etcdRun(config: NodeConfig, as: Identities | undefined): string {
  const layout = nodeLayout(config.paths.base);
  // What decides and prepares its data is root.
  const become =
    as === undefined
      ? ''
      : `chown -hRP ${as.etcd.identity.uid}:${as.etcd.identity.gid} ${quote(layout.etcdData)} || exit 1\n`;
  return `#!/bin/sh
exec 2>&1
${sweepCall(config, 'etcd', 'KILL 0')} || exit 1
export ${quote(serviceMark(layout.base, 'etcd'))}
# A shell that waits for a command in the foreground does not pass a signal on.
trap 'kill -TERM "$deciding" 2>/dev/null' TERM
${quote(`${config.paths.bin}/perijove-node`)} etcd ${quote(layout.base)} &
deciding=$!
wait "$deciding" || exit 1
trap - TERM
${become}exec ${as === undefined ? '' : `${quote(layout.asEtcd)} `}sh ${quote(layout.etcdCommand)}
`;
}

function jupyterCommand(config: NodeConfig, executable: string, as: Identities | undefined): string {
  const layout = nodeLayout(config.paths.base);
  const become = as === undefined ? '' : `${quote(layout.asUser)} `;
  const lab = `${config.jupyter.notebooks}/.jupyter/lab`;
  const environment = {
    PYTHONPATH: layout.lazyImports,
    ...(as === undefined
      ? { JUPYTER_CONFIG_DIR: `${layout.etc}/jupyter` }
      : { JUPYTER_CONFIG_DIR: `${layout.home}/.jupyter`, JUPYTER_CONFIG_PATH: `${layout.etc}/jupyter` }),
    JUPYTER_DATA_DIR: layout.jupyterData,
    JUPYTER_RUNTIME_DIR: layout.jupyterRun,
    IPYTHONDIR: layout.ipython,
    // Like the notebooks, the settings and the workspace layout move with Jupyter.
    JUPYTERLAB_SETTINGS_DIR: `${lab}/user-settings`,
    JUPYTERLAB_WORKSPACES_DIR: `${lab}/workspaces`,
  };
  const words = Object.entries(environment).map(([name, value]) =>
    name === 'PYTHONPATH' ? `${name}=${quote(value)}"\${${name}:+:$${name}}"` : quote(`${name}=${value}`),
  );
  return `${words.join(' ')} ${become}${quote(executable)} ${quote(`--config=${layout.jupyterConfig}`)}`;
}

/**
 * The shell functions `marked EXAMPLE PATTERN OPTIONS FILE…`, which prints the files with a match, and
 * `pids_of FILES`, which prints the process IDs of files in /proc. The exit code of grep(1) proves nothing:
 * processes end while it reads. So its stdin, a last file with the example, always matches; a list without it
 * is incomplete, and `marked` fails.
 */
export const markedFunction = `marked() {
  example=$1 pattern=$2 options=$3
  shift 3
  matches=$(printf '%s\\000' "$example" | grep -lsa$options --label=whole -e "$pattern" -- "$@" -)
  case $matches in
  whole) ;;
  *"
whole") printf '%s\\n' "\${matches%?whole}" ;;
  *) return 1 ;;
  esac
}
pids_of() { for file in $1; do file=\${file#/proc/}; printf '%s\\n' "\${file%%/*}"; done; }`;

/**
 * The shell function `recorded`: prints the process IDs of kernels that run by their records (`kernelRecords`), which
 * finds one that has overwritten its environment. The user of the node owns the records: only processes of their owner
 * are printed.
 */
function recordedFunction(base: string): string {
  const mark = Object.entries(kernelMarks(base)).map((entry) =>
    entry.map((each) => JSON.stringify(each)).join(': '),
  );
  return `recorded() {
  boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
  for record in ${quote(`${nodeLayout(base).jupyterRun}/kernels`)}/*.json; do
    [ -f "$record" ] || continue
    line=$(head -c 4096 "$record" 2>/dev/null)
    case $line in
    '{"here": {"boot": "'"$boot"'", '*${quote(`, ${mark.join(', ')}}, "pid": `)}*', "started": '*', '*) ;;
    *) continue ;;
    esac
    pid=\${line#*'}, "pid": '} started=\${line#*', "started": '}
    pid=\${pid%%,*} started=\${started%%,*}
    case $pid:$started in *[!0-9:]* | :* | *:) continue ;; esac
    line=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    set -- \${line##*) }
    case $1 in Z | X) continue ;; esac
    [ "\${20}" = "$started" ] || continue
    set -- $(stat -c %u "$record" "/proc/$pid" 2>/dev/null)
    [ $# = 2 ] && [ "$1" = "$2" ] && printf '%s\\n' "$pid"
  done
  return 0
}`;
}

/**
 * The functions of `markedFunction`, and `left SERVICE|node`, which prints the process IDs that are marked as
 * the service's or the node's. It fails when they cannot be determined.
 */
export function leftFunction(base: string, sshdConfig: string): string {
  return `${markedFunction}
${recordedFunction(base)}
left() {
  case $1 in
  node) mark=${quote(`${marks.tree}=${base}`)} ;;
  *) mark=${quote(`${marks.service}=${base}:`)}$1 ;;
  esac
  files=$(marked "$mark" "$mark" zxF /proc/[0-9]*/environ) || return 1
  # sshd overwrites its environment with its title, which shows its command line.
  case $1 in
  node | sshd)
    titles=$(marked 'sshd: ' '^sshd: ' '' /proc/[0-9]*/cmdline) || return 1
    if [ -n "$titles" ]; then
      titles=$(marked ${quote(`-f ${sshdConfig} `)} ${quote(`-f ${sshdConfig} `)} F $titles) || return 1
    fi
    ;;
  *) titles='' ;;
  esac
  pids_of "$files $titles"
  case $1 in node | kernels) recorded ;; esac
}`;
}

/**
 * The shell function `pid_of FILE`: prints the machine's process ID of the process of the tree whose ID the
 * file contains. Processes have other IDs inside a container; the machine around it sees both.
 */
export function pidFunction(base: string): string {
  return `pid_of() {
  inner=$(cat "$1" 2>/dev/null)
  [ -n "$inner" ] || return 1
  for status in $(grep -lsE "^NSpid:.*[[:space:]]$inner$" /proc/[0-9]*/status); do
    process=\${status%/status}
    if grep -qsazxF -e ${quote(`${marks.tree}=${base}`)} "$process/environ" ||
      grep -qsazF -e ${quote(configMark(base))} "$process/environ"; then
      echo "\${process#/proc/}"
      return 0
    fi
  done
  return 1
}`;
}

/** Present in the environment of what Mesos runs of a node: its shell, and `perijove-node start`. */
export function configMark(base: string): string {
  return `"base":${JSON.stringify(base)}`;
}

/**
 * `sweep SERVICE|node SIGNAL TENTHS`: sends SIGNAL (0 for none) to every process that is marked as the
 * service's or the node's, and SIGKILL to what is left after TENTHS of a second. It ends when all are gone,
 * or with an error when SIGKILL does not help, or the processes cannot be listed, for 5 s.
 */
function sweep(base: string, sshdConfig: string): string {
  return `#!/bin/sh
${leftFunction(base, sshdConfig)}
pids=$(left "$1") && { [ -n "$pids" ] || exit 0; }
[ -z "$pids" ] || kill -s "$2" $pids 2>/dev/null
waited=0
while ! pids=$(left "$1") || [ -n "$pids" ]; do
  [ -z "$pids" ] || [ "$waited" -lt "$3" ] || kill -s KILL $pids 2>/dev/null
  if [ "$waited" -gt $(($3 + 50)) ]; then
    echo "sweep: these processes do not end:" \${pids:-it is not known which run} >&2
    exit 1
  fi
  sleep 0.1
  waited=$((waited + 1))
done
`;
}

/**
 * What a session runs: the requested command, or else a shell. Login shells are not used, because
 * /etc/profile on Debian resets PATH, which would lose the node's own programs. The start-up files of the
 * host's user are not made for a node, may take long, and bash reads them for each command over SSH.
 */
function session(
  bin: string,
  home: string | undefined,
  becomes?: { readonly asUser: string; readonly uid: number },
): string {
  // sshd starts it as root, and Jupyter as the user. The terminal is the user's, too.
  const become =
    becomes === undefined
      ? ''
      : `if [ "$(id -u)" = 0 ]; then
  terminal=$(tty) && chown ${becomes.uid} "$terminal"
  SHELL=/bin/bash
  [ -x "$SHELL" ] || SHELL=/bin/sh
  export SHELL
  exec ${quote(becomes.asUser)} "$0"
fi
`;
  const atHome =
    home === undefined
      ? []
      : [`HOME=${quote(home)}`, 'export HOME', '[ -z "${SSH_CONNECTION-}" ] || cd "$HOME"', ''];
  return `#!/bin/sh
${become}[ "$(cat /proc/self/oom_score_adj)" -ge ${userOomScore} ] || echo ${userOomScore} 2>/dev/null >/proc/self/oom_score_adj
PATH=${quote(bin)}:$PATH
export PATH
${atHome.join('\n')}[ -z "\${SSH_ORIGINAL_COMMAND-}" ] || exec "\${SHELL:-/bin/sh}" -c "$SSH_ORIGINAL_COMMAND"
exec "\${SHELL:-/bin/sh}" -i
`;
}

/** Nodes that are plain processes share the kernel's host name; this prints the node's own. */
function hostname(name: string, bin: string): string {
  return `#!/bin/sh
case $* in
'' | -s | -f | --short | --fqdn | --long) echo ${quote(name)} ;;
*)
  PATH=$(echo ":$PATH:" | sed ${quote(`s|:${bin}:|:|g; s|^:||; s|:$||`)})
  exec hostname "$@"
  ;;
esac
`;
}

function sshWrapper(program: string, config: string, options = ''): string {
  return `#!/bin/sh\nexec ${quote(program)} -F ${quote(config)} ${options}${options && ' '}"$@"\n`;
}
