/**
 * Which builds of Perijove's workers there are, and which one is current, by Temporal's Worker Deployment Versioning
 * (docs.temporal.io/worker-versioning). The workers of all releases are one deployment; each build is a version of it.
 */
import { isGrpcServiceError, type Client, type WorkflowExecutionDescription } from '@temporalio/client';
import proto from '@temporalio/proto';
import { taskQueue } from './contract.js';
import { isPolling, pollersOf, type Poller } from './workers.js';

/** Workers of a namespace and a task queue. */
export const deploymentName = taskQueue;

/** The first server with it switched on. */
const oldestServer = [1, 28] as const;

// grpc.github.io/grpc/core/md_doc_statuscodes.html
const notFound = 5;
const { VERSIONING_BEHAVIOR_PINNED: pinned } = proto.temporal.api.enums.v1.VersioningBehavior;

/** A build ID; null for all workers without one: of releases before versions, or where the server is older. */
export type Build = string | null;

export interface BuildObservation {
  readonly build: Build;
  /** Those that asked for work in the last minute. */
  readonly workers: readonly Poller[];
}

export interface Versions {
  /** The build that gets all new workflows, and whose workers continue those that are pinned to none. */
  readonly current: Build;
  /** Somebody has decided which one is current. */
  readonly isDecided: boolean;
  readonly builds: readonly BuildObservation[];
  /** Of the deployment as it was observed; undefined before any worker with a build. */
  readonly token?: Uint8Array;
}

export interface ServerVersions {
  readonly supported: boolean;
  /** `1.32.0`. */
  readonly server: string;
}

/** Whether the server can tell builds of workers apart. */
export async function serverVersions(client: Client): Promise<ServerVersions> {
  const { serverVersion } = await client.workflowService.getSystemInfo({});
  return { supported: isVersioning(serverVersion ?? ''), server: serverVersion ?? 'unknown' };
}

/** Of a server version such as `1.32.0` or `1.28.0-rc.1`. */
export function isVersioning(server: string): boolean {
  const [major = 0, minor = 0] = server.split('.').map((part) => Number.parseInt(part, 10));
  return major > oldestServer[0] || (major === oldestServer[0] && minor >= oldestServer[1]);
}

/** To be asked only of a server that supports versions. */
export async function observeVersions(client: Client): Promise<Versions> {
  const [deployment, pollers] = await Promise.all([describeDeployment(client), pollersOf(client)]);
  const { routingConfig, versionSummaries = [] } = deployment?.info ?? {};
  const polling = pollers.filter((poller) => isPolling(poller));
  const known: Build[] = (versionSummaries ?? []).flatMap(
    ({ deploymentVersion }) => deploymentVersion?.buildId ?? [],
  );
  const builds = new Set<Build>([...known, ...polling.map(({ build }) => build)]);
  return {
    current: routingConfig?.currentDeploymentVersion?.buildId || null,
    isDecided: Number(routingConfig?.currentVersionChangedTime?.seconds ?? 0) > 0,
    builds: [...builds].map((build) => ({
      build,
      workers: polling.filter((poller) => poller.build === build),
    })),
    ...(deployment?.token && { token: deployment.token }),
  };
}

async function describeDeployment(client: Client) {
  try {
    const { workerDeploymentInfo, conflictToken } = await client.workflowService.describeWorkerDeployment({
      namespace: client.options.namespace,
      deploymentName,
    });
    return { info: workerDeploymentInfo ?? undefined, token: conflictToken };
  } catch (error) {
    // The server learns of it from the first worker.
    if (isGrpcServiceError(error) && Number(error.code) === notFound) return undefined;
    throw error;
  }
}

/** The workers of a build that ask for work. */
export function workersOf(versions: Versions, build: Build): readonly Poller[] {
  return versions.builds.find((each) => each.build === build)?.workers ?? [];
}

/**
 * Makes a build current. Refused by the server when the deployment has changed since it was observed.
 *
 * @param identity who does it, for operators
 */
export async function makeCurrent(
  client: Client,
  build: Build,
  identity: string,
  versions: Versions,
): Promise<void> {
  await client.workflowService.setWorkerDeploymentCurrentVersion({
    namespace: client.options.namespace,
    deploymentName,
    buildId: build ?? '',
    identity,
    // That it polls has been observed, and all workers have one task queue.
    ignoreMissingTaskQueues: true,
    ...(versions.token && { conflictToken: versions.token }),
  });
}

/** The build that a workflow is pinned to; undefined when it follows the current one. */
export function pinnedTo({ raw }: Pick<WorkflowExecutionDescription, 'raw'>): string | undefined {
  const info = raw.workflowExecutionInfo?.versioningInfo;
  if (!info || info.versioningOverride?.autoUpgrade === true) return undefined;
  const override = info.versioningOverride?.pinned?.version?.buildId;
  if (override) return override;
  return info.behavior === pinned ? info.deploymentVersion?.buildId || undefined : undefined;
}

/** Lets a run that is pinned to a build follow the current one from its next step on. */
export async function unpin(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<void> {
  await client.workflowService.updateWorkflowExecutionOptions({
    namespace: client.options.namespace,
    workflowExecution: { workflowId, runId },
    workflowExecutionOptions: { versioningOverride: { autoUpgrade: true } },
    updateMask: { paths: ['versioning_override'] },
  });
}
