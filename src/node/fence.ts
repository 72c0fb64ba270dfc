/** Ensures, from outside, that nothing of a node runs on a host, now or later. */
import { messageOf, PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { nodeEnvironment } from './config.js';
import { containerLabels, nodeLayout } from './layout.js';
import { configMark, leftFunction } from './scripts.js';

/** A host's answer about a node whose state Mesos does not know. */
export type FenceAnswer =
  /** Nothing of it runs there, and a start that is still in progress will fail. */
  | { readonly kind: 'gone' }
  /** Neither the host nor the node can be reached. */
  | { readonly kind: 'silent'; readonly why: string }
  /** The host does not respond, but the node does, at its own address. */
  | { readonly kind: 'alive'; readonly why: string }
  /** The host responds, but it is unknown whether anything runs. */
  | { readonly kind: 'unclear'; readonly why: string };

export interface FencedNode {
  readonly node: string;
  /** Of the node's tree on the host. */
  readonly base: string;
  /** `perijove-node` on the host. */
  readonly program: string;
  /** Number of the launch: this one and all earlier ones are ended, a later one is left alone. */
  readonly launch: number;
  /** It runs in a container, which must be removed from the host's Docker too, with its address. */
  readonly container?: boolean;
}

/** Ending processes takes a moment; a host that swaps may take long. */
const scriptMs = 20_000;
/** Within this many tenths of a second SIGKILL has worked, or a process hangs in the kernel. */
const patienceTenths = 50;

/** Errors that mean that a host cannot be reached, rather than that it refuses something. */
const network: readonly string[] = ['SSH_REFUSED', 'SSH_TIMEOUT', 'SSH_LOST'];

/**
 * Ends the node on its host, over SSH. May be repeated, and may come late: a later launch of the node on the
 * same host is left alone. Never throws for a failure of the host or the network.
 *
 * @param answersItself whether anything responds at the node's own address; called when the host does not
 */
export async function fenceNode(
  connect: () => Promise<HostConnection>,
  node: FencedNode,
  answersItself: () => Promise<boolean>,
): Promise<FenceAnswer> {
  try {
    const connection = await connect();
    const { code, stderr } = await connection.exec(fenceScript(node), { timeoutMs: scriptMs });
    if (code === 0) return { kind: 'gone' };
    return {
      kind: 'unclear',
      why: stderr.trim().slice(-200) || `the script ended with ${code ?? 'a signal'}`,
    };
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    const why = `${error.code}: ${messageOf(error)}`;
    if (!network.includes(error.code)) return { kind: 'unclear', why };
    return { kind: (await answersItself()) ? 'alive' : 'silent', why };
  }
}

/**
 * Sets the fence first, then ends everything. A `perijove-node start` of a fenced launch that this does not
 * see yet reads the fence before it does anything; one that it sees is ended, whatever it has read.
 */
export function fenceScript(
  { node, base, program, launch, container = false }: FencedNode,
  patience = patienceTenths,
): string {
  const layout = nodeLayout(base);
  return `
unclear() { echo "$*" >&2; exit 1; }
fence=${quote(layout.fence)}
if [ -e ${quote(program)} ]; then
  mkdir -p ${quote(layout.run)} || exit 1
  last=0
  # A fence is never lowered. One without a byte is what a power cut may leave.
  if [ -s "$fence" ]; then read -r last <"$fence" || unclear "$fence cannot be read"; fi
  case $last in '' | *[!0-9]*) unclear "$fence contains no number" ;; esac
  if [ "$last" -lt ${launch} ]; then
    echo ${launch} >"$fence.$$" && mv "$fence.$$" "$fence" || exit 1
  fi
fi
${leftFunction(layout.base, layout.sshdConfig)}
# What Mesos runs of the node: its shell, and \`perijove-node start\`.
starts() { files=$(marked ${quote(configMark(layout.base))} ${quote(configMark(layout.base))} zF /proc/[0-9]*/environ) && pids_of "$files"; }
# Sets \`of\` to the number of a process's launch, 0 where it has none. Fails where that cannot be told.
launch_of() {
  of=0
  environment=$({ cat "/proc/$1/environ" && printf 'whole\\000'; } 2>/dev/null | tr '\\0' '\\n')
  case $environment in *"
whole") ;; *) return 1 ;; esac
  case $environment in *${quote(configMark(layout.base))}*) ;; *) return 1 ;; esac
  while read -r line; do
    case $line in ${nodeEnvironment.task}=*.*) of=\${line##*.} ;; esac
  done <<ENVIRONMENT
$environment
ENVIRONMENT
  case $of in '' | *[!0-9]*) return 1 ;; esac
}
waited=0
while :; do
  why=${quote(`the running processes of ${node} are unknown`)} pids=''
  if ran=$(starts) && those=$(left node) && now=$(starts); then
    why=${quote(`processes of ${node} do not exit:`)}
    # What was found before a later launch is seen is not of that launch; what is found afterwards may be.
    unknown=''
    for pid in $now; do
      if launch_of "$pid"; then
        [ "$of" -le ${launch} ] || exit 0
      elif [ -e "/proc/$pid" ]; then
        unknown="$unknown $pid"
      fi
    done
    if [ -n "$unknown" ]; then
      why=${quote(`the launch of ${node} is unknown for processes:`)}$unknown
    else
      pids=$(echo $ran $those)
      [ -n "$pids" ] || break
    fi
  fi
  [ "$waited" -le ${patience} ] || unclear "$why" $pids
  [ -z "$pids" ] || kill -s KILL $pids 2>/dev/null
  sleep 0.1
  waited=$((waited + 1))
done
${container ? removeContainers(node, layout.base, launch) : ''}`;
}

/**
 * A container may also exist without a process: one that was only created, or has exited. Docker prints a
 * heading even without containers, and each line has an end: output without these is incomplete.
 */
function removeContainers(node: string, base: string, launch: number): string {
  const task = `table {{.ID}} {{.Label "${containerLabels.task}"}} end`;
  return `
fenced() {
  there=$(timeout 10 docker ps --all --no-trunc --filter ${quote(`label=${containerLabels.tree}=${base}`)} --format ${quote(task)}) || return 1
  case $there in 'CONTAINER ID '*) ;; *) return 1 ;; esac
  printf '%s\\n' "$there" | {
    read -r heading
    while read -r id task end; do
      case $task:$end in
      end:) of=0 ;;
      *.*:end) of=\${task##*.} ;;
      *) exit 1 ;;
      esac
      case $of in '' | *[!0-9]*) exit 1 ;; esac
      [ "$of" -gt ${launch} ] || echo "$id"
    done
  }
}
waited=0
while :; do
  containers=$(fenced 2>/dev/null) || unclear 'no Docker server responds'
  [ -n "$containers" ] || break
  [ "$waited" -le ${patienceTenths} ] || unclear ${quote(`containers of ${node} do not exit:`)} $containers
  timeout 10 docker rm --force --volumes $containers >/dev/null 2>&1
  sleep 0.1
  waited=$((waited + 1))
done
`;
}
