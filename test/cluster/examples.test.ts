import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { hostsWithRole, nodeAddress, zookeeperConnect } from '../../src/cluster/spec.js';
import { loadSpec } from '../../src/cluster/load.js';

const composeFile = z.object({ services: z.record(z.string(), z.unknown()) });

describe('examples/lab.yaml', () => {
  it('has three hosts and five nodes on loopback, with the stand-in and process nodes', async () => {
    const spec = await loadSpec('examples/lab.yaml');
    expect(spec.hosts.map(({ name, address, ssh }) => [name, address, ssh.port])).toEqual([
      ['h1', '127.0.1.1', 2200],
      ['h2', '127.0.1.2', 2200],
      ['h3', '127.0.1.3', 2200],
    ]);
    expect(new Set(spec.hosts.map(({ dir }) => dir)).size).toBe(3);
    expect(hostsWithRole(spec, 'zookeeper')).toHaveLength(3);
    expect(spec.mesos.install).toEqual({ kind: 'lab' });
    expect(spec.nodes).toMatchObject({ count: 5, containerizer: 'mesos', sshPort: 2222 });
    expect([0, 4].map((index) => nodeAddress(spec, index))).toEqual(['127.0.2.10', '127.0.2.14']);
  });

  it('has every local path below the directory that `lab up` replaces', async () => {
    const spec = await loadSpec('examples/lab.yaml');
    const paths = [
      ...spec.hosts.flatMap(({ dir, ssh }) => [dir, ssh.keyFile, ssh.knownHostsFile]),
      spec.storage.kind === 'path' ? spec.storage.path : undefined,
      spec.jupyter.executable,
    ];
    for (const path of paths) expect(path).toMatch(/^\/var\/lib\/perijove-lab\//);
  });
});

describe('examples/three-hosts.yaml', () => {
  it('has the addresses, ports, names and flags of the original cluster', async () => {
    const spec = await loadSpec('examples/three-hosts.yaml');
    expect(zookeeperConnect(spec)).toBe('172.16.6.103:2181,172.16.6.225:2181,172.16.6.95:2181');
    expect(spec.hosts.map(({ ports }) => [ports.master, ports.agent])).toEqual([
      [5050, 5051],
      [6060, 5052],
      [7070, 5053],
    ]);
    expect(new Set(spec.hosts.map(({ hostname }) => hostname))).toEqual(new Set(['162.105.174.32']));
    expect(spec.mesos).toMatchObject({
      cluster: 'mesos_with_zookeeper',
      quorum: 2,
      zkPath: '/mesos',
      framework: 'Final',
      agentFlags: {
        containerizers: 'docker,mesos',
        image_providers: 'docker',
        isolation: 'docker/runtime',
      },
    });
    expect(spec.network).toEqual({ kind: 'existing', name: 'calico_net', subnet: '192.168.0.0/24' });
    expect(nodeAddress(spec, 0)).toBe('192.168.0.10');
    expect(spec.etcd.token).toBe('final');
  });
});

describe('examples/compose.yaml', () => {
  it('has the same cluster on the hosts of docker-compose.yml', async () => {
    const [spec, origin, text] = await Promise.all([
      loadSpec('examples/compose.yaml'),
      loadSpec('examples/three-hosts.yaml'),
      readFile('docker-compose.yml', 'utf8'),
    ]);
    const placesOf = ({ hosts }: typeof spec) =>
      hosts.map(({ name, address, ports }) => [name, address, ports]);
    expect(placesOf(spec)).toEqual(placesOf(origin));
    expect(zookeeperConnect(spec)).toBe(zookeeperConnect(origin));
    expect(spec.network).toMatchObject({ kind: 'vxlan', subnet: '192.168.0.0/24' });
    expect(nodeAddress(spec, 0)).toBe('192.168.0.10');

    const { services } = composeFile.parse(parse(text, { merge: true }));
    for (const { name, address } of spec.hosts)
      expect(services[name]).toMatchObject({
        hostname: name,
        networks: { hosts: { ipv4_address: address } },
      });
  });
});

it.each(['lab', 'three-hosts', 'compose'])('examples/%s.yaml names the schema for editors', async (name) => {
  const [first] = (await readFile(`examples/${name}.yaml`, 'utf8')).split('\n');
  expect(first).toBe('# yaml-language-server: $schema=../schema/cluster.schema.json');
});
