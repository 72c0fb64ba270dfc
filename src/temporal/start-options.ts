/** What all workflows of a cluster are started with. Workflows import this file too. */
import { defineSearchAttributeKey, type TypedSearchAttributes } from '@temporalio/common';
import { searchAttributes, taskQueue } from './contract.js';
import { passing } from './options.js';

const clusterKey = defineSearchAttributeKey(searchAttributes.cluster, 'KEYWORD');

/** The search attribute by which every workflow of a cluster is found. */
export function clusterAttribute(cluster: string) {
  return [{ key: clusterKey, value: cluster }];
}

/** The cluster of a workflow with these search attributes; undefined if its starter set none. */
export function clusterOf(attributes: TypedSearchAttributes): string | undefined {
  return attributes.get(clusterKey);
}

/** Options for starting a workflow of the cluster; `summary` is its title in Temporal's Web UI. */
export function startOptions(cluster: string, summary: string) {
  return { taskQueue, ...passing, staticSummary: summary, typedSearchAttributes: clusterAttribute(cluster) };
}
