import { expect, it } from 'vitest';
import { hostsThatLeave, leavingWith, withLeaving } from '../../src/deployment/leaving.js';
import { makeHost, makeSpec } from '../support/spec.js';

const [h1, h2, h3, h4] = ['h1', 'h2', 'h3', 'h4'].map((name, index) =>
  makeHost(name, { address: `127.0.1.${index + 1}` }),
) as [
  ReturnType<typeof makeHost>,
  ReturnType<typeof makeHost>,
  ReturnType<typeof makeHost>,
  ReturnType<typeof makeHost>,
];
const spec = makeSpec({ hosts: [h1, h2, h3] });

it('names the hosts that the spec lacks, without their roles', () => {
  expect(hostsThatLeave(spec, [h1, h4, h2, h3], [])).toEqual([{ ...h4, roles: [] }]);
  expect(hostsThatLeave(spec, [h1, h2, h3], [])).toEqual([]);
});

it('leaves out hosts that never come back', () => {
  expect(hostsThatLeave(spec, [h1, h2, h3, h4], ['h4'])).toEqual([]);
});

it('leaves out a host that only has another name, or another address on the same machine', () => {
  expect(hostsThatLeave(spec, [{ ...h4, address: h2.address }], [])).toEqual([]);
  const moved = { ...h4, ssh: h2.ssh, dir: h2.dir };
  expect(hostsThatLeave(spec, [moved], [])).toEqual([]);
  const other = { ...moved, dir: '/elsewhere' };
  expect(hostsThatLeave(spec, [other], [])).toEqual([{ ...other, roles: [] }]);
});

it('adds them to the spec after its own hosts', () => {
  expect(withLeaving(spec, [])).toBe(spec);
  expect(withLeaving(spec, [h4]).hosts).toEqual([h1, h2, h3, h4]);
});

it('keeps the agent until the nodes have moved', () => {
  const leaving = [{ host: h4, services: ['zookeeper', 'agents'] as const }];
  expect(leavingWith(leaving, 'zookeeper')).toEqual([h4]);
  expect(leavingWith(leaving, 'agents')).toEqual([]);
  expect(leavingWith(leaving, 'masters')).toEqual([]);
});
