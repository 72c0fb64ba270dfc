/** Masters and agents in containers of the host's Docker, each under the host's own supervisor. Pure. */
import type { ServiceItem } from '../../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';

interface ContainerFacts {
  readonly name: string;
  readonly image: string;
  /** The host's base directory, which has the same path in the container. */
  readonly dir: string;
  /** An agent starts containers beside its own. */
  readonly isAgent: boolean;
}

/** The container of a service: hosts that share a Docker have different ones, and so have clusters. */
export function containerOf(
  spec: ClusterSpec,
  host: HostSpec,
  image: string,
  service: { readonly name: string; readonly isAgent: boolean },
): ContainerFacts {
  return { name: containerName(spec, host, service.name), image, dir: host.dir, isAgent: service.isAgent };
}

function containerName(spec: ClusterSpec, host: HostSpec, service: string): string {
  return `perijove-${spec.name}-${host.name}-${service}`;
}

/**
 * Shell that prints the process ID of a master or an agent, where its supervisor watches a `docker run` that stands
 * for it; undefined where the supervisor watches that very process.
 */
export function processInContainer(spec: ClusterSpec, host: HostSpec, service: string): string | undefined {
  if (spec.mesos.install.kind !== 'image') return undefined;
  return `docker inspect --format '{{.State.Pid}}' ${containerName(spec, host, service)}`;
}

/**
 * The same service in a container. The supervisor watches `docker run` in the foreground, which passes signals
 * on and ends when the container does. One that outlived it (its `docker run` was killed) is removed when the
 * service ends, and once more before the next one starts, for the case that the whole host went down.
 */
export function inContainer(service: ServiceItem, container: ContainerFacts): ServiceItem {
  const { name, image, dir, isAgent } = container;
  const [program, ...args] = service.openFiles === undefined ? service.exec : raised(service);
  const run = [
    ...['docker', 'run', '--rm', '--name', name, '--network', 'host', '--pid', 'host'],
    ...['--volume', `${dir}:${dir}`],
    ...(isAgent
      ? [
          '--privileged',
          ...['--volume', '/var/run/docker.sock:/var/run/docker.sock'],
          ...['--volume', '/sys/fs/cgroup:/sys/fs/cgroup'],
        ]
      : []),
    ...Object.entries(service.env).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]),
    ...['--entrypoint', program, image],
  ];
  const remove = ['docker', 'rm', '--force', name];
  return {
    ...service,
    exec: ['/bin/sh', '-c', `${remove.join(' ')} >/dev/null 2>&1; exec "$@"`, 'sh', ...run, ...args],
    env: {},
    afterEnd: remove,
  };
}

/** Not by `--ulimit`: where Docker's own limit is lower it would refuse to start the container. */
function raised({ exec, openFiles }: ServiceItem): [string, ...string[]] {
  const script = `ulimit -n ${openFiles} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"`;
  return ['/bin/sh', '-c', script, 'sh', ...exec];
}
