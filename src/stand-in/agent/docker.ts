import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { known, notKnown, type Observation } from '../../hosts/observation.js';
import { killTree } from './process-tree.js';

/** A task's container, and its Docker: the agent's flags `--docker` and `--docker_socket`. */
export interface ContainerOfTask {
  readonly program: string;
  readonly socket: string;
  readonly name: string;
}

type DockerCli = Pick<ContainerOfTask, 'program' | 'socket'>;

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A Docker that does not respond within this time counts as absent. */
const questionMs = 30_000;
const pauseMs = 200;
/** Removal through Docker is retried for this long; after that it is enough that no process is alive. */
const patienceMs = 5_000;

export function dockerArguments({ socket }: DockerCli, args: readonly string[]): string[] {
  return ['-H', `unix://${socket}`, ...args];
}

async function docker(cli: DockerCli, args: readonly string[], timeoutMs = questionMs): Promise<Answer> {
  return await new Promise((resolve) => {
    execFile(
      cli.program,
      dockerArguments(cli, args),
      { timeout: timeoutMs, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr: stderr.trim() || (error?.message ?? '') });
      },
    );
  });
}

/** IP address of a started container (empty on the host network and after its end); undefined before. */
export async function startedAt(container: ContainerOfTask): Promise<string | undefined> {
  const format = '{{.State.StartedAt}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  const { code, stdout } = await docker(container, ['inspect', `--format=${format}`, container.name]);
  const [started = '', address = ''] = stdout.trim().split(/\s+/);
  return code === 0 && !started.startsWith('0001-') ? address : undefined;
}

/** Whether a container runs, and its exit status; undefined if Docker does not know it. */
export async function endOf(
  container: ContainerOfTask,
): Promise<Observation<{ readonly running: boolean; readonly code: number } | undefined>> {
  const format = '{{.State.Running}} {{.State.ExitCode}}';
  const { code, stdout, stderr } = await docker(container, ['inspect', `--format=${format}`, container.name]);
  if (code !== 0) {
    return /no such (object|container)/i.test(stderr) ? known(undefined) : notKnown(stderr.slice(0, 200));
  }
  const [, running, exitCode] = /^(true|false) (\d+)\n$/.exec(stdout) ?? [];
  if (running === undefined) return notKnown('what Docker says of it is cut short');
  return known({ running: running === 'true', code: Number(exitCode) });
}

/** SIGTERM, then SIGKILL after the grace period (whole seconds in Docker). Also resolves on failure. */
export async function stopContainer(container: ContainerOfTask, graceMs: number): Promise<void> {
  const seconds = Math.ceil(graceMs / 1_000);
  await docker(container, ['stop', '-t', String(seconds), container.name], graceMs + questionMs);
}

/**
 * Resolves when nothing of the container is left: Docker has removed it, or does not respond, and none of its
 * processes is alive.
 */
export async function removeContainer(container: ContainerOfTask): Promise<void> {
  const { name } = container;
  const end = performance.now() + patienceMs;
  for (;;) {
    const { code, stderr } = await docker(container, ['rm', '--force', '--volumes', name]);
    if (code === 0 || /no such container/i.test(stderr)) return;
    await killTree({ mark: `MESOS_CONTAINER_NAME=${name}` }, 0);
    if (performance.now() > end) return;
    await delay(pauseMs);
  }
}

/** Names of all containers with this prefix, running or not; undefined when Docker does not respond. */
export async function containersNamed(cli: DockerCli, prefix: string): Promise<string[] | undefined> {
  const { code, stdout } = await docker(cli, [
    'ps',
    '--all',
    '--format={{.Names}}',
    `--filter=name=${prefix}`,
  ]);
  if (code !== 0) return undefined;
  return stdout.split('\n').filter((name) => name.startsWith(prefix));
}
