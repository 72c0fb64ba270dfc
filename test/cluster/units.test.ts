import { describe, expect, it } from 'vitest';
import { isIpv4, parseSubnet } from '../../src/cluster/addresses.js';
import {
  durationMs,
  durationPattern,
  formatDuration,
  sizeBytes,
  sizePattern,
} from '../../src/cluster/units.js';

describe('durations', () => {
  it.each([
    ['50ms', 50],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['1w', 604_800_000],
  ])('%s is %i ms', (text, ms) => {
    expect(text).toMatch(durationPattern);
    expect(durationMs(text)).toBe(ms);
  });

  it.each(['5', 's', '-1s', '1 s', '1sec', '1s2', ''])('%j is not a duration', (text) => {
    expect(text).not.toMatch(durationPattern);
    expect(() => durationMs(text)).toThrow(RangeError);
  });

  it.each([
    [0, '0ms'],
    [999.4, '999ms'],
    [1000, '1s'],
    [2540, '2.5s'],
    [60_000, '1m'],
    [200_000, '3m 20s'],
    [7_500_000, '2h 5m'],
  ])('%d ms is shown as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe('sizes', () => {
  it.each([
    ['512MiB', 536_870_912],
    ['1.5GiB', 1_610_612_736],
    ['512MB', 512_000_000],
    ['1B', 1],
  ])('%s is %i bytes', (text, bytes) => {
    expect(text).toMatch(sizePattern);
    expect(sizeBytes(text)).toBe(bytes);
  });

  it.each(['512', '512M', 'MiB', '512mib'])('%j is not a size', (text) => {
    expect(text).not.toMatch(sizePattern);
  });
});

describe('subnets', () => {
  it('are ranges of addresses', () => {
    expect(parseSubnet('192.168.0.0/24')).toEqual({ first: 0xc0a80000, last: 0xc0a800ff, prefix: 24 });
    expect(parseSubnet('0.0.0.0/0')).toEqual({ first: 0, last: 0xffffffff, prefix: 0 });
    expect(parseSubnet('10.0.0.7/32')).toEqual({ first: 0x0a000007, last: 0x0a000007, prefix: 32 });
  });

  it.each([
    '192.168.0.1/24',
    '192.168.0.0/33',
    '192.168.0.0',
    '192.168.0/24',
    '1.2.3.4/5/6',
    '1.2.3.4/',
    'a/8',
  ])('%s is not a subnet', (text) => {
    expect(parseSubnet(text)).toBeUndefined();
  });

  it.each(['256.0.0.1', '1.2.3', '1.2.3.4.5', '01.2.3.4x', ''])('%j is not an address', (text) => {
    expect(isIpv4(text)).toBe(false);
  });
});
