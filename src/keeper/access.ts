import { createEtcdClient, type EtcdClient } from '../etcd/client.js';
import type { EtcdAccess } from '../etcd/security.js';
import { probeMember } from '../etcd/probe.js';
import type { Probe } from '../etcd/verdict.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import { within } from '../net/deadline.js';
import { nodeClient, type NodeClient } from '../node/client.js';
import { proxyClient, type ProxyClient } from '../proxy/client.js';
import { nodeAddress, nodeNames, proxyApiAddress, type ClusterSpec } from '../cluster/spec.js';
import { hostOf } from '../cluster/host-of.js';
import type { SecretName, Secrets } from '../cluster/secrets.js';
import type { Endpoint } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import type { Placement } from './wanted.js';

/** Secrets for requests to nodes and proxies. */
export const keeperSecretNames = [
  'node-api-token',
  'proxy-api-token',
] as const satisfies readonly SecretName[];
export type KeeperSecrets = Pick<Secrets, (typeof keeperSecretNames)[number]>;

export interface AccessOptions {
  readonly spec: ClusterSpec;
  readonly reach: Reach;
  /** Reads them from a host; called once, and again after a token was rejected. */
  readonly secrets: () => Promise<KeeperSecrets>;
  /** Reads the certificates for etcd from a host; called at the first use, and later where a member does not answer. */
  readonly etcdAccess: () => Promise<EtcdAccess>;
  /** Called only if the topology needs it. */
  readonly placement: () => Promise<Placement>;
}

/** Access to the nodes, the proxies and the etcd members. */
export interface KeeperAccess {
  /** @throws PerijoveError NODE_*, STALE_GENERATION, SSH_* */
  node<T>(name: string, ask: (client: NodeClient) => Promise<T>): Promise<T>;
  /** @throws PerijoveError PROXY_*, SSH_* */
  proxy<T>(host: string, ask: (client: ProxyClient) => Promise<T>): Promise<T>;
  /** Never rejects; uses one persistent connection. */
  member(name: string): Promise<Probe>;
  /** Uses the same connection. @throws PerijoveError ETCD_*, SSH_* */
  etcd<T>(name: string, ask: (client: EtcdClient) => Promise<T>): Promise<T>;
  /** The host of each node, as last stored by the framework; nodes without a known host are missing. */
  placement(): Promise<Placement>;
  close(): void;
}

/** Opening a tunnel to a dead host can take long; nothing waits longer than this. */
const reachDeadlineMs = 1_000;
const refusals = new Set(['NODE_AUTH_FAILED', 'PROXY_TOKEN_REFUSED']);
/** Minimum time between searches for a new way to a member. */
const rerouteMs = 1_000;
const secretsKeptMs = 5_000;
/** Certificates are replaced once in years; a member that is down is looked for each second. */
const certificatesKeptMs = 30_000;

export function createAccess({ spec, reach, secrets, etcdAccess, placement }: AccessOptions): KeeperAccess {
  const members = new Map<string, MemberConnection>();
  let read: { readonly at: number; readonly value: Promise<KeeperSecrets> } | undefined;

  const tokens = (): Promise<KeeperSecrets> => {
    if (!read) {
      const value = secrets();
      read = { at: Date.now(), value };
      value.catch(() => (read = undefined));
    }
    return read.value;
  };

  const withToken = async <T>(ask: (secrets: KeeperSecrets) => Promise<T>): Promise<T> => {
    try {
      return await ask(await tokens());
    } catch (error) {
      const refused = error instanceof PerijoveError && refusals.has(error.code);
      if (!refused || !read || Date.now() - read.at < secretsKeptMs) throw error;
      read = undefined;
      return ask(await tokens());
    }
  };

  const certificates = kept(etcdAccess, certificatesKeptMs);

  const addressOf = (name: string): string => nodeAddress(spec, nodeNames(spec).indexOf(name));

  const memberOf = (name: string): MemberConnection => {
    let member = members.get(name);
    if (!member) {
      member = new MemberConnection(
        name,
        () => reach.any(addressOf(name), spec.etcd.clientPort),
        certificates,
      );
      members.set(name, member);
    }
    return member;
  };

  return {
    node: (name, ask) =>
      withToken(async (held) => {
        const address = addressOf(name);
        const endpoint = await opened(reach.any(address, spec.nodes.controlPort), name);
        return ask(nodeClient(endpoint, held['node-api-token']));
      }),
    proxy: (host, ask) =>
      withToken(async (held) => {
        const { name, address, port } = proxyApiOf(spec, host);
        const endpoint = await opened(reach.via(name, address, port), name);
        return ask(proxyClient(endpoint, held['proxy-api-token']));
      }),
    member: (name) => memberOf(name).probe(),
    etcd: (name, ask) => memberOf(name).ask(ask),
    placement: async () => (spec.proxy.topology === 'owner' ? placement() : {}),
    close: () => {
      for (const member of members.values()) member.close();
      members.clear();
    },
  };
}

