import { describe, expect, it } from 'vitest';
import { frameworkInfo, hostOfAgent, taskInfo } from '../../../src/mesos/scheduler/launch.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const intent = { node: 'node3', taskId: 'node3.7', agentId: 'A', host: 'h1', config: 'digest' };
const command = { value: 'exec /opt/perijove/bin/perijove-node start 3', environment: { A: '1', B: '2' } };
const resources = [{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, role: '*' }] as const;

describe('the framework', () => {
  it('states its capabilities, its cluster, and its failover time-out', () => {
    const spec = makeSpec({
      name: 'c',
      mesos: { framework: 'perijove', role: 'r', principal: 'p', failoverTimeoutMs: 604_800_000 },
    });
    expect(frameworkInfo(spec)).toMatchObject({
      user: 'root',
      name: 'perijove',
      role: 'r',
      principal: 'p',
      failover_timeout: 604_800,
      checkpoint: true,
      capabilities: [{ type: 'PARTITION_AWARE' }, { type: 'TASK_KILLING_STATE' }],
      labels: { labels: [{ key: 'perijove.cluster', value: 'c' }] },
    });
  });

  it('has one in an open cluster, too: Mesos would never let it have one later', () => {
    expect(makeSpec().mesos.principal).toBeUndefined();
    expect(frameworkInfo(makeSpec()).principal).toBe('perijove');
  });

  it('runs as the user of the hosts, or as root if that user may become root', () => {
    const ssh = { address: '10.0.0.1', port: 22, user: 'debian', agent: false };
    const user = (become: 'none' | 'sudo') =>
      frameworkInfo(makeSpec({ hosts: [makeHost('h1', { ssh, become })] })).user;
    expect(user('none')).toBe('debian');
    expect(user('sudo')).toBe('root');
  });
});

describe('a task', () => {
  it('of plain processes is a command with its environment and labels', () => {
    const spec = makeSpec({ name: 'c' });
    const task = taskInfo(spec, intent, makeHost('h1'), command, resources);
    expect(task).toEqual({
      name: 'node3',
      task_id: { value: 'node3.7' },
      agent_id: { value: 'A' },
      resources,
      command: {
        shell: true,
        value: command.value,
        user: 'root',
        environment: {
          variables: [
            { name: 'A', value: '1' },
            { name: 'B', value: '2' },
          ],
        },
      },
      kill_policy: { grace_period: { nanoseconds: 10_000_000_000 } },
      labels: {
        labels: [
          { key: 'perijove.cluster', value: 'c' },
          { key: 'perijove.node', value: 'node3' },
          { key: 'perijove.config', value: 'digest' },
        ],
      },
    });
  });

  it('in Docker has the address of its node on the named network', () => {
    const spec = makeSpec({
      network: { kind: 'existing', name: 'calico_net', subnet: '192.168.0.0/24' },
      storage: { kind: 'path', path: '/srv/shared' },
      nodes: { containerizer: 'docker', image: 'perijove-node:1', firstAddress: '192.168.0.10' },
    });
    const task = taskInfo(spec, intent, makeHost('h1'), { ...command, image: 'perijove-node:1' }, resources);
    const host = (path: string, mode: string) => ({ container_path: path, host_path: path, mode });
    const { dir } = makeHost('h1');
    expect(task.container).toEqual({
      type: 'DOCKER',
      volumes: [
        host(`${dir}/bin`, 'RO'),
        host(`${dir}/etc/node-secrets`, 'RO'),
        host(`${dir}/data/nodes/node3`, 'RW'),
        host('/srv/shared', 'RW'),
      ],
      hostname: 'node3',
      docker: {
        image: 'perijove-node:1',
        network: 'USER',
        parameters: [
          { key: 'ip', value: '192.168.0.13' },
          { key: 'label', value: `perijove.cluster=${spec.name}` },
          { key: 'label', value: `perijove.tree=${dir}/data/nodes/node3` },
          { key: 'label', value: 'perijove.task=node3.7' },
        ],
      },
      network_infos: [{ name: 'calico_net' }],
    });
  });
});

describe('the host of an agent', () => {
  const host = (name: string, address: string, agent = 5051) =>
    makeHost(name, { address, hostname: 'same.example', ports: { ...makeHost('x').ports, agent } });
  const spec = makeSpec({
    hosts: [host('h1', '10.0.0.1'), host('h2', '10.0.0.1', 5052), host('h3', '10.0.0.3')],
  });
  const at = (ip: string, port: number) => ({
    hostname: 'same.example',
    address: { ip, port },
    attributes: {},
  });

  it('is the one in its attribute', () => {
    const attributes = { perijove_host: 'h3' };
    expect(hostOfAgent(spec, { ...at('10.0.0.1', 5051), attributes })?.name).toBe('h3');
  });

  it('is the one where it listens', () => {
    expect(hostOfAgent(spec, at('10.0.0.1', 5051))?.name).toBe('h1');
    expect(hostOfAgent(spec, at('10.0.0.1', 5052))?.name).toBe('h2');
  });

  it('is the one with its host name, if only one host has that name', () => {
    expect(hostOfAgent(spec, { hostname: 'same.example', attributes: {} })).toBeUndefined();
    const one = makeSpec({
      hosts: [makeHost('h1', { hostname: 'a.example' }), makeHost('h2', { hostname: 'b.example' })],
    });
    expect(hostOfAgent(one, { hostname: 'b.example', attributes: {} })?.name).toBe('h2');
  });

  it('is undefined for an agent outside the spec', () => {
    expect(hostOfAgent(spec, at('10.9.9.9', 5051))).toBeUndefined();
    const noAgent = makeSpec({ hosts: [makeHost('h1', { roles: ['master'] })] });
    expect(hostOfAgent(noAgent, { hostname: 'x', attributes: { perijove_host: 'h1' } })).toBeUndefined();
  });
});
