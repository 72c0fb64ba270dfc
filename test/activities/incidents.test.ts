import { describe, expect, it } from 'vitest';
import { replacementOf } from '../../src/activities/incidents.js';
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
