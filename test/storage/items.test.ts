import { describe, expect, it } from 'vitest';
import { noItems } from '../../src/hosts/items.js';
import { storageItems } from '../../src/storage/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

describe('storageItems', () => {
  it('wants the directory where nodes run, whatever its mode', () => {
    const spec = makeSpec({ storage: { kind: 'path', path: '/mnt/notebooks' } });
    expect(storageItems(spec, makeHost('h1')).directories).toEqual([{ path: '/mnt/notebooks' }]);
    expect(storageItems(spec, makeHost('h1', { roles: ['master'] }))).toEqual(noItems);
  });

  it('refuses what this release cannot do', () => {
    const spec = makeSpec({ storage: { kind: 'gluster', volume: 'v', brick: '/b', mount: '/m' } });
    expect(() => storageItems(spec, makeHost('h1'))).toThrow(
      expect.objectContaining({ code: 'TIER_UNSUPPORTED' }) as Error,
    );
  });
});
