import { describe, expect, it } from 'vitest';
import {
  dockerNetworkActions,
  parseDockerNetworks,
  wantedDockerNetwork,
  type DockerNetwork,
} from '../../src/network/docker-network.js';
import { known, notKnown } from '../../src/hosts/observation.js';
import { makeHost, makeSpec } from '../support/spec.js';

/** In the format of Docker 20.10. */
const line = (more: object = {}) =>
  JSON.stringify({
    Name: 'perijove',
    Id: '479fc561ea2535f472f97f81d3694ec290e1bb01d8218e890b84c2873f993626',
    Scope: 'local',
    Driver: 'bridge',
    IPAM: {
      Driver: 'default',
      Options: {},
      Config: [{ Subnet: '192.168.0.0/24', IPRange: '192.168.0.243/32', Gateway: '192.168.0.243' }],
    },
    Containers: {},
    Options: {
      'com.docker.network.bridge.name': 'perijove',
      'com.docker.network.driver.mtu': '1450',
    },
    Labels: { 'io.perijove.cluster': 'test' },
    ...more,
  });
const host = makeHost('h1', { address: '172.16.6.103' });
const spec = makeSpec({
  hosts: [host],
  nodes: { containerizer: 'docker' },
  network: { kind: 'vxlan', name: 'perijove', subnet: '192.168.0.0/24', vni: 42, mtu: 1450 },
});
const none = line({
  Name: 'none',
  Id: 'ff',
  Driver: 'null',
  IPAM: { Config: null },
  Options: null,
  Labels: null,
});
const parse = (...lines: readonly string[]) => {
  const observation = parseDockerNetworks([...lines, none, 'docker complete'].join('\n'));
  if (!observation.known) throw new Error(observation.why);
  return observation.value.filter(({ name }) => name !== 'none');
};
const wanted = wantedDockerNetwork(spec, host);

describe('parseDockerNetworks', () => {
  it('parses the output of Docker, also for networks without settings', () => {
    const [own, hosts, made] = parse(
      line({ Containers: { a: { Name: 'node0' } } }),
      line({ Name: 'host', Driver: 'host', IPAM: { Config: null }, Options: null, Labels: null }),
      line({ Name: 'made', Options: {}, IPAM: { Config: [{ Subnet: '172.18.0.0/16', Gateway: '' }] } }),
    );
    expect(own).toEqual({ ...wanted, containers: ['node0'] });
    expect(hosts).toMatchObject({ name: 'host', pools: [], options: {}, labels: {} });
    expect(hosts?.bridge).toBeUndefined();
    expect(made).toMatchObject({ bridge: 'br-479fc561ea25', pools: [{ subnet: '172.18.0.0/16' }] });
  });

  it('distinguishes a host without Docker from a Docker that does not respond, or not completely', () => {
    expect(parseDockerNetworks('no docker\n')).toEqual({ known: true, value: [] });
    const id = /"Id":"(\w+)"/.exec(line())?.[1] ?? '';
    const all = [`network ${id}`, 'network ff', line(), none, 'docker complete', ''];
    expect(parseDockerNetworks(all.join('\n'))).toMatchObject({ known: true, value: [{}, {}] });
    for (let length = 0; length < all.join('\n').length - 1; length += 11) {
      expect(parseDockerNetworks(all.join('\n').slice(0, length)).known, `after ${length}`).toBe(false);
    }
    expect(parseDockerNetworks(all.filter((each) => each !== line()).join('\n'))).toMatchObject({
      why: 'Docker did not describe its network 479fc561ea25',
    });
    expect(parseDockerNetworks([line(), 'docker complete'].join('\n')).known).toBe(false);
    const silent = line().replace('"Containers":{},', '');
    expect(parseDockerNetworks([silent, none, 'docker complete'].join('\n')).known).toBe(false);
  });
});

describe('dockerNetworkActions', () => {
  const actions = (...observed: readonly DockerNetwork[]) =>
    dockerNetworkActions(wanted ?? fail(), known(observed), { cluster: 'test', host: 'h1' });
  const fail = (): never => {
    throw new Error('no network is wanted');
  };

  it('creates a missing network, with no address for containers that request none', () => {
    const [action, ...rest] = actions();
    expect(rest).toEqual([]);
    expect(action?.done).toBe('created the Docker network perijove');
    expect(action?.script.replaceAll("'", '')).toBe(
      'docker network create --driver bridge --opt com.docker.network.bridge.name=perijove --opt com.docker.network.driver.mtu=1450 --label io.perijove.cluster=test --subnet 192.168.0.0/24 --ip-range 192.168.0.243/32 --gateway 192.168.0.243 perijove',
    );
  });

  it("removes nothing if Docker's networks are unknown", () => {
    const made = dockerNetworkActions(wanted ?? fail(), notKnown('no answer'), {
      cluster: 'test',
      host: 'h1',
    });
    expect(made.map(({ plan }) => plan)).toEqual(['create the Docker network perijove']);
    expect(made[0]?.script).toMatch(/^docker network inspect perijove .* \|\| docker network create /);
  });

  it('keeps a correct network, even with containers, and foreign networks', () => {
    expect(actions(...parse(line({ Containers: { a: { Name: 'node0' } } })))).toEqual([]);
    const [other] = parse(line({ Name: 'other', Labels: { 'io.perijove.cluster': 'another' } }));
    expect(actions(...parse(line()), ...(other ? [other] : []))).toEqual([]);
  });

  it('recreates a different network if it is empty, and refuses if containers are connected', () => {
    const differing = { Options: { 'com.docker.network.bridge.name': 'perijove' } };
    expect(actions(...parse(line(differing))).map(({ plan }) => plan)).toEqual([
      'remove the Docker network perijove',
      'create the Docker network perijove',
    ]);
    const used = parse(line({ ...differing, Containers: { a: { Name: 'node0' } } }));
    expect(() => actions(...used)).toThrow(
      expect.objectContaining({
        code: 'NETWORK_DIFFERS',
        message:
          'h1: the Docker network perijove differs from the spec, but containers are connected to it: node0',
      }) as Error,
    );
  });

  it('removes a network that the cluster had under another name', () => {
    expect(actions(...parse(line(), line({ Name: 'former' }))).map(({ plan }) => plan)).toEqual([
      'remove the Docker network former',
    ]);
  });
});

describe('wantedDockerNetwork', () => {
  it('is required only on hosts with Docker nodes', () => {
    expect(wantedDockerNetwork(spec, { ...host, roles: ['proxy'] })).toBeUndefined();
    expect(wantedDockerNetwork(makeSpec(), host)).toBeUndefined();
  });
});
