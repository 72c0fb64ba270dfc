import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ServiceMember } from '../../src/deployment/members.js';
import { rollingSteps } from '../../src/deployment/rolling-order.js';

const member = (host: string, state: ServiceMember['state']): ServiceMember => ({ host, state });

describe('rollingSteps', () => {
  it('has no steps if nothing differs', () => {
    expect(rollingSteps([], [member('h1', 'leading'), member('h2', 'up')])).toEqual([]);
  });

  it('starts all members at once if none serves', () => {
    const members = [member('h1', 'down'), member('h2', 'down'), member('h3', 'down')];
    expect(rollingSteps(['h1', 'h2', 'h3'], members)).toEqual([
      { hosts: ['h1', 'h2', 'h3'], needsWhole: false },
    ]);
  });

  it('changes serving members one at a time, the leader last', () => {
    const members = [member('h1', 'leading'), member('h2', 'up'), member('h3', 'up')];
    expect(rollingSteps(['h1', 'h2', 'h3'], members)).toEqual([
      { hosts: ['h2'], needsWhole: true },
      { hosts: ['h3'], needsWhole: true },
      { hosts: ['h1'], needsWhole: true },
    ]);
  });

  it('changes members in an unknown state one at a time, after those that are down', () => {
    const members = [member('h1', 'unknown'), member('h2', 'unknown'), member('h3', 'down')];
    expect(rollingSteps(['h1', 'h2', 'h3'], members)).toEqual([
      { hosts: ['h3'], needsWhole: false },
      { hosts: ['h1'], needsWhole: false, unsure: true },
      { hosts: ['h2'], needsWhole: false, unsure: true },
    ]);
  });

  it('ends with hosts that are no longer members, one at a time, while all members serve', () => {
    const members = [member('h1', 'leading'), member('h2', 'down')];
    expect(rollingSteps(['h1', 'h2', 'h3', 'h4'], members)).toEqual([
      { hosts: ['h2'], needsWhole: false },
      { hosts: ['h1'], needsWhole: true },
      { hosts: ['h3'], needsWhole: true },
      { hosts: ['h4'], needsWhole: true },
    ]);
  });

  it('leaves unchanged members alone, and never takes down two serving ones together', () => {
    const state = fc.constantFrom<ServiceMember['state']>('down', 'up', 'leading', 'unknown');
    fc.assert(
      fc.property(fc.array(fc.tuple(state, fc.boolean()), { maxLength: 9 }), (drawn) => {
        const members = drawn.map(([each], index) => member(`h${index}`, each));
        const pending = drawn.flatMap(([, differs], index) => (differs ? [`h${index}`] : []));
        const steps = rollingSteps(pending, members);
        expect(steps.flatMap(({ hosts }) => hosts).sort()).toEqual([...pending].sort());
        for (const { hosts, needsWhole, unsure = false } of steps) {
          const mayServe = members.filter(({ host, state: each }) => hosts.includes(host) && each !== 'down');
          expect(mayServe.length).toBe(needsWhole || unsure ? 1 : 0);
          expect(mayServe.some(({ state: each }) => each === 'unknown')).toBe(unsure);
          if (needsWhole || unsure) expect(hosts).toHaveLength(1);
        }
      }),
    );
  });
});
