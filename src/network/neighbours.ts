/** How many hosts may all be asked for all others; more of them ask the next ones in the spec. */
const smallCluster = 8;
const asked = 3;

/** Which host is to reach which one: every pair of a small cluster; of a large one as many as prove the same. */
export function neighbours<T>(hosts: readonly T[]): (readonly [T, T])[] {
  const count = Math.min(hosts.length - 1, hosts.length <= smallCluster ? smallCluster : asked);
  return hosts.flatMap((from, index) =>
    Array.from({ length: Math.max(count, 0) }, (_, step) => hosts[(index + step + 1) % hosts.length]).flatMap(
      (to) => (to === undefined ? [] : [[from, to] as const]),
    ),
  );
}
