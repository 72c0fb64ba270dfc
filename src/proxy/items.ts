import { noItems, type FileSource, type HostItems } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { reloadFile } from '../hosts/record.js';
import {
  kernelPlacement,
  proxyApiAddress,
  tlsFiles,
  type ClusterSpec,
  type HostSpec,
  type ProxyTlsFiles,
} from '../cluster/spec.js';
import { acceptedFiles, type SecretName } from '../cluster/secrets.js';
import type { ProxyConfig } from './config.js';

const tokenSecret = 'proxy-api-token';
const kernelsSecret: SecretName = 'node-kernels-token';
const serverSecret = 'https-server' satisfies SecretName;

const nodeFlags = [
  // V8 returns memory early and keeps its young generation small: a proxy streams and stores nothing.
  '--max-old-space-size=96',
  '--max-semi-space-size=2',
  // Jupyter's own limit. A browser sends the cookies of all Jupyters of a host name.
  '--max-http-header-size=65536',
];

export function proxyConfig(spec: ClusterSpec, host: HostSpec): ProxyConfig {
  const paths = hostPaths(host);
  return {
    cluster: spec.name,
    host: host.name,
    listen: { address: host.address, port: host.ports.proxy },
    api: { address: proxyApiAddress(host), port: host.ports.proxyApi },
    tokenFile: `${paths.secrets}/${tokenSecret}`,
    ...(spec.proxy.tls && { tls: tlsConfig(spec, host) }),
    kernels: {
      port: spec.nodes.controlPort,
      tokenFile: `${paths.secrets}/${kernelsSecret}`,
      placement: kernelPlacement(spec),
    },
    routeFile: `${paths.data}/proxy/route.json`,
  };
}

function tlsConfig(spec: ClusterSpec, host: HostSpec): ProxyConfig['tls'] {
  const { hstsMs } = tlsFiles(spec) ?? {};
  return {
    file: certificateFile(spec, host),
    ...(hstsMs !== undefined && { hstsSeconds: Math.floor(hstsMs / 1_000) }),
  };
}

function certificateOf({ certificateFile, keyFile }: ProxyTlsFiles): FileSource {
  return { kind: 'certificate', certificateFile, keyFile };
}

/** Path of the key and the certificate for HTTPS on the host. The proxy takes a new content over without a reload. */
export function certificateFile(spec: Pick<ClusterSpec, 'proxy'>, host: HostSpec): string {
  const { secrets } = hostPaths(host);
  return tlsFiles(spec) === undefined ? `${secrets}/${serverSecret}` : `${secrets}/proxy-https.pem`;
}

/** Path of the configuration on the host. */
export function proxyConfigFile(host: HostSpec): string {
  return `${hostPaths(host).etc}/proxy.json`;
}

/** The proxy's program, configuration and service; empty on a host without that role. */
export function proxyItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!host.roles.includes('proxy')) return noItems;
  const paths = hostPaths(host);
  const program = `${paths.bin}/perijove-proxy.mjs`;
  const worker = `${paths.bin}/perijove-proxy-worker.mjs`;
  const configFile = proxyConfigFile(host);
  const tls = tlsFiles(spec);
  return {
    packages: [],
    directories: [
      { path: `${paths.data}/proxy`, mode: 0o700 },
      ...(tls ? [{ path: paths.secrets, mode: 0o700 }] : []),
    ],
    files: [
      { path: paths.node, mode: 0o755, source: { kind: 'node' } },
      { path: program, mode: 0o644, source: { kind: 'program', name: 'perijove-proxy.mjs' } },
      { path: worker, mode: 0o644, source: { kind: 'program', name: 'perijove-proxy-worker.mjs' } },
      {
        path: configFile,
        mode: 0o644,
        source: { kind: 'text', text: `${JSON.stringify(proxyConfig(spec, host), null, 2)}\n` },
      },
      ...(tls ? [{ path: certificateFile(spec, host), mode: 0o600, source: certificateOf(tls) }] : []),
    ],
    services: [
      {
        name: 'proxy',
        description: `Perijove proxy of ${spec.name}: the way to Jupyter through ${host.name}`,
        exec: [paths.node, ...nodeFlags, program, worker, configFile],
        env: { PERIJOVE_RELOAD: reloadFile(host, 'proxy') },
        openFiles: 65_536,
        restartOn: [paths.node, program],
        reloadOn: [
          worker,
          configFile,
          ...[...acceptedFiles(tokenSecret), kernelsSecret].map((name) => `${paths.secrets}/${name}`),
        ],
      },
    ],
  };
}
