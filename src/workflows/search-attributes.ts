import { defineSearchAttributeKey } from '@temporalio/common';
import type { ClusterSpec } from '../cluster/spec.js';
import { searchAttributes } from '../temporal/contract.js';

const cluster = defineSearchAttributeKey(searchAttributes.cluster, 'KEYWORD');

/** What every workflow of a cluster is found by. */
export function clusterAttribute(spec: ClusterSpec) {
  return [{ key: cluster, value: spec.name }];
}
