import { describe, expect, it } from 'vitest';
import { staticClusterId, staticMemberId, walIdentity } from '../../src/etcd/identity.js';

/** The beginning of the first segment that etcd 3.4.23 wrote for a cluster of one at 127.25.9.1. */
const segment = Buffer.from(
  'BAAAAAAAAIQIBBAAAAAAACAAAAAAAAAACAEQzIeloQsaFgitvLGHzo6dkZUBEJfajcf327qzkQEOAAAAAAAAgggFENyB/OMFGgQIABAAAABvAAAAAAAAgQgCEOHg8uADGmUIARABGAEiXQgAEAAYrbyxh86OnZGVASJMeyJpZCI=',
  'base64',
);
const identity = { memberId: '10746279706198040109', clusterId: '10477319828650814743' };

describe('the IDs of a static cluster', () => {
  it('are those that etcd itself assigned', () => {
    expect(staticMemberId('http://127.25.9.1:2380', 'etcd-cluster')).toBe(identity.memberId);
    expect(staticClusterId(['http://127.25.9.1:2380'], 'etcd-cluster')).toBe(identity.clusterId);
  });

  it('do not depend on the order of the members', () => {
    const urls = ['http://10.0.0.1:2380', 'http://10.0.0.2:2380', 'http://10.0.0.3:2380'];
    expect(staticClusterId([...urls].reverse(), 'token')).toBe(staticClusterId(urls, 'token'));
  });
});

describe('walIdentity', () => {
  it('reads the member of a log', () => {
    expect(walIdentity(segment)).toEqual(identity);
  });

  it('finds none in a log that is empty, truncated or filled with zeros', () => {
    for (let length = 0; length < 48; length += 1) {
      expect(walIdentity(segment.subarray(0, length))).toBeUndefined();
    }
    expect(walIdentity(Buffer.alloc(4096))).toBeUndefined();
  });

  it('finds none in random data, and terminates', () => {
    for (let seed = 1; seed < 200; seed += 1) {
      const noise = Buffer.from(Array.from({ length: 256 }, (_, at) => (seed * 7919 * (at + 1)) % 251));
      expect(() => walIdentity(noise)).not.toThrow();
    }
  });
});
