/** Reads elections, and what the members of etcd say of themselves, for the status page: when somebody asks. */
import { nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { electionKinds, gatherElectionLogs } from '../elections/gather.js';
import { replaysOf, type Replays } from '../elections/replays.js';
import { messageOf } from '../errors/error.js';
import { readEtcdAccess } from '../etcd/access.js';
import { createEtcdClient } from '../etcd/client.js';
import type { EtcdAccess } from '../etcd/security.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { SshPool } from '../ssh/connection.js';
import { sshReach, type Reach } from '../ssh/reach.js';

/** A member of etcd, by its own account. */
export interface RaftMember {
  readonly node: string;
  readonly state: Observation<{
    /** `alone`: it has no leader. */
    readonly role: 'leader' | 'follower' | 'learner' | 'alone';
    readonly term: number;
    readonly committedIndex: number;
  }>;
}

/** What `/api/elections` answers. */
export interface ElectionsView extends Replays {
  /** ISO 8601. */
  readonly readAt: string;
  readonly members: readonly RaftMember[];
}

/** Of each kind, the newest. */
const last = 5;
const askMs = 2_000;
/** Viewers that ask within this share one reading. */
const sharedMs = 2_000;

/** Reads once for all viewers, and nothing unless somebody asks. */
export class ElectionReader {
  #latest: { readonly at: number; readonly view: Promise<ElectionsView> } | undefined;

  constructor(
    private readonly spec: () => Promise<ClusterSpec>,
    private readonly pool: SshPool,
  ) {}

  /** Elections and members, read at most two seconds ago. What does not answer is in it, as unknown. */
  async read(): Promise<ElectionsView> {
    const now = Date.now();
    if (this.#latest === undefined || now - this.#latest.at > sharedMs) {
      this.#latest = { at: now, view: this.#read() };
    }
    return this.#latest.view;
  }

  async #read(): Promise<ElectionsView> {
    const spec = await this.spec();
    const [logs, members] = await Promise.all([
      gatherElectionLogs(this.pool, spec, electionKinds),
      raftMembers(this.pool, spec),
    ]);
    return { ...replaysOf(spec, logs, last), readAt: new Date().toISOString(), members };
  }
}

async function raftMembers(pool: SshPool, spec: ClusterSpec): Promise<RaftMember[]> {
  const reach = sshReach(pool, spec);
  const access = await readEtcdAccess(pool, spec).catch(messageOf);
  return Promise.all(
    nodeNames(spec).map(async (node, index) => ({
      node,
      state: await memberState(reach, spec, nodeAddress(spec, index), access),
    })),
  );
}

async function memberState(
  reach: Reach,
  spec: ClusterSpec,
  address: string,
  access: EtcdAccess | string,
): Promise<RaftMember['state']> {
  if (typeof access === 'string') return notKnown(access);
  try {
    const client = createEtcdClient(await reach.any(address, spec.etcd.clientPort), { access });
    try {
      const { memberId, leader, term, learner, committedIndex } = await client.status({ deadlineMs: askMs });
      const follows = leader === undefined ? 'alone' : leader === memberId ? 'leader' : 'follower';
      return known({ role: learner ? 'learner' : follows, term, committedIndex });
    } finally {
      client.close();
    }
  } catch (error) {
    return notKnown(messageOf(error));
  }
}
