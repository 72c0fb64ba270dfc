/** What hosts keep of the nodes of a cluster: by it a framework whose own state is lost or was ended goes on. */
import { etcdSecurity, majority, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import { parseTaskId } from '../mesos/scheduler/tasks.js';
import { quote } from '../ssh/shell.js';
import { nodeLayout } from './layout.js';

/** Where the nodes were, and how far their launches were counted. */
export interface NodeMemory {
  /** By node: the host that has its newest data. */
  readonly homes: Readonly<Record<string, string>>;
  /** Number of the last launch of any node. */
  readonly launches: number;
  /** etcd was formed: a node without data joins it. */
  readonly etcdFormed: boolean;
  /** The epoch of etcd, after a recovery. */
  readonly etcdEpoch?: number;
}

/** The tree of a node on a host. */
export interface NodeTree {
  readonly node: string;
  /** Number of the last launch that the tree has heard of. */
  readonly launch: number;
  /** It has the data of an etcd member. */
  readonly hasData: boolean;
  /** It has the mark that etcd was formed. */
  readonly etcdFormed: boolean;
  /** The highest epoch of etcd that it has heard of. */
  readonly etcdEpoch: number;
  /** Other members reach its own by TLS. */
  readonly peerTls: boolean;
}

const relative = nodeLayout('');

/**
 * Prints a line for each tree of a node, and `complete` last. Fails where a tree cannot be read. By the shell alone: an
 * empty answer of another command would be taken for a tree that heard of no launch.
 */
export function nodeTreesScript(host: Pick<HostSpec, 'dir'>): string {
  const nodes = quote(`${hostPaths(host).data}/nodes`);
  return `
if [ -d ${nodes} ]; then
  [ -r ${nodes} ] && [ -x ${nodes} ] || exit 1
  for tree in ${nodes}/*; do
    [ -d "$tree" ] || continue
    task='' fence='' formed=no data=no epoch='' tls=no
    if [ -e "$tree"${relative.task} ]; then
      [ -r "$tree"${relative.task} ] || exit 1
      read -r task <"$tree"${relative.task} || :
    fi
    if [ -e "$tree"${relative.fence} ]; then
      [ -r "$tree"${relative.fence} ] || exit 1
      read -r fence <"$tree"${relative.fence} || :
      case $fence in '' | *[!0-9]*) echo "the fence of $tree has no number" >&2; exit 1 ;; esac
    fi
    if [ -e "$tree"${relative.etcdEpoch} ]; then
      [ -r "$tree"${relative.etcdEpoch} ] || exit 1
      read -r epoch <"$tree"${relative.etcdEpoch} || :
      case $epoch in '' | *[!0-9]*) echo "the epoch of $tree has no number" >&2; exit 1 ;; esac
    fi
    [ ! -e "$tree"${relative.etcdFormed} ] || formed=yes
    [ ! -d "$tree"${relative.etcdData}/member ] || data=yes
    [ ! -e "$tree"${relative.etcdPeerTls} ] || tls=yes
    echo "tree \${tree##*/} \${task:--} \${fence:--} $data $formed \${epoch:-0} $tls"
  done
fi
echo complete`.trim();
}

export function parseNodeTrees(output: string): Observation<NodeTree[]> {
  const lines = output.trimEnd().split('\n');
  if (lines.pop() !== 'complete') return notKnown('the list of node trees is truncated');
  const trees: NodeTree[] = [];
  for (const line of lines) {
    const match = /^tree (node\d+) (\S+) (\S+) (yes|no) (yes|no) (\d+) (yes|no)$/.exec(line);
    // Somebody else's directory, or a line that was printed by the login shell.
    if (match === null) continue;
    const [, node = '', task = '', fence = '', data, formed, epoch = '', tls] = match;
    const launches = [parseTaskId(task)?.launch ?? 0, Number(fence)].filter(Number.isSafeInteger);
    trees.push({
      node,
      launch: Math.max(0, ...launches),
      hasData: data === 'yes',
      etcdFormed: formed === 'yes',
      etcdEpoch: Number(epoch),
      peerTls: tls === 'yes',
    });
  }
  return known(trees);
}

/**
 * Leaves the mark that etcd was formed in every tree, so that no node without data forms another etcd, whatever
 * becomes of the workflow that knows.
 */
export function markFormedScript(host: Pick<HostSpec, 'dir'>): string {
  const nodes = quote(`${hostPaths(host).data}/nodes`);
  return `
for tree in ${nodes}/*; do
  [ -d "$tree"${relative.data} ] || continue
  [ -e "$tree"${relative.etcdFormed} ] || : >"$tree"${relative.etcdFormed} || exit 1
done`.trim();
}

/**
 * Whether members would not reach each other if the nodes were brought to this security one after the other: some are
 * known to be reached by TLS and others are to speak none, or the other way round. The newest tree of each node counts.
 */
export function needsTransition(spec: ClusterSpec, trees: readonly NodeTree[]): boolean {
  const security = etcdSecurity(spec);
  if (security === 'transition') return false;
  return nodeNames(spec).some((node) => {
    const [newest] = trees
      .filter((tree) => tree.node === node && tree.hasData)
      .toSorted((a, b) => b.launch - a.launch);
    return newest !== undefined && newest.peerTls !== (security === 'authenticated');
  });
}

/** What the trees of all hosts, by the name of the host, say together; undefined where there is no tree at all. */
export function memoryOf(
  spec: ClusterSpec,
  treesOf: Readonly<Record<string, readonly NodeTree[]>>,
): NodeMemory | undefined {
  const all = Object.entries(treesOf).flatMap(([host, trees]) => trees.map((tree) => ({ host, ...tree })));
  if (all.length === 0) return undefined;
  const names = nodeNames(spec);
  const homes = names.flatMap((node) => {
    const [newest, next] = all
      .filter((tree) => tree.node === node && tree.hasData)
      .toSorted((a, b) => b.launch - a.launch);
    // Which of two is the newer one is not known.
    return newest === undefined || newest.launch === next?.launch ? [] : [[node, newest.host] as const];
  });
  const withData = names.filter((node) => all.some((tree) => tree.node === node && tree.hasData));
  const etcdEpoch = Math.max(...all.map((tree) => tree.etcdEpoch));
  return {
    homes: Object.fromEntries(homes),
    launches: Math.max(...all.map(({ launch }) => launch)),
    // Earlier releases left no mark in the trees of nodes that were never launched again.
    etcdFormed: all.some(({ etcdFormed }) => etcdFormed) || withData.length >= majority(spec.nodes.count),
    ...(etcdEpoch > 0 && { etcdEpoch }),
  };
}
