import { Etcd3, type IMember, type IStatusResponse } from 'etcd3';
import { messageOf, PerijoveError } from '../errors/error.js';
import { callOnce } from './call-once.js';
import { memberName } from './certificates.js';
import type { Member, Membership, MemberStatus } from './members.js';
import { openAccess, type ClientTls, type EtcdAccess } from './security.js';
import { highestEpoch } from './term.js';

export interface CallOptions {
  /** For this call; the client's default otherwise. */
  readonly deadlineMs?: number;
}

export interface QuorumRead {
  /** How many times a lost quorum of this etcd was recovered. */
  readonly epoch: number;
}

/** A member on a slow machine is late for seconds; a silent connection is opened anew after this. */
const renewMs = 10_000;

/** Holds the epoch, in decimal; missing before the first recovery. */
const epochKey = Buffer.from('perijove/epoch');

/**
 * One etcd member. Every call ends within its deadline: with the result, or with ETCD_UNREACHABLE (no
 * response), ETCD_NO_LEADER (the member responds, but a quorum is missing) or ETCD_REFUSED.
 */
export interface EtcdClient {
  /** Served by the member alone, also without a quorum. */
  status(options?: CallOptions): Promise<MemberStatus>;
  /** Resolves when the member has confirmed with a quorum that it is up to date; to what that quorum holds. */
  linearizableRead(options?: CallOptions): Promise<QuorumRead>;
  /** Raises the epoch that the quorum holds to at least this one. */
  raiseEpoch(epoch: number, options?: CallOptions): Promise<void>;
  /** As the member knows it; after a linearizable read, at least as recent as that read. */
  memberList(options?: CallOptions): Promise<Membership>;
  /** Adds a learner, which has no vote until it is promoted. Resolves to its ID. */
  memberAdd(peerUrl: string, options?: CallOptions): Promise<string>;
  /** Tells the members where this one is from now on. */
  memberUpdate(id: string, peerUrl: string, options?: CallOptions): Promise<void>;
  /** Gives a learner its vote. Also resolves if it has one, or if there is no such member. */
  memberPromote(id: string, options?: CallOptions): Promise<void>;
  /** Also resolves if there is no such member. */
  memberRemove(id: string, options?: CallOptions): Promise<void>;
  /** Must be called on the leader. Resolves when the target leads. */
  moveLeader(targetId: string, options?: CallOptions): Promise<void>;
  close(): void;
}

/**
 * A client of the member at `endpoint`. It uses one HTTP/2 connection for all calls (where it may speak with and
 * without TLS, one of each), connects on the first
 * call, and reconnects on the next call after a loss. A lost member is detected within milliseconds if its
 * machine refuses the connection, otherwise at the deadline; a connection that dies silently is closed after
 * 8 s.
 */
export function createEtcdClient(
  endpoint: { readonly host: string; readonly port: number },
  {
    deadlineMs = 500,
    access = openAccess,
  }: { readonly deadlineMs?: number; readonly access?: EtcdAccess } = {},
): EtcdClient {
  const address = `${endpoint.host}:${endpoint.port}`;
  const connections = new Connections(address, access);

  const call = async <Answer>(
    what: string,
    options: CallOptions | undefined,
    ask: (client: Etcd3, callOptions: { deadline: number }) => Promise<Answer>,
  ): Promise<Answer> => {
    const deadline = Date.now() + (options?.deadlineMs ?? deadlineMs);
    try {
      return await connections.use((client) => ask(client, { deadline }));
    } catch (error) {
      throw classify(what, address, error);
    }
  };

  return {
    status: (options) =>
      call('status', options, async (client, deadline) => {
        return statusOf(await client.maintenance.status(deadline));
      }),
    linearizableRead: (options) =>
      call('linearizable read', options, async (client, deadline) => {
        const { epoch } = await readEpoch(client, deadline);
        return { epoch };
      }),
    raiseEpoch: (epoch, options) =>
      call('raise epoch', options, async (client, deadline) => {
        await raiseEpoch(client, epoch, deadline);
      }),
    memberList: (options) =>
      call('member list', options, async (client, deadline) => {
        const answer = await client.cluster.memberList({}, deadline);
        return { clusterId: answer.header.cluster_id, members: answer.members.map(memberOf) };
      }),
    memberAdd: (peerUrl, options) =>
      call('member add', options, async (client, deadline) => {
        const answer = await client.cluster.memberAdd({ peerURLs: [peerUrl], isLearner: true }, deadline);
        return answer.member.ID;
      }),
    memberUpdate: (id, peerUrl, options) =>
      call('member update', options, async (client, deadline) => {
        await client.cluster.memberUpdate({ ID: id, peerURLs: [peerUrl] }, deadline);
      }),
    memberPromote: (id, options) =>
      call('member promote', options, async (client, deadline) => {
        try {
          await client.cluster.memberPromote({ ID: id }, deadline);
        } catch (error) {
          if (!/can only promote a learner member$|member not found/.test(messageOf(error))) throw error;
        }
      }),
    memberRemove: (id, options) =>
      call('member remove', options, async (client, deadline) => {
        try {
          await client.cluster.memberRemove({ ID: id }, deadline);
        } catch (error) {
          if (!messageOf(error).includes('member not found')) throw error;
        }
      }),
    moveLeader: (targetId, options) =>
      call('move leader', options, async (client, deadline) => {
        await client.maintenance.moveLeader({ targetID: targetId }, deadline);
      }),
    close: () => connections.close(),
  };
}

