/** Where the image of the nodes comes from, and whether there is space for it. Pure: workflows import it. */

/** The observation of the image on one host. */
export interface HostImage {
  readonly host: string;
  readonly has: boolean;
}

export interface ImageObservation {
  readonly reference: string;
  /** Ours is built; any other one is pulled. */
  readonly own: boolean;
  /** All hosts with an agent. */
  readonly hosts: readonly HostImage[];
}

export type ImagePlan =
  | { readonly kind: 'nothing' }
  /** Each host asks the registry. */
  | { readonly kind: 'pull'; readonly to: readonly string[] }
  /** A host has it: that one is copied, because a new build would have the same content. */
  | { readonly kind: 'copy'; readonly from: string; readonly to: readonly string[] }
  /** No host has it. */
  | { readonly kind: 'build'; readonly to: readonly string[] };

export function planImage({ own, hosts }: ImageObservation): ImagePlan {
  const to = hosts.filter(({ has }) => !has).map(({ host }) => host);
  const from = hosts.find(({ has }) => has)?.host;
  if (to.length === 0) return { kind: 'nothing' };
  if (!own) return { kind: 'pull', to };
  return from === undefined ? { kind: 'build', to } : { kind: 'copy', from, to };
}

export interface FreeSpace {
  /** Name of the file system. */
  readonly device: string;
  readonly freeBytes: number;
}

export interface ImageSizes {
  /** Its size in transit. */
  readonly archiveBytes: number;
  /** Its size in Docker. */
  readonly imageBytes: number;
}

/** Why an image does not fit on a host: `where` it lacks space. Undefined when it fits. */
export function missingSpace(
  { archiveBytes, imageBytes }: ImageSizes,
  { directory, docker }: { readonly directory: FreeSpace; readonly docker: FreeSpace },
):
  | { readonly where: 'directory' | 'docker'; readonly neededBytes: number; readonly freeBytes: number }
  | undefined {
  const isOne = directory.device === docker.device;
  // Docker unpacks the archive, then each layer from it, before it removes the former.
  const needs = { docker: 2 * imageBytes + (isOne ? archiveBytes : 0), directory: archiveBytes };
  if (docker.freeBytes < needs.docker) {
    return { where: 'docker', neededBytes: needs.docker, freeBytes: docker.freeBytes };
  }
  if (directory.freeBytes < needs.directory) {
    return { where: 'directory', neededBytes: needs.directory, freeBytes: directory.freeBytes };
  }
  return undefined;
}
