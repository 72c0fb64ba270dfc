import { describe, expect, it } from 'vitest';
import { containerName, dockerRunArguments } from '../../../src/stand-in/agent/docker-run.js';
import { taskInfoKind } from '../../../src/stand-in/messages.js';
import { readMessage } from '../../../src/stand-in/proto.js';

const place = {
  name: containerName('A-S0', 'c1'),
  sandbox: '/work/slaves/A-S0/runs/c1',
  mappedDirectory: '/mnt/mesos/sandbox',
};

const run = (container: object, more: object = {}) =>
  dockerRunArguments(
    readMessage(taskInfoKind, {
      name: 't',
      task_id: { value: 't' },
      agent_id: { value: 'A-S0' },
      resources: [
        { name: 'cpus', type: 'SCALAR', scalar: { value: 0.5 } },
        { name: 'mem', type: 'SCALAR', scalar: { value: 512 } },
      ],
      command: { shell: true, value: 'echo hello' },
      container: { type: 'DOCKER', ...container },
      ...more,
    }),
    place,
  );

describe('the command of a container', () => {
  it("has Mesos' order, with everything from the task", () => {
    const container = {
      volumes: [
        { container_path: '/opt/p/bin', host_path: '/opt/p/bin', mode: 'RO' },
        { container_path: 'inner', host_path: '/srv/x', mode: 'RW' },
      ],
      hostname: 'node3',
      docker: {
        image: 'perijove-node:1',
        network: 'USER',
        parameters: [{ key: 'ip', value: '192.168.0.13' }],
      },
      network_infos: [{ name: 'calico_net' }],
    };
    const environment = { variables: [{ name: 'FOO', value: 'bar baz' }] };
    expect(run(container, { command: { shell: true, value: 'echo hello', environment } })).toEqual([
      'run',
      '--cpu-shares',
      '512',
      '--memory',
      '536870912',
      '-e',
      'FOO=bar baz',
      '-e',
      'MESOS_SANDBOX=/mnt/mesos/sandbox',
      '-e',
      'MESOS_CONTAINER_NAME=mesos-A-S0.c1',
      '-v',
      '/opt/p/bin:/opt/p/bin:ro',
      '-v',
      '/srv/x:/mnt/mesos/sandbox/inner:rw',
      '-v',
      '/work/slaves/A-S0/runs/c1:/mnt/mesos/sandbox',
      '--net',
      'calico_net',
      '--hostname',
      'node3',
      '--ip=192.168.0.13',
      '--entrypoint',
      '/bin/sh',
      '--name',
      'mesos-A-S0.c1',
      'perijove-node:1',
      '-c',
      'echo hello',
    ]);
  });

  it('uses the host network unless the task says otherwise', () => {
    const network = (name?: string) => {
      const args = run({ docker: { image: 'x', ...(name !== undefined && { network: name }) } });
      return args[args.indexOf('--net') + 1];
    };
    expect([network(), network('BRIDGE'), network('NONE')]).toEqual(['host', 'bridge', 'none']);
  });

  it("keeps the image's entry point without a shell", () => {
    const docker = { docker: { image: 'x' } };
    const of = (command: object) => {
      const args = run(docker, { command });
      return args.slice(args.indexOf('--name') + 2);
    };
    expect(of({ shell: false, value: 'ls', arguments: ['-l'] })).toEqual(['x', 'ls', '-l']);
    expect(of({ shell: false })).toEqual(['x']);
  });

  it('requests at least the minimum of Docker and the kernel', () => {
    const args = run(
      { docker: { image: 'x' } },
      { resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 0.001 } }] },
    );
    expect(args.slice(0, 5)).toEqual(['run', '--cpu-shares', '2', '--memory', '33554432']);
  });

  it.each([
    [{}, 'No docker info found in container info'],
    [{ docker: { image: 'x', network: 'USER' } }, 'No network info found in container info'],
    [
      { docker: { image: 'x', network: 'USER' }, network_infos: [{ name: 'a' }, { name: 'b' }] },
      'Only a single network can be defined in Docker run',
    ],
    [
      { docker: { image: 'x', network: 'USER' }, network_infos: [{}] },
      'No network name found in network info',
    ],
    [{ docker: { image: 'x' }, hostname: 'n' }, 'Unable to set hostname with host network mode'],
    [
      { docker: { image: 'x' }, volumes: [{ container_path: '/x', mode: 'RW' }] },
      'Host path or volume source is required',
    ],
    [
      { docker: { image: 'x' }, volumes: [{ container_path: 'x', host_path: 'y', mode: 'RW' }] },
      "Both host_path 'y' and container_path 'x' of a volume are relative",
    ],
  ])('cannot be made from %j', (container, why) => {
    expect(() => run(container)).toThrow(why);
  });
});
