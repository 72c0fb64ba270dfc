import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import zookeeper from 'node-zookeeper-client';
import { PerijoveError } from '../errors/error.js';
import { abandon, dialUntil, dropHalfReply, socketOf } from './connection-manager.js';

/** Why the ensemble refused an operation, or this client abandoned it (`LOST`: it may have been executed). */
export type ZNodeErrorCode =
  'NO_NODE' | 'NODE_EXISTS' | 'BAD_VERSION' | 'NO_AUTH' | 'LOST' | 'EXPIRED' | 'OTHER';

export class ZNodeError extends Error {
  override readonly name = 'ZNodeError';

  constructor(
    readonly code: ZNodeErrorCode,
    readonly path: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${path}: ${code}`, options);
  }
}

/** One entry of an ACL: `world` and `anyone`, or `digest` and `user:hash`. */
export interface ZNodeAccess {
  readonly scheme: string;
  readonly id: string;
  /** All permissions, or only to read it and its children's names. Any other combination is `other`. */
  readonly may: 'all' | 'read' | 'other';
}

export interface ZooKeeperOptions {
  /** The timeout requested from the ensemble, which may grant more or less (2 to 20 ticks). */
  readonly sessionTimeoutMs: number;
  /** How long `connectZooKeeper` waits for the session. */
  readonly connectTimeoutMs: number;
  /** `user:password`; znodes created with it are writable for this user only, and readable for everyone. */
  readonly digest?: string;
  /** Further identities that the session may use. */
  readonly formerDigests?: readonly string[];
}

interface ClientEvents {
  connected: [];
  disconnected: [];
  /** The session is over: the ensemble expired it, or no server responded for its whole length. */
  expired: [];
}

/**
 * Connects to an ensemble and opens a session.
 *
 * @param servers `host:port,host:port`
 * @throws PerijoveError ZOOKEEPER_UNREACHABLE if there is no session within `connectTimeoutMs`
 */
export async function connectZooKeeper(servers: string, options: ZooKeeperOptions): Promise<ZooKeeperClient> {
  const client = new ZooKeeperClient(servers, options);
  try {
    await client.opened(options.connectTimeoutMs);
    return client;
  } catch (cause) {
    await client.close();
    throw new PerijoveError(
      'ZOOKEEPER_UNREACHABLE',
      `no ZooKeeper session within ${options.connectTimeoutMs} ms`,
      { subject: servers, cause },
    );
  }
}

/**
 * One ZooKeeper session. It reconnects while the session lives, also if a server accepts connections but does
 * not respond (a stopped process), which the library does not detect. When the session has ended, it emits
 * `expired` and can no longer be used.
 */
export class ZooKeeperClient extends EventEmitter<ClientEvents> {
  readonly #client: zookeeper.Client;
  readonly #acls: zookeeper.ACL[];
  readonly #pending = new Set<(error: ZNodeError) => void>();
  #state: 'connecting' | 'connected' | 'over' = 'connecting';
  #sessionTimeoutMs: number;
  #hadSession = false;
  /** When a server was last heard from in this session. */
  #heardAt = performance.now();
  /** The connection at the last probe, and when it last changed. */
  #heard: { readonly socket?: Socket | undefined; readonly bytes: number; readonly at: number };
  #probe: NodeJS.Timeout;

  constructor(servers: string, options: ZooKeeperOptions) {
    super();
    this.#sessionTimeoutMs = options.sessionTimeoutMs;
    this.#heard = { bytes: 0, at: performance.now() };
    this.#client = zookeeper.createClient(servers, {
      sessionTimeout: options.sessionTimeoutMs,
      spinDelay: Math.min(250, options.sessionTimeoutMs / 10),
    });
    this.#acls = zookeeper.ACL.OPEN_ACL_UNSAFE;
    if (options.digest !== undefined) {
      this.#client.addAuthInfo('digest', Buffer.from(options.digest));
      this.#acls = [...zookeeper.ACL.READ_ACL_UNSAFE, ...zookeeper.ACL.CREATOR_ALL_ACL];
    }
    for (const former of options.formerDigests ?? []) {
      this.#client.addAuthInfo('digest', Buffer.from(former));
    }
    this.#client.on('connected', () => this.#connected());
    this.#client.on('disconnected', () => this.#disconnected());
    this.#client.on('expired', () => this.#over());
    dialUntil(this.#client, () => this.#state === 'over');
    this.#probe = this.#startProbing();
    this.#client.connect();
  }

  /** Sixteen hexadecimal digits. */
  get sessionId(): string {
    return this.#client.getSessionId().toString('hex');
  }

  /** The timeout that the ensemble granted. */
  get sessionTimeoutMs(): number {
    return this.#sessionTimeoutMs;
  }

  /** Resolves once there is a session; rejects after `timeoutMs` without one. */
  async opened(timeoutMs: number): Promise<void> {
    if (this.#state === 'connected') return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => settle(new Error('timed out')), timeoutMs);
      const settle = (error?: Error) => {
        clearTimeout(timer);
        this.off('connected', onConnected).off('expired', onExpired);
        if (error) reject(error);
        else resolve();
      };
      const onConnected = () => settle();
      const onExpired = () => settle(new Error('the session expired'));
      this.on('connected', onConnected).on('expired', onExpired);
    });
  }

  /**
   * Names of the children. `watcher` is called once, at their next change; the same function is registered
   * only once.
   *
   * @throws ZNodeError
   */
  async getChildren(path: string, watcher?: () => void): Promise<readonly string[]> {
    return await this.#ask<string[]>(path, (settle) => {
      if (watcher) this.#client.getChildren(path, watcher, settle);
      else this.#client.getChildren(path, settle);
    });
  }

  /** @throws ZNodeError */
  async getData(
    path: string,
    watcher?: () => void,
  ): Promise<{ readonly data: Buffer; readonly version: number }> {
    return await this.#ask<{ data: Buffer; version: number }>(path, (settle) => {
      const done = (
        error: zookeeper.Exception | null | undefined,
        data: Buffer | undefined,
        stat: zookeeper.Stat,
      ) => (error ? settle(error) : settle(null, { data: data ?? Buffer.alloc(0), version: stat.version }));
      if (watcher) this.#client.getData(path, watcher, done);
      else this.#client.getData(path, done);
    });
  }

  /** The ACL of the znode, and whether it is ephemeral. @throws ZNodeError */
  async access(
    path: string,
  ): Promise<{ readonly access: readonly ZNodeAccess[]; readonly ephemeral: boolean }> {
    return await this.#ask(path, (settle) =>
      this.#client.getACL(path, (error, acls, stat) =>
        error
          ? settle(error)
          : settle(null, {
              access: acls.map(({ permission, id: { scheme, id } }) => ({
                scheme,
                id,
                may: mayOf(permission),
              })),
              ephemeral: stat.ephemeralOwner.some((byte) => byte !== 0),
            }),
      ),
    );
  }

  /** @throws ZNodeError */
  async setAccess(path: string, access: readonly ZNodeAccess[]): Promise<void> {
    const { READ, ALL } = zookeeper.Permission;
    const acls = access.map(
      ({ scheme, id, may }) => new zookeeper.ACL(may === 'all' ? ALL : READ, new zookeeper.Id(scheme, id)),
    );
    await this.#ask<null>(path, (settle) =>
      this.#client.setACL(path, acls, -1, (error) => settle(error, null)),
    );
  }

  /** @throws ZNodeError */
  async exists(path: string): Promise<boolean> {
    return await this.#ask<boolean>(path, (settle) =>
      this.#client.exists(path, (error, stat) => (error ? settle(error) : settle(null, stat !== null))),
    );
  }

  /**
   * Creates a znode and resolves to its path, which for a sequential one ends with its number.
   *
   * @throws ZNodeError; with `LOST` the znode may exist, and an ephemeral one ends with this session
   */
  async create(
    path: string,
    data: Buffer | string,
    kind: 'persistent' | 'ephemeral' | 'ephemeral-sequential',
  ): Promise<string> {
    const modes = {
      persistent: zookeeper.CreateMode.PERSISTENT,
      ephemeral: zookeeper.CreateMode.EPHEMERAL,
      'ephemeral-sequential': zookeeper.CreateMode.EPHEMERAL_SEQUENTIAL,
    };
    return await this.#ask<string>(path, (settle) =>
      this.#client.create(path, Buffer.from(data), this.#acls, modes[kind], settle),
    );
  }

  /** Creates the znode and its ancestors if they are missing. */
  async ensurePath(path: string): Promise<void> {
    const names = path.split('/').filter((name) => name !== '');
    for (const [index] of names.entries()) {
      try {
        await this.create(`/${names.slice(0, index + 1).join('/')}`, '', 'persistent');
      } catch (error) {
        if (!(error instanceof ZNodeError && error.code === 'NODE_EXISTS')) throw error;
      }
    }
  }

  /** Sets the data if the znode still has `version`; resolves to the new version. */
  async setData(path: string, data: Buffer | string, version: number): Promise<number> {
    return await this.#ask<number>(path, (settle) =>
      this.#client.setData(path, Buffer.from(data), version, (error, stat) =>
        error ? settle(error) : settle(null, stat.version),
      ),
    );
  }

  /** @throws ZNodeError */
  async remove(path: string): Promise<void> {
    await this.#ask<null>(path, (settle) => this.#client.remove(path, -1, (error) => settle(error, null)));
  }

  /** Ends the session. Its ephemeral znodes end at once if a server is connected, else when it expires. */
  async close(): Promise<void> {
    if (this.#state === 'connected') {
      const closed = new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#client.once('disconnected', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      this.#state = 'over';
      this.#client.close();
      await closed;
    }
    this.#end('LOST');
  }

  #connected(): void {
    this.#state = 'connected';
    this.#hadSession = true;
    this.#heardAt = performance.now();
    const granted = this.#client.getSessionTimeout();
    if (granted !== this.#sessionTimeoutMs) {
      this.#sessionTimeoutMs = granted;
      clearInterval(this.#probe);
      this.#probe = this.#startProbing();
    }
    this.emit('connected');
  }

  #disconnected(): void {
    dropHalfReply(this.#client);
    if (this.#state !== 'connected') return;
    this.#state = 'connecting';
    this.emit('disconnected');
  }

  #over(): void {
    if (this.#state === 'over') return;
    this.#end('EXPIRED');
    this.emit('expired');
  }

  #end(code: 'LOST' | 'EXPIRED'): void {
    this.#state = 'over';
    clearInterval(this.#probe);
    abandon(this.#client);
    for (const give of this.#pending) give(new ZNodeError(code, 'session'));
  }

  /**
   * Sends a request every sixth of the session timeout. A connection (or an attempt to open one) that
   * receives no byte for a third of it is closed; without a byte from any server for all of it, the session
   * is over.
   */
  #startProbing(): NodeJS.Timeout {
    // Bytes that have arrived are read before they are counted, also on a busy machine.
    const probe = () => setImmediate(() => this.#checkConnection());
    return setInterval(probe, Math.max(20, this.#sessionTimeoutMs / 6));
  }

  #checkConnection(): void {
    if (this.#state === 'over') return;
    const now = performance.now();
    const socket = socketOf(this.#client);
    const bytes = socket?.bytesRead ?? 0;
    if (socket !== this.#heard.socket || bytes !== this.#heard.bytes) {
      if (this.#state === 'connected') this.#heardAt = now;
      this.#heard = { socket, bytes, at: now };
    }
    if (this.#hadSession && now - this.#heardAt >= this.#sessionTimeoutMs) {
      this.#over();
      return;
    }
    if (now - this.#heard.at > this.#sessionTimeoutMs / 3) socket?.destroy();
    else if (this.#state === 'connected') this.#client.exists('/', () => undefined);
  }

  async #ask<T>(
    path: string,
    start: (settle: (error: zookeeper.Exception | null | undefined, result?: T) => void) => void,
  ): Promise<T> {
    if (this.#state === 'over') throw new ZNodeError('EXPIRED', path);
    return await new Promise<T>((resolve, reject) => {
      const give = (error: ZNodeError) => {
        this.#pending.delete(give);
        reject(error);
      };
      this.#pending.add(give);
      start((error, result) => {
        this.#pending.delete(give);
        if (error) reject(new ZNodeError(codeOf(error), path, { cause: error }));
        else resolve(result as T);
      });
    });
  }
}

function mayOf(permission: number): ZNodeAccess['may'] {
  const { READ, ALL } = zookeeper.Permission;
  if (permission === ALL) return 'all';
  return permission === READ ? 'read' : 'other';
}

function codeOf(error: zookeeper.Exception): ZNodeErrorCode {
  switch (error.code) {
    case zookeeper.Exception.NO_NODE:
      return 'NO_NODE';
    case zookeeper.Exception.NODE_EXISTS:
      return 'NODE_EXISTS';
    case zookeeper.Exception.BAD_VERSION:
      return 'BAD_VERSION';
    case zookeeper.Exception.NO_AUTH:
      return 'NO_AUTH';
    case zookeeper.Exception.CONNECTION_LOSS:
      return 'LOST';
    case zookeeper.Exception.SESSION_EXPIRED:
      return 'EXPIRED';
    default:
      return 'OTHER';
  }
}
