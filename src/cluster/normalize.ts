import path from 'node:path';
import { addressNumber, addressText, parseSubnet } from './addresses.js';
import {
  defaultPrincipal,
  majority,
  type AptSource,
  type ClusterSpec,
  type HostSpec,
  type Install,
  type NetworkSpec,
  type ProxyTls,
  type SshTarget,
} from './spec.js';
import type { ClusterFile } from './schema.js';
import type { SshConfigEntry, SshConfigReader } from './ssh-config.js';
import { durationMs, sizeBytes } from './units.js';

type HostFile = ClusterFile['hosts'][number];
type SshFile = ClusterFile['ssh'];
type TargetFile = SshFile & Pick<HostFile, 'hostKeys'>;

/**
 * Presets of etcd's times. Its documentation asks for a heartbeat of about a round trip and an election timeout of ten
 * of those; the rest is for machines that are late.
 */
export const timings = {
  lan: { heartbeat: '50ms', election: '500ms' },
  busy: { heartbeat: '200ms', election: '2s' },
  wan: { heartbeat: '500ms', election: '5s' },
} as const satisfies Record<ClusterFile['etcd']['timing'], object>;

/** What local paths in the spec are relative to. */
export interface LocalPlaces {
  /** Directory of the spec file. */
  readonly directory: string;
  /** What `~` expands to. */
  readonly home: string;
  readonly sshConfig: SshConfigReader;
}

function localPath(text: string, places: LocalPlaces): string {
  const expanded = text === '~' || text.startsWith('~/') ? path.join(places.home, text.slice(1)) : text;
  return path.resolve(places.directory, expanded);
}

function withoutComment(publicKey: string): string {
  return publicKey.split(' ', 2).join(' ');
}

function withoutTrailingSlash(text: string): string {
  return text.replace(/(.)\/$/, '$1');
}

/** How a target is reached: by its own settings, else those of `fallback`. Its own key disables the agent. */
function targetOf(address: string, own: TargetFile, fallback: SshFile, places: LocalPlaces): SshTarget {
  const entry = sshConfigOf(address, own, fallback, places);
  const key = own.key ?? (own.agent === true ? undefined : fallback.key);
  const chosen = own.agent ?? (own.key === undefined ? fallback.agent : undefined);
  const agent = chosen ?? (key === undefined && entry?.identityAgent !== 'none');
  const knownHosts = own.knownHosts ?? fallback.knownHosts;
  const hostKeys = knownHosts === undefined ? own.hostKeys : undefined;
  const knownHostsFile =
    knownHosts !== undefined
      ? localPath(knownHosts, places)
      : hostKeys === undefined
        ? entry?.userKnownHostsFile
        : undefined;
  const limit = own.loginTimeout ?? fallback.loginTimeout;
  return {
    address: entry?.hostName ?? address,
    port: own.port ?? fallback.port ?? entry?.port ?? 22,
    user: own.user ?? fallback.user ?? entry?.user ?? 'root',
    agent,
    ...(key !== undefined && { keyFile: localPath(key, places) }),
    ...(knownHostsFile !== undefined && { knownHostsFile }),
    ...(hostKeys !== undefined && { hostKeys: hostKeys.map(withoutComment) }),
    ...(limit !== undefined && { loginTimeoutMs: durationMs(limit) }),
    ...(entry !== undefined && fromSshConfig(entry, { key, agent, knownHostsFile })),
  };
}

/** What ssh_config has for an address; undefined if it is not to be read. */
export function sshConfigOf(
  address: string,
  own: SshFile,
  fallback: SshFile,
  places: LocalPlaces,
): SshConfigEntry | undefined {
  const config = own.config ?? fallback.config ?? false;
  if (config === false) return undefined;
  return places.sshConfig(address, config === true ? undefined : localPath(config, places));
}

