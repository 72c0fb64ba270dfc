/** A worker in its own process, which a test can kill: the framework's activities on the real cluster. */
import { existsSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, DefaultLogger, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { known } from '../../src/hosts/observation.js';
import { createFrameworkActivities } from '../../src/activities/framework.js';
import { createSshPool } from '../../src/ssh/pool.js';
import { directReach, type Reach } from '../../src/ssh/reach.js';
import { taskQueue } from '../../src/temporal/contract.js';
import { activityInterceptors } from '../../src/worker/interceptors.js';
import { takeoverOptions } from '../../src/worker/takeover.js';

export interface WorkerSettings {
  readonly address: string;
  /** File with the bundle of the workflows. */
  readonly codePath: string;
  /** Directory for the traces of tasks. */
  readonly dir: string;
  /** Ports on 127.0.0.1 that lead to a master's `host:port`; without one the connection is direct. */
  readonly relays?: Readonly<Record<string, number>>;
}

async function main(settings: WorkerSettings): Promise<void> {
  const { address, codePath, dir, relays = {} } = settings;
  const reach: Reach = {
    ...directReach,
    via: async (_hostName, host, port) => {
      const relay = relays[`${host}:${port}`];
      return relay === undefined ? { host, port } : { host: '127.0.0.1', port: relay };
    },
  };
  const logger = pino({ level: process.env['PERIJOVE_TEST_LOG'] ?? 'silent' });
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: ['SIGTERM'] });
  const client = new Client({ connection: await Connection.connect({ address }) });
  const pool = createSshPool({ logger, knownHostsDir: dir });
  const worker = await Worker.create({
    connection: await NativeConnection.connect({ address }),
    taskQueue,
    workflowBundle: { codePath },
    activities: createFrameworkActivities(
      { client, pool, logger, artifacts: { programsDir: dir, nodeBinary: process.execPath } },
      {
        reach: () => reach,
        secrets: async () => ({ nodeApiToken: 'none' }),
        plan: async () => undefined,
        remember: async () => undefined,
        markFormed: async () => undefined,
        // Records its start, and records a second process of the same node.
        command: (spec, index) => {
          const file = (name: string) => `${dir}/${spec.name}-${name}`;
          return {
            value: `echo $MESOS_TASK_ID >> ${file('launches')}; flock -n -E 99 ${file(`node${index}`)} sleep 1000; [ $? = 99 ] && echo $MESOS_TASK_ID >> ${file('conflicts')}; exit 1`,
            environment: { CASE: spec.name },
          };
        },
        digest: (spec) => spec.etcd.token,
        healthy: async (spec, node) => known(!existsSync(`${dir}/${spec.name}-${node}-is-down`)),
        vacate: async () => ({ kind: 'done' }),
        retire: async () => ({ kind: 'done' }),
        fence: async () => ({ kind: 'silent', why: 'there is no SSH here' }),
      },
    ),
    ...takeoverOptions,
    shutdownGraceTime: 0,
    interceptors: { activity: [activityInterceptors] },
  });
  await worker.run();
  await pool.close();
}

await main(JSON.parse(process.env['PERIJOVE_TEST_WORKER'] ?? '') as WorkerSettings);
process.exit(0);