/** Asks again when an answer is that old, or none came. */
function kept<T>(ask: () => Promise<T>, keptMs: number): () => Promise<T> {
  let last: { readonly at: number; readonly value: Promise<T> } | undefined;
  return () => {
    if (last === undefined || Date.now() - last.at > keptMs) {
      const asked = { at: Date.now(), value: ask() };
      last = asked;
      asked.value.catch(() => {
        if (last === asked) last = undefined;
      });
    }
    return last.value;
  };
}

function proxyApiOf(spec: ClusterSpec, name: string) {
  const host = hostOf(spec, name);
  return { name, address: proxyApiAddress(host), port: host.ports.proxyApi };
}

/** @throws PerijoveError SSH_TIMEOUT */
function opened(way: Promise<Endpoint>, name: string): Promise<Endpoint> {
  return within(
    reachDeadlineMs,
    way,
    () => new PerijoveError('SSH_TIMEOUT', `the way to ${name} was not open within ${reachDeadlineMs} ms`),
  );
}

/** The connection to one member; when a probe fails, it searches for a new way. */
class MemberConnection {
  #endpoint: Endpoint | undefined;
  #access: EtcdAccess | undefined;
  #client: EtcdClient | undefined;
  #routedAt = 0;
  #closed = false;

  constructor(
    private readonly name: string,
    private readonly reach: () => Promise<Endpoint>,
    private readonly access: () => Promise<EtcdAccess>,
  ) {}

  async probe(): Promise<Probe> {
    try {
      this.#client ??= await this.#connect();
    } catch (error) {
      return { node: this.name, ok: false, reason: messageOf(error) };
    }
    const probe = await probeMember(this.name, this.#client);
    if (!probe.ok && Date.now() - this.#routedAt >= rerouteMs) {
      void this.#connect().then(
        (client) => (this.#client = client),
        () => undefined,
      );
    }
    return probe;
  }

  async ask<T>(ask: (client: EtcdClient) => Promise<T>): Promise<T> {
    this.#client ??= await this.#connect();
    return ask(this.#client);
  }

  close(): void {
    this.#closed = true;
    this.#client?.close();
    this.#client = undefined;
  }

  /** The client for the current way; reused while the way is the same. */
  async #connect(): Promise<EtcdClient> {
    this.#routedAt = Date.now();
    const [endpoint, access] = await Promise.all([
      opened(this.reach(), this.name),
      within(
        reachDeadlineMs,
        this.access(),
        () =>
          new PerijoveError(
            'SSH_TIMEOUT',
            `the certificates of etcd were not read within ${reachDeadlineMs} ms`,
          ),
      ),
    ]);
    if (this.#closed) throw new Error('closed');
    const same =
      this.#endpoint?.host === endpoint.host &&
      this.#endpoint.port === endpoint.port &&
      this.#access?.tls?.client === access.tls?.client &&
      this.#access?.tls?.authority === access.tls?.authority;
    if (same && this.#client) return this.#client;
    this.#client?.close();
    this.#endpoint = endpoint;
    this.#access = access;
    return createEtcdClient(endpoint, { access });
  }
}
