/** etcd members and their replies, as plain data. */
import type { PeerView } from '../../src/etcd/decide.js';
import type { Member } from '../../src/etcd/members.js';

export const urlOf = (index: number) => `http://10.0.0.${index}:2380`;

/** A started voting member, of `node<index>`. */
export function memberOf(index: number): Member {
  return {
    id: `m${index}`,
    name: `node${index}`,
    peerUrls: [urlOf(index)],
    clientUrls: [`http://10.0.0.${index}:2379`],
    learner: false,
  };
}

export const learnerOf = (index: number): Member => ({ ...memberOf(index), learner: true });

export const silent = (index: number): PeerView => ({ node: `node${index}`, ok: false, reason: 'refused' });

/** Reply of `node<index>` in a quorum led by `node0`. */
export function viewOf(
  index: number,
  members: readonly Member[],
  change: { readonly term?: number; readonly leader?: string } = {},
): PeerView {
  return {
    node: `node${index}`,
    ok: true,
    memberId: `m${index}`,
    term: 5,
    leader: 'm0',
    linearizable: true,
    membership: { clusterId: 'c', members },
    ...change,
  };
}
