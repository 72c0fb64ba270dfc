import { EventEmitter } from 'node:events';
import { candidatePrefix, candidates } from '../mesos/masters/candidates.js';
import { connectZooKeeper, ZNodeError, type ZooKeeperClient } from '../zookeeper/client.js';
import type { Log } from './log.js';
import { patiently } from './patiently.js';
import { message, number, optional, readMessage, required, string, type Read } from './proto.js';
import type { ZooKeeperUrl } from './zk-url.js';

export const masterInfoKind = message({
  id: required(string),
  hostname: required(string),
  pid: required(string),
  ip: optional(number),
  port: required(number),
  version: optional(string),
  address: required(message({ hostname: optional(string), ip: required(string), port: required(number) })),
});

/** A master's description of itself, in ZooKeeper and to frameworks. */
export type MasterInfo = Read<typeof masterInfoKind>;

/** The `MasterInfo` that Mesos makes from the same flags. */
export function makeMasterInfo(id: string, hostname: string, ip: string, port: number): MasterInfo {
  // The numeric address is in network byte order, read as little-endian: 127.0.0.1 is 16777343.
  const asNumber = ip
    .split('.')
    .reverse()
    .reduce((sum, part) => sum * 256 + Number(part), 0);
  return {
    address: { hostname, ip, port },
    hostname,
    id,
    ip: asNumber,
    pid: `master@${ip}:${port}`,
    port,
    version: '1.3.2',
  };
}

/** One candidate. */
export interface Contender {
  /** Sequence number of its znode: the lowest one leads. */
  readonly sequence: number;
  readonly info: MasterInfo;
}

/** The first candidate's znode says nothing about a master that can be understood. */
export class MalformedMasterInfo extends Error {}

interface ElectionEvents {
  /** Current candidates, the leader first; emitted only to candidates. */
  contenders: [contenders: readonly Contender[]];
  /** The leading master according to ZooKeeper, if any. */
  leader: [info: MasterInfo | undefined, session?: ZooKeeperClient];
  /** Our candidate leads, within this session. */
  elected: [session: ZooKeeperClient];
  /** Our candidate led, and its znode or session is gone. */
  lost: [];
}

export interface ElectionOptions {
  readonly url: ZooKeeperUrl;
  readonly sessionTimeoutMs: number;
  /** Absent: only watch. */
  readonly candidate?: MasterInfo;
  readonly log: Log;
}

/**
 * Contends for leadership and detects the leader, in successive ZooKeeper sessions. A candidate's znode is
 * `json.info_NNNN`; the lowest number leads. A new session means a new znode, at the end of the queue.
 */
export class Election extends EventEmitter<ElectionEvents> {
  readonly #options: ElectionOptions;
  #session: ZooKeeperClient | undefined;
  #leader: string | undefined;
  #elected = false;

  constructor(options: ElectionOptions) {
    super();
    this.#options = options;
  }

  /**
   * Runs until the process ends.
   *
   * @throws MalformedMasterInfo which ends Mesos' masters and agents, too
   */
  async run(): Promise<never> {
    for (;;) {
      try {
        await this.#runSession();
      } catch (error) {
        if (error instanceof MalformedMasterInfo) throw error;
        this.#options.log.warn(`ZooKeeper: ${String(error)}`);
      }
      if (this.#elected) this.emit('lost');
      else this.#announce(undefined, undefined);
      await this.#session?.close();
      this.#session = undefined;
    }
  }

  async #runSession(): Promise<void> {
    const { url, sessionTimeoutMs, candidate, log } = this.#options;
    const session = await connectZooKeeper(url.servers, {
      sessionTimeoutMs,
      connectTimeoutMs: Math.max(sessionTimeoutMs, 2_000),
      ...(url.digest !== undefined && { digest: url.digest }),
    });
    this.#session = session;
    log.info(
      `Connected to ZooKeeper (sessionId=${session.sessionId}, timeout ${session.sessionTimeoutMs}ms)`,
    );
    const over = new Promise<void>((resolve) =>
      session.once('expired', () => {
        log.info('ZooKeeper session expired');
        resolve();
      }),
    );
    session.on('disconnected', () => log.info('Lost connection to ZooKeeper, attempting to reconnect ...'));
    await session.ensurePath(url.path);
    const own = candidate && (await this.#contend(session, candidate));
    await this.#watch(session, own, over);
  }

  async #contend(session: ZooKeeperClient, candidate: MasterInfo): Promise<string> {
    const { url, log } = this.#options;
    await joinReplicas(session, `${url.path}/log_replicas`, candidate);
    const path = await session.create(
      `${url.path}/${candidatePrefix}`,
      JSON.stringify(candidate),
      'ephemeral-sequential',
    );
    const own = path.slice(url.path.length + 1);
    log.info(`New candidate (id='${numberOf(own)}') has entered the contest for leadership`);
    return own;
  }

