/** Keeps a running node in the current epoch of etcd. */
import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { messageOf } from '../../errors/error.js';
import { createEtcdClient, type EtcdClient } from '../../etcd/client.js';
import type { EtcdAccess } from '../../etcd/security.js';
import { pause } from '../../net/pause.js';
import type { NodeConfig } from '../config.js';
import { nodeLayout, type NodeLayout } from '../layout.js';
import { peerAccess } from './etcd-access.js';
import { readDecision } from './decision-file.js';
import { raiseEpoch, readEpoch } from './epoch-files.js';
import { commandSupervisor, serviceState } from './runit.js';

const turnMs = 500;
/** Between two looks at the other members, which may have been recovered without this one. */
const peersMs = 10_000;
const deadlineMs = 800;

/**
 * Restarts etcd when the node learns of a higher epoch than that in which its member runs, so that `etcd-start.ts`
 * decides anew, and learns of one from the other members. All of it may be interrupted anywhere and repeated.
 */
export class EpochFollower {
  #epoch = 0;
  #askedAt = -Infinity;
  #failed: string | undefined;
  readonly #layout: NodeLayout;

  constructor(
    private readonly config: Pick<NodeConfig, 'name' | 'address' | 'nodes' | 'ports' | 'etcd' | 'paths'>,
    private readonly access: EtcdAccess,
    private readonly logger: Logger,
  ) {
    this.#layout = nodeLayout(config.paths.base);
  }

  /** The highest that the node knows. */
  get epoch(): number {
    return this.#epoch;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { address, ports } = this.config;
    const own = createEtcdClient(
      { host: address, port: ports.etcdClient },
      { deadlineMs, access: this.access },
    );
    try {
      while (!signal.aborted) {
        const failure = await this.#turn(own).then(() => undefined, messageOf);
        if (failure !== undefined && failure !== this.#failed) {
          this.logger.warn({ reason: failure }, 'the epoch of etcd could not be followed');
        }
        this.#failed = failure;
        await pause(turnMs, signal);
      }
    } finally {
      own.close();
    }
  }

  async #turn(own: EtcdClient): Promise<void> {
    this.#epoch = await readEpoch(this.#layout.etcdEpoch);
    const running = await this.#runningEpoch();
    if (running === undefined) return;
    if (running < this.#epoch) {
      this.logger.info({ epoch: this.#epoch, running }, 'etcd was recovered; restarting the member');
      await commandSupervisor(`${this.#layout.service}/etcd`, 't');
      return;
    }
    if (this.#epoch > 0) await this.#restoreKey(own);
    await this.#learn();
  }

  /** In which epoch etcd was started; undefined if it is not started. */
  async #runningEpoch(): Promise<number | undefined> {
    const service = await serviceState(`${this.#layout.service}/etcd`);
    const decision = await readDecision(this.#layout.etcdDecision);
    if (service.state !== 'up' || service.startedAt === undefined || decision?.started !== true)
      return undefined;
    // The last process decided, and this one has not yet.
    const { mtimeMs } = await stat(this.#layout.etcdDecision);
    return mtimeMs < service.startedAt ? undefined : (decision.epoch ?? 0);
  }

  /** As the leader: somebody may have removed the epoch with all other keys. */
  async #restoreKey(own: EtcdClient): Promise<void> {
    const { memberId, leader } = await own.status();
    if (leader !== memberId) return;
    const { epoch } = await own.linearizableRead();
    if (epoch < this.#epoch) await own.raiseEpoch(this.#epoch);
  }

  async #learn(): Promise<void> {
    const now = performance.now();
    if (now - this.#askedAt < peersMs) return;
    this.#askedAt = now;
    const { name, nodes, ports } = this.config;
    const access = await peerAccess(this.config);
    const epochs = await Promise.all(
      nodes
        .filter((node) => node.name !== name)
        .map(async ({ address }) => {
          const client = createEtcdClient({ host: address, port: ports.etcdClient }, { deadlineMs, access });
          try {
            return (await client.linearizableRead()).epoch;
          } catch {
            return 0;
          } finally {
            client.close();
          }
        }),
    );
    const highest = Math.max(0, ...epochs);
    if (highest <= this.#epoch) return;
    this.logger.info({ epoch: highest }, 'etcd was recovered without this node');
    await raiseEpoch(this.#layout.etcdEpoch, highest);
  }
}
