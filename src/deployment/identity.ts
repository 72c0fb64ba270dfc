/** Whether hosts and workflows of a name belong to one cluster. Pure. */
import { placesOf, type ClusterIdentity, type ClusterMark } from '../cluster/identity.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { hostTaken } from '../hosts/identity.js';
import type { Observation } from '../hosts/observation.js';

/** What is known about a cluster before anything is touched. */
export interface IdentityObservation {
  /** By name of the host: its mark, undefined for none. */
  readonly marks: Readonly<Record<string, Observation<ClusterMark | undefined>>>;
  /** Of the running keeper and framework; undefined when none runs, or by an earlier release. */
  readonly running?: ClusterIdentity;
}

/**
 * The ID of the cluster of a spec; undefined when it has none yet, or when hosts that might have it are not known.
 *
 * @throws PerijoveError CLUSTER_HOSTS_TAKEN for a host with the mark of another cluster; CLUSTER_NAME_TAKEN when the
 *   running workflows of this name are another cluster's
 */
export function decideIdentity(
  spec: Pick<ClusterSpec, 'name' | 'hosts'>,
  { marks, running }: IdentityObservation,
): string | undefined {
  const marked = spec.hosts.flatMap((host) => {
    const mark = marks[host.name];
    return mark?.known === true && mark.value !== undefined ? [{ host, mark: mark.value }] : [];
  });
  const ofOthers = marked.find(({ mark }) => mark.name !== spec.name);
  if (ofOthers !== undefined) throw hostTaken(ofOthers.host, ofOthers.mark, { name: spec.name });
  const ids = new Set(marked.map(({ mark }) => mark.id));
  const id = running !== undefined && ids.has(running.id) ? running.id : marked[0]?.mark.id;
  if (running !== undefined && id !== running.id) {
    const own = new Set(placesOf(spec));
    // Machines that were installed anew have no mark, and are the same hosts.
    if (id !== undefined || !running.places.some((place) => own.has(place)))
      throw nameTaken(spec.name, running);
  }
  const own = running?.id ?? id;
  const stray = marked.find(({ mark }) => mark.id !== own);
  if (stray !== undefined)
    throw hostTaken(stray.host, stray.mark, { name: spec.name, ...(own !== undefined && { id: own }) });
  return own;
}

function nameTaken(cluster: string, { id, places }: ClusterIdentity): PerijoveError {
  const [first = '', ...others] = places;
  const where = others.length === 0 ? first : `${first} and ${others.length} more`;
  return new PerijoveError(
    'CLUSTER_NAME_TAKEN',
    `another cluster named ${cluster} (${id}) is running in this Temporal namespace, on ${where}`,
    { subject: cluster },
  );
}
