import { describe, expect, it } from 'vitest';
import { noItems } from '../../src/hosts/items.js';
import { networkItems } from '../../src/network/items.js';
import { makeSpec } from '../support/spec.js';

describe('networkItems', () => {
  it('wants nothing on a flat network', () => {
    expect(networkItems(makeSpec())).toEqual(noItems);
  });

  it('refuses what this release cannot do', () => {
    const spec = makeSpec({ network: { kind: 'existing', name: 'calico_net', subnet: '10.0.0.0/24' } });
    expect(() => networkItems(spec)).toThrow(expect.objectContaining({ code: 'TIER_UNSUPPORTED' }) as Error);
  });
});