  /** Resolves when the session is over or our znode is gone. */
  async #watch(session: ZooKeeperClient, own: string | undefined, over: Promise<void>): Promise<void> {
    const { url, log } = this.#options;
    for (;;) {
      let wake = (): void => undefined;
      const changed = new Promise<'changed'>((resolve) => (wake = () => resolve('changed')));
      const children = await patiently(session, () => session.getChildren(url.path, wake));
      const names = candidates(children);
      if (own !== undefined && !names.includes(own)) {
        log.info(`Membership cancelled: ${numberOf(own)}`);
        return;
      }
      const [first] = names;
      if (first !== this.#leader) {
        log.info(`Detected a new leader: ${first === undefined ? 'None' : `(id='${numberOf(first)}')`}`);
        const info =
          first === undefined
            ? undefined
            : await patiently(session, () => readInfo(session, `${url.path}/${first}`));
        // It was removed between the two reads; the watch has already fired.
        if (first !== undefined && info === undefined) continue;
        this.#announce(first, info, session, own);
      }
      if (own !== undefined) void this.#reportContenders(session, names);
      if ((await Promise.race([over, changed])) !== 'changed') return;
    }
  }

  /** Only for the page: the election never waits for it, and the next change reports what this one missed. */
  async #reportContenders(session: ZooKeeperClient, names: readonly string[]): Promise<void> {
    const { path } = this.#options.url;
    try {
      const found = await Promise.all(
        names.map(async (name) => {
          const info = await readInfo(session, `${path}/${name}`);
          return info === undefined ? [] : [{ sequence: numberOf(name), info }];
        }),
      );
      this.emit('contenders', found.flat());
    } catch (error) {
      this.#options.log.warn(`Cannot tell who contends: ${String(error)}`);
    }
  }

  #announce(name: string | undefined, info: MasterInfo | undefined, session?: ZooKeeperClient, own?: string) {
    if (this.#elected && name !== own) {
      this.emit('lost');
      return;
    }
    if (this.#leader === name) return;
    this.#leader = name;
    if (info) this.#options.log.info(`A new leading master (UPID=${info.pid}) is detected`);
    this.emit('leader', info, session);
    if (session && name !== undefined && name === own) {
      this.#elected = true;
      this.emit('elected', session);
    }
  }
}

async function readInfo(session: ZooKeeperClient, path: string): Promise<MasterInfo | undefined> {
  let data: Buffer;
  try {
    ({ data } = await session.getData(path));
  } catch (error) {
    if (error instanceof ZNodeError && error.code === 'NO_NODE') return undefined;
    throw error;
  }
  try {
    return readMessage(masterInfoKind, JSON.parse(data.toString('utf8')));
  } catch (error) {
    throw new MalformedMasterInfo(`Failed to parse the master's information in ${path}: ${String(error)}`);
  }
}

/**
 * Joins the group of log replicas, which the stand-in uses to count masters. Their names are plain numbers,
 * which the ZooKeeper library cannot request from the server.
 */
async function joinReplicas(session: ZooKeeperClient, path: string, info: MasterInfo): Promise<void> {
  await session.ensurePath(path);
  for (;;) {
    const numbers = (await session.getChildren(path)).map(Number).filter((value) => Number.isInteger(value));
    const next = String(Math.max(-1, ...numbers) + 1).padStart(10, '0');
    try {
      await session.create(`${path}/${next}`, `log-replica(1)@${info.address.ip}:${info.port}`, 'ephemeral');
      return;
    } catch (error) {
      if (!(error instanceof ZNodeError && error.code === 'NODE_EXISTS')) throw error;
    }
  }
}

function numberOf(name: string): number {
  return Number(/[0-9]+$/.exec(name)?.[0] ?? Number.NaN);
}
