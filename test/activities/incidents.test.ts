import { describe, expect, it } from 'vitest';
import { lossOf, replacementOf } from '../../src/activities/incidents.js';
import type { NodeView } from '../../src/keeper/drift.js';

const now = new Date('2026-11-29T12:00:00.000Z');
const at = '2026-11-29T11:59:50.000Z';
const why = 'tocommit(12) is out of range [lastIndex(8)]';

function node(etcd: Record<string, unknown>): NodeView {
  return { ok: true, status: { etcd } } as unknown as NodeView;
}

describe('replacementOf', () => {
  it('is an incident once the new member runs', () => {
    expect(replacementOf('node1', node({ state: 'running', replaced: { at, why } }), now)).toEqual({
      at,
      what: `the etcd member of node1 was replaced, because its data was damaged: ${why}`,
      tookMs: 10_000,
    });
    expect(replacementOf('node1', node({ state: 'starting', replaced: { at, why } }), now)).toBeUndefined();
  });

  it('is none where nothing was replaced, or long ago, or nobody says', () => {
    expect(replacementOf('node1', node({ state: 'running' }), now)).toBeUndefined();
    const old = { at: '2026-11-29T10:00:00.000Z', why };
    expect(replacementOf('node1', node({ state: 'running', replaced: old }), now)).toBeUndefined();
    expect(replacementOf('node1', { ok: true, status: {} } as NodeView, now)).toBeUndefined();
    expect(replacementOf('node1', { ok: false, reason: 'silent' }, now)).toBeUndefined();
  });
});

describe('lossOf', () => {
  const view = (jupyter: object) => ({ ok: true, status: { jupyter } }) as unknown as NodeView;
  const lost = (notebooks: string[], kernels = notebooks.length) =>
    lossOf('node1', view({ state: 'ready', lost: { at, kernels, notebooks } }), now);

  it('is an incident once Jupyter is ready again', () => {
    expect(lost(['a.ipynb', 'b/c.ipynb'])).toEqual({
      at,
      what: 'node1 ended, and with it 2 kernels: a.ipynb, b/c.ipynb',
      tookMs: 10_000,
    });
    const starting = view({ state: 'starting', lost: { at, kernels: 1, notebooks: [] } });
    expect(lossOf('node1', starting, now)).toBeUndefined();
  });

  it('names the first notebooks, and shows what is invisible in their names', () => {
    const many = Array.from({ length: 7 }, (_, index) => `${index}.ipynb`);
    expect(lost(many)?.what).toMatch(/7 kernels: 0\.ipynb, .*4\.ipynb and 2 more$/);
    expect(lost(['\u001b[31m.ipynb'])?.what).toBe('node1 ended, and with it a kernel: <U+001B>[31m.ipynb');
    expect(lost([], 1)?.what).toBe('node1 ended, and with it a kernel');
  });

  it('is none where nothing was lost, or long ago, or nobody says', () => {
    expect(lossOf('node1', view({ state: 'ready' }), now)).toBeUndefined();
    const old = { at: '2026-11-29T10:00:00.000Z', kernels: 1, notebooks: [] };
    expect(lossOf('node1', view({ state: 'ready', lost: old }), now)).toBeUndefined();
    expect(lossOf('node1', { ok: true, status: {} } as NodeView, now)).toBeUndefined();
    expect(lossOf('node1', { ok: false, reason: 'silent' }, now)).toBeUndefined();
  });
});
