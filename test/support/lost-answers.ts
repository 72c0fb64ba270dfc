/** Workers that die during an activity, to test what the next attempt finds. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure } from '@temporalio/common';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { taskQueue } from '../../src/temporal/contract.js';
import type { TestServer } from './temporal.js';

type Activity = (input: never) => Promise<unknown>;

/** A workflow that runs one activity: `callActivity`. */
export const callWorkflows = fileURLToPath(new URL('call-workflows.ts', import.meta.url));

/** Runs an activity from a workflow, with a stage's retries. */
export function callerOf(server: Pick<TestServer, 'client'>) {
  return <T>(name: string, input: object): Promise<T> =>
    server.client.workflow.execute('callActivity', {
      workflowId: `call-${name}-${randomUUID()}`,
      taskQueue,
      args: [name, input],
    }) as Promise<T>;
}

export interface Losing {
  readonly activities: Readonly<Record<string, Activity>>;
  /** Loses that activity's next reply: its effect is there, and the server sees a failure. */
  lose(name: string): void;
  /** Number of runs of that activity since its reply was to be lost. */
  attempts(name: string): number;
}

/** Activities whose replies can be lost, as if the worker had died between the effect and the reply. */
export function losing(activities: object): Losing {
  const lossy = new Set<string>();
  const attempts = new Map<string, number>();
  const wrapped = Object.entries(activities as Record<string, Activity>).map(([name, activity]) => {
    const run = async (input: never): Promise<unknown> => {
      attempts.set(name, (attempts.get(name) ?? 0) + 1);
      const answer = await activity(input);
      if (lossy.delete(name)) throw ApplicationFailure.retryable('the answer was lost', 'LOST');
      return answer;
    };
    return [name, run] as const;
  });
  return {
    activities: Object.fromEntries(wrapped),
    lose: (name) => {
      lossy.add(name);
      attempts.set(name, 0);
    },
    attempts: (name) => attempts.get(name) ?? 0,
  };
}

export interface MortalPool extends SshPool {
  /** Number of commands and uploads started on hosts. */
  readonly begun: number;
  /** Whether the worker has died. */
  readonly dead: boolean;
  /** Resolves when nothing that it started is still running on any host. */
  settled(): Promise<void>;
}

/**
 * A worker's actions on hosts until it dies: the `last`-th command or upload still takes place, but its reply
 * is lost; none is started after it.
 */
export function mortalPool(pool: SshPool, last: number): MortalPool {
  let begun = 0;
  let dead = false;
  const underWay = new Set<Promise<unknown>>();
  const death = () => ApplicationFailure.retryable('the worker died', 'WORKER_DIED');

  const live = async <T>(effect: () => Promise<T>): Promise<T> => {
    if (dead) throw death();
    begun += 1;
    if (begun >= last) dead = true;
    const done = effect();
    underWay.add(done);
    try {
      const answer = await done;
      if (dead) throw death();
      return answer;
    } finally {
      underWay.delete(done);
    }
  };
  const mortal = (connection: HostConnection): HostConnection => ({
    host: connection.host,
    exec: (...args) => live(() => connection.exec(...args)),
    run: (...args) => live(() => connection.run(...args)),
    upload: (...args) => live(() => connection.upload(...args)),
    login: () => connection.login(),
    download: (...args) => live(() => connection.download(...args)),
    dial: (...args) => connection.dial(...args),
    forward: (...args) => connection.forward(...args),
  });
  return {
    get: async (host) => mortal(await pool.get(host)),
    listen: (...args) => pool.listen(...args),
    pinned: (...args) => pool.pinned(...args),
    close: () => pool.close(),
    get begun() {
      return begun;
    },
    get dead() {
      return dead;
    },
    settled: async () => {
      await Promise.allSettled(underWay);
    },
  };
}
