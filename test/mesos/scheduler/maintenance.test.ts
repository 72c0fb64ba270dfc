import { describe, expect, it } from 'vitest';
import {
  changesAt,
  leadMs,
  maintenanceNotes,
  maintenanceOf,
  type MaintenanceWindow,
} from '../../../src/mesos/scheduler/maintenance.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const now = Date.parse('2026-11-30T09:00:00Z');
const hour = 3_600_000;
const spec = makeSpec({
  hosts: [
    makeHost('h1', { address: '127.0.1.1' }),
    makeHost('h2', { address: '127.0.1.2', hostname: 'node2.example' }),
    makeHost('h3', { address: '127.0.1.3', roles: ['master'] }),
  ],
});
const machine = (index: number) => ({ ip: spec.hosts[index]?.address ?? '' });
const window = (startMs: number, endMs?: number, ...machines: MaintenanceWindow['machines']) => ({
  machines: machines.length > 0 ? machines : [machine(0)],
  startMs,
  ...(endMs !== undefined && { endMs }),
});
const hosts = (...windows: readonly MaintenanceWindow[]) => Object.keys(maintenanceOf(spec, windows, now));

describe('a host is in maintenance', () => {
  it.each([
    ['in its window', window(now - hour, now + hour), ['h1']],
    ['in a window without an end', window(now - hour), ['h1']],
    ['shortly before its window', window(now + leadMs), ['h1']],
    ['not long before it', window(now + leadMs + 1), []],
    ['not once it is over', window(now - hour, now), []],
  ])('%s', (_what, given, expected) => {
    expect(hosts(given)).toEqual(expected);
  });

  it('by its address, or by its name in any case where the machine has no address', () => {
    const name = spec.hosts[1]?.hostname.toUpperCase() ?? '';
    expect(hosts(window(now, undefined, machine(1)))).toEqual(['h2']);
    expect(hosts(window(now, undefined, { hostname: name }))).toEqual(['h2']);
    expect(hosts(window(now, undefined, { hostname: name, ip: '10.9.9.9' }))).toEqual([]);
    expect(hosts(window(now, undefined, {}))).toEqual([]);
  });

  it('only if it has an agent', () => {
    expect(hosts(window(now, undefined, machine(2)))).toEqual([]);
  });
});

it('the next change is the end of a window, or the time at which nodes leave', () => {
  const windows = [window(now - hour, now + hour), window(now + 2 * hour)];
  expect(changesAt(windows, now)).toBe(now + hour);
  expect(changesAt(windows, now + hour)).toBe(now + 2 * hour - leadMs);
  expect(changesAt(windows, now + 3 * hour)).toBe(Infinity);
});

it('notes name the hosts that still have nodes', () => {
  const both = maintenanceOf(spec, [window(now, now + hour, machine(0), machine(1))], now);
  expect(maintenanceNotes(both, (host) => (host === 'h1' ? ['node0', 'node3'] : []))).toEqual([
    'Mesos has maintenance of h1 from 2026-11-30T09:00:00.000Z to 2026-11-30T10:00:00.000Z: node0, node3 must leave it',
  ]);
});
