import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';
import {
  anything,
  boolean,
  message,
  number,
  oneOf,
  optional,
  readMessage,
  repeated,
  required,
  string,
  type Kind,
  type Read,
} from '../proto.js';

/**
 * The files through which an agent and an executor communicate. Neither depends on the other being alive: the
 * executor outlives its agent, and the next agent reads what it wrote.
 *
 *     launch.json      agent → executor, before it starts: what to run
 *     executor.json    executor → agent: its process, once it handles signals
 *     task.json        executor → agent: the task's process
 *     kill.json        agent → executor, followed by SIGUSR2: end the task
 *     statuses/N.json  executor → agent: the task's states, in order
 */
export function containerFiles(run: string) {
  return {
    launch: path.join(run, 'launch.json'),
    executor: path.join(run, 'executor.json'),
    task: path.join(run, 'task.json'),
    kill: path.join(run, 'kill.json'),
    statuses: path.join(run, 'statuses'),
    /** Written by the agent: all updates and acknowledgements. */
    updates: path.join(run, 'updates.log'),
    /** Written by the agent: the framework is gone, and no updates are sent. */
    abandoned: path.join(run, 'abandoned'),
  };
}

export const launchKind = message({
  container_id: required(string),
  framework_id: required(string),
  task_id: required(string),
  agent_id: required(string),
  sandbox: required(string),
  shell: required(boolean),
  value: optional(string),
  arguments: repeated(string),
  environment: required(anything),
  /** Absent for a command task. */
  docker: optional(
    message({
      program: required(string),
      socket: required(string),
      /** Container name. */
      name: required(string),
      /** Arguments of `docker run`. */
      arguments: repeated(string),
    }),
  ),
  grace_ms: required(number),
  /** The framework accepts TASK_KILLING. */
  tell_killing: required(boolean),
  /** The task as received from the framework. */
  task: required(anything),
});
export type Launch = Read<typeof launchKind>;

export const processKind = message({ pid: required(number), start: required(number) });

export const killKind = message({ grace_ms: required(number) });

export const executorStatusKind = message({
  uuid: required(string),
  state: required(oneOf('TASK_RUNNING', 'TASK_KILLING', 'TASK_FINISHED', 'TASK_FAILED', 'TASK_KILLED')),
  message: optional(string),
  /** IP address of a container that has its own. */
  address: optional(string),
  timestamp: required(number),
});
export type ExecutorStatus = Read<typeof executorStatusKind>;

/** Writes a file atomically. */
export function writeAtomically(file: string, value: unknown): void {
  const temporary = `${file}.${process.pid}.tmp`;
  const descriptor = openSync(temporary, 'w');
  try {
    writeSync(descriptor, JSON.stringify(value));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, file);
}

/** Undefined when the file does not exist. */
export function readIfThere<T>(file: string, kind: Kind<T>): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return readMessage(kind, JSON.parse(text));
}

/** All statuses written by the executor, in order. */
export function readStatuses(run: string): ExecutorStatus[] {
  const { statuses } = containerFiles(run);
  return readdirSync(statuses)
    .filter((name) => /^[0-9]+\.json$/.test(name))
    .sort((left, right) => parseInt(left, 10) - parseInt(right, 10))
    .flatMap((name) => readIfThere(path.join(statuses, name), executorStatusKind) ?? []);
}
