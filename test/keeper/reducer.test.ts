import { describe, expect, it } from 'vitest';
import type { ReconcileResult, WatchEvent } from '../../src/keeper/decide.js';
import {
  configured,
  decided,
  failed,
  firstMemory,
  incidentNoted,
  moveAwaitsJupyter,
  moveDeferred,
  moveLeftMs,
  moveOrdered,
  moveRefusal,
  moveSettled,
  moveWanted,
  nodesAnnounced,
  paused,
  reconciled,
  resumed,
  returned,
  stopped,
  type KeeperMemory,
} from '../../src/keeper/reducer.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec({ name: 'kept' });
const at = (ms: number) => new Date(1_000_000 + ms);
const verdict = { leader: 'node1', term: 4, live: ['node0', 'node1', 'node2'] };
const event: WatchEvent = { kind: 'verdict', reason: 'node1 leads', verdict };
const result = (more: Partial<ReconcileResult> = {}): ReconcileResult => ({
  generation: 1,
  changes: [],
  jupyter: 'node1',
  routes: {},
  unreachable: [],
  drifts: [],
  superseded: false,
  tookMs: { jupyter: 1, routes: 1, hosts: 1, others: 1, total: 4 },
  ...more,
});
const began = (memory: KeeperMemory, adoptions = 0) => ({
  before: memory.state,
  event,
  spec: memory.spec,
  adoptions,
});
/** Jupyter serves on the leader. */
const serving = (): KeeperMemory => {
  const { memory, before } = decided(firstMemory(spec, undefined), event, at(0));
  return reconciled(memory, { before, event, spec, adoptions: 0 }, result(), at(1)).memory;
};
const words = ({ state }: KeeperMemory) => state.events.map(({ kind, what }) => `${kind}: ${what}`);

describe('a reconcile', () => {
  it('is concluded and recorded', () => {
    const memory = serving();
    expect(memory.state).toMatchObject({ generation: 1, verdict, jupyter: 'node1' });
    expect(words(memory)).toEqual(['done: generation 1: no changes needed (4 ms)', 'found: node1 leads']);
  });

  it('adopts a higher generation, five times at most', () => {
    const memory = serving();
    const again = reconciled(memory, began(memory), result({ stale: 7 }), at(2));
    expect(again).toMatchObject({ again: true, memory: { state: { generation: 8 } } });
    const last = reconciled(memory, began(memory, 5), result({ stale: 7 }), at(2));
    expect(last).toMatchObject({ again: false, memory: { state: { generation: 1 } } });
  });

  it('of an outdated spec has everything checked again', () => {
    const memory = serving();
    const differs = { differs: true, now: at(2) };
    const { memory: other } = configured(memory, { ...spec }, differs);
    const { memory: next } = reconciled(other, began(memory), result(), at(3));
    expect(next.state.specChanged).toBe(true);
    expect(reconciled(memory, began(memory), result(), at(3)).memory.state.specChanged).toBeUndefined();
  });

  it('that failed is a drift, and the end of a move', () => {
    const { memory, number } = moveWanted(serving(), 'node2', at(5));
    const next = failed(memory, 'no route to host', at(6));
    expect(next.state.drifts).toMatchObject([{ kind: 'failed', subject: 'keeper' }]);
    expect(next.ended).toEqual({ number, outcome: { code: 'MOVE_FAILED', message: 'no route to host' } });
    expect(next.move).toBeUndefined();
  });
});

describe('a return of leadership', () => {
  it('succeeds, may be retried, or is given up and followed', () => {
    const memory = serving();
    const after = (outcome: Parameters<typeof returned>[2]) => returned(memory, 'node1', outcome, at(3));
    expect(after({ led: true })).toMatchObject({ again: false });
    expect(after({ led: false, reason: 'not yet', again: true })).toMatchObject({ again: false });
    const given = after({ led: false, reason: 'its member is gone' });
    expect(given).toMatchObject({ again: true, memory: { state: { returns: 20 } } });
    expect(words(given.memory)[0]).toBe('returned: leadership stays: its member is gone');
  });
});

