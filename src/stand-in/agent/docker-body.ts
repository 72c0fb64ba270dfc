import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Launch } from './container.js';
import { dockerArguments, endOf, removeContainer, startedAt, stopContainer } from './docker.js';
import type { TaskBody, TaskWatcher } from './task-body.js';

type DockerLaunch = NonNullable<Launch['docker']>;

/** Poll interval of Mesos' Docker executor. */
const pollMs = 250;

/** A container under a foreground `docker run`, which receives its output and exits with its status. */
export class DockerBody implements TaskBody {
  readonly noun = 'Container';
  /** As in Mesos' Docker executor. */
  readonly finishesWhenKilled = true;
  #ended = false;
  #removed = false;
  #status: number | undefined;

  constructor(
    readonly launch: Launch,
    readonly docker: DockerLaunch,
  ) {}

  start(watcher: TaskWatcher): void {
    const { docker } = this;
    const client = spawn(docker.program, dockerArguments(docker, docker.arguments), {
      cwd: this.launch.sandbox,
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    let ran = false;
    const running = (address: string | undefined) => {
      if (ran || address === undefined) return;
      ran = true;
      watcher.running(address === '' ? {} : { address });
    };
    client.on('error', (error) => {
      if (client.pid !== undefined) return;
      this.#ended = true;
      watcher.failed(`Failed to run docker container: ${error.message}`);
    });
    client.on('exit', (code, signal) => {
      if (ran) {
        void this.#whenEnded().then((own) => {
          this.#ended = true;
          if (own === undefined) watcher.exited(code, signal);
          else watcher.exited(own, null);
        });
        return;
      }
      this.#ended = true;
      // It may have ended between two polls.
      void startedAt(this.docker).then((address) => {
        running(address);
        watcher.exited(code, signal, ran ? undefined : this.#complaint());
      });
    });
    void this.#whenStarted().then(running);
  }

  async end(graceMs: number): Promise<void> {
    if (graceMs > 0 && !this.#ended) {
      await stopContainer(this.docker, graceMs);
      // Read the status now: the next poll may come after the removal.
      const end = await endOf(this.docker);
      if (end.known && end.value?.running === false) this.#status = end.value.code;
    }
    await removeContainer(this.docker);
    this.#removed = true;
  }

  /**
   * The client of a started container has ended: with the container, or alone (it was killed, or Docker
   * restarted and kept its containers). Resolves when the container has ended, to its exit status if known.
   */
  async #whenEnded(): Promise<number | undefined> {
    while (!this.#removed) {
      const end = await endOf(this.docker);
      if (end.known && end.value?.running !== true) return end.value?.code ?? this.#status;
      await delay(pollMs);
    }
    return this.#status;
  }

  /** Undefined when the client ended before the container was seen running. */
  async #whenStarted(): Promise<string | undefined> {
    while (!this.#ended) {
      const address = await startedAt(this.docker);
      if (address !== undefined && !this.#ended) return address;
      await delay(pollMs);
    }
    return undefined;
  }

  /** Docker's last message when the container failed to start. */
  #complaint(): string | undefined {
    const lines = readFileSync(path.join(this.launch.sandbox, 'stderr'), 'utf8').trim().split('\n');
    return lines.findLast((line) => line.startsWith('docker: '))?.slice(0, 500);
  }
}
