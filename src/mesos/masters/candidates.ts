const prefix = 'json.info_';

/** Names of the candidates' znodes below Mesos' path, the leading one first. */
export function candidates(children: readonly string[]): string[] {
  return children
    .filter((name) => name.startsWith(prefix))
    .sort((left, right) => Number(left.slice(prefix.length)) - Number(right.slice(prefix.length)));
}

/** The sequence number that ZooKeeper gave a candidate. */
export function sequenceOf(name: string): number {
  return Number(name.slice(prefix.length));
}

/** The name a candidate's znode is created with; ZooKeeper appends its number. */
export const candidatePrefix = prefix;
