import { isTerminal, masterStatus, type FrameworkInfo } from '../messages.js';
import type { Framework, SchedulerStream, Task } from './cluster.js';
import type { MasterContext } from './context.js';
import type { Offers } from './offers.js';
import type { Tasks } from './tasks.js';

const heartbeatSeconds = 15;
/** Longest timer delay in Node.js. */
const longestTimerMs = 2 ** 31 - 1;

/** Subscribes frameworks, waits for disconnected ones, and removes those that do not return in time. */
export class Frameworks {
  readonly #context: MasterContext;
  readonly #offers: Offers;
  readonly #tasks: Tasks;
  #next = 0;

  constructor(context: MasterContext, offers: Offers, tasks: Tasks) {
    this.#context = context;
    this.#offers = offers;
    this.#tasks = tasks;
  }

  /** Subscribes a framework on this stream. With an ID it fails over: its former stream is closed. */
  subscribe(info: FrameworkInfo, stream: SchedulerStream): void {
    const { cluster, counters, log } = this.#context;
    const givenId = info.id?.value;
    if (givenId !== undefined && cluster.isCompleted(givenId)) {
      stream.send({ type: 'ERROR', error: { message: 'Framework has been removed' } });
      stream.close();
      return;
    }
    const id = givenId ?? `${this.#context.info.id}-${String(this.#next++).padStart(4, '0')}`;
    counters.count(givenId === undefined ? 'messages_register_framework' : 'messages_reregister_framework');
    const known = cluster.frameworks.get(id);
    const framework = known ?? this.#add(id, info);
    log.info(`Subscribing framework '${info.name}' (${id})`);
    if (known) this.#failOver(known);
    clearTimeout(framework.failover);
    clearInterval(framework.heartbeat);
    framework.info = withPrincipalOf(framework.info, { ...info, id: { value: id } });
    framework.recovered = false;
    framework.suppressed = false;
    framework.filters = [];
    framework.stream = stream;
    this.#greet(framework, stream);
    for (const agent of cluster.agents.values()) {
      agent.link?.send({ type: 'FRAMEWORK', framework: { info: framework.info } });
    }
    this.#offers.allocateSoon();
  }

  /** A framework's stream ended. It has its `failover_timeout` to resubscribe. */
  disconnected(stream: SchedulerStream): void {
    const { cluster, log } = this.#context;
    const framework = [...cluster.frameworks.values()].find((candidate) => candidate.stream === stream);
    if (!framework) return;
    log.info(`Disconnecting framework ${framework.id} (${framework.info.name})`);
    framework.stream = undefined;
    framework.filters = [];
    clearInterval(framework.heartbeat);
    this.#offers.removeAllTo(framework);
    this.#startFailoverTimer(framework);
  }

  /** Adds a framework of an earlier leader, which has its `failover_timeout` to resubscribe. */
  recover(id: string, info: FrameworkInfo): void {
    const framework = this.#add(id, info);
    framework.recovered = true;
    this.#startFailoverTimer(framework);
  }

  remove(framework: Framework): void {
    const { cluster, settings } = this.#context;
    clearTimeout(framework.failover);
    clearInterval(framework.heartbeat);
    framework.stream?.close();
    framework.stream = undefined;
    framework.unregisteredAt = Date.now();
    this.#offers.removeAllTo(framework);
    for (const agent of cluster.agents.values()) this.shutDownOn(agent.id, framework.id);
    for (const task of [...framework.tasks.values()]) {
      if (!isTerminal(task.state)) endWithFramework(task);
      this.#tasks.complete(task);
    }
    cluster.frameworks.delete(framework.id);
    cluster.completedFrameworks.push(framework);
    if (cluster.completedFrameworks.length > settings.maxCompletedFrameworks) {
      cluster.completedFrameworks.shift();
    }
    this.#offers.allocateSoon();
  }

  /** Makes an agent end all tasks of a framework. */
  shutDownOn(agentId: string, frameworkId: string): void {
    this.#context.cluster.agents
      .get(agentId)
      ?.link?.send({ type: 'SHUTDOWN_FRAMEWORK', shutdown_framework: { framework_id: frameworkId } });
  }

  #failOver(framework: Framework): void {
    this.#offers.removeAllTo(framework);
    framework.stream?.send({ type: 'ERROR', error: { message: 'Framework failed over' } });
    framework.stream?.close();
    framework.reregisteredAt = Date.now();
  }

  #greet(framework: Framework, stream: SchedulerStream): void {
    stream.send({
      type: 'SUBSCRIBED',
      subscribed: {
        framework_id: { value: framework.id },
        heartbeat_interval_seconds: heartbeatSeconds,
        master_info: this.#context.info,
      },
    });
    const beat = () => stream.send({ type: 'HEARTBEAT' });
    beat();
    framework.heartbeat = setInterval(beat, heartbeatSeconds * 1000);
  }

  #add(id: string, info: FrameworkInfo): Framework {
    const now = Date.now();
    const framework: Framework = {
      id,
      info: { ...info, id: { value: id } },
      stream: undefined,
      recovered: false,
      suppressed: false,
      registeredAt: now,
      reregisteredAt: now,
      filters: [],
      heartbeat: undefined,
      failover: undefined,
      tasks: new Map(),
      unreachableTasks: new Map(),
      completedTasks: [],
    };
    this.#context.cluster.frameworks.set(id, framework);
    return framework;
  }

  #startFailoverTimer(framework: Framework): void {
    const seconds = framework.info.failover_timeout ?? 0;
    this.#context.log.info(`Giving framework ${framework.id} ${seconds}secs to failover`);
    this.#awaitFailover(framework, Date.now() + seconds * 1000);
  }

  #awaitFailover(framework: Framework, deadline: number): void {
    clearTimeout(framework.failover);
    framework.failover = setTimeout(
      () => {
        if (Date.now() < deadline) {
          this.#awaitFailover(framework, deadline);
          return;
        }
        this.#context.log.info(`Framework failover timeout, removing framework ${framework.id}`);
        this.remove(framework);
      },
      Math.min(deadline - Date.now(), longestTimerMs),
    );
  }
}

function endWithFramework(task: Task): void {
  task.statuses.push(
    masterStatus(
      'TASK_KILLED',
      task.info.task_id.value,
      'REASON_FRAMEWORK_REMOVED',
      `Framework ${task.frameworkId} removed`,
      { agentId: task.agentId },
    ),
  );
  task.state = 'TASK_KILLED';
}

/** Mesos keeps the principal that it was told first, whatever the framework says when it subscribes again. */
function withPrincipalOf({ principal }: FrameworkInfo, info: FrameworkInfo): FrameworkInfo {
  const { principal: _, ...rest } = info;
  return principal === undefined ? rest : { ...rest, principal };
}
