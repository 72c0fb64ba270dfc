import { describe, expect, it } from 'vitest';
import type { NodeStatus } from '../../src/node/api.js';
import { lostQuorum } from '../../src/status/lost-quorum.js';

const waits: NodeStatus['etcd'] = { state: 'waiting', hasData: false, reason: 'wait: no quorum responds' };
const starts: NodeStatus['etcd'] = { state: 'starting', hasData: true };
const nodes = (...states: (NodeStatus['etcd'] | undefined)[]) =>
  states.map((etcd, index) => ({ node: `node${index}`, etcd }));

describe('a lost quorum of etcd', () => {
  it('is reported with the remedy when nodes without data wait and the others are no majority', () => {
    expect(lostQuorum(nodes(starts, starts, waits, waits, waits))).toMatch(
      /^etcd lost its quorum: 3 of 5 members have no data \(node2, node3, node4\); run `perijove recover etcd`/,
    );
  });

  it('is not reported while a majority may have data', () => {
    expect(lostQuorum(nodes(starts, starts, starts, waits, waits))).toBeUndefined();
    expect(lostQuorum(nodes(undefined, undefined, undefined, waits, waits))).toBeUndefined();
    expect(lostQuorum([])).toBeUndefined();
  });

  it('is not reported of nodes that have just started, or do not say whether they have data', () => {
    const undecided: NodeStatus['etcd'] = { ...waits, reason: 'not decided yet' };
    expect(lostQuorum(nodes(undecided, undecided, undecided))).toBeUndefined();
    const earlier: NodeStatus['etcd'] = { state: 'waiting', reason: 'wait: no quorum responds' };
    expect(lostQuorum(nodes(earlier, earlier, earlier))).toBeUndefined();
  });
});