function fromSshConfig(
  { identityFiles, certificateFiles, identitiesOnly, identityAgent, hostKeyAlias }: SshConfigEntry,
  chosen: {
    readonly key: string | undefined;
    readonly agent: boolean;
    readonly knownHostsFile: string | undefined;
  },
): Partial<SshTarget> {
  return {
    ...(chosen.key === undefined && { identityFiles }),
    ...(certificateFiles.length > 0 && { certificateFiles }),
    ...(identitiesOnly && { identitiesOnly }),
    ...(chosen.agent &&
      identityAgent !== undefined &&
      identityAgent !== 'none' && { agentSocket: identityAgent }),
    ...(chosen.knownHostsFile !== undefined && hostKeyAlias !== undefined && { hostKeyAlias }),
  };
}

/** The jump host of the spec, else that of ssh_config, which it may describe as well. */
function jumpOf(host: HostFile, defaults: SshFile, places: LocalPlaces): SshTarget | undefined {
  const inherited = { ...defaults, ...withoutUndefined(host) };
  const jump = host.jump ?? defaults.jump;
  if (jump !== undefined) return targetOf(jump.address, jump, { ...inherited, port: undefined }, places);
  const proxy = sshConfigOf(host.sshAddress ?? host.address, host, defaults, places)?.proxyJump;
  if (proxy === undefined) return undefined;
  const { config, loginTimeout } = inherited;
  const { address, user, port } = proxy;
  return targetOf(address, { config, loginTimeout, user, port }, {}, places);
}

function normalizeHost(host: HostFile, defaults: SshFile, places: LocalPlaces): HostSpec {
  const target = targetOf(host.sshAddress ?? host.address, host, defaults, places);
  const jump = jumpOf(host, defaults, places);
  return {
    name: host.name,
    ssh: target,
    ...(jump && { jump }),
    become: host.become ?? defaults.become ?? (target.user === 'root' ? 'none' : 'sudo'),
    address: host.address,
    hostname: host.hostname ?? host.address,
    dir: withoutTrailingSlash(host.dir),
    init: host.init,
    roles: [...new Set(host.roles)],
    ports: host.ports,
  };
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T;
}

function normalizeTls(tls: NonNullable<ClusterFile['proxy']['tls']>, places: LocalPlaces): ProxyTls {
  if (tls === 'cluster') return { issuer: 'cluster' };
  const { certificate, key, hsts } = tls;
  return {
    certificateFile: localPath(certificate, places),
    keyFile: localPath(key, places),
    ...(hsts !== undefined && { hstsMs: durationMs(hsts) }),
  };
}

type InstallFile = Exclude<ClusterFile['mesos']['install'], 'lab'> | ClusterFile['zookeeper']['install'];

type AptFile = NonNullable<Exclude<ClusterFile['mesos']['install'], 'lab'>['apt']>;

/** If several sources are set (which `checks.ts` reports), the first one counts. */
function normalizeInstall(install: InstallFile | 'lab'): Install {
  if (install === 'lab') return { kind: 'lab' };
  if (install.package !== undefined) {
    const { version, apt } = 'version' in install || 'apt' in install ? install : {};
    return {
      kind: 'package',
      package: install.package,
      ...(version !== undefined && { version }),
      ...(apt !== undefined && { apt: normalizeApt(apt) }),
    };
  }
  if (install.path !== undefined) return { kind: 'path', path: withoutTrailingSlash(install.path) };
  if (install.tarball !== undefined) {
    return { kind: 'tarball', url: install.tarball, sha256: install.sha256 ?? '' };
  }
  return { kind: 'image', image: ('image' in install ? install.image : undefined) ?? '' };
}

function normalizeApt({ source, suite, component, key, keyUrl, fingerprint }: AptFile): AptSource {
  return {
    source: withoutTrailingSlash(source),
    suite,
    component,
    ...(key !== undefined && { key }),
    ...(keyUrl !== undefined && { keyUrl }),
    fingerprint: fingerprint.replaceAll(' ', '').toUpperCase(),
  };
}

function normalizeNetwork({ subnet, existing, vxlan }: ClusterFile['network']): NetworkSpec {
  if (existing !== undefined) return { kind: 'existing', name: existing, subnet };
  if (vxlan !== undefined) return { kind: 'vxlan', name: vxlan.name, subnet, vni: vxlan.id, mtu: vxlan.mtu };
  return { kind: 'flat', subnet };
}

