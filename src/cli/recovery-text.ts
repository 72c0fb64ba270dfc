/** What `recover etcd` found, and what it will do, for people. Pure. */
import type { EtcdSurvey, RecoveryPlan, SurveyedNode } from '../etcd/recovery.js';
import { table } from './table.js';

/** A line for each node, and one for each host that could not be read. */
export function surveyText({ nodes, unread }: EtcdSurvey, lost: readonly string[]): string {
  const rows = nodes.map((node) => [node.node, node.host ?? '-', ...dataCells(node), noteOn(node, lost)]);
  const lines = table([['node', 'host', 'data', 'term', 'index', 'committed', ''], ...rows]);
  const silent = unread.map(({ host, why }) => `${host} could not be read: ${why}`);
  return `${[...lines, ...silent].join('\n')}\n`;
}

function dataCells({ data }: SurveyedNode): readonly [string, string, string, string] {
  switch (data.kind) {
    case 'none':
      return ['none', '-', '-', '-'];
    case 'unreadable':
      return [`unreadable: ${data.why}`, '-', '-', '-'];
    case 'member':
      return [
        data.epoch === 0 ? 'present' : `present, epoch ${data.epoch}`,
        String(data.term),
        String(data.index),
        String(data.commit),
      ];
  }
}

function noteOn({ node, host, runs }: SurveyedNode, lost: readonly string[]): string {
  if (lost.includes(node) || (host !== undefined && lost.includes(host))) return 'given up';
  return runs ? '' : 'does not run';
}

/** What will be done, and what it costs. */
export function planText(
  { epoch, seed, host, from }: RecoveryPlan,
  reason: string,
  nodes: readonly SurveyedNode[],
): string {
  const others = nodes
    .filter((each) => each.node !== seed && each.data.kind === 'member')
    .map(({ node }) => node);
  const begin =
    from === 'data'
      ? `etcd begins epoch ${epoch} with the data of ${seed}: ${reason}. What it did not know is lost.`
      : `etcd begins epoch ${epoch} without data, on ${seed} (${host}): ${reason}. Its keys are lost.`;
  const aside =
    others.length === 0
      ? ''
      : ` The data of ${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} set aside, not deleted.`;
  return (
    `${begin} The other nodes join it as new members.${aside}\n` +
    'Notebooks and kernels are not in etcd: they stay.\n'
  );
}
