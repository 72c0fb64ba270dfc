import path from 'node:path';
import type { ClusterSpec } from '../cluster/spec.js';
import { labPaths } from '../lab/state.js';
import { stateDir } from './hosts.js';
import { labOf } from './temporal.js';

/**
 * The file in which a running `perijove ui` notes its address and its token: in the directory of a lab, otherwise one for
 * each name of a cluster.
 *
 * @param specFile absolute
 */
export function pageRecordFile(
  { name }: Pick<ClusterSpec, 'name'>,
  specFile: string,
  env: NodeJS.ProcessEnv,
): string {
  if (labOf(specFile) !== undefined) return labPaths(path.dirname(specFile)).page;
  return path.join(stateDir(env), 'ui', `${name}.json`);
}