describe('a planned move', () => {
  it.each<[string, (memory: KeeperMemory) => KeeperMemory, string]>([
    ['an unknown node', (memory) => memory, 'NODE_UNKNOWN'],
    ['a paused keeper', (memory) => paused(memory, undefined, at(2)).memory, 'KEEPER_PAUSED'],
    ['another move', (memory) => moveWanted(memory, 'node2', at(2)).memory, 'MOVE_UNDER_WAY'],
    ['no leader', () => firstMemory(spec, undefined), 'MOVE_FAILED'],
  ])('is rejected for %s', (what, change, code) => {
    const to = what === 'an unknown node' ? 'node99' : 'node2';
    expect(moveRefusal(change(serving()), to)).toMatchObject({ code });
    expect(moveRefusal(serving(), 'node2')).toBeUndefined();
  });

  it('to the serving node changes nothing', () => {
    expect(moveWanted(serving(), 'node1', at(2)).number).toBeUndefined();
  });

  it('ends with the first reconcile after leadership has moved', () => {
    const { memory, number } = moveWanted(serving(), 'node2', at(10));
    expect(moveSettled(memory, at(11)).move).toBeDefined();
    const led = moveOrdered(memory, { led: true }, at(12));
    const there: WatchEvent = {
      kind: 'verdict',
      reason: 'node2 leads',
      verdict: { ...verdict, leader: 'node2', term: 5 },
    };
    const next = decided(led, there, at(13));
    const { memory: done } = reconciled(
      next.memory,
      { before: next.before, event: there, spec, adoptions: 0 },
      result({ generation: 2, jupyter: 'node2' }),
      at(14),
    );
    const settled = moveSettled(done, at(20));
    const outcome = { moved: true, to: 'node2', from: 'node1', generation: 2, tookMs: 10 };
    expect(settled.ended).toEqual({ number, outcome });
    expect(settled.move).toBeUndefined();
    expect(moveWanted(settled, 'node0', at(30)).number).toBe((number ?? 0) + 1);
  });

  it('fails when leadership does not arrive or moves on, or Jupyter does not respond', () => {
    const { memory } = moveWanted(serving(), 'node2', at(10));
    const refused = moveOrdered(memory, { led: false, reason: 'it learns' }, at(11));
    expect(refused.ended?.outcome).toMatchObject({ message: 'Jupyter was not moved to node2: it learns' });
    const led = moveOrdered(memory, { led: true }, at(11));
    expect(moveSettled(led, at(12)).ended?.outcome).toMatchObject({
      message: 'leadership moved on to node1',
    });
    const silent = { ...led, state: { ...led.state, verdict: { ...verdict, leader: 'node2' } } };
    expect(moveSettled(silent, at(12)).ended?.outcome).toMatchObject({
      message: 'node2 leads etcd, but Jupyter does not respond there',
    });
  });

  it('may wait for a Jupyter that responds late, for a minute', () => {
    const { memory } = moveWanted(serving(), 'node2', at(0));
    const led = moveOrdered(memory, { led: true }, at(1));
    expect(moveAwaitsJupyter(led)).toBe(false);
    const late = { ...led, state: { ...led.state, verdict: { ...verdict, leader: 'node2' } } };
    expect(moveAwaitsJupyter(late)).toBe(true);
    expect(moveLeftMs(late, at(2))).toBeUndefined();
    const waits = moveDeferred(late);
    expect(moveLeftMs(waits, at(20_000))).toBe(40_000);
    expect(moveLeftMs(waits, at(70_000))).toBe(0);
    const served = { ...waits, state: { ...waits.state, jupyter: 'node2' } };
    expect(moveSettled(served, at(30_000)).ended?.outcome).toMatchObject({ moved: true, tookMs: 30_000 });
    expect(moveSettled(waits, at(60_000)).ended?.outcome).toMatchObject({ code: 'MOVE_FAILED' });
  });

  it('makes its node the home of a sticky Jupyter', () => {
    const sticky = {
      ...serving(),
      spec: { ...spec, jupyter: { ...spec.jupyter, follow: 'sticky' as const } },
    };
    const { memory } = moveWanted(sticky, 'node2', at(10));
    expect(moveOrdered(memory, { led: true }, at(11)).state.home).toBe('node2');
  });

  it.each<[string, (memory: KeeperMemory) => KeeperMemory, string]>([
    ['paused', (memory) => paused(memory, 'work', at(2)).memory, 'KEEPER_PAUSED'],
    ['stopped', (memory) => stopped(memory, at(2)), 'KEEPER_ABSENT'],
  ])('ends when the keeper is %s', (_what, change, code) => {
    const { memory } = moveWanted(serving(), 'node2', at(1));
    expect(change(memory)).toMatchObject({ ended: { outcome: { code } } });
    expect(change(memory).move).toBeUndefined();
  });
});

describe('requests', () => {
  it('take effect once', () => {
    const memory = serving();
    const pausedOnce = paused(memory, 'work', at(2));
    expect(pausedOnce).toMatchObject({ changed: true, memory: { state: { paused: { reason: 'work' } } } });
    expect(paused(pausedOnce.memory, 'more', at(3))).toEqual({ memory: pausedOnce.memory, changed: false });
    expect(resumed(pausedOnce.memory, at(4))).toMatchObject({ changed: true });
    expect(resumed(memory, at(4))).toEqual({ memory, changed: false });
    const incident = { at: at(0).toISOString(), what: 'a log was set aside', tookMs: 5 };
    const noted = incidentNoted(memory, incident, at(2));
    expect(noted.changed).toBe(true);
    expect(incidentNoted(noted.memory, incident, at(3)).changed).toBe(false);
  });

  it('with a spec have an effect the first time, and when it differs', () => {
    const memory = firstMemory(spec, undefined);
    const same = { differs: false, now: at(0) };
    const first = configured(memory, spec, same);
    expect(first.changed).toBe(true);
    expect(configured(first.memory, spec, same).changed).toBe(false);
    expect(configured(firstMemory(spec, memory.state), spec, same).changed).toBe(false);
  });

  it('with a number of nodes only raise it', () => {
    const memory = serving();
    const { count } = spec.nodes;
    expect(nodesAnnounced(memory, count, at(1)).changed).toBe(false);
    const grown = nodesAnnounced(memory, count + 2, at(1));
    expect(grown.memory.spec.nodes.count).toBe(count + 2);
    expect(grown.memory.state.specChanged).toBe(true);
  });
});
