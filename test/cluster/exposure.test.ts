import { describe, expect, it } from 'vitest';
import { doorsOf, trustedAtFirstSight } from '../../src/cluster/exposure.js';
import { makeHost, makeSpec } from '../support/spec.js';

const open = (spec: Parameters<typeof doorsOf>[0]) =>
  doorsOf(spec).flatMap(({ door, open: isOpen }) => (isOpen ? [door] : []));

describe('the doors of a cluster', () => {
  it('are open where the spec names no credential, with the key that closes them', () => {
    const spec = makeSpec();
    const bare = { ...spec, mesos: { ...spec.mesos }, zookeeper: { ...spec.zookeeper, digest: false } };
    delete (bare.mesos as { principal?: string }).principal;
    expect(open(bare)).toEqual([
      'Mesos masters',
      'Mesos agents',
      'ZooKeeper',
      'ZooKeeper servers',
      'etcd, on nodes',
    ]);
    expect(doorsOf(bare).flatMap(({ closedBy }) => closedBy ?? [])).toEqual([
      'mesos.security: authenticated',
      'mesos.security: authenticated',
      'zookeeper.digest: true',
      'etcd.security: authenticated',
    ]);
  });

  it('are closed by a principal, a digest and certificates', () => {
    const spec = makeSpec();
    const closed = {
      ...spec,
      mesos: { ...spec.mesos, principal: 'perijove' },
      zookeeper: { ...spec.zookeeper, digest: true },
      etcd: { ...spec.etcd, security: 'authenticated' },
    } as const;
    expect(open(closed)).toEqual(['ZooKeeper servers']);
    expect(doorsOf(closed).flatMap(({ closedBy }) => closedBy ?? [])).toEqual([]);
  });

  it('show the token to the network only without HTTPS', () => {
    const jupyter = (spec: Parameters<typeof doorsOf>[0]) =>
      doorsOf(spec).find(({ door }) => door === 'Jupyter');
    expect(jupyter(makeSpec())).toMatchObject({
      who: 'whoever has the token, which passes over plain HTTP',
      protectedBy: 'proxy.tls',
    });
    const tls = { certificateFile: '/c.pem', keyFile: '/k.pem' };
    const secure = jupyter(makeSpec({ proxy: { tls } }));
    expect(secure?.who).toBe('whoever has the token, which passes over HTTPS');
    expect(secure).not.toHaveProperty('protectedBy');
  });

  it('are at the address and port of each host with the role', () => {
    const spec = makeSpec();
    const [first, ...others] = spec.hosts;
    if (first === undefined) expect.unreachable('a host');
    const moved = { ...first, roles: ['proxy' as const], ports: { ...first.ports, proxy: 9999 } };
    const doors = doorsOf({ ...spec, hosts: [moved, ...others.map((host) => ({ ...host, roles: [] }))] });
    expect(doors.map(({ door }) => door)).toEqual(['Jupyter', 'etcd, on nodes', 'nodes']);
    expect(doors[0]?.places).toEqual([{ host: first.name, address: first.address, port: 9999 }]);
  });
});

it('names the hosts whose SSH key is trusted at first sight, a jump host included', () => {
  const { ssh } = makeHost('any');
  const known = { ...ssh, knownHostsFile: '/etc/ssh/ssh_known_hosts' };
  const hosts = [
    makeHost('pinned', { ssh }),
    makeHost('known', { ssh: known }),
    makeHost('behind-pinned', { ssh: known, jump: ssh }),
    makeHost('behind-known', { ssh: known, jump: known }),
  ];
  expect(trustedAtFirstSight({ hosts })).toEqual(['pinned', 'behind-pinned']);
});
