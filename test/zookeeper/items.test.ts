import { describe, expect, it } from 'vitest';
import { serverId, zookeeperItems } from '../../src/zookeeper/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

const textOf = (items: ReturnType<typeof zookeeperItems>, path: string): string => {
  const source = items.files.find((file) => file.path === path)?.source;
  if (source?.kind !== 'text') throw new Error(`${path} is not a text file`);
  return source.text;
};

describe('zookeeperItems', () => {
  const spec = makeSpec();
  const [, second] = spec.hosts;
  if (second === undefined) throw new Error('no second host');

  it('lets three servers share one machine: each binds only its own address', () => {
    const items = zookeeperItems(spec, second);
    expect(textOf(items, '/opt/perijove/h2/etc/zookeeper/zoo.cfg')).toBe(
      [
        'dataDir=/opt/perijove/h2/data/zookeeper',
        'clientPort=2181',
        'clientPortAddress=127.0.1.2',
        'tickTime=2000',
        'initLimit=10',
        'syncLimit=5',
        'admin.enableServer=false',
        '4lw.commands.whitelist=srvr,mntr,ruok',
        'autopurge.snapRetainCount=3',
        'autopurge.purgeInterval=1',
        'quorumListenOnAllIPs=false',
        'server.1=127.0.1.1:2888:3888',
        'server.2=127.0.1.2:2888:3888',
        'server.3=127.0.1.3:2888:3888',
        '',
      ].join('\n'),
    );
    expect(textOf(items, '/opt/perijove/h2/data/zookeeper/myid')).toBe('2\n');
    expect(items.packages).toEqual(['zookeeper']);
  });

  it('restarts the server when a file that it reads at its start changes', () => {
    const [service] = zookeeperItems(spec, second).services;
    expect(service?.restartOn).toEqual([
      '/opt/perijove/h2/etc/zookeeper/zoo.cfg',
      '/opt/perijove/h2/data/zookeeper/myid',
    ]);
    expect(service?.exec).toContain('-Xmx64m');
  });

  it('configures no members for a single server', () => {
    const host = makeHost('h1');
    const items = zookeeperItems(makeSpec({ hosts: [host] }), host);
    expect(textOf(items, '/opt/perijove/h1/etc/zookeeper/zoo.cfg')).not.toContain('server.');
  });

  it('numbers the members by their position among the hosts with the role', () => {
    const hosts = [makeHost('a', { roles: ['agent'] }), makeHost('b'), makeHost('c')];
    const mixed = makeSpec({ hosts });
    expect(hosts.map((host) => serverId(mixed, host))).toEqual([0, 1, 2]);
    expect(zookeeperItems(mixed, makeHost('a', { roles: ['agent'] })).services).toEqual([]);
  });

  it('runs an Apache distribution from its prefix, with its own log configuration', () => {
    const items = zookeeperItems(
      makeSpec({ zookeeper: { install: { kind: 'path', path: '/srv/zookeeper' } } }),
      second,
    );
    expect(items.packages).toEqual([]);
    expect(items.services[0]?.exec).toContain(
      '/opt/perijove/h2/etc/zookeeper:/srv/zookeeper/*:/srv/zookeeper/lib/*',
    );
    expect(items.files.map((file) => file.path)).toContain('/opt/perijove/h2/etc/zookeeper/logback.xml');
  });
});
