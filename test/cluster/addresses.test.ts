import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isIpv6, isLoopback } from '../../src/cluster/addresses.js';

describe('isIpv6', () => {
  it('agrees with Node.js', () => {
    const group = fc.constantFrom('', '0', '1', 'ffff', '12345', 'g', '10.0.0.1', '300.1.1.1');
    const text = fc.array(group, { maxLength: 10 }).map((groups) => groups.join(':'));
    const any = fc.oneof(
      fc.ipV6(),
      text,
      fc.constantFrom('::', '::1', '10.0.0.1::', '::10.0.0.1', ':::', '1::2::3', 'fe80::1%eth0'),
    );
    fc.assert(fc.property(any, (each) => isIpv6(each) === isIPv6(each)));
  });
});

describe('isLoopback', () => {
  it('knows both families', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1'])
      expect(isLoopback(address)).toBe(true);
    for (const address of ['10.0.0.1', '::2', '::', 'fe80::1', '127.example'])
      expect(isLoopback(address)).toBe(false);
  });
});
