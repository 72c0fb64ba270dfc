import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  contains,
  fromApi,
  isOfferable,
  parseResources,
  subtract,
  toApi,
  toState,
  toText,
  type Resources,
} from '../../src/stand-in/resources.js';

const parsed = (text: string): Resources => {
  const resources = parseResources(text);
  if (!resources) throw new Error(`cannot parse ${text}`);
  return resources;
};

/** Arbitrary amounts as in tasks: thousandths of CPUs, ports between 31000 and 31020. */
const anyResources: fc.Arbitrary<Resources> = fc.record({
  scalars: fc.record({
    cpus: fc.integer({ min: 0, max: 8_000 }).map((value) => value / 1000),
    mem: fc.integer({ min: 0, max: 4096 }),
  }),
  ranges: fc.record({
    ports: fc
      .uniqueArray(fc.integer({ min: 0, max: 20 }), { maxLength: 6 })
      .map((ports) =>
        ports.reduce<Resources>(
          (all, port) =>
            add(all, { scalars: {}, ranges: { ports: [{ begin: 31_000 + port, end: 31_000 + port }] } }),
          { scalars: {}, ranges: {} },
        ),
      )
      .map((resources) => resources.ranges['ports'] ?? []),
  }),
});

describe('resources', () => {
  it('are parsed from the flag and printed in each form of the API', () => {
    const resources = parsed('cpus:2;mem:1024;disk:2048;ports:[31000-31100]');
    expect(toApi(resources)).toEqual([
      { name: 'cpus', type: 'SCALAR', scalar: { value: 2 }, role: '*' },
      { name: 'mem', type: 'SCALAR', scalar: { value: 1024 }, role: '*' },
      { name: 'disk', type: 'SCALAR', scalar: { value: 2048 }, role: '*' },
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31000, end: 31100 }] }, role: '*' },
    ]);
    expect(toText(resources)).toBe('cpus(*):2; mem(*):1024; disk(*):2048; ports(*):[31000-31100]');
    expect(toState(resources)).toEqual({ disk: 2048, mem: 1024, gpus: 0, cpus: 2, ports: '[31000-31100]' });
  });

  it.each(['cpus', 'cpus:many', 'cpus:-1', 'ports:[x]', ':2'])('are rejected: %s', (text) => {
    expect(parseResources(text)).toBeUndefined();
  });

  it('do not lose a thousandth when repeatedly taken and returned', () => {
    let left = parsed('cpus:1');
    for (let index = 0; index < 10; index += 1) left = subtract(left, parsed('cpus:0.1'));
    expect(left.scalars['cpus']).toBe(0);
    expect(isOfferable(left)).toBe(false);
  });

  it('are whole again when everything is returned', () => {
    fc.assert(
      fc.property(anyResources, anyResources, (one, other) => {
        const both = add(one, other);
        expect(contains(both, one)).toBe(true);
        const rest = subtract(both, other);
        expect(contains(add(rest, other), both)).toBe(true);
        expect(contains(both, add(rest, other))).toBe(true);
      }),
    );
  });

  it('survive the round trip through the API', () => {
    fc.assert(
      fc.property(anyResources, (resources) => {
        const back = fromApi(toApi(resources));
        expect(contains(back, resources) && contains(resources, back)).toBe(true);
      }),
    );
  });
});
