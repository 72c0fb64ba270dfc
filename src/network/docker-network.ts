/** Docker networks: what `docker network inspect` says of them, and what is to be done about that of the cluster. Pure. */
import { z } from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { Action } from '../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../spec/cluster.js';
import { quote } from '../ssh/shell.js';
import { overlayOf } from './overlay.js';

/** Marks what belongs to a cluster; its value is the cluster's name. */
export const clusterLabel = 'io.perijove.cluster';
const bridgeOption = 'com.docker.network.bridge.name';
const mtuOption = 'com.docker.network.driver.mtu';

export interface DockerNetwork {
  readonly name: string;
  readonly driver: string;
  /** The link of the host that its containers are at, of a network of the driver `bridge`. */
  readonly bridge?: string;
  readonly pools: readonly {
    readonly subnet: string;
    readonly gateway?: string;
    /** From which Docker gives addresses to those who name none. */
    readonly range?: string;
  }[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of containers that run in it. */
  readonly containers: readonly string[];
}

const text = z
  .string()
  .optional()
  .transform((value) => (value === '' ? undefined : value));
const record = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});
const network = z
  .object({
    Name: z.string(),
    Id: z.string(),
    Driver: z.string(),
    IPAM: z.object({
      Config: z.array(z.object({ Subnet: text, Gateway: text, IPRange: text })).nullish(),
    }),
    Options: record,
    Labels: record,
    Containers: z.record(z.string(), z.object({ Name: z.string() })).nullish(),
  })
  .transform(({ Name, Id, Driver, IPAM, Options, Labels, Containers }): DockerNetwork => ({
    name: Name,
    driver: Driver,
    ...(Driver === 'bridge' ? { bridge: Options[bridgeOption] ?? `br-${Id.slice(0, 12)}` } : {}),
    pools: (IPAM.Config ?? []).flatMap(({ Subnet, Gateway, IPRange }) =>
      Subnet === undefined
        ? []
        : [
            {
              subnet: Subnet,
              ...(Gateway === undefined ? {} : { gateway: Gateway }),
              ...(IPRange === undefined ? {} : { range: IPRange }),
            },
          ],
    ),
    options: Options,
    labels: Labels,
    containers: Object.values(Containers ?? {}).map(({ Name: container }) => container),
  }));

/** Prints `docker` when Docker answers, and then a line for each network. */
export const observeDockerNetworks = `if timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
  echo docker
  docker network ls --quiet --no-trunc | xargs -r docker network inspect --format '{{json .}}'
fi 2>/dev/null`;

/** Undefined where Docker does not answer. @throws ZodError, SyntaxError */
export function parseDockerNetworks(printed: string): DockerNetwork[] | undefined {
  const lines = printed.split('\n');
  if (!lines.includes('docker')) return undefined;
  return lines.filter((line) => line.startsWith('{')).map((line) => network.parse(JSON.parse(line)));
}

export function isOwn({ labels }: DockerNetwork, cluster: string): boolean {
  return labels[clusterLabel] === cluster;
}

/** The Docker network over a VXLAN, as a host with nodes is to have it. */
export function wantedDockerNetwork(spec: ClusterSpec, host: HostSpec): DockerNetwork | undefined {
  const overlay = overlayOf(spec, host);
  if (overlay === undefined || spec.nodes.containerizer !== 'docker' || !host.roles.includes('agent')) {
    return undefined;
  }
  const gateway = overlay.address.replace(/\/.*$/, '');
  return {
    name: overlay.bridge,
    driver: 'bridge',
    bridge: overlay.bridge,
    // Who names no address would get one that a node of another host may have: there is none left to be given.
    pools: [{ subnet: spec.network.subnet, gateway, range: `${gateway}/32` }],
    options: { [bridgeOption]: overlay.bridge, [mtuOption]: String(overlay.mtu) },
    labels: { [clusterLabel]: spec.name },
    containers: [],
  };
}

/**
 * What is to be done so that Docker has the network that is wanted, and no other one of the cluster.
 *
 * @throws PerijoveError NETWORK_DIFFERS when one that must go has containers
 */
export function dockerNetworkActions(
  wanted: DockerNetwork,
  observed: readonly DockerNetwork[],
  { cluster, host }: { readonly cluster: string; readonly host: string },
): Action[] {
  const same = observed.find((each) => each.name === wanted.name && isSame(each, wanted));
  const others = observed.filter((each) => each !== same && isOwn(each, cluster));
  const used = others.find(({ containers }) => containers.length > 0);
  if (used !== undefined) {
    throw new PerijoveError(
      'NETWORK_DIFFERS',
      `${host}: the Docker network ${used.name} is not as the spec says, and ${used.containers.join(', ')} ${used.containers.length === 1 ? 'is' : 'are'} in it`,
      { host, subject: used.name },
    );
  }
  const removals = others.map(({ name }): Action => ({
    plan: `remove the Docker network ${name}`,
    done: `removed the Docker network ${name}`,
    script: `docker network rm ${quote(name)}`,
  }));
  if (same !== undefined) return removals;
  return [
    ...removals,
    {
      plan: `make the Docker network ${wanted.name}`,
      done: `made the Docker network ${wanted.name}`,
      script: createScript(wanted),
      undo: `docker network rm ${quote(wanted.name)}`,
    },
  ];
}

function isSame(has: DockerNetwork, wanted: DockerNetwork): boolean {
  return (
    has.driver === wanted.driver &&
    JSON.stringify(has.pools) === JSON.stringify(wanted.pools) &&
    Object.entries(wanted.options).every(([name, value]) => has.options[name] === value) &&
    Object.entries(wanted.labels).every(([name, value]) => has.labels[name] === value)
  );
}

function createScript({ name, driver, pools, options, labels }: DockerNetwork): string {
  const pairs = (option: string, values: Readonly<Record<string, string>>) =>
    Object.entries(values).flatMap(([key, value]) => [option, `${key}=${value}`]);
  return [
    ...['docker', 'network', 'create', '--driver', driver],
    ...pairs('--opt', options),
    ...pairs('--label', labels),
    ...pools.flatMap(({ subnet, gateway, range }) => [
      ...['--subnet', subnet],
      ...(range === undefined ? [] : ['--ip-range', range]),
      ...(gateway === undefined ? [] : ['--gateway', gateway]),
    ]),
    name,
  ]
    .map(quote)
    .join(' ');
}
