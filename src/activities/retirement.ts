/** How a node gives up what it has, before its task is killed. */
import { WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { messageOf, PerijoveError } from '../errors/error.js';
import { createEtcdClient, type EtcdClient } from '../etcd/client.js';
import type { EtcdAccess } from '../etcd/security.js';
import { peerUrl } from '../etcd/command.js';
import { quorumOf, type PeerView } from '../etcd/decide.js';
import { viewMember } from '../etcd/probe.js';
import { decideRetirement, type Retirement } from '../etcd/retire.js';
import { nodeIndex } from '../mesos/scheduler/launch.js';
import type { Leave } from '../mesos/scheduler/deps.js';
import type { NodeTask } from '../mesos/scheduler/tasks.js';
import type { NodeClient } from '../node/client.js';
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import type { Reach } from '../ssh/reach.js';
import { moveJupyter, workflowIds } from '../temporal/contract.js';
import { askRunning, askToDo } from './asking.js';
import { keeperStateOf } from './workflow-state.js';

export interface RetirementDeps {
  readonly client: Client;
  readonly reach: Reach;
  readonly spec: ClusterSpec;
  readonly etcdAccess: () => Promise<EtcdAccess>;
  /** The control API of a node. */
  readonly node: (name: string) => Promise<NodeClient>;
}

const askMs = 800;
const changeMs = 5_000;

/**
 * Moves Jupyter and etcd's leadership to another node if this one has them, by a planned move, so that no
 * request fails. If the node is removed for good (`leaves`), it also waits until the member may leave etcd. A
 * node that is only restarted continues after a failed move: the restart may be the remedy.
 */
export async function vacate(deps: RetirementDeps, node: string, leaves: boolean): Promise<Leave> {
  const keeper = await keeperStateOf(deps.client, deps.spec);
  const serves = keeper !== undefined && [keeper.jupyter, keeper.home].includes(node);
  const waits = (why: string): Leave => (leaves ? { kind: 'waits', why } : done);
  return await withMembers(deps, node, async (members) => {
    const decision = await members.decide(serves);
    if (decision.kind === 'wait') return waits(decision.reason);
    if (decision.kind !== 'move') return done;
    const failure = await move(deps, members, node, decision, serves);
    if (failure !== undefined)
      return moveFailed(waits(`${node} stays, because ${decision.reason}: ${failure}`));
    const next = await members.decide(false);
    if (next.kind === 'wait') return waits(next.reason);
    return next.kind === 'move' ? moveFailed(waits(`${node} stays, because ${next.reason} again`)) : done;
  });
}

const done: Leave = { kind: 'done' };
const moveFailed = (leave: Leave): Leave => (leave.kind === 'waits' ? { ...leave, moveFailed: true } : leave);

/**
 * Removes the member of a task's node from etcd. The node is ordered first: otherwise it would join again as
 * soon as its member is gone. Only the member that the node itself reports is removed, so a late order does
 * not harm a later task of the node.
 */
export async function retire(
  deps: RetirementDeps,
  { node, taskId }: Pick<NodeTask, 'node' | 'taskId'>,
): Promise<Leave> {
  const { memberId } = await (await deps.node(node)).retire({ task: taskId });
  if (memberId === undefined) return done;
  return await withMembers(deps, node, async (members) => {
    const decision = await members.decide(false);
    switch (decision.kind) {
      case 'gone':
        return done;
      case 'wait':
        return { kind: 'waits', why: decision.reason };
      case 'move': {
        const failure = await move(deps, members, node, decision, false);
        if (failure !== undefined) return { kind: 'waits', why: failure, moveFailed: true };
        return { kind: 'waits', why: `${node} hands over first because ${decision.reason}` };
      }
      case 'remove': {
        if (decision.memberId !== memberId) return done;
        const [through = ''] = decision.through;
        const client = members.client(through);
        if (client === undefined)
          return { kind: 'waits', why: `no etcd member is available to remove the member of ${node}` };
        await client.memberRemove(memberId, { deadlineMs: changeMs });
        return done;
      }
    }
  });
}

async function move(
  { client, spec }: RetirementDeps,
  members: Members,
  node: string,
  { to }: Extract<Retirement, { kind: 'move' }>,
  serves: boolean,
): Promise<string | undefined> {
  const workflowId = workflowIds.keeper(spec.name);
  const failures: string[] = [];
  if (await askRunning(client, workflowId)) {
    for (const target of to) {
      try {
        await askToDo(client, workflowId, (handle, updateId) =>
          handle.executeUpdate(moveJupyter, { args: [target], updateId }),
        );
        return undefined;
      } catch (error) {
        if (!(error instanceof WorkflowUpdateFailedError)) throw error;
        failures.push(messageOf(error.cause));
      }
    }
    if (serves) return [...new Set(failures)].join('; ');
  }
  // It serves no users: only leadership has to move.
  try {
    await members.lead(node, to[0]);
    return undefined;
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    return [...new Set([...failures, error.message])].join('; ');
  }
}

interface Members {
  decide(serves: boolean): Promise<Retirement>;
  client(node: string): EtcdClient | undefined;
  /** Transfers leadership from one node to another. */
  lead(from: string, to: string): Promise<void>;
}

async function withMembers<T>(
  { reach, spec, etcdAccess }: RetirementDeps,
  node: string,
  work: (members: Members) => Promise<T>,
): Promise<T> {
  const access = await etcdAccess();
  const clients = new Map<string, EtcdClient>();
  const view = async (name: string): Promise<PeerView> => {
    const address = nodeAddress(spec, nodeIndex(name));
    const present = clients.get(name);
    const client =
      present ??
      createEtcdClient(await reach.any(address, spec.etcd.clientPort), { deadlineMs: askMs, access });
    clients.set(name, client);
    return await viewMember(name, client);
  };
  /** Includes nodes above the spec's, which also leave: they have members until they are gone. */
  const observePeers = async (): Promise<PeerView[]> => {
    const known = [...new Set([...nodeNames(spec), node])];
    const peers = await Promise.all(known.map(view));
    const listed = quorumOf({ peers })?.membership.members.map(({ name }) => name) ?? [];
    const more = listed.filter((name) => /^node\d+$/.test(name) && !known.includes(name));
    return [...peers, ...(await Promise.all(more.map(view)))];
  };
  try {
    return await work({
      decide: async (serves) =>
        decideRetirement({
          node,
          peerUrl: peerUrl({ address: nodeAddress(spec, nodeIndex(node)), peerPort: spec.etcd.peerPort }),
          staying: nodeNames(spec).filter((name) => name !== node),
          peers: await observePeers(),
          serves,
        }),
      client: (name) => clients.get(name),
      lead: async (from, to) => {
        const target = await clients.get(to)?.status();
        if (target === undefined) return;
        await clients.get(from)?.moveLeader(target.memberId, { deadlineMs: changeMs });
      },
    });
  } finally {
    for (const client of clients.values()) client.close();
  }
}
