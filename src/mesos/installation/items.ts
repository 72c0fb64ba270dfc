import { archivesOf, noItems, type FileItem, type HostItems, type ServiceItem } from '../../hosts/items.js';
import { hostPaths } from '../../hosts/paths.js';
import { zookeeperConnect, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import { containerOf, inContainer } from './container.js';
import type { MesosInstallation, MesosProgram } from './installation.js';
import { mesosPaths, mesosPrefix } from './paths.js';

/** Names of the services on hosts. */
export const masterService = 'mesos-master';
export const agentService = 'mesos-agent';

/** Agents carry the name of their host in the spec as an attribute, because hostnames need not be unique. */
export const hostAttribute = 'perijove_host';

/**
 * A Mesos master with the origin's flags, or nothing on a host without that role. `found` is the installation
 * observed on the host; before there is one, the layout of Mesos' own build is assumed.
 */
export function masterItems(spec: ClusterSpec, host: HostSpec, found?: MesosInstallation): HostItems {
  if (!host.roles.includes('master')) return noItems;
  const paths = mesosPaths(host);
  const flags = {
    zk: zkFlag(spec, host),
    quorum: String(spec.mesos.quorum),
    ip: host.address,
    port: String(host.ports.master),
    hostname: host.hostname,
    cluster: spec.mesos.cluster,
    work_dir: paths.masterWork,
    log_dir: paths.masterLog,
    zk_session_timeout: `${spec.mesos.sessionTimeoutMs}ms`,
    agent_ping_timeout: `${spec.mesos.agentPingTimeoutMs}ms`,
    max_agent_ping_timeouts: String(spec.mesos.maxAgentPingTimeouts),
    ...(spec.mesos.principal !== undefined && {
      ...authenticationFlags,
      // The API of before HTTP, which Perijove does not use: it would take frameworks without a credential.
      authenticate_frameworks: 'true',
      authenticate_http_frameworks: 'true',
      http_framework_authenticators: 'basic',
      credentials: paths.credentials,
    }),
    ...(found?.webuiDir === undefined ? {} : { webui_dir: found.webuiDir }),
  };
  return items(spec, host, found, {
    program: 'mesos-master',
    service: masterService,
    description: `Mesos master of ${spec.name}`,
    flags,
    specFlags: spec.mesos.masterFlags,
    directories: [paths.masterWork, paths.masterLog],
    leaveChildren: false,
  });
}

/** A Mesos agent with the origin's flags, or nothing on a host without that role. */
export function agentItems(spec: ClusterSpec, host: HostSpec, found?: MesosInstallation): HostItems {
  if (!host.roles.includes('agent')) return noItems;
  const paths = mesosPaths(host);
  const { attributes } = spec.mesos.agentFlags;
  const flags = {
    master: zkFlag(spec, host),
    ip: host.address,
    port: String(host.ports.agent),
    hostname: host.hostname,
    work_dir: paths.agentWork,
    log_dir: paths.agentLog,
    runtime_dir: paths.agentRuntime,
    fetcher_cache_dir: paths.fetcherCache,
    ...containerizerFlags(spec, host),
    ...installFlags(spec, host, found),
    ...(spec.mesos.principal !== undefined && {
      ...authenticationFlags,
      http_credentials: paths.credentials,
    }),
  };
  return items(spec, host, found, {
    program: 'mesos-agent',
    service: agentService,
    description: `Mesos agent of ${spec.name}`,
    flags,
    specFlags: {
      ...spec.mesos.agentFlags,
      attributes: [`${hostAttribute}:${host.name}`, attributes].filter(Boolean).join(';'),
    },
    directories: [paths.agentWork, paths.agentLog, paths.agentRuntime, paths.fetcherCache],
    leaveChildren: true,
  });
}

/** The flags of an agent by which it runs tasks: those that Perijove sets, and those of the spec. */
export function agentFlagsOf(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
): Readonly<Partial<Record<string, string>>> {
  const known = found?.programs['mesos-agent']?.flags ?? [];
  return { ...knownFlags(known, containerizerFlags(spec, host)), ...spec.mesos.agentFlags };
}

/** HTTP basic is Mesos' default; these flags require it for reads and writes. */
const authenticationFlags = { authenticate_http_readonly: 'true', authenticate_http_readwrite: 'true' };

/** The origin's flags for Docker; for plain processes, flags that need neither cgroups nor systemd. */
function containerizerFlags(spec: ClusterSpec, host: HostSpec): Readonly<Record<string, string>> {
  if (spec.nodes.containerizer === 'docker') {
    return {
      containerizers: 'docker,mesos',
      image_providers: 'docker',
      isolation: 'docker/runtime',
      docker_store_dir: mesosPaths(host).dockerStore,
    };
  }
  return {
    containerizers: 'mesos',
    launcher: 'posix',
    isolation: 'posix/cpu,posix/mem',
    // On a systemd host an agent would move its executors to its own slice, which requires root.
    systemd_enable_support: 'false',
  };
}

/** Flags that depend on where the agent comes from. */
function installFlags(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
): Readonly<Record<string, string>> {
  const { install } = spec.mesos;
  switch (install.kind) {
    case 'lab':
      return standInFlags(spec, host);
    case 'image':
      // Executors in their own containers outlive the agent's.
      return { docker_mesos_image: install.image };
    case 'path':
    case 'tarball':
    case 'package':
      return {
        ...(found?.launcherDir === undefined ? {} : { launcher_dir: found.launcherDir }),
        // Executors inherit nothing of the agent's environment, and need the same libraries.
        ...(found?.libraryDir === undefined
          ? {}
          : { executor_environment_variables: JSON.stringify({ LD_LIBRARY_PATH: found.libraryDir }) }),
      };
  }
}

/**
 * The stand-in finds its executor beside itself. Its agents often share one machine, whose resources they
 * only account for: each offers room for all nodes, so that those of a dead host fit elsewhere.
 */
function standInFlags(spec: ClusterSpec, host: HostSpec): Readonly<Record<string, string>> {
  const { count, cpus, memoryBytes } = spec.nodes;
  const memoryMebibytes = Math.ceil(memoryBytes / 1024 / 1024);
  return {
    launcher_dir: hostPaths(host).bin,
    resources: `cpus:${count * cpus};mem:${count * memoryMebibytes}`,
  };
}

/** `zk://…` on the command line, unless it contains a password: then `file://…`, which Mesos reads itself. */
function zkFlag(spec: ClusterSpec, host: HostSpec): string {
  return spec.zookeeper.digest
    ? `file://${mesosPaths(host).zkUrl}`
    : `zk://${zookeeperConnect(spec)}${spec.mesos.zkPath}`;
}

interface Parts {
  readonly program: MesosProgram;
  readonly service: string;
  readonly description: string;
  readonly flags: Readonly<Record<string, string>>;
  /** Flags from the spec, which take precedence. */
  readonly specFlags: Readonly<Record<string, string>>;
  readonly directories: readonly string[];
  readonly leaveChildren: boolean;
}

function items(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
  parts: Parts,
): HostItems {
  const { install } = spec.mesos;
  const files = install.kind === 'lab' ? standInFiles(host, parts.program) : [];
  const secrets = secretFiles(spec, host);
  const command = [...program(spec, host, found, parts.program), ...commandFlags(found, parts)] as const;
  const service: ServiceItem = {
    name: parts.service,
    description: parts.description,
    exec: secrets.length > 0 ? withSecrets(secrets, parts.program, command) : [...command],
    env: found?.libraryDir === undefined ? {} : { LD_LIBRARY_PATH: found.libraryDir },
    openFiles: 65_536,
    restartOn: [...files.map((file) => file.path), ...secrets.map(({ secret }) => secret)],
    leaveChildren: parts.leaveChildren,
    ...(found?.stamp === undefined ? {} : { stamp: found.stamp }),
  };
  return {
    ...packagesOf(spec),
    ...archivesOf(install, mesosPrefix(install, host)),
    directories: [
      ...(secrets.length > 0 ? [{ path: hostPaths(host).run, mode: 0o755 }] : []),
      ...parts.directories.map((path) => ({ path, mode: 0o755 })),
    ],
    files,
    services: [
      install.kind === 'image'
        ? inContainer(
            service,
            containerOf(spec, host, install.image, {
              name: parts.service,
              isAgent: parts.program === 'mesos-agent',
            }),
          )
        : service,
    ],
  };
}

function packagesOf({
  name: cluster,
  mesos: { install },
}: ClusterSpec): Pick<HostItems, 'packages' | 'pinned'> {
  if (install.kind !== 'package') return { packages: [] };
  const { package: name, version, apt } = install;
  // apt checks the certificate of an https source with these.
  const authorities = apt?.source.startsWith('https:') ? ['ca-certificates'] : [];
  return {
    packages: [name, ...authorities],
    ...(version !== undefined && {
      pinned: [{ name, version, cluster, ...(apt !== undefined && { apt }) }],
    }),
  };
}

/** Flags that are left out for a Mesos that does not know them. */
const optionalFlags = new Set(['runtime_dir', 'fetcher_cache_dir', 'launcher', 'systemd_enable_support']);

function commandFlags(found: MesosInstallation | undefined, { program, flags, specFlags }: Parts): string[] {
  const known = found?.programs[program]?.flags ?? [];
  return Object.entries({ ...knownFlags(known, flags), ...specFlags }).map(
    ([name, value]) => `--${name}=${value}`,
  );
}

function knownFlags(
  known: readonly string[],
  flags: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const own = Object.entries(flags).filter(
    ([name]) => known.length === 0 || known.includes(name) || !optionalFlags.has(name),
  );
  return Object.fromEntries(own);
}

/** A file that a Mesos program reads, made from a secret. */
interface SecretFile {
  readonly secret: string;
  /** Shell code that prints the file's text with a builtin, so that the secret appears in no command line. */
  readonly print: string;
  readonly path: string;
}

function secretFiles(spec: ClusterSpec, host: HostSpec): SecretFile[] {
  const { secrets } = hostPaths(host);
  const paths = mesosPaths(host);
  const digest = `${secrets}/zookeeper-digest`;
  const credential = `${secrets}/mesos-credential`;
  const place = `${zookeeperConnect(spec)}${spec.mesos.zkPath}`;
  return [
    ...(spec.zookeeper.digest
      ? [{ secret: digest, print: `printf 'zk://%s@%s' "$secret" '${place}'`, path: paths.zkUrl }]
      : []),
    ...(spec.mesos.principal !== undefined
      ? [{ secret: credential, print: `printf '{"credentials":[%s]}' "$secret"`, path: paths.credentials }]
      : []),
  ];
}

/**
 * The shell writes secrets into files of mode 0600 before it execs the program. The master and the agent of a
 * host write the same files, possibly at the same time, so each writes under its own name and renames.
 */
function withSecrets(
  files: readonly SecretFile[],
  name: MesosProgram,
  command: readonly string[],
): [string, ...string[]] {
  const made = files.map(({ secret, print, path }) => {
    const own = `${path}.${name}`;
    return `{ read -r secret < '${secret}' || [ -n "$secret" ]; } && ${print} > '${own}' && mv '${own}' '${path}'`;
  });
  return ['/bin/sh', '-c', ['umask 077', ...made, 'exec "$@"'].join(' && '), 'sh', ...command];
}

function standInFiles(host: HostSpec, program: MesosProgram): FileItem[] {
  const { bin, node } = hostPaths(host);
  const names = program === 'mesos-agent' ? [program, 'mesos-executor'] : [program];
  return [
    { path: node, mode: 0o755, source: { kind: 'node' } },
    ...names.map((name): FileItem => ({
      path: `${bin}/${name}.mjs`,
      mode: 0o755,
      source: { kind: 'program', name: `${name}.mjs` },
    })),
  ];
}

function program(
  spec: ClusterSpec,
  host: HostSpec,
  found: MesosInstallation | undefined,
  name: MesosProgram,
): [string, ...string[]] {
  const { install } = spec.mesos;
  const { bin, node } = hostPaths(host);
  switch (install.kind) {
    case 'lab':
      return [node, '--max-old-space-size=64', '--max-semi-space-size=1', `${bin}/${name}.mjs`];
    case 'path':
    case 'tarball':
      return [found?.programs[name]?.path ?? `${mesosPrefix(install, host)}/sbin/${name}`];
    case 'package':
      return [found?.programs[name]?.path ?? name];
    case 'image':
      return [name];
  }
}
