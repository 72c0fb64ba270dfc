/** What the trees of nodes on a host keep of etcd, and how an operator's recovery begins there. */
import * as z from 'zod';
import type { HostSpec } from '../cluster/spec.js';
import type { SeedSource } from '../etcd/decide.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import { quote } from '../ssh/shell.js';
import { nodeLayout } from './layout.js';

const count = z.int().min(0);

const etcdTreeSchema = z.object({
  node: z.string(),
  /** The highest epoch that the node knows. */
  epoch: count,
  data: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('none') }),
    z.object({ kind: z.literal('unreadable'), why: z.string() }),
    z.object({ kind: z.literal('member'), epoch: count, term: count, index: count, commit: count }),
  ]),
});
export const etcdTreesSchema = z.object({ trees: z.array(etcdTreeSchema) });
/** The tree of a node on a host. */
export type EtcdTree = Readonly<z.infer<typeof etcdTreeSchema>>;

/** Prints `etcdTreesSchema` as JSON in its last line. Fails where a tree cannot be read. */
export function etcdTreesScript(host: Pick<HostSpec, 'dir'>): string {
  const { bin, data } = hostPaths(host);
  const nodes = quote(`${data}/nodes`);
  return `
if [ -e ${nodes} ]; then
  exec ${quote(`${bin}/perijove-node`)} etcd-data ${nodes}
fi
[ -r ${quote(data)} ] || [ ! -e ${quote(data)} ] || exit 1
echo '{"trees":[]}'`.trim();
}

export function parseEtcdTrees(output: string): Observation<readonly EtcdTree[]> {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  try {
    return known(etcdTreesSchema.parse(JSON.parse(line)).trees);
  } catch {
    return notKnown('the data of its etcd members could not be listed');
  }
}

const relative = nodeLayout('');

/**
 * `epoch_of` sets the variable `epoch` to what the file holds, 0 without a number; it fails if that cannot be read.
 * `put` replaces a file, for readers and for a power cut, with a text.
 */
const functions = `
epoch_of() {
  epoch=0
  [ -e "$1" ] || return 0
  [ -r "$1" ] || { echo "$1 cannot be read" >&2; return 1; }
  read -r epoch <"$1" || :
  case $epoch in '' | *[!0-9]*) epoch=0 ;; esac
}
put() { printf '%s\\n' "$2" >"$1.new" && chmod 644 "$1.new" && sync && mv "$1.new" "$1" && [ -s "$1" ]; }`;

/**
 * Begins an epoch with the node of that tree. The seed comes first: a node that knew of the epoch alone would set its
 * data aside. Repeated, it does nothing once the epoch has begun.
 */
export function seedScript(
  host: Pick<HostSpec, 'dir'>,
  { seed, epoch, from }: { readonly seed: string; readonly epoch: number; readonly from: SeedSource },
): string {
  const tree = hostPaths(host).clusterNode(seed);
  return `${functions}
tree=${quote(tree)}
[ -d "$tree"${relative.data} ] || { echo "$tree is missing" >&2; exit 1; }
epoch_of "$tree"${relative.etcdDataEpoch} || exit 1
[ "$epoch" -lt ${epoch} ] || exit 0
epoch_of "$tree"${relative.etcdEpoch} || exit 1
[ "$epoch" -le ${epoch} ] || { echo "$tree is in the later epoch $epoch" >&2; exit 1; }
put "$tree"${relative.etcdSeed} '${epoch} ${from}' || exit 1
put "$tree"${relative.etcdEpoch} ${epoch} || exit 1`.trim();
}

/** All nodes of the host set data of earlier epochs aside. Never lowers an epoch. */
export function raiseEpochScript(host: Pick<HostSpec, 'dir'>, epoch: number): string {
  return `${functions}
for tree in ${quote(`${hostPaths(host).data}/nodes`)}/*; do
  [ -d "$tree"${relative.data} ] || continue
  epoch_of "$tree"${relative.etcdEpoch} || exit 1
  [ "$epoch" -ge ${epoch} ] || put "$tree"${relative.etcdEpoch} ${epoch} || exit 1
done`.trim();
}
