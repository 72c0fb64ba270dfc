import { describe, expect, it } from 'vitest';
import { bridgeAddresses } from '../../src/cluster/bridges.js';
import { ethernetAddress, overlayOf } from '../../src/network/overlay.js';
import { overlayDifferences, parseOverlay } from '../../src/network/observe.js';
import { makeHost, makeSpec } from '../support/spec.js';

const hosts = ['172.16.6.103', '172.16.6.225', '172.16.6.95'].map((address, index) =>
  makeHost(`h${index + 1}`, { address, dir: '/opt/perijove' }),
);
const spec = makeSpec({
  hosts,
  network: { kind: 'vxlan', name: 'perijove', subnet: '192.168.0.0/24', vni: 42, mtu: 1450 },
});
const [h1, h2, h3] = hosts;

describe('bridgeAddresses', () => {
  const of = (addresses: readonly string[], subnet = '192.168.0.0/24') =>
    bridgeAddresses({
      hosts: addresses.map((address, index) => makeHost(`h${index}`, { address })),
      network: { kind: 'vxlan', name: 'n', subnet, vni: 1, mtu: 1450 },
    });

  it('gives each host an address of the upper quarter', () => {
    expect(Object.fromEntries(bridgeAddresses(spec))).toEqual({
      h1: '192.168.0.243',
      h2: '192.168.0.239',
      h3: '192.168.0.235',
    });
  });

  it('stays the same when other hosts are added or removed', () => {
    const all = bridgeAddresses(spec);
    const without = bridgeAddresses({ ...spec, hosts: hosts.slice(1) });
    for (const [name, address] of without) expect(address).toBe(all.get(name));
  });

  it('never assigns the address of another host, of a node or of the subnet', () => {
    const crowded = [...of(Array.from({ length: 63 }, (_, index) => `10.${index}.0.1`)).values()];
    expect(new Set(crowded).size).toBe(63);
    expect(crowded.toSorted().at(0)).toBe('192.168.0.192');
    expect(crowded.toSorted().at(-1)).toBe('192.168.0.254');
    expect(of(['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'], '192.168.0.0/28').size).toBe(3);
    expect(of(['10.0.0.1'], '192.168.0.0/30').size).toBe(0);
  });
});

describe('overlayOf', () => {
  it("describes a host's part of the VXLAN", () => {
    if (h1 === undefined) throw new Error('no host');
    expect(overlayOf(spec, h1)).toEqual({
      alias: 'perijove test',
      device: 'vxlan42',
      bridge: 'perijove',
      vni: 42,
      port: 4789,
      mtu: 1450,
      local: '172.16.6.103',
      address: '192.168.0.243/24',
      peers: ['172.16.6.225', '172.16.6.95'],
    });
    expect(overlayOf(makeSpec(), h1)).toBeUndefined();
  });

  it('has an Ethernet address that no container gets', () => {
    expect(ethernetAddress('192.168.0.243/24')).toBe('02:42:c0:a8:00:f3');
  });
});

describe('overlayDifferences', () => {
  const overlay = h2 && overlayOf(spec, h2);
  if (overlay === undefined || h3 === undefined) throw new Error('no overlay');
  /** Output of `ip -j -d` and `bridge -j` of iproute2 6.1, without unused fields. */
  const printed = `link [{"ifname":"vxlan42","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"master":"perijove","address":"36:75:d5:87:93:59","linkinfo":{"info_kind":"vxlan","info_data":{"id":42,"local":"172.16.6.225","port_range":{"low":0,"high":0},"port":4789,"learning":false},"info_slave_kind":"bridge","info_slave_data":{"id":"0x8001"}},"ifalias":"perijove test"}]
address [{},{"ifname":"vxlan42","addr_info":[]}]
link [{"ifname":"perijove","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"address":"02:42:c0:a8:00:ef","linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500}},"ifalias":"perijove test"}]
address [{"ifname":"perijove","addr_info":[{"family":"inet","local":"192.168.0.239","prefixlen":24,"scope":"global"}]}]
fdb [{"mac":"0e:e1:21:19:85:13","flags":[],"master":"perijove","state":""},{"mac":"00:00:00:00:00:00","dst":"172.16.6.95","flags":["self"],"state":"permanent"},{"mac":"00:00:00:00:00:00","dst":"172.16.6.103","flags":["self"],"state":"permanent"}]
complete
`;
  const differences = (text: string) => overlayDifferences(overlay, parseOverlay(text));

  it('finds none if everything is as desired', () => {
    expect(differences(printed)).toEqual([]);
  });

  it.each([
    ['"id":42', '"id":43', 'vxlan42 has different parameters'],
    ['"local":"172.16.6.225"', '"local":"172.16.6.1"', 'vxlan42 has different parameters'],
    ['"learning":false', '"learning":true', 'vxlan42 has different parameters'],
    ['"master":"perijove","address"', '"address"', 'vxlan42 is not in perijove'],
    ['02:42:c0:a8:00:ef', '02:42:c0:a8:00:f0', 'perijove has a different Ethernet address'],
    ['"ifalias":"perijove test"', '"ifalias":"x"', 'links are unmarked'],
    ['"mtu":1450', '"mtu":1400', 'different MTU'],
    ['"UP",', '', 'links are down'],
    ['192.168.0.239', '192.168.0.240', 'perijove does not have exactly the address 192.168.0.239/24'],
    ['172.16.6.95', '172.16.6.96', 'different peers'],
  ])('%s → %s: %s', (from, to, what) => {
    expect(differences(printed.replace(from, to))).toEqual([what]);
  });

  it('reports what is missing', () => {
    const lines = printed.split('\n');
    expect(differences('complete\n')).toEqual(['no vxlan42 and no perijove']);
    expect(differences(lines.slice(2).join('\n'))).toEqual(['no vxlan42']);
    expect(differences([...lines.slice(0, 2), 'complete'].join('\n'))).toEqual(['no perijove']);
  });

  it('does not report as missing what is truncated or omitted by ip', () => {
    const unknown = [expect.stringContaining('its links are unknown') as string];
    for (let length = 0; length < printed.length - 1; length += 7) {
      expect(differences(printed.slice(0, length)), `after ${length} characters`).toEqual(unknown);
    }
    expect(differences(printed.replace(/^link .*$/m, 'link []'))).toEqual(unknown);
    expect(differences(printed.replace(/^link .*$/m, 'link '))).toEqual(unknown);
    expect(differences(printed.replace(/^address .*\n/m, ''))).toEqual(unknown);
  });
});
