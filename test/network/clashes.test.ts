import { describe, expect, it } from 'vitest';
import { networkProblems, parseNetworkFacts, type NetworkFacts } from '../../src/network/clashes.js';
import type { DockerNetwork } from '../../src/network/docker-network.js';
import { known, notKnown } from '../../src/hosts/observation.js';
import { makeHost, makeSpec } from '../support/spec.js';

const host = makeHost('h1', { address: '172.16.6.103' });
const spec = makeSpec({
  hosts: [host],
  nodes: { containerizer: 'docker', firstAddress: '192.168.0.10' },
  network: { kind: 'vxlan', name: 'perijove', subnet: '192.168.0.0/24', vni: 42, mtu: 1450 },
});
const existing = makeSpec({
  hosts: [host],
  nodes: { containerizer: 'docker', firstAddress: '192.168.0.10' },
  network: { kind: 'existing', name: 'calico_net', subnet: '192.168.0.0/24' },
});
const network = (name: string, subnet: string, more: Partial<DockerNetwork> = {}): DockerNetwork => ({
  name,
  driver: 'bridge',
  bridge: `br-${name}`,
  pools: [{ subnet }],
  options: {},
  labels: {},
  containers: [],
  ...more,
});
const eth0 = { ifname: 'eth0', mtu: 1500, flags: [] };
type Ip = Extract<NetworkFacts['ip'], { known: true }>['value'];
const free = {
  links: [eth0],
  routes: [
    { dst: 'default', gateway: '172.16.6.1', dev: 'eth0' },
    { dst: '172.16.6.0/24', dev: 'eth0' },
  ],
  underlay: 'eth0',
  networks: [network('bridge', '172.17.0.0/16')],
};
const factsOf = ({ networks = free.networks, ...ip }: Partial<Ip> & { networks?: DockerNetwork[] }) => ({
  ip: known({ links: free.links, routes: free.routes, underlay: free.underlay, ...ip }),
  networks: known(networks),
});
const messages = (facts: Parameters<typeof factsOf>[0], of = spec) =>
  networkProblems(of, host, factsOf(facts)).map(({ code, message }) => `${code} ${message}`);
const withRoute = (...routes: Ip['routes']) => messages({ routes: [...free.routes, ...routes] });

describe('networkProblems of a VXLAN', () => {
  it('reports a host whose links and routes are unknown', () => {
    expect(networkProblems(spec, host, { ...factsOf({}), ip: notKnown('no answer') })).toMatchObject([
      { code: 'COMMAND_FAILED', message: expect.stringContaining('no answer') as string },
    ]);
  });

  it('finds no problems on a suitable host', () => {
    expect(messages({})).toEqual([]);
    expect(messages({ links: [], routes: [], networks: [] })).toEqual([]);
  });

  it('rejects a subnet that Docker uses', () => {
    expect(messages({ networks: [network('wide', '192.168.0.0/16')] })).toEqual([
      'NETWORK_CLASH h1: the Docker network wide uses 192.168.0.0/16, which overlaps 192.168.0.0/24 of the nodes',
    ]);
    // Its route is the same clash.
    const routes = [{ dst: '192.168.0.0/16', dev: 'br-wide' }];
    expect(messages({ networks: [network('wide', '192.168.0.0/16')], routes })).toHaveLength(1);
    expect(messages({ networks: [network('perijove', '172.18.0.0/16')] })).toEqual([
      'NETWORK_CLASH h1: the Docker network perijove exists and does not belong to this cluster',
    ]);
  });

  it('rejects a subnet that is routed elsewhere, in whole or in part', () => {
    expect(withRoute({ dst: '192.168.0.0/24', dev: 'eth1' })).toHaveLength(1);
    expect(withRoute({ dst: '192.168.0.128/25', gateway: '172.16.6.1', dev: 'eth0' })).toHaveLength(1);
    expect(withRoute({ dst: '192.168.0.7', gateway: '172.16.6.1', dev: 'eth0' })).toHaveLength(1);
    expect(withRoute({ dst: '192.168.0.0/16', dev: 'wlan0' })).toEqual([
      'NETWORK_CLASH h1: 192.168.0.0/16 is routed to wlan0, which conflicts with 192.168.0.0/24 of the nodes',
    ]);
  });

  it('accepts a narrower subnet than a route through a gateway, and a route that leads nowhere', () => {
    expect(withRoute({ dst: '192.168.0.0/16', gateway: '172.16.6.1', dev: 'eth0' })).toEqual([]);
    expect(withRoute({ type: 'unreachable', dst: '192.168.0.0/24', dev: 'lo' })).toEqual([]);
    expect(withRoute({ dst: '192.168.1.0/24', dev: 'eth1' })).toEqual([]);
  });

  it('accepts what is left of the cluster itself', () => {
    const own = { ifname: 'perijove', mtu: 1450, flags: [], ifalias: 'perijove test' };
    const routes = [{ dst: '192.168.0.0/24', dev: 'perijove' }];
    const vxlan = {
      ...own,
      ifname: 'vxlan42',
      linkinfo: { info_kind: 'vxlan', info_data: { id: 42, port: 4789 } },
    };
    const ours = network('perijove', '192.168.0.0/24', {
      bridge: 'perijove',
      labels: { 'io.perijove.cluster': 'test' },
    });
    expect(messages({ links: [eth0, own, vxlan], routes, networks: [ours] })).toEqual([]);
    // On start, Docker creates a missing bridge without a mark.
    expect(messages({ links: [eth0, { ...own, ifalias: undefined }], routes, networks: [ours] })).toEqual([]);
    const other = { ...own, ifalias: 'perijove other' };
    expect(messages({ links: [eth0, other], routes })).toHaveLength(2);
  });

  it('rejects names and identifiers that others use', () => {
    expect(messages({ links: [eth0, { ifname: 'vxlan42', mtu: 1500, flags: [] }] })[0]).toContain(
      'the link vxlan42 exists',
    );
    const foreign = (id: number, port: number) => ({
      ifname: 'flannel.1',
      mtu: 1450,
      flags: [],
      linkinfo: { info_kind: 'vxlan', info_data: { id, port } },
    });
    expect(messages({ links: [eth0, foreign(42, 4789)] })).toEqual([
      'NETWORK_CLASH h1: flannel.1 is a VXLAN with the same identifier 42',
    ]);
    expect(messages({ links: [eth0, foreign(42, 8472), foreign(1, 4789)] })).toEqual([]);
  });

  it('requires room for the headers', () => {
    expect(messages({ links: [{ ...eth0, mtu: 1499 }] })).toEqual([
      'NETWORK_MTU h1: eth0 has an MTU of 1499, but packets of the nodes with their VXLAN headers need 1500 bytes',
    ]);
  });
});

