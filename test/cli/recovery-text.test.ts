import { describe, expect, it } from 'vitest';
import { planText, surveyText } from '../../src/cli/recovery-text.js';
import type { SurveyedNode } from '../../src/etcd/recovery.js';

const nodes: readonly SurveyedNode[] = [
  {
    ...{ node: 'node0', host: 'h1', epoch: 1, runs: true },
    data: { kind: 'member', epoch: 1, term: 4, index: 90, commit: 89 },
  },
  { node: 'node1', host: 'h2', epoch: 0, runs: false, data: { kind: 'none' } },
  { node: 'node2', host: 'h3', epoch: 0, runs: true, data: { kind: 'unreadable', why: 'torn' } },
  {
    ...{ node: 'node3', host: 'h1', epoch: 1, runs: true },
    data: { kind: 'member', epoch: 1, term: 4, index: 88, commit: 88 },
  },
];

describe('what a recovery found', () => {
  it('has a line for each node, and for each host that could not be read', () => {
    const unread = [{ host: 'h4', why: 'no answer (SSH_TIMEOUT)' }];
    expect(surveyText({ nodes, epoch: 1, unread }, ['h3']).split('\n')).toEqual([
      'node   host  data              term  index  committed',
      'node0  h1    present, epoch 1  4     90     89',
      'node1  h2    none              -     -      -          does not run',
      'node2  h3    unreadable: torn  -     -      -          given up',
      'node3  h1    present, epoch 1  4     88     88',
      'h4 could not be read: no answer (SSH_TIMEOUT)',
      '',
    ]);
  });

  it('is followed by what will be done, and what that costs', () => {
    const plan = { epoch: 2, seed: 'node0', host: 'h1' };
    expect(planText({ ...plan, from: 'data' }, 'it knows the most', nodes)).toBe(
      'etcd begins epoch 2 with the data of node0: it knows the most. What it did not know is lost. ' +
        'The other nodes join it as new members. The data of node3 is set aside, not deleted.\n' +
        'Notebooks and kernels are not in etcd: they stay.\n',
    );
    expect(planText({ ...plan, from: 'nothing' }, 'no member has data left', [])).toContain(
      'Its keys are lost.',
    );
  });
});
