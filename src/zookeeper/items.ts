import { archivesOf, noItems, type FileItem, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { hostsWithRole, type ClusterSpec, type HostSpec, type Install } from '../cluster/spec.js';
import { serverLine, serverOf } from './servers.js';

/** Name of the service on hosts. */
export const zookeeperService = 'zookeeper';

const mebibyte = 1024 * 1024;

/** Paths of ZooKeeper's own files on a host. */
export function zookeeperPaths(host: Pick<HostSpec, 'dir'>) {
  const paths = hostPaths(host);
  return {
    etc: `${paths.etc}/zookeeper`,
    config: `${paths.etc}/zookeeper/zoo.cfg`,
    data: `${paths.data}/zookeeper`,
    myid: `${paths.data}/zookeeper/myid`,
    /** Where a tarball is unpacked. */
    prefix: `${host.dir}/opt/zookeeper`,
  };
}

/** The `N` of the host's `server.N` line: the number that it has, or its position among the ensemble's hosts, from 1. */
export function serverId(spec: ClusterSpec, host: HostSpec): number {
  const present = spec.zookeeper.numbers?.[host.name];
  if (present !== undefined) return present;
  return hostsWithRole(spec, 'zookeeper').findIndex((member) => member.name === host.name) + 1;
}

/**
 * The items of a host in the ensemble: `zoo.cfg`, `myid` and the service, which runs Java directly. All ports
 * bind only the host's own address, so that several members can share one machine. Other hosts have no items.
 */
export function zookeeperItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!host.roles.includes('zookeeper')) return noItems;
  const { zookeeper } = spec;
  const paths = zookeeperPaths(host);
  const logging = loggingFiles(zookeeper.install, paths.etc);
  const config: FileItem = {
    path: paths.config,
    mode: 0o644,
    source: { kind: 'text', text: zooCfg(spec, host) },
  };
  const myid: FileItem = {
    path: paths.myid,
    mode: 0o644,
    source: { kind: 'text', text: `${serverId(spec, host)}\n` },
  };
  return {
    packages: zookeeper.install.kind === 'package' ? [zookeeper.install.package] : [],
    ...archivesOf(zookeeper.install, paths.prefix),
    directories: [
      { path: paths.etc, mode: 0o755 },
      { path: paths.data, mode: 0o750 },
    ],
    files: [config, myid, ...logging],
    services: [
      {
        name: zookeeperService,
        description: `ZooKeeper server ${serverId(spec, host)} of ${spec.name}`,
        exec: ['java', ...javaArguments(spec, host)],
        env: {},
        openFiles: 16_384,
        restartOn: [config.path, myid.path, ...logging.map((file) => file.path)],
      },
    ],
  };
}

function zooCfg(spec: ClusterSpec, host: HostSpec): string {
  const { zookeeper } = spec;
  const members =
    zookeeper.servers ??
    hostsWithRole(spec, 'zookeeper').map((member) => serverOf(member, serverId(spec, member)));
  const lines = [
    `dataDir=${zookeeperPaths(host).data}`,
    `clientPort=${host.ports.zookeeper}`,
    `clientPortAddress=${host.address}`,
    `tickTime=${zookeeper.tickTimeMs}`,
    `initLimit=${zookeeper.initLimitTicks}`,
    `syncLimit=${zookeeper.syncLimitTicks}`,
    'admin.enableServer=false',
    '4lw.commands.whitelist=srvr,mntr,ruok',
    'autopurge.snapRetainCount=3',
    'autopurge.purgeInterval=1',
    'quorumListenOnAllIPs=false',
  ];
  // ZooKeeper refuses an ensemble of one; without these lines it runs standalone.
  if (members.length > 1) {
    // By number: the order of the hosts in the spec changes nothing.
    lines.push(...members.toSorted((a, b) => a.id - b.id).map(serverLine));
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Flags for a small heap and a quick start. Measured with three servers on two cores: the ensemble has a
 * leader 2.6 s after the start, with 59 MB per server.
 */
function javaArguments(spec: ClusterSpec, host: HostSpec): string[] {
  const { zookeeper } = spec;
  const paths = zookeeperPaths(host);
  const heapMebibytes = Math.max(16, Math.floor(zookeeper.heapBytes / mebibyte));
  return [
    `-Xmx${heapMebibytes}m`,
    `-Xms${Math.min(16, heapMebibytes)}m`,
    '-Xss256k',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xshare:auto',
    '-XX:+ExitOnOutOfMemoryError',
    '-Dzookeeper.jmx.log4j.disable=true',
    '-Djava.net.preferIPv4Stack=true',
    ...classPath(zookeeper.install, paths),
    'org.apache.zookeeper.server.quorum.QuorumPeerMain',
    paths.config,
  ];
}

/**
 * Debian's jar lists its dependencies but no log backend; slf4j-simple comes with one of them and needs no
 * file. The Apache distribution includes its backend (log4j until 3.7, then logback), which reads the first
 * configuration file on the class path.
 */
function classPath(install: Install, paths: ReturnType<typeof zookeeperPaths>): string[] {
  if (install.kind === 'package') {
    return [
      '-Dorg.slf4j.simpleLogger.logFile=System.out',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=info',
      '-Dorg.slf4j.simpleLogger.showDateTime=true',
      "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
      '-cp',
      '/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar',
    ];
  }
  const prefix = install.kind === 'path' ? install.path : paths.prefix;
  return ['-cp', `${paths.etc}:${prefix}/*:${prefix}/lib/*`];
}

function loggingFiles(install: Install, etc: string): FileItem[] {
  if (install.kind === 'package') return [];
  const file = (name: string, lines: readonly string[]): FileItem => ({
    path: `${etc}/${name}`,
    mode: 0o644,
    source: { kind: 'text', text: `${lines.join('\n')}\n` },
  });
  return [
    file('log4j.properties', [
      'log4j.rootLogger=INFO, CONSOLE',
      'log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender',
      'log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout',
      'log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} [%t] %p %c - %m%n',
    ]),
    file('logback.xml', [
      '<configuration>',
      '  <appender name="CONSOLE" class="ch.qos.logback.core.ConsoleAppender">',
      '    <encoder><pattern>%d{ISO8601} [%t] %p %c - %m%n</pattern></encoder>',
      '  </appender>',
      '  <root level="INFO"><appender-ref ref="CONSOLE" /></root>',
      '</configuration>',
    ]),
  ];
}
