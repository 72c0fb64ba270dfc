/** Up to this size every host checks all others; in a larger cluster, the next ones in the spec. */
const smallCluster = 8;
const asked = 3;

/** Which host must reach which: all pairs of a small cluster; a sufficient sample in a large one. */
export function neighbours<T>(hosts: readonly T[]): (readonly [T, T])[] {
  const count = Math.min(hosts.length - 1, hosts.length <= smallCluster ? smallCluster : asked);
  return hosts.flatMap((from, index) =>
    Array.from({ length: Math.max(count, 0) }, (_, step) => hosts[(index + step + 1) % hosts.length]).flatMap(
      (to) => (to === undefined ? [] : [[from, to] as const]),
    ),
  );
}
