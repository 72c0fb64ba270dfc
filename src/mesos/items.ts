import { PerijoveError } from '../errors/error.js';
import { archivesOf, noItems, type FileItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { zookeeperConnect, type ClusterSpec, type HostSpec } from '../spec/cluster.js';

/** Names of the services on hosts. */
export const masterService = 'mesos-master';
export const agentService = 'mesos-agent';

/** Agents carry the name of their host in the spec as an attribute, because hostnames need not be unique. */
export const hostAttribute = 'perijove_host';

/** Where Mesos' files lie on a host. */
export function mesosPaths(host: Pick<HostSpec, 'dir'>) {
  const paths = hostPaths(host);
  return {
    masterWork: `${paths.data}/mesos-master`,
    agentWork: `${paths.data}/mesos-agent`,
    masterLog: `${paths.log}/glog/mesos-master`,
    agentLog: `${paths.log}/glog/mesos-agent`,
    agentRuntime: `${paths.run}/mesos-agent`,
    /** Where an installation from a tarball is unpacked to. */
    prefix: `${host.dir}/opt/mesos`,
    /** Holds the URL of ZooKeeper with the password in it, where the spec asks for one. */
    zkUrl: `${paths.run}/mesos-zk-url`,
    /** Holds whom a master or an agent lets in, and with which secret, where the spec names a principal. */
    credentials: `${paths.run}/mesos-credentials`,
  };
}

type Program = 'mesos-master' | 'mesos-agent';

/** A Mesos master with the origin's flags, or nothing on a host without that role. */
export function masterItems(spec: ClusterSpec, host: HostSpec): HostItems {
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
      authenticate_http_frameworks: 'true',
      http_framework_authenticators: 'basic',
      credentials: paths.credentials,
    }),
    ...spec.mesos.masterFlags,
  };
  return items(spec, host, {
    program: 'mesos-master',
    service: masterService,
    description: `Mesos master of ${spec.name}`,
    flags,
    directories: [paths.masterWork, paths.masterLog],
    leaveChildren: false,
  });
}

/** A Mesos agent with the origin's flags, or nothing on a host without that role. */
export function agentItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!host.roles.includes('agent')) return noItems;
  const paths = mesosPaths(host);
  const { attributes, ...agentFlags } = spec.mesos.agentFlags;
  const flags = {
    master: zkFlag(spec, host),
    ip: host.address,
    port: String(host.ports.agent),
    hostname: host.hostname,
    work_dir: paths.agentWork,
    log_dir: paths.agentLog,
    runtime_dir: paths.agentRuntime,
    ...containerizerFlags(spec),
    ...standInFlags(spec, host),
    ...(spec.mesos.principal !== undefined && {
      ...authenticationFlags,
      http_credentials: paths.credentials,
    }),
    ...agentFlags,
    attributes: [`${hostAttribute}:${host.name}`, attributes].filter(Boolean).join(';'),
  };
  return items(spec, host, {
    program: 'mesos-agent',
    service: agentService,
    description: `Mesos agent of ${spec.name}`,
    flags,
    directories: [paths.agentWork, paths.agentLog, paths.agentRuntime],
    leaveChildren: true,
  });
}

/** HTTP basic is Mesos' default; these say that it is asked for, to read and to change. */
const authenticationFlags = { authenticate_http_readonly: 'true', authenticate_http_readwrite: 'true' };

/** The origin's flags for Docker; for plain processes, what works without cgroups and without systemd. */
function containerizerFlags(spec: ClusterSpec): Readonly<Record<string, string>> {
  if (spec.nodes.containerizer === 'docker') {
    return { containerizers: 'docker,mesos', image_providers: 'docker', isolation: 'docker/runtime' };
  }
  return {
    containerizers: 'mesos',
    launcher: 'posix',
    isolation: 'posix/cpu,posix/mem',
    systemd_enable_support: 'false',
  };
}

