/** Which image Docker nodes run from. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusterSpec } from '../../cluster/spec.js';

/** The value of `nodes.image` for the image of this package, which is in no registry. */
export const ownImage = 'perijove-node';

/** What our image is built from. */
export const imageContext = fileURLToPath(new URL('../../../images/node', import.meta.url));

export interface NodeImage {
  /** As Docker knows it; for our image it names the content. */
  readonly reference: string;
  /** Ours is built; any other one is pulled. */
  readonly own: boolean;
}

let ownReference: string | undefined;

/** The image of the nodes; undefined if they are not containers. */
export function nodeImage({ nodes }: Pick<ClusterSpec, 'nodes'>): NodeImage | undefined {
  if (nodes.containerizer !== 'docker') return undefined;
  if (nodes.image !== ownImage) return { reference: nodes.image, own: false };
  ownReference ??= `${ownImage}:${contentDigest(imageContext).slice(0, 12)}`;
  return { reference: ownReference, own: true };
}

/** SHA-256 (hex) of the names and the contents of all files of a directory. */
export function contentDigest(directory: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(directory).sort()) {
    const content = readFileSync(path.join(directory, name));
    hash.update(`${name} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}
