import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { known } from '../../src/hosts/observation.js';
import {
  markFormedScript,
  memoryOf,
  needsTransition,
  nodeTreesScript,
  parseNodeTrees,
  type NodeTree,
} from '../../src/node/memory.js';
import type { EtcdSecurity } from '../../src/cluster/spec.js';
import { makeSpec } from '../support/spec.js';

describe('the trees of a host', () => {
  let dir: string;
  const sh = (script: string) => execFileSync('sh', ['-c', script], { encoding: 'utf8' });
  const trees = () => parseNodeTrees(sh(nodeTreesScript({ dir })));
  const put = (file: string, text: string) => {
    const target = path.join(dir, 'data/nodes', file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, text);
  };

  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), "perijove memory's "));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('are none on a new host', () => {
    expect(trees()).toEqual(known([]));
  });

  it('tell the last launch, also of a fence, and whether there are data', () => {
    put('node0/run/task', 'node0.7');
    put('node0/data/etcd/member/wal/0.wal', '');
    put('node0/data/etcd-peer-tls', '');
    put('node1/run/task', 'node1.3');
    put('node1/run/fenced', '9');
    put('node1/data/etcd-epoch', '3\n');
    put('node2/run/task', '');
    put('node2/data/etcd-formed', '');
    put('somebody-else/file', '');
    expect(trees()).toEqual(
      known([
        { node: 'node0', launch: 7, hasData: true, etcdFormed: false, etcdEpoch: 0, peerTls: true },
        { node: 'node1', launch: 9, hasData: false, etcdFormed: false, etcdEpoch: 3, peerTls: false },
        { node: 'node2', launch: 0, hasData: false, etcdFormed: true, etcdEpoch: 0, peerTls: false },
      ]),
    );
  });

  it.each([
    ['nothing', ''],
    ['half of it', 'tree node0 node0.7 - yes no 0 no\n'],
    ['half the last word', 'tree node0 node0.7 - yes no 0 no\ncompl'],
  ])('are not known when the host prints %s', (_what, output) => {
    expect(parseNodeTrees(output)).toMatchObject({ known: false });
  });

  it.each(['', 'x'])('are not known while a fence holds `%s` instead of a number', (text) => {
    put('node0/run/fenced', text);
    expect(() => trees()).toThrow(/fence/);
  });

  it.each(['', 'x'])('are not known while an epoch is `%s` instead of a number', (text) => {
    put('node0/data/etcd-epoch', text);
    expect(() => trees()).toThrow(/epoch/);
  });

  it('are all marked once etcd was formed, again without effect', () => {
    put('node0/data/etcd/member/wal/0.wal', '');
    put('node1/data/etcd-formed', '');
    for (let times = 0; times < 2; times += 1) sh(markFormedScript({ dir }));
    expect(trees()).toMatchObject({ value: [{ etcdFormed: true }, { etcdFormed: true }] });
  });

  it('are marked without an error where there is none', () => {
    expect(sh(markFormedScript({ dir }))).toBe('');
  });
});

describe('the memory of a cluster', () => {
  const spec = makeSpec({ nodes: { count: 3 } });
  const tree = (node: string, launch: number, more: Partial<NodeTree> = {}): NodeTree => ({
    ...{ node, launch, hasData: true, etcdFormed: false, etcdEpoch: 0, peerTls: false },
    ...more,
  });

  it('is none where no host has a tree', () => {
    expect(memoryOf(spec, { h1: [], h2: [] })).toBeUndefined();
  });

  it('has each node where its newest data are, and counts on above the highest launch', () => {
    const memory = memoryOf(spec, {
      h1: [tree('node0', 1), tree('node1', 2), tree('node7', 30)],
      h2: [tree('node1', 9), tree('node2', 12, { hasData: false })],
    });
    expect(memory).toEqual({ homes: { node0: 'h1', node1: 'h2' }, launches: 30, etcdFormed: true });
  });

  it('has no home for a node of which two hosts have equally new data', () => {
    const memory = memoryOf(spec, { h1: [tree('node0', 4)], h2: [tree('node0', 4)] });
    expect(memory).toEqual({ homes: {}, launches: 4, etcdFormed: false });
  });

  it('has etcd formed by a mark, or by data of a majority', () => {
    const of = (...trees: NodeTree[]) => memoryOf(spec, { h1: trees })?.etcdFormed;
    expect(of(tree('node0', 1))).toBe(false);
    expect(of(tree('node0', 1), tree('node1', 2))).toBe(true);
    expect(of(tree('node0', 1, { hasData: false, etcdFormed: true }))).toBe(true);
  });

  it('has the highest epoch of any tree', () => {
    const h1 = [tree('node0', 1, { etcdEpoch: 2 })];
    expect(memoryOf(spec, { h1, h2: [tree('node1', 2)] })).toMatchObject({ etcdEpoch: 2 });
  });
});

describe('the way of etcd to another security', () => {
  const spec = (security?: EtcdSecurity) =>
    makeSpec({ nodes: { count: 3 }, etcd: security === undefined ? {} : { security } });
  const tree = (node: string, launch: number, more: Partial<NodeTree> = {}): NodeTree => ({
    ...{ node, launch, hasData: true, etcdFormed: true, etcdEpoch: 0, peerTls: false },
    ...more,
  });
  const plain = [tree('node0', 1), tree('node1', 2), tree('node2', 3)];
  const closed = plain.map((each) => ({ ...each, peerTls: true }));

  it('begins with a transition where members are reached in another way', () => {
    expect(needsTransition(spec('authenticated'), plain)).toBe(true);
    expect(needsTransition(spec('authenticated'), [...closed.slice(1), tree('node0', 9)])).toBe(true);
    expect(needsTransition(spec('open'), closed)).toBe(true);
    expect(needsTransition(spec(), closed)).toBe(true);
  });

  it('needs none without data, for nodes that left, for older trees, or to be in it', () => {
    expect(needsTransition(spec('authenticated'), [])).toBe(false);
    expect(needsTransition(spec('authenticated'), [tree('node0', 1, { hasData: false })])).toBe(false);
    expect(needsTransition(spec('authenticated'), [...closed, tree('node3', 9)])).toBe(false);
    expect(needsTransition(spec('authenticated'), [...closed, tree('node0', 0)])).toBe(false);
    expect(needsTransition(spec('transition'), [...closed, ...plain])).toBe(false);
    expect(needsTransition(spec('authenticated'), closed)).toBe(false);
    expect(needsTransition(spec(), plain)).toBe(false);
  });
});
