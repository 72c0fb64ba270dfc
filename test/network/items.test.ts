import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { noItems } from '../../src/hosts/items.js';
import { networkItems } from '../../src/network/items.js';
import { neighbours } from '../../src/network/neighbours.js';
import { makeHost, makeSpec } from '../support/spec.js';

const host = makeHost('h1', { address: '172.16.6.103', dir: '/opt/perijove' });
const spec = makeSpec({
  hosts: [host, makeHost('h2', { address: '172.16.6.225' })],
  nodes: { containerizer: 'docker' },
  network: { kind: 'vxlan', name: 'perijove', subnet: '192.168.0.0/24', vni: 42, mtu: 1450 },
});

describe('networkItems', () => {
  it('requires nothing on a flat network', () => {
    expect(networkItems(makeSpec(), host)).toEqual(noItems);
  });

  it('creates the links of a VXLAN on every host, before Docker, and a Docker network on hosts with nodes', () => {
    const items = networkItems(spec, host);
    expect(items.services).toMatchObject([{ name: 'network', once: { before: ['docker.service'] } }]);
    expect(items.files.map(({ path }) => path)).toEqual(items.services[0]?.restartOn);
    expect(items.conditions).toHaveLength(1);
    const proxy = networkItems(spec, { ...host, roles: ['proxy'] });
    expect(proxy.services).toHaveLength(1);
    expect(proxy.conditions).toBeUndefined();
    const [script] = items.files;
    execFileSync('sh', ['-n'], { input: script?.source.kind === 'text' ? script.source.text : 'fi' });
  });

  it('checks an existing network, and rejects an unsuitable one', () => {
    const existing = makeSpec({
      network: { kind: 'existing', name: 'calico_net', subnet: '192.168.0.0/24' },
    });
    const [condition] = networkItems(existing, host).conditions ?? [];
    expect(condition?.actions('')).toEqual([]);
    expect(() => condition?.actions('no docker\n')).toThrow(
      expect.objectContaining({ code: 'NETWORK_MISSING' }) as Error,
    );
    expect(networkItems(existing, { ...host, roles: ['proxy'] })).toEqual(noItems);
  });
});

describe('neighbours', () => {
  it('are all pairs of a small cluster, and enough of a large one', () => {
    expect(neighbours(['a'])).toEqual([]);
    expect(neighbours(['a', 'b', 'c']).map((pair) => pair.join(''))).toEqual([
      'ab',
      'ac',
      'bc',
      'ba',
      'ca',
      'cb',
    ]);
    const large = neighbours(Array.from({ length: 100 }, (_, index) => index));
    expect(large).toHaveLength(300);
    expect(new Set(large.map(([, to]) => to)).size).toBe(100);
    expect(large.every(([from, to]) => from !== to)).toBe(true);
  });
});
