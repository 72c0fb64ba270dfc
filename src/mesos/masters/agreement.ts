/**
 * Host of the leading master, from the leader that each responding master names (null: none): it names
 * itself, and more of the others agree than disagree. Pure.
 */
export function leaderOf(masters: Readonly<Record<string, string | null>>): string | undefined {
  const named = Object.values(masters).filter((name) => name !== null);
  const votes = (host: string) => named.filter((name) => name === host).length;
  const [first, second] = Object.keys(masters)
    .filter((host) => masters[host] === host)
    .toSorted((a, b) => votes(b) - votes(a));
  if (first === undefined) return undefined;
  return second !== undefined && votes(first) === votes(second) ? undefined : first;
}