function statusOf(answer: IStatusResponse): MemberStatus {
  return {
    clusterId: answer.header.cluster_id,
    memberId: answer.header.member_id,
    // Zero means none.
    ...(answer.leader === '0' ? {} : { leader: answer.leader }),
    term: Number(answer.raftTerm),
    version: answer.version,
    dbSizeBytes: Number(answer.dbSize),
    committedIndex: Number(answer.raftIndex),
    learner: answer.isLearner,
  };
}

async function readEpoch(
  client: Etcd3,
  deadline: { deadline: number },
): Promise<{ readonly epoch: number; readonly revision: string }> {
  const { kvs } = await client.kv.range({ key: epochKey, serializable: false }, deadline);
  const [found] = kvs;
  if (found === undefined) return { epoch: 0, revision: '0' };
  const epoch = Number(found.value.toString());
  // Whatever else somebody put there, the leader's node replaces.
  const isEpoch = Number.isSafeInteger(epoch) && epoch >= 0 && epoch <= highestEpoch;
  return { epoch: isEpoch ? epoch : 0, revision: found.mod_revision };
}

async function raiseEpoch(client: Etcd3, epoch: number, deadline: { deadline: number }): Promise<void> {
  const found = await readEpoch(client, deadline);
  if (found.epoch >= epoch) return;
  const { succeeded } = await client.kv.txn(
    {
      compare: [{ target: 'Mod', result: 'Equal', key: epochKey, mod_revision: found.revision }],
      success: [{ request_put: { key: epochKey, value: Buffer.from(String(epoch)) } }],
    },
    deadline,
  );
  if (!succeeded) throw new Error('another member changed the epoch at the same time');
}

/** The ways to one member: the last one that was open comes first. */
class Connections {
  readonly #ways: Way[];

  constructor(address: string, { security, tls }: EtcdAccess) {
    const closed = tls ? [new Way(`https://${address}`, tls)] : [];
    const open = security === 'authenticated' ? [] : [new Way(`http://${address}`)];
    this.#ways = security === 'open' ? [...open, ...closed] : [...closed, ...open];
  }

  /** Tries the next way where one is shut; what was asked has not arrived then. */
  async use<Answer>(ask: (client: Etcd3) => Promise<Answer>): Promise<Answer> {
    let failure: unknown = new Error('UNAVAILABLE: no certificate of this cluster is there to use');
    for (const way of [...this.#ways]) {
      try {
        const answer = await ask(way.client);
        this.#open(way);
        return answer;
      } catch (error) {
        failure = error;
        if (isAnswer(error)) this.#open(way);
        else way.silent();
        if (!isShut(error)) break;
      }
    }
    throw failure;
  }

  close(): void {
    for (const way of this.#ways) way.client.close();
  }

  #open(way: Way): void {
    way.answered();
    if (this.#ways[0] !== way) this.#ways.sort((a, b) => Number(b === way) - Number(a === way));
  }
}

/**
 * A connection that is opened anew when it was silent for some seconds: one that somebody else accepted, who never says
 * a word, would be waited for without end.
 */
class Way {
  client: Etcd3;
  #silentSince: number | undefined;

  constructor(
    private readonly url: string,
    private readonly tls?: ClientTls,
  ) {
    this.client = connectionTo(url, tls);
  }

  answered(): void {
    this.#silentSince = undefined;
  }

  silent(): void {
    const now = performance.now();
    this.#silentSince ??= now;
    if (now - this.#silentSince < renewMs) return;
    this.#silentSince = now;
    this.client.close();
    this.client = connectionTo(this.url, this.tls);
  }
}

function connectionTo(url: string, tls?: ClientTls): Etcd3 {
  return new Etcd3({
    hosts: url,
    ...(tls && {
      credentials: {
        rootCertificate: Buffer.from(tls.authority),
        privateKey: Buffer.from(tls.client),
        certChain: Buffer.from(tls.client),
      },
    }),
    // A caller that probes every 200 ms needs each result as it is: no retries, and no circuit breaker that
    // keeps refusing for seconds after the member is back.
    faultHandling: { host: () => callOnce, global: callOnce },
    grpcOptions: {
      // Else clients share connections, and a new one would get the silent one of another.
      'grpc.use_local_subchannel_pool': 1,
      ...(tls && { 'grpc.ssl_target_name_override': memberName }),
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
      // etcd drops a client that pings more often than every 5 s.
      'grpc.keepalive_time_ms': 6_000,
      'grpc.keepalive_timeout_ms': 2_000,
    },
  });
}

function memberOf(member: IMember): Member {
  return {
    id: member.ID,
    name: member.name,
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs,
    learner: member.isLearner,
  };
}

/** etcd's errors for a missing quorum (UNAVAILABLE, like a refused connection). */
const lacksQuorum = /etcdserver: (no leader|request timed out|leader changed|server stopped)/;
const lacksAnswer = /UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|client was already closed/;

/** The connection could not be opened, with or without TLS. */
function isShut(error: unknown): boolean {
  const message = messageOf(error);
  return message.includes('UNAVAILABLE') && !lacksQuorum.test(message);
}

function isAnswer(error: unknown): boolean {
  return !lacksAnswer.test(messageOf(error)) || lacksQuorum.test(messageOf(error));
}

function classify(what: string, address: string, error: unknown): PerijoveError {
  const message = messageOf(error);
  const code = lacksQuorum.test(message)
    ? 'ETCD_NO_LEADER'
    : lacksAnswer.test(message)
      ? 'ETCD_UNREACHABLE'
      : 'ETCD_REFUSED';
  return new PerijoveError(code, `etcd at ${address}: ${what}: ${message}`, {
    subject: address,
    cause: error,
  });
}