describe('networkProblems of an existing network', () => {
  it('requires it to contain the addresses of the nodes, on hosts with nodes', () => {
    expect(messages({ networks: [network('calico_net', '192.168.0.0/16')] }, existing)).toEqual([]);
    expect(messages({}, existing)).toEqual(['NETWORK_MISSING h1: Docker network not found: calico_net']);
    expect(messages({ networks: [network('calico_net', '192.168.0.0/29')] }, existing)).toEqual([
      'NETWORK_SUBNET h1: the Docker network calico_net has 192.168.0.0/29, which does not contain 192.168.0.10 of node0',
    ]);
    const silent = { ...factsOf({}), networks: notKnown('no answer') };
    expect(networkProblems(existing, host, silent)).toEqual([]);
    expect(networkProblems(existing, { ...host, roles: ['proxy'] }, factsOf({}))).toEqual([]);
  });
});

describe('parseNetworkFacts', () => {
  it('parses what the host prints', () => {
    const printed = `links [{"ifname":"lo","mtu":65536,"flags":[]},{"ifname":"eth0","mtu":1500,"linkinfo":{"info_kind":"veth"}}]
routes [{"dst":"default","gateway":"172.16.62.1","dev":"eth0","flags":[]},{"type":"unreachable","dst":"192.168.0.0/24","dev":"lo","metric":4000000,"flags":[]}]
underlay [{},{"ifindex":18,"ifname":"eth0","addr_info":[{"local":"172.16.6.103"}]}]
ip complete
no docker
`;
    expect(parseNetworkFacts(printed)).toMatchObject({
      ip: {
        known: true,
        value: {
          links: [{ ifname: 'lo' }, { ifname: 'eth0', mtu: 1500 }],
          routes: [{ dst: 'default' }, { type: 'unreachable' }],
          underlay: 'eth0',
        },
      },
      networks: { known: true, value: [] },
    });
    for (let length = 0; length < printed.indexOf('complete') + 7; length += 1) {
      expect(parseNetworkFacts(printed.slice(0, length)).ip.known, `after ${length} characters`).toBe(false);
    }
    for (const line of ['links []', 'links ', 'routes ', 'underlay ']) {
      const kind = line.split(' ')[0] ?? '';
      expect(parseNetworkFacts(printed.replace(new RegExp(`^${kind} .*$`, 'm'), line)).ip.known, line).toBe(
        false,
      );
    }
    expect(parseNetworkFacts('no ip\nno docker\n').ip).toEqual({
      known: true,
      value: { links: [], routes: [] },
    });
    expect(parseNetworkFacts('')).toMatchObject({ ip: { known: false }, networks: { known: false } });
  });
});