/**
 * The stand-in finds its executor beside itself. Its agents often share one machine, whose resources they
 * only account for: each says that it could hold all nodes, so that those of a dead host have room elsewhere.
 */
function standInFlags(spec: ClusterSpec, host: HostSpec): Readonly<Record<string, string>> {
  if (spec.mesos.install.kind !== 'lab') return {};
  const { count, cpus, memoryBytes } = spec.nodes;
  const memoryMebibytes = Math.ceil(memoryBytes / 1024 / 1024);
  return {
    launcher_dir: hostPaths(host).bin,
    resources: `cpus:${count * cpus};mem:${count * memoryMebibytes}`,
  };
}

/**
 * `zk://…` on the command line, unless it carries a password: then `file://…`, which Mesos reads by itself.
 */
function zkFlag(spec: ClusterSpec, host: HostSpec): string {
  return spec.zookeeper.digest
    ? `file://${mesosPaths(host).zkUrl}`
    : `zk://${zookeeperConnect(spec)}${spec.mesos.zkPath}`;
}

interface Parts {
  readonly program: Program;
  readonly service: string;
  readonly description: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly directories: readonly string[];
  readonly leaveChildren: boolean;
}

function items(spec: ClusterSpec, host: HostSpec, parts: Parts): HostItems {
  const { install } = spec.mesos;
  const files = install.kind === 'lab' ? standInFiles(host, parts.program) : [];
  const flags = Object.entries(parts.flags).map(([name, value]) => `--${name}=${value}`);
  const command = [...program(spec, host, parts.program), ...flags] as const;
  const secrets = secretFiles(spec, host);
  return {
    packages: install.kind === 'package' ? [install.package] : [],
    ...archivesOf(install, mesosPaths(host).prefix),
    directories: [
      ...(secrets.length > 0 ? [{ path: hostPaths(host).run, mode: 0o755 }] : []),
      ...parts.directories.map((path) => ({ path, mode: 0o755 })),
    ],
    files,
    services: [
      {
        name: parts.service,
        description: parts.description,
        exec: secrets.length > 0 ? withSecrets(secrets, command) : [...command],
        env: {},
        openFiles: 65_536,
        restartOn: [...files.map((file) => file.path), ...secrets.map(({ secret }) => secret)],
        leaveChildren: parts.leaveChildren,
      },
    ],
  };
}

/** A file that a program of Mesos reads, made of a secret. */
interface SecretFile {
  readonly secret: string;
  /** Shell that prints the file's text. What it prints with is a builtin, so nothing is in any command line. */
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

/** Secrets go into files of mode 0600 by the shell itself, before it becomes the program. */
function withSecrets(files: readonly SecretFile[], command: readonly string[]): [string, ...string[]] {
  const made = files.map(
    ({ secret, print, path }) =>
      `{ read -r secret < '${secret}' || [ -n "$secret" ]; } && ${print} > '${path}.new' && mv '${path}.new' '${path}'`,
  );
  return ['/bin/sh', '-c', ['umask 077', ...made, 'exec "$@"'].join(' && '), 'sh', ...command];
}

function standInFiles(host: HostSpec, program: Program): FileItem[] {
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

function program(spec: ClusterSpec, host: HostSpec, name: Program): [string, ...string[]] {
  const { install } = spec.mesos;
  const { bin, node } = hostPaths(host);
  switch (install.kind) {
    case 'lab':
      return [node, '--max-old-space-size=64', '--max-semi-space-size=1', `${bin}/${name}.mjs`];
    case 'path':
      return [`${install.path}/sbin/${name}`];
    case 'tarball':
      return [`${mesosPaths(host).prefix}/sbin/${name}`];
    case 'package':
      return [name];
    case 'image':
      throw new PerijoveError('SPEC_INVALID', 'mesos.install: an image cannot be installed on hosts.', {
        remedy: 'Use `lab`, `path`, `package` or `tarball`.',
      });
  }
}
