import { describe, expect, it } from 'vitest';
import { claimMs, leastBytes, Placements, startingMs } from '../../src/node/placement.js';

const room = (node: string, kernels = 0, availableBytes = 4 * leastBytes) => ({
  node,
  kernels,
  availableBytes,
});
const rooms = (...counts: readonly number[]) => counts.map((kernels, index) => room(`node${index}`, kernels));

describe('a new kernel starts', () => {
  it('on the node with the fewest, then with the most memory, and not on the serving one', () => {
    const serving = new Placements('node0');
    expect(serving.place({ rooms: rooms(0, 3, 1) }, 0).node).toBe('node2');
    const free = [room('node0'), room('node1', 1), room('node2', 1, 8 * leastBytes)];
    expect(new Placements('node0').place({ rooms: free }, 0).node).toBe('node2');
  });

  it('on the serving node while no other has room, and on the roomiest where none has', () => {
    const tight = [room('node0', 9), room('node1', 0, leastBytes - 1)];
    expect(new Placements('node0').place({ rooms: tight }, 0).node).toBe('node0');
    const none = [room('node0', 0, 1), room('node1', 5, 3), room('node2', 0, 2)];
    expect(new Placements('node0').place({ rooms: none }, 0).node).toBe('node1');
    expect(new Placements('node0').place({ rooms: rooms(7) }, 0).node).toBe('node0');
  });

  it('elsewhere than those that are starting and that no node counts yet', () => {
    const serving = new Placements('node0');
    const given = Array.from({ length: 4 }, () => serving.place({ rooms: rooms(0, 0, 0) }, 0).node);
    expect(given.toSorted()).toEqual(['node1', 'node1', 'node2', 'node2']);
    expect(serving.place({ rooms: rooms(0, 1, 2) }, startingMs).node).toBe('node1');
  });
});

describe('one notebook opened twice', () => {
  const path = 'a.ipynb';

  it('is created once: the second waits, until the first has ended or taken too long', () => {
    const serving = new Placements('node0');
    const first = serving.place({ path, rooms: rooms(0, 0, 0) }, 0);
    expect(first.underWay).toBe(false);
    expect(serving.place({ path, rooms: rooms(0, 5, 5) }, 1)).toEqual({ ...first, underWay: true });
    expect(serving.place({ path: 'b.ipynb', rooms: rooms(0, 0, 0) }, 1).underWay).toBe(false);
    serving.end(path);
    expect(serving.place({ path, rooms: rooms(0, 0, 0) }, 2).underWay).toBe(false);
    expect(serving.place({ path, rooms: rooms(0, 0, 0) }, 3).underWay).toBe(true);
    expect(serving.place({ path, rooms: rooms(0, 0, 0) }, 2 + claimMs).underWay).toBe(false);
  });

  it('is created anew when the node that was to have it has gone', () => {
    const serving = new Placements('node0');
    const { node } = serving.place({ path, rooms: rooms(0, 0, 0) }, 0);
    const others = rooms(0, 0, 0).filter((each) => each.node !== node);
    expect(serving.place({ path, rooms: others }, 1)).toMatchObject({ underWay: false });
  });
});
