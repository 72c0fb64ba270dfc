/** Masters and agents in containers of the host's Docker, each under the host's own supervisor. Pure. */
import type { ServiceItem } from '../../hosts/items.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';

interface ContainerFacts {
  readonly name: string;
  readonly image: string;
  /** The host's base directory, which has the same path in the container. */
  readonly dir: string;
  /** An agent starts other containers. */
  readonly isAgent: boolean;
}

/** The container name of a service: it is different for hosts that share a Docker, and for clusters. */
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
 * Shell code that prints the process ID of a master or an agent whose supervisor watches a `docker run`;
 * undefined if the supervisor watches the process itself.
 */
export function processInContainer(spec: ClusterSpec, host: HostSpec, service: string): string | undefined {
  if (spec.mesos.install.kind !== 'image') return undefined;
  return `docker inspect --format '{{.State.Pid}}' ${containerName(spec, host, service)}`;
}

/**
 * The same service in a container. The supervisor watches `docker run` in the foreground, which passes
 * signals on and ends when the container does. A container that outlived its `docker run` (which was killed)
 * is removed when the service ends, and again before the next one starts, in case the whole host went down.
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

/** Not with `--ulimit`: if Docker's own limit is lower, it would refuse to start the container. */
function raised({ exec, openFiles }: ServiceItem): [string, ...string[]] {
  const script = `ulimit -n ${openFiles} 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"`;
  return ['/bin/sh', '-c', script, 'sh', ...exec];
}
