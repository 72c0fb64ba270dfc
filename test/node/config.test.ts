import { describe, expect, it } from 'vitest';
import { configDigest, nodeCommand, nodeConfig, nodeConfigSchema } from '../../src/node/config.js';
import { nodeItems } from '../../src/node/items.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { makeGluster, makeHost, makeSpec } from '../support/spec.js';

const host = makeHost('h1');
const spec = makeSpec({ hosts: [host], nodes: { firstAddress: '192.168.0.10' } });
const docker: ClusterSpec = { ...spec, nodes: { ...spec.nodes, containerizer: 'docker' } };

describe('nodeConfig', () => {
  it('is accepted by the node, with the addresses of all nodes', () => {
    const config = nodeConfig(spec, 3, host);
    expect(nodeConfigSchema.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
    expect(config).toMatchObject({ name: 'node3', address: '192.168.0.13', ownsMachine: false });
    expect(config.nodes.map(({ address }) => address)).toEqual([
      '192.168.0.10',
      '192.168.0.11',
      '192.168.0.12',
      '192.168.0.13',
      '192.168.0.14',
    ]);
  });

  it('gives a node of plain processes its own hosts file, and a container the machine’s', () => {
    expect(nodeConfig(spec, 0, host).paths.hosts).toBe(`${host.dir}/data/nodes/node0/etc/hosts`);
    expect(nodeConfig(docker, 0, host).paths.hosts).toBe('/etc/hosts');
  });

  it('keeps notebooks on the shared storage', () => {
    const storage = makeGluster({ brick: '/b', mount: '/mnt/shared' });
    expect(nodeConfig({ ...spec, storage }, 0, host).jupyter.notebooks).toBe('/mnt/shared/notebooks');
  });
});

describe('configDigest', () => {
  it('is the same on every host', () => {
    const elsewhere = { ...host, name: 'h2', dir: '/srv/perijove', address: '10.0.0.2' };
    expect(configDigest(nodeConfig(spec, 1, elsewhere))).toBe(configDigest(nodeConfig(spec, 1, host)));
  });

  it('changes with what the spec configures for the node', () => {
    const slower = { ...spec, etcd: { ...spec.etcd, electionMs: 1_000 } };
    const digests = [spec, slower, docker].map((each) => configDigest(nodeConfig(each, 1, host)));
    expect(new Set([...digests, configDigest(nodeConfig(spec, 2, host))]).size).toBe(4);
  });

  it('changes with the image of a container', () => {
    const config = nodeConfig(docker, 1, host);
    const digests = ['a:1', 'a:2', undefined].map((image) => configDigest(config, image));
    expect(new Set(digests).size).toBe(3);
  });

  it('does not depend on the number of nodes: none is restarted for another one', () => {
    const fewer = { ...spec, nodes: { ...spec.nodes, count: 3 } };
    expect(configDigest(nodeConfig(fewer, 1, host))).toBe(configDigest(nodeConfig(spec, 1, host)));
  });
});

describe('nodeCommand', () => {
  it('passes the configuration in the environment, without a secret', () => {
    const { value, environment } = nodeCommand(spec, 2, host, { etcdFormed: true });
    expect(value).toBe(
      `unset LD_LIBRARY_PATH LD_PRELOAD NODE_OPTIONS; exec ${host.dir}/bin/perijove-node start 2`,
    );
    expect(environment['PERIJOVE_ETCD_FORMED']).toBe('true');
    expect(JSON.parse(environment['PERIJOVE_NODE_CONFIG'] ?? '')).toEqual(nodeConfig(spec, 2, host));
  });

  it('names what the spec adds to the environment of processes', () => {
    const flags = { executor_environment_variables: '{"https_proxy":"http://10.0.0.9:3128","A":"1"}' };
    const withFlags = (each: typeof spec, agentFlags: Record<string, string>) =>
      nodeConfig({ ...each, mesos: { ...each.mesos, agentFlags } }, 2, host);
    expect(withFlags(spec, flags).variables).toEqual(['A', 'https_proxy']);
    expect(withFlags(docker, flags).variables).toBeUndefined();
    expect(withFlags(spec, { executor_environment_variables: 'no JSON' })).toEqual(nodeConfig(spec, 2, host));
  });

  it('has an init in a container', () => {
    const { value } = nodeCommand(docker, 2, host, { etcdFormed: true });
    expect(value).toBe(`exec tini -- ${host.dir}/bin/perijove-node start 2`);
  });
});

describe('nodeItems', () => {
  it('installs the program, its wrapper and Node.js on agents', () => {
    const { files, packages } = nodeItems(spec, host);
    expect(files.map(({ path }) => path)).toEqual([
      `${host.dir}/bin/node`,
      `${host.dir}/bin/perijove-node.mjs`,
      `${host.dir}/bin/perijove-node`,
    ]);
    expect(packages).toEqual(['etcd-server', 'openssh-server', 'openssh-client', 'runit']);
  });

  it('needs no package for a program that is named by its path', () => {
    const { packages } = nodeItems({ ...spec, etcd: { ...spec.etcd, executable: '/opt/etcd/etcd' } }, host);
    expect(packages).not.toContain('etcd-server');
  });

  it('installs nothing on hosts without an agent', () => {
    expect(nodeItems(spec, { ...host, roles: ['proxy'] }).files).toEqual([]);
  });

  it('installs only Perijove’s own program for nodes in containers', () => {
    const { packages, files } = nodeItems(docker, host);
    expect(packages).toEqual([]);
    expect(files.map(({ path }) => path)).toContain(`${host.dir}/bin/perijove-node.mjs`);
  });
});
