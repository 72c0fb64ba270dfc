/**
 * Maps a task to a Docker container. Pure; the command line is that of the Docker containerizer of Mesos 1.3.
 */
import type { TaskInfo } from '../messages.js';
import { fromApi } from '../resources.js';

export interface ContainerPlace {
  readonly name: string;
  /** Directory of the task on the host. */
  readonly sandbox: string;
  /** `--sandbox_directory`: its path inside the container. */
  readonly mappedDirectory: string;
}

/** The task's request cannot be met; the message goes to the framework. */
export class DockerRunError extends Error {}

/** CPU shares of one core; the kernel's minimum is 2. */
const sharesPerCpu = 1024;
const leastShares = 2;
const leastMemoryBytes = 32 * 1024 * 1024;

/** As in Mesos 0.23 to 1.3: several agents may share one Docker. */
export function containerName(agentId: string, containerId: string): string {
  return `${containerPrefix(agentId)}${containerId}`;
}

/** Prefix of the names of all containers of an agent. */
export function containerPrefix(agentId: string): string {
  return `mesos-${agentId}.`;
}

/**
 * Arguments of `docker` that run the task.
 *
 * @throws DockerRunError
 */
export function dockerRunArguments(task: TaskInfo, place: ContainerPlace): string[] {
  const { container, command } = task;
  const docker = container?.docker;
  if (docker === undefined) throw new DockerRunError('No docker info found in container info');
  const { scalars } = fromApi(task.resources);
  const memoryBytes = Math.max(leastMemoryBytes, (scalars['mem'] ?? 0) * 1024 * 1024);
  const variables = new Map(
    (command?.environment?.variables ?? []).map(({ name, value }) => [name, value ?? '']),
  );
  variables.set('MESOS_SANDBOX', place.mappedDirectory).set('MESOS_CONTAINER_NAME', place.name);
  const network = networkOf(task);
  const shell = command?.shell ?? true;
  return [
    'run',
    ...(docker.privileged === true ? ['--privileged'] : []),
    ...['--cpu-shares', String(Math.max(leastShares, Math.floor((scalars['cpus'] ?? 0) * sharesPerCpu)))],
    ...['--memory', String(Math.floor(memoryBytes))],
    ...[...variables].flatMap(([name, value]) => ['-e', `${name}=${value}`]),
    ...(container?.volumes ?? []).flatMap((volume) => ['-v', volumeOf(volume, place)]),
    ...['-v', `${place.sandbox}:${place.mappedDirectory}`],
    ...['--net', network],
    ...(container?.hostname === undefined ? [] : ['--hostname', hostnameOf(container.hostname, network)]),
    ...docker.parameters.map(({ key, value }) => `--${key}=${value}`),
    ...(shell ? ['--entrypoint', '/bin/sh'] : []),
    ...['--name', place.name],
    docker.image,
    ...(shell
      ? ['-c', command?.value ?? '']
      : [...(command?.value === undefined ? [] : [command.value]), ...(command?.arguments ?? [])]),
  ];
}

type Container = NonNullable<TaskInfo['container']>;

function volumeOf(
  volume: Container['volumes'][number],
  { sandbox, mappedDirectory }: ContainerPlace,
): string {
  const { host_path: from, container_path: to, mode } = volume;
  if (from === undefined) throw new DockerRunError('Host path or volume source is required');
  if (!from.startsWith('/') && !to.startsWith('/')) {
    throw new DockerRunError(`Both host_path '${from}' and container_path '${to}' of a volume are relative`);
  }
  const source = from.startsWith('/') ? from : `${sandbox}/${from}`;
  const target = to.startsWith('/') ? to : `${mappedDirectory}/${to}`;
  return `${source}:${target}:${mode.toLowerCase()}`;
}

function networkOf({ container }: TaskInfo): string {
  const kind = container?.docker?.network ?? 'HOST';
  if (kind !== 'USER') return kind.toLowerCase();
  const [info, ...others] = container?.network_infos ?? [];
  if (info === undefined) throw new DockerRunError('No network info found in container info');
  if (others.length > 0) throw new DockerRunError('Only a single network can be defined in Docker run');
  if (info.name === undefined) throw new DockerRunError('No network name found in network info');
  return info.name;
}

function hostnameOf(hostname: string, network: string): string {
  if (network === 'host') throw new DockerRunError('Unable to set hostname with host network mode');
  return hostname;
}
