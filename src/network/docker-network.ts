/** Parses `docker network inspect`, and decides what to change for the cluster's network. Pure. */
import * as z from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { Action } from '../hosts/items.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { quote } from '../ssh/shell.js';
import { overlayOf } from './overlay.js';

/** Label of everything that belongs to a cluster; its value is the cluster's name. */
export const clusterLabel = 'io.perijove.cluster';
const bridgeOption = 'com.docker.network.bridge.name';
const mtuOption = 'com.docker.network.driver.mtu';

export interface DockerNetwork {
  readonly name: string;
  readonly driver: string;
  /** The host's link that its containers attach to, for a network of the driver `bridge`. */
  readonly bridge?: string;
  readonly pools: readonly {
    readonly subnet: string;
    readonly gateway?: string;
    /** The range from which Docker assigns addresses to containers that request none. */
    readonly range?: string;
  }[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of its running containers. */
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
const inspected = z
  .object({
    Name: z.string(),
    Id: z.string(),
    Driver: z.string(),
    IPAM: z.object({
      Config: z.array(z.object({ Subnet: text, Gateway: text, IPRange: text })).nullish(),
    }),
    Options: record,
    Labels: record,
    Containers: z.record(z.string(), z.object({ Name: z.string() })),
  })
  .transform(({ Name, Id, Driver, IPAM, Options, Labels, Containers }) => ({
    id: Id,
    network: {
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
      containers: Object.values(Containers).map(({ Name: container }) => container),
    } satisfies DockerNetwork,
  }));

/**
 * Prints `no docker` if Docker is missing; otherwise the IDs of all networks, one line of `inspect` for each,
 * and `docker complete` at the end.
 */
export const observeDockerNetworks = `if ! command -v docker >/dev/null; then echo 'no docker'; else (
  ids=$(timeout 10 docker network ls --quiet --no-trunc) || exit
  [ -n "$ids" ] || exit
  for id in $ids; do echo "network $id"; done
  timeout 20 docker network inspect --format '{{json .}}' $ids || exit
  echo 'docker complete'
) 2>/dev/null; fi`;

/** Known if every listed network was inspected. Without Docker there are none. */
export function parseDockerNetworks(printed: string): Observation<DockerNetwork[]> {
  const lines = printed.split('\n');
  if (lines.includes('no docker')) return known([]);
  if (!lines.includes('docker complete'))
    return notKnown('Docker did not respond, or its output was truncated');
  try {
    const found = lines
      .filter((line) => line.startsWith('{'))
      .map((line) => inspected.parse(JSON.parse(line)));
    const listed = lines.flatMap((line) => /^network ([0-9a-f]+)$/.exec(line)?.[1] ?? []);
    const missing = listed.find((id) => !found.some((each) => each.id === id));
    if (missing !== undefined) return notKnown(`Docker did not describe its network ${missing.slice(0, 12)}`);
    // Every Docker has this network.
    if (!found.some(({ network: { name } }) => name === 'none'))
      return notKnown('Docker listed only a part of its networks');
    return known(found.map(({ network: each }) => each));
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error;
    return notKnown('the output of Docker about networks is not JSON');
  }
}

export function isOwn({ labels }: DockerNetwork, cluster: string): boolean {
  return labels[clusterLabel] === cluster;
}

/** The Docker network over a VXLAN that a host with nodes should have. */
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
    // The range holds only the gateway: a container without a requested address could otherwise get that of
    // a node on another host.
    pools: [{ subnet: spec.network.subnet, gateway, range: `${gateway}/32` }],
    options: { [bridgeOption]: overlay.bridge, [mtuOption]: String(overlay.mtu) },
    labels: { [clusterLabel]: spec.name },
    containers: [],
  };
}

/**
 * The actions after which Docker has the desired network, and no other one of the cluster. Removes nothing
 * unless all networks are known.
 *
 * @throws PerijoveError NETWORK_DIFFERS if a network that must be removed has containers
 */
export function dockerNetworkActions(
  wanted: DockerNetwork,
  observation: Observation<readonly DockerNetwork[]>,
  { cluster, host }: { readonly cluster: string; readonly host: string },
): Action[] {
  const create: Action = {
    plan: `create the Docker network ${wanted.name}`,
    done: `created the Docker network ${wanted.name}`,
    script: createScript(wanted),
    undo: `docker network rm ${quote(wanted.name)}`,
  };
  // Docker may have been started since. It refuses a second network with the same name.
  if (!observation.known) {
    const unless = `docker network inspect ${quote(wanted.name)} >/dev/null 2>&1`;
    return [{ ...create, script: `${unless} || ${create.script}` }];
  }
  const observed = observation.value;
  const same = observed.find((each) => each.name === wanted.name && isSame(each, wanted));
  const others = observed.filter((each) => each !== same && isOwn(each, cluster));
  const used = others.find(({ containers }) => containers.length > 0);
  if (used !== undefined) {
    throw new PerijoveError(
      'NETWORK_DIFFERS',
      `${host}: the Docker network ${used.name} differs from the spec, but containers are connected to it: ${used.containers.join(', ')}`,
      { host, subject: used.name },
    );
  }
  const removals = others.map(({ name }): Action => ({
    plan: `remove the Docker network ${name}`,
    done: `removed the Docker network ${name}`,
    script: `docker network rm ${quote(name)}`,
  }));
  if (same !== undefined) return removals;
  return [...removals, create];
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
