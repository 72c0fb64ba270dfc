import path from 'node:path';
import { Runtime, TransportError, Worker, type NativeConnection } from '@temporalio/worker';
import type { Client } from '@temporalio/client';
import { pino, type Logger } from 'pino';
import { createActivities } from '../activities/index.js';
import type { Receiver } from '../activities/receivers.js';
import type { LabFaults } from '../drill/lab.js';
import { PerijoveError } from '../errors/error.js';
import { scope } from '../net/scope.js';
import type { Artifacts } from '../hosts/artifacts.js';
import { createSshPool } from '../ssh/pool.js';
import { workerIdentity } from '../temporal/client-identity.js';
import { clientOf, ensureSearchAttributes, type TemporalSettings } from '../temporal/connect.js';
import { searchAttributes, taskQueue } from '../temporal/contract.js';
import { untilAnswered } from '../temporal/answers.js';
import { deploymentName, serverVersions } from '../temporal/versions.js';
import { adopt } from './adoption.js';
import { connectPatiently } from './connection.js';
import { watchFaults, type Faults } from './faults.js';
import { activityInterceptors } from './interceptors.js';
import { temporalLogger } from './log.js';
import { watchNotices } from './notices.js';
import { buildId, bundleFile } from './release.js';
import { takeoverOptions } from './takeover.js';

export interface RunWorkerOptions extends TemporalSettings {
  /** Pinned keys of hosts without a known_hosts file; shared by all that connect to those hosts. */
  readonly knownHostsDir: string;
  /** `address:port` to serve Prometheus metrics at, as `/metrics`. */
  readonly metrics?: string;
  /** Whom to notify of incidents and failed deployments. */
  readonly receivers?: readonly Receiver[];
  /** `info` by default. */
  readonly logLevel?: string;
  /** The built package: workflow bundle and programs. This module's own `dist` by default. */
  readonly dist?: string;
  /** Do not tell the server the build of this worker, even if it supports that. */
  readonly unversioned?: boolean;
  /** The faults that can be injected into the lab that this worker runs in. */
  readonly lab?: LabFaults;
  /** Ends the worker. The caller handles the process's signals: one may come before there is a worker. */
  readonly signal: AbortSignal;
}

/** Enough to observe all hosts at once. */
const activitiesAtOnce = 120;
/**
 * One thread carries them out in turn, and the time-out of each runs from when the worker took it: with more, the last
 * ones would be late on a slow machine.
 */
const workflowTasksAtOnce = 4;
/** Deploy, framework and keeper of some clusters, and the children of a deploy. */
const cachedWorkflows = 40;

/** After a fault, a worker that has not shut down within this has done what it could. */
const faultGraceMs = 15_000;

/**
 * Runs a worker until the signal aborts, or until an exception that nobody caught; then it hands its activities over
 * and resolves with why it ended. After a fault that takes 15 s at most, and the process must end. While the Temporal
 * server cannot be reached it waits for it. Logs JSON lines to stdout.
 *
 * @throws PerijoveError TEMPORAL_REFUSED, TEMPORAL_PROFILE_INVALID, NOT_BUILT
 */
export async function runWorker(options: RunWorkerOptions): Promise<'stopped' | 'fault'> {
  const logger = pino({ name: 'perijove-worker', level: options.logLevel ?? 'info' });
  const faults = watchFaults(logger);
  const ending = scope(options.signal);
  faults.signal.addEventListener('abort', () => ending.abort(faults.signal.reason), { once: true });
  try {
    await Promise.race([serve({ ...options, signal: ending.signal }, logger), graceAfter(faults)]);
    return faults.signal.aborted ? 'fault' : 'stopped';
  } catch (error) {
    if (error instanceof PerijoveError && !faults.signal.aborted) throw error;
    logger.fatal({ err: error }, 'unexpected error: the worker exits');
    return 'fault';
  } finally {
    ending.end();
    if (!faults.signal.aborted) faults.end();
  }
}

function graceAfter({ signal }: Faults): Promise<void> {
  return new Promise((resolve) => {
    const wait = () => setTimeout(resolve, faultGraceMs).unref();
    signal.addEventListener('abort', wait, { once: true });
  });
}

