import type { Logger } from 'pino';
import { messageOf } from '../../errors/error.js';
import { createEtcdClient } from '../../etcd/client.js';
import { viewMember } from '../../etcd/probe.js';
import { decidePromotion } from '../../etcd/promote.js';
import type { EtcdAccess } from '../../etcd/security.js';
import { pause } from '../../net/pause.js';
import type { NodeConfig } from '../config.js';
import { peerAccess } from './etcd-access.js';

/** While the node's own member learns, or does not respond. */
const soonMs = 500;
/** While it has its vote: only lost data can replace it with another member. */
const seldomMs = 5_000;
const changeMs = 5_000;

type PromotedNode = Pick<NodeConfig, 'name' | 'address' | 'nodes' | 'ports' | 'etcd' | 'paths'>;

/** Promotes the node's own member once it has caught up; runs until the signal aborts. */
export async function promoteOwnMember(
  config: PromotedNode,
  access: EtcdAccess,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const own = createEtcdClient({ host: config.address, port: config.ports.etcdClient }, { access });
  let said: string | undefined;
  try {
    while (!signal.aborted) {
      const status = await own.status().catch(() => undefined);
      if (status?.learner === true) {
        const outcome = await promote(config, status.memberId).catch(messageOf);
        if (outcome !== said)
          logger.info({ memberId: status.memberId, outcome }, 'the etcd member of this node is a learner');
        said = outcome;
      }
      const pauseMs = status?.learner === false ? seldomMs : soonMs;
      await pause(pauseMs, signal);
    }
  } finally {
    own.close();
  }
}

/** A learner cannot promote itself, so the others are asked. Resolves to the outcome, for the log. */
async function promote(config: PromotedNode, memberId: string): Promise<string> {
  const { name, nodes, ports } = config;
  const access = await peerAccess(config);
  const clients = new Map(
    nodes
      .filter((node) => node.name !== name)
      .map((node) => [
        node.name,
        createEtcdClient({ host: node.address, port: ports.etcdClient }, { deadlineMs: 800, access }),
      ]),
  );
  try {
    const peers = await Promise.all([...clients].map(([node, client]) => viewMember(node, client)));
    const decision = decidePromotion(memberId, peers);
    if (decision.kind === 'wait') return decision.reason;
    const [through = ''] = decision.through;
    await clients.get(through)?.memberPromote(memberId, { deadlineMs: changeMs });
    return 'it is a voting member';
  } finally {
    for (const client of clients.values()) client.close();
  }
}
