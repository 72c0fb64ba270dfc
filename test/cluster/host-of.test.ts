import { expect, it } from 'vitest';
import { hostOf } from '../../src/cluster/host-of.js';
import type { HostSpec } from '../../src/cluster/spec.js';

const hosts = ['h1', 'h2'].map((name) => ({ name }) as HostSpec);

it('finds a host by its name', () => {
  expect(hostOf({ hosts }, 'h2')).toBe(hosts[1]);
});

it("rejects a name that the spec lacks, with the caller's code", () => {
  const refusal = (code: string) =>
    expect.objectContaining({ code, message: 'the spec has no host h9', place: { host: 'h9' } }) as Error;
  expect(() => hostOf({ hosts }, 'h9')).toThrow(refusal('INTERNAL'));
  expect(() => hostOf({ hosts }, 'h9', 'DRILL_UNHEALTHY')).toThrow(refusal('DRILL_UNHEALTHY'));
});
