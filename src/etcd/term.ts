/**
 * A leadership as one number, which every part compares: the epoch of etcd, then the raft term. Each recovery of a
 * lost quorum begins an epoch. Raft terms may fall then, but the number rises. Without a recovery it is the raft term,
 * so numbers of earlier releases are of epoch 0.
 */

/** More elections than a cluster ever holds: one a second for a century. */
const termsPerEpoch = 2 ** 32;

export const highestEpoch = Math.floor(Number.MAX_SAFE_INTEGER / termsPerEpoch) - 1;

export function termIn(epoch: number, raftTerm: number): number {
  return epoch * termsPerEpoch + raftTerm;
}

export function epochOf(term: number): number {
  return Math.floor(term / termsPerEpoch);
}

export function raftTermOf(term: number): number {
  return term % termsPerEpoch;
}

/** `5`; after a recovery, `2 of epoch 1`. */
export function termText(term: number): string {
  const epoch = epochOf(term);
  return epoch === 0 ? String(term) : `${raftTermOf(term)} of epoch ${epoch}`;
}
