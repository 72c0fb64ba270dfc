/** The identity of the cluster in workflows that live as long as it does. */
import { upsertMemo } from '@temporalio/workflow';
import type { ClusterIdentity } from '../cluster/identity.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { memoKeys } from '../temporal/contract.js';

/** For those who check it before they touch anything. */
export function publishIdentity(identity: ClusterIdentity | undefined): void {
  if (identity !== undefined) upsertMemo({ [memoKeys.identity]: identity });
}

/** Why the workflow does not take a spec from a cluster with another ID; undefined when it does. */
export function identityRejection(
  cluster: string,
  own: ClusterIdentity | undefined,
  asked: ClusterIdentity | undefined,
): string | undefined {
  if (own === undefined || asked === undefined || own.id === asked.id) return undefined;
  return `another cluster named ${cluster} (${own.id}) is running in this Temporal namespace`;
}

/** The spec for an activity, with the ID by which it knows the cluster's own hosts. */
export function identified(spec: ClusterSpec, identity: ClusterIdentity | undefined): ClusterSpec {
  return identity === undefined ? spec : { ...spec, id: identity.id };
}
