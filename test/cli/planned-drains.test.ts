import { expect, it } from 'vitest';
import { drainLines } from '../../src/cli/planned-drains.js';
import { makeHost, makeSpec } from '../support/spec.js';

const spec = makeSpec({ hosts: [makeHost('h1'), makeHost('h2'), makeHost('h3')] });

it('names nodes that move, and hosts that leave', () => {
  const nodes = { h2: ['node1'], h4: ['node4', 'node3'], h6: ['node6'] };
  expect(drainLines(spec, { nodes, leaving: [makeHost('h4'), makeHost('h5')] })).toEqual([
    'h2: 1 node will move to other hosts (node1)',
    'h4: 2 nodes will be drained (node3, node4), then its services end (data kept)',
    'h6, which the spec lacks: 1 node will move to other hosts (node6)',
    'h5: its services end (data kept)',
  ]);
});
