import { describe, expect, it } from 'vitest';
import {
  decideRecovery,
  type EtcdSurvey,
  type KeptData,
  type SurveyedNode,
} from '../../src/etcd/recovery.js';

const data = (term: number, index: number, epoch = 0): KeptData => ({
  ...{ kind: 'member', epoch, term, index, commit: index },
});
const none: KeptData = { kind: 'none' };

/** Nodes 0 and 3 are on h1, 1 and 4 on h2, 2 on h3. */
function survey(kept: readonly KeptData[], change: Partial<EtcdSurvey> = {}): EtcdSurvey {
  const nodes = kept.map((each, index): SurveyedNode => ({
    node: `node${index}`,
    host: `h${(index % 3) + 1}`,
    epoch: 0,
    data: each,
    runs: true,
  }));
  return { nodes, epoch: 0, unread: [], ...change };
}

describe('the recovery of etcd', () => {
  it('begins with the member of the last term, then of the last index', () => {
    const plan = (...kept: KeptData[]) => decideRecovery(survey([none, none, none, ...kept]), []);
    expect(plan(data(5, 90), data(6, 3))).toMatchObject({
      plan: { epoch: 1, seed: 'node4', host: 'h2', from: 'data' },
    });
    expect(plan(data(6, 4), data(6, 3))).toMatchObject({ plan: { seed: 'node3' } });
  });

  it('begins without data, on a node that runs, when none is left', () => {
    const { nodes, ...rest } = survey([none, none, none]);
    const [first, ...others] = nodes as [SurveyedNode, ...SurveyedNode[]];
    expect(decideRecovery({ ...rest, nodes: [{ ...first, runs: false }, ...others] }, [])).toMatchObject({
      plan: { epoch: 1, seed: 'node1', from: 'nothing' },
    });
    expect(decideRecovery({ ...rest, nodes: [] }, [])).toMatchObject({ code: 'ETCD_NO_NODE' });
  });

  it('is refused while a quorum responds', () => {
    const found = survey([none, none, none], { leader: 'node1' });
    expect(decideRecovery(found, ['node1'])).toMatchObject({ code: 'ETCD_HAS_QUORUM' });
  });

  it('is refused while a majority has its data, unless that is given up', () => {
    const found = survey([data(5, 1), data(5, 2), none, data(5, 3), none]);
    expect(decideRecovery(found, [])).toMatchObject({ code: 'ETCD_QUORUM_INTACT' });
    expect(decideRecovery(found, ['node3'])).toMatchObject({ plan: { seed: 'node1' } });
    expect(decideRecovery(found, ['h1'])).toMatchObject({ plan: { seed: 'node1' } });
  });

  it('is refused while a host or the data of a node is not known, unless that is given up', () => {
    const unread = [{ host: 'h3', why: 'no answer' }];
    const found = survey([data(5, 1), none, none], { unread });
    expect(decideRecovery(found, ['h1'])).toMatchObject({ code: 'ETCD_DATA_UNKNOWN' });
    expect(decideRecovery(found, ['h3'])).toMatchObject({ plan: { seed: 'node0' } });
    const torn = survey([data(5, 1), { kind: 'unreadable', why: 'torn' }, none]);
    expect(decideRecovery(torn, [])).toMatchObject({ code: 'ETCD_DATA_UNKNOWN' });
    expect(decideRecovery(torn, ['node1'])).toMatchObject({ plan: { seed: 'node0' } });
  });

  it('counts data of the last epoch only, and begins one above all that is known', () => {
    const found = survey([data(9, 90), data(9, 91), data(9, 92), data(2, 4, 1), none]);
    expect(decideRecovery(found, [])).toMatchObject({ plan: { epoch: 2, seed: 'node3', from: 'data' } });
    expect(decideRecovery({ ...found, epoch: 6 }, [])).toMatchObject({ plan: { epoch: 7 } });
    const noted = found.nodes.map((node) => ({ ...node, epoch: 4 }));
    expect(decideRecovery({ ...found, nodes: noted }, [])).toMatchObject({ plan: { epoch: 5 } });
  });
});
