import { nodeAddress, nodeNames } from '../../cluster/spec.js';
import { readEtcdAccess } from '../../etcd/access.js';
import { createEtcdClient } from '../../etcd/client.js';
import { raftTermOf } from '../../etcd/term.js';
import { failover } from '../definition.js';
import type { DrillOf, FaultDeps, FaultKind } from './kind.js';
import { absent } from './reaching.js';

/** Transfers etcd's leadership. */
export interface EtcdMove {
  readonly kind: 'etcd-move';
  readonly from: string;
  readonly to: string;
  /** Epoch and raft term in which `from` leads. */
  readonly term: number;
}

export const etcdMoveDrills = [
  {
    name: 'etcd-move',
    what: 'etcd leadership is transferred to another member (MoveLeader)',
    target: 'follower',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: failover,
    needs: 'ssh',
    plan: async (_deps, { leader, term }, target) => ({ kind: 'etcd-move', from: leader, to: target, term }),
  },
] as const satisfies readonly DrillOf<EtcdMove>[];

export const etcdMove: FaultKind<EtcdMove> = {
  kind: 'etcd-move',
  inject: moveLeadership,
  heal: async () => undefined,
  injected: ({ from, to }) => `transferred leadership from ${from} to ${to}`,
  healed: () => 'nothing to heal',
};

async function moveLeadership({ spec, pool, reach }: FaultDeps, { from, to, term }: EtcdMove): Promise<void> {
  const address = nodeAddress(spec, nodeNames(spec).indexOf(from));
  const client = createEtcdClient(await reach.any(address, spec.etcd.clientPort), {
    deadlineMs: 3_000,
    access: await readEtcdAccess(pool, spec),
  });
  try {
    const status = await client.status();
    if (status.leader !== status.memberId || status.term !== raftTermOf(term)) return;
    const { members } = await client.memberList();
    const target = members.find(({ name }) => name === to);
    if (!target) throw absent(`etcd has no member ${to}`);
    await client.moveLeader(target.id);
  } finally {
    client.close();
  }
}
