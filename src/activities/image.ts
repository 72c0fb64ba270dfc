import { Context } from '@temporalio/activity';
import type { Change } from '../hosts/items.js';
import {
  buildLocally,
  hasLocalDocker,
  keepArchive,
  keptArchive,
  localBytes,
  saveLocally,
  type ImageArchive,
  type ImageWork,
} from '../node/image/archive.js';
import { buildOnHost, fetchFromHost, hostHasImage, loadOnHost, pullOnHost } from '../node/image/host.js';
import type { ImageObservation } from '../node/image/plan.js';
import { imageContext, nodeImage } from '../node/image/image.js';
import { hostsWithRole, type ClusterSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { ActivityDeps } from './deps.js';
import { hostOf } from '../cluster/host-of.js';

/** A source of an image: the machine of a worker, or a host, by name. */
export type ImageSource = { readonly kind: 'worker' } | { readonly kind: 'host'; readonly host: string };

export interface ImageInput {
  readonly spec: ClusterSpec;
}

export interface ImageHostInput extends ImageInput {
  /** Name of the host. */
  readonly host: string;
}

export function createImageActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Which agents' hosts have the image of the nodes.
     *
     * @throws PerijoveError DAEMON_FAILED, SSH_*
     */
    observeImage: ({ spec }: ImageInput): Promise<ImageObservation> => observe(pool, spec),

    /**
     * Builds our image on the worker's machine, or on the host if the worker has no Docker. Idempotent.
     *
     * @throws PerijoveError IMAGE_BUILD_FAILED, SSH_*
     */
    buildImage: ({ spec, host }: ImageHostInput): Promise<ImageSource> => build(pool, spec, host),

    /**
     * Copies our image to a host. Repeated, it finds it there and returns nothing.
     *
     * @throws PerijoveError DISK_FULL, IMAGE_NOT_HERE, IMAGE_LOAD_FAILED, DAEMON_FAILED, SSH_*
     */
    deliverImage: ({
      spec,
      host,
      source,
    }: ImageHostInput & { readonly source: ImageSource }): Promise<readonly Change[]> =>
      deliver(pool, spec, host, source),

    /**
     * Pulls the spec's image on a host. Repeated, it finds it there and returns nothing.
     *
     * @throws PerijoveError IMAGE_PULL_FAILED, DAEMON_FAILED, SSH_*
     */
    pullImage: ({ spec, host }: ImageHostInput): Promise<readonly Change[]> => pull(pool, spec, host),
  };
}

async function observe(pool: SshPool, spec: ClusterSpec): Promise<ImageObservation> {
  const { signal } = work();
  const reference = referenceOf(spec);
  const hosts = await Promise.all(
    hostsWithRole(spec, 'agent').map(async ({ name }) => ({
      host: name,
      has: await hostHasImage(await connect(pool, spec, name), reference, signal),
    })),
  );
  return { reference, own: nodeImage(spec)?.own ?? false, hosts };
}

async function build(pool: SshPool, spec: ClusterSpec, host: string): Promise<ImageSource> {
  const by = work();
  const reference = referenceOf(spec);
  if ((await keptArchive(reference)) || (await hasLocalDocker())) {
    if (!(await keptArchive(reference))) await buildLocally(reference, imageContext, by);
    return { kind: 'worker' };
  }
  const connection = await connect(pool, spec, host);
  if (!(await hostHasImage(connection, reference, by.signal))) {
    await buildOnHost(connection, reference, imageContext, by);
  }
  return { kind: 'host', host };
}

async function deliver(
  pool: SshPool,
  spec: ClusterSpec,
  host: string,
  source: ImageSource,
): Promise<readonly Change[]> {
  const by = work();
  const reference = referenceOf(spec);
  const connection = await connect(pool, spec, host);
  if (await hostHasImage(connection, reference, by.signal)) return [];
  return loadOnHost(connection, reference, await archiveFrom(pool, spec, source, by), by);
}

async function pull(pool: SshPool, spec: ClusterSpec, host: string): Promise<readonly Change[]> {
  const by = work();
  const reference = referenceOf(spec);
  const connection = await connect(pool, spec, host);
  if (await hostHasImage(connection, reference, by.signal)) return [];
  return pullOnHost(connection, reference, by);
}

async function archiveFrom(
  pool: SshPool,
  spec: ClusterSpec,
  source: ImageSource,
  by: ImageWork,
): Promise<ImageArchive> {
  const reference = referenceOf(spec);
  const kept = await keptArchive(reference);
  if (kept) return kept;
  return keepArchive(reference, async (file) => {
    const isLocal = (await localBytes(reference, by)) !== undefined;
    if (source.kind === 'host' && !isLocal) {
      return fetchFromHost(await connect(pool, spec, source.host), reference, file, by);
    }
    // Another worker may have built it.
    if (!isLocal) await buildLocally(reference, imageContext, by);
    return saveLocally(reference, file, by);
  });
}

function referenceOf(spec: ClusterSpec): string {
  return nodeImage(spec)?.reference ?? spec.nodes.image;
}

function connect(pool: SshPool, spec: ClusterSpec, host: string) {
  return pool.get(hostOf(spec, host));
}

function work(): ImageWork {
  const context = Context.current();
  return { signal: context.cancellationSignal, report: (what) => context.heartbeat(what) };
}