function normalizeFlags(flags: ClusterFile['mesos']['agent']['flags']): Record<string, string> {
  return Object.fromEntries(Object.entries(flags).map(([flag, value]) => [flag, String(value)]));
}

function defaultFirstAddress(subnet: string): string {
  return addressText((parseSubnet(subnet)?.first ?? addressNumber('0.0.0.0')) + 10);
}

/** Fills in all defaults and converts units. Meaningful only if `checks.ts` finds nothing in the file. */
export function normalize(file: ClusterFile, places: LocalPlaces): ClusterSpec {
  const hosts = file.hosts.map((host) => normalizeHost(host, file.ssh, places));
  const masters = hosts.filter((host) => host.roles.includes('master')).length;
  const { zookeeper, mesos, storage, nodes, etcd } = file;
  return {
    name: file.name,
    hosts,
    zookeeper: {
      install: normalizeInstall(zookeeper.install),
      tickTimeMs: durationMs(zookeeper.tickTime),
      initLimitTicks: zookeeper.initLimit,
      syncLimitTicks: zookeeper.syncLimit,
      heapBytes: sizeBytes(zookeeper.heap),
      digest: zookeeper.digest ?? mesos.security === 'authenticated',
    },
    mesos: {
      install: normalizeInstall(mesos.install),
      cluster: mesos.cluster ?? file.name,
      quorum: mesos.quorum ?? majority(masters),
      zkPath: mesos.zkPath,
      sessionTimeoutMs: durationMs(mesos.sessionTimeout),
      agentPingTimeoutMs: durationMs(mesos.agentPingTimeout),
      maxAgentPingTimeouts: mesos.maxAgentPingTimeouts,
      framework: mesos.framework ?? file.name,
      ...(mesos.security === 'authenticated' && { principal: mesos.principal ?? defaultPrincipal }),
      role: mesos.role,
      failoverTimeoutMs: durationMs(mesos.failoverTimeout),
      ...(mesos.fenceAfter !== 'never' && { fenceAfterMs: durationMs(mesos.fenceAfter) }),
      masterFlags: normalizeFlags(mesos.master.flags),
      agentFlags: normalizeFlags(mesos.agent.flags),
    },
    network: normalizeNetwork(file.network),
    storage: storage.gluster
      ? {
          kind: 'gluster',
          volume: storage.gluster.volume,
          brick: withoutTrailingSlash(storage.gluster.brick),
          mount: withoutTrailingSlash(storage.gluster.mount),
          pingTimeoutMs: durationMs(storage.gluster.pingTimeout),
          ...(storage.gluster.force && { force: true }),
          ...(storage.takeOwnership && { takeOwnership: true }),
        }
      : {
          kind: 'path',
          path: withoutTrailingSlash(storage.path ?? ''),
          ...(storage.takeOwnership && { takeOwnership: true }),
        },
    nodes: {
      count: nodes.count,
      cpus: nodes.cpus,
      memoryBytes: sizeBytes(nodes.memory),
      firstAddress: nodes.firstAddress ?? defaultFirstAddress(file.network.subnet),
      containerizer: nodes.containerizer,
      image: nodes.image,
      ...(nodes.user && { user: { uid: nodes.user.uid, gid: nodes.user.gid ?? nodes.user.uid } }),
      sshPort: nodes.sshPort,
      controlPort: nodes.controlPort,
      allowMajorityOnOneHost: nodes.allowMajorityOnOneHost,
    },
    etcd: {
      token: etcd.token ?? file.name,
      heartbeatMs: durationMs(etcd.heartbeat ?? timings[etcd.timing].heartbeat),
      electionMs: durationMs(etcd.election ?? timings[etcd.timing].election),
      clientPort: etcd.clientPort,
      peerPort: etcd.peerPort,
      executable: etcd.executable,
      security: etcd.security,
    },
    jupyter: file.jupyter,
    proxy: {
      topology: file.proxy.topology,
      drainMs: durationMs(file.proxy.drain),
      ...(file.proxy.tls && { tls: normalizeTls(file.proxy.tls, places) }),
    },
  };
}
