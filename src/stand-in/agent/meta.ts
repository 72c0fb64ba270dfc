import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import { readIfThere, writeAtomically } from './container.js';
import { frameworkInfoKind, type FrameworkInfo } from '../messages.js';
import { message, required, string } from '../proto.js';

const agentFileKind = message({ id: required(string), boot_id: required(string) });

/** Number of sandboxes of ended tasks kept for inspection. */
const keptSandboxes = 50;

/**
 * The directories of an agent below its `work_dir`, laid out as in Mesos: `meta/slaves/<id>` for recovery
 * after a restart, `slaves/<id>` for the sandboxes of tasks.
 */
export class AgentMeta {
  constructor(readonly workDir: string) {
    mkdirSync(path.join(workDir, 'meta', 'slaves'), { recursive: true });
  }

  /** The ID assigned by a master, and whether the machine is still in the same boot. */
  recoverId(): { readonly id: string; readonly sameBoot: boolean } | undefined {
    let id: string;
    try {
      id = path.basename(readlinkSync(this.#latest));
    } catch (error) {
      // Otherwise fail: with a new ID its tasks would belong to another agent.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const file = readIfThere(path.join(this.#agentDir(id), 'slave.info'), agentFileKind);
    return file && { id, sameBoot: file.boot_id === bootId() };
  }

  storeId(id: string): void {
    mkdirSync(this.#agentDir(id), { recursive: true });
    writeAtomically(path.join(this.#agentDir(id), 'slave.info'), { id, boot_id: bootId() });
    const temporary = `${this.#latest}.tmp`;
    rmSync(temporary, { force: true });
    symlinkSync(id, temporary);
    renameSync(temporary, this.#latest);
  }

  storeFramework(agentId: string, frameworkId: string, info: FrameworkInfo): void {
    const directory = this.#frameworkDir(agentId, frameworkId);
    mkdirSync(directory, { recursive: true });
    writeAtomically(path.join(directory, 'framework.info'), info);
  }

  frameworks(agentId: string): Map<string, FrameworkInfo> {
    const root = path.join(this.#agentDir(agentId), 'frameworks');
    return new Map(
      namesIn(root).flatMap((id) => {
        const info = readIfThere(path.join(root, id, 'framework.info'), frameworkInfoKind);
        return info ? [[id, info] as const] : [];
      }),
    );
  }

  removeFramework(agentId: string, frameworkId: string): void {
    rmSync(this.#frameworkDir(agentId, frameworkId), { recursive: true, force: true });
  }

  removeTask(agentId: string, frameworkId: string, taskId: string): void {
    rmSync(path.join(this.#frameworkDir(agentId, frameworkId), 'executors', taskId), {
      recursive: true,
      force: true,
    });
  }

  /** Directory of one run of a task; creates its parent. */
  runDir(agentId: string, frameworkId: string, taskId: string, containerId: string): string {
    const runs = path.join(this.#frameworkDir(agentId, frameworkId), 'executors', taskId, 'runs');
    mkdirSync(runs, { recursive: true });
    return path.join(runs, containerId);
  }

  /** All unfinished runs; removes incomplete ones. */
  runs(agentId: string): string[] {
    const root = path.join(this.#agentDir(agentId), 'frameworks');
    return namesIn(root).flatMap((framework) => {
      const executors = path.join(root, framework, 'executors');
      return namesIn(executors).flatMap((task) => {
        const runs = path.join(executors, task, 'runs');
        return namesIn(runs).flatMap((name) => {
          const run = path.join(runs, name);
          if (!name.endsWith('.tmp')) return [run];
          rmSync(run, { recursive: true, force: true });
          return [];
        });
      });
    });
  }

  sandbox(agentId: string, frameworkId: string, taskId: string, containerId: string): string {
    return path.join(this.#sandboxes(agentId), frameworkId, 'executors', taskId, 'runs', containerId);
  }

  /** Removes the oldest sandboxes, except those in `inUse`. */
  pruneSandboxes(agentId: string, inUse: ReadonlySet<string>): void {
    const root = this.#sandboxes(agentId);
    const old = namesIn(root)
      .flatMap((framework) => {
        const executors = path.join(root, framework, 'executors');
        return namesIn(executors).map((task) => path.join(executors, task));
      })
      .flatMap((task) => namesIn(path.join(task, 'runs')).map((name) => path.join(task, 'runs', name)))
      .filter((sandbox) => !inUse.has(sandbox))
      .map((sandbox) => ({ sandbox, at: statSync(sandbox, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
      .sort((left, right) => right.at - left.at);
    for (const { sandbox } of old.slice(keptSandboxes)) {
      rmSync(path.dirname(path.dirname(sandbox)), { recursive: true, force: true });
    }
  }

  get #latest(): string {
    return path.join(this.workDir, 'meta', 'slaves', 'latest');
  }

  #agentDir(id: string): string {
    return path.join(this.workDir, 'meta', 'slaves', id);
  }

  #frameworkDir(agentId: string, frameworkId: string): string {
    return path.join(this.#agentDir(agentId), 'frameworks', frameworkId);
  }

  #sandboxes(agentId: string): string {
    return path.join(this.workDir, 'slaves', agentId, 'frameworks');
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