async function serve(options: RunWorkerOptions, logger: Logger): Promise<void> {
  const dist = options.dist ?? path.dirname(import.meta.dirname);
  const artifacts: Artifacts = { programsDir: path.join(dist, 'programs'), nodeBinary: process.execPath };
  const bundle = bundleFile(dist);
  const build = buildId(dist);
  if (build === undefined) {
    throw new PerijoveError('NOT_BUILT', `${bundle} does not exist`, { file: bundle });
  }
  installRuntime(logger, options.metrics);

  const ending = options.signal;
  ending.addEventListener('abort', () => logger.info('the worker is shutting down'), { once: true });
  const pool = createSshPool({ logger, knownHostsDir: options.knownHostsDir });
  try {
    while (!ending.aborted) {
      const { connection, address, namespace } = await connectPatiently(options, logger, ending);
      try {
        const client = clientOf(connection, namespace, {
          keys: options.payloadKeys,
          identity: workerIdentity(),
        });
        await registerAttributes({ client, connection, namespace }, logger, ending);
        const activities = createActivities({
          client,
          pool,
          logger,
          artifacts,
          ...(options.lab && { lab: options.lab }),
          ...(options.receivers && { receivers: options.receivers }),
        });
        const version =
          options.unversioned === true ? undefined : await versionFor(client, build, logger, ending);
        const noticing = scope(ending);
        if (options.receivers) {
          void watchNotices({ client, receivers: options.receivers, logger, signal: noticing.signal });
        }
        await work({
          ...{ client, connection, namespace, bundle, version, activities, logger, ending, address },
        }).finally(() => noticing.abort());
      } catch (error) {
        if (ending.aborted || !(error instanceof TransportError)) throw error;
        logger.warn({ err: error, address }, 'lost the connection to the Temporal server; reconnecting');
      } finally {
        await connection.close();
      }
    }
  } catch (error) {
    if (!ending.aborted || error !== ending.reason) throw error;
  } finally {
    await pool.close();
    logger.info('the worker has shut down');
  }
}

/** Workflows set them, also those that another client than the command line starts on a new server. */
async function registerAttributes(
  { client, connection, namespace }: Pick<Work, 'client' | 'connection' | 'namespace'>,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const permitted = await untilAnswered(client, () => ensureSearchAttributes(connection, namespace), {
    receiver: 'the Temporal server',
    signal,
  });
  if (!permitted) {
    logger.warn(
      { names: Object.values(searchAttributes) },
      'cannot tell whether the search attributes exist',
    );
  }
}

/** The build that this worker reports; undefined where the server is too old for that. */
async function versionFor(
  client: Client,
  build: string,
  logger: Logger,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { supported, server } = await untilAnswered(client, () => serverVersions(client), {
    receiver: 'the Temporal server',
    signal,
  });
  if (supported) return build;
  logger.warn({ server, build }, 'the Temporal server is older than 1.28: workers run without versions');
  return undefined;
}

interface Work {
  readonly client: Client;
  /** The build that the worker reports. */
  readonly version: string | undefined;
  readonly connection: NativeConnection;
  readonly address: string;
  readonly namespace: string;
  readonly bundle: string;
  readonly activities: object;
  readonly logger: Logger;
  readonly ending: AbortSignal;
}

async function work({
  client,
  version,
  connection,
  address,
  namespace,
  bundle,
  activities,
  logger,
  ending,
}: Work): Promise<void> {
  const identity = workerIdentity();
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    identity,
    workflowBundle: { codePath: bundle },
    activities,
    interceptors: { activity: [activityInterceptors] },
    dataConverter: { payloadCodecs: client.options.loadedDataConverter.payloadCodecs },
    ...takeoverOptions,
    ...(version !== undefined && {
      workerDeploymentOptions: {
        version: { deploymentName, buildId: version },
        useWorkerVersioning: true,
        // Of workflows that do not say otherwise: what begins with one release and goes on with the next.
        defaultVersioningBehavior: 'AUTO_UPGRADE',
      },
    }),
    maxCachedWorkflows: cachedWorkflows,
    workflowThreadPoolSize: 1,
    maxConcurrentWorkflowTaskExecutions: workflowTasksAtOnce,
    maxConcurrentActivityTaskExecutions: activitiesAtOnce,
    // Activities are notified at once: another worker continues with them.
    shutdownGraceTime: 0,
    shutdownForceTime: '10s',
  });
  const adopting = scope(ending);
  const shutdown = () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  ending.addEventListener('abort', shutdown, { once: true });
  try {
    logger.info({ address, namespace, taskQueue, identity, build: version }, 'the worker is ready');
    const run = worker.run();
    if (ending.aborted) shutdown();
    if (version !== undefined) {
      void adopt({ client, build: version, identity, logger, signal: adopting.signal });
    }
    await run;
  } finally {
    adopting.abort();
    ending.removeEventListener('abort', shutdown);
  }
}

function installRuntime(logger: Logger, metrics: string | undefined): void {
  Runtime.install({
    logger: temporalLogger(logger),
    shutdownSignals: [],
    telemetryOptions: {
      logging: { forward: {}, filter: { core: 'WARN', other: 'ERROR' } },
      ...(metrics === undefined ? {} : { metrics: { prometheus: { bindAddress: metrics } } }),
    },
  });
}
