import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { labSubnet, renderLabSpec, type LabPlace } from '../../src/lab/spec.js';
import { parseSpec } from '../../src/cluster/load.js';

const place: LabPlace = {
  stateDir: '/state/lab',
  subnet: '127.28',
  user: 'ada',
  jupyterLab: '/tools/bin/jupyter-lab',
};
const example = readFileSync(path.resolve(import.meta.dirname, '../../examples/lab.yaml'), 'utf8');

function specOf(text: string) {
  const { spec, problems } = parseSpec(text, 'cluster.yaml');
  expect(problems).toEqual([]);
  if (!spec) expect.unreachable();
  return spec;
}

describe('renderLabSpec', () => {
  it('moves the example to the lab', () => {
    const spec = specOf(renderLabSpec(example, place));
    expect(spec.hosts.map(({ address, dir, ssh }) => ({ address, dir, ssh }))).toEqual(
      [1, 2, 3].map((number) => ({
        address: `127.28.1.${number}`,
        dir: `/state/lab/hosts/h${number}/perijove`,
        ssh: {
          address: `127.28.1.${number}`,
          port: 2200,
          user: 'ada',
          keyFile: '/state/lab/ssh/id_ed25519',
          knownHostsFile: '/state/lab/ssh/known_hosts',
          agent: false,
        },
      })),
    );
    expect(spec.nodes.firstAddress).toBe('127.28.2.10');
    expect(spec.network).toEqual({ kind: 'flat', subnet: '127.28.2.0/24' });
    expect(spec.storage).toEqual({ kind: 'path', path: '/state/lab/notebooks' });
    expect(spec.jupyter.executable).toBe('/tools/bin/jupyter-lab');
    expect(spec.hosts.every((host) => host.become === 'none')).toBe(true);
  });

  it('keeps all comments and other lines', () => {
    const rendered = renderLabSpec(example, place).split('\n');
    const comments = example.split('\n').filter((line) => line.trim().startsWith('#'));
    expect(comments.filter((line) => !rendered.includes(line))).toEqual([]);
    const changed = example.split('\n').filter((line) => !rendered.includes(line));
    expect(changed.filter((line) => !/127\.0|perijove-lab|user:/.test(line))).toEqual([]);
  });

  it('reaches the hosts of a user’s spec as the lab does', () => {
    const spec = specOf(
      renderLabSpec(
        [
          'name: mine',
          'ssh: { config: true, jump: { address: gate } }',
          'hosts:',
          ...[1, 2, 3].flatMap((number) => [
            `  - name: n${number}`,
            `    address: 127.0.7.${number}`,
            '    port: 2201',
            '    sshAddress: 10.0.0.1',
            '    user: bob',
            '    key: ~/.ssh/id',
            '    become: sudo',
          ]),
          'mesos: { install: lab }',
          'network: { subnet: 127.0.2.0/24 }',
          'nodes: { containerizer: mesos }',
        ].join('\n'),
        place,
      ),
    );
    expect(spec.hosts[0]).toMatchObject({
      address: '127.28.7.1',
      dir: '/state/lab/hosts/n1/perijove',
      become: 'none',
      ssh: { address: '127.28.7.1', port: 2201, user: 'ada', keyFile: '/state/lab/ssh/id_ed25519' },
    });
    expect(spec.hosts[0]?.jump).toBeUndefined();
  });

  it('returns an invalid spec unchanged', () => {
    for (const text of ['a: [', '- 1', '']) expect(renderLabSpec(text, place)).toBe(text);
  });
});

describe('labSubnet', () => {
  it.each(['127.0', '127.28', '127.255'])('accepts %s', (subnet) => {
    expect(labSubnet(subnet)).toBe(subnet);
  });

  it.each(['127', '127.256', '127.01', '10.0', '127.1.', '127.1.1'])('rejects %s', (subnet) => {
    expect(() => labSubnet(subnet)).toThrow(/--subnet must be 127\.0 to 127\.255/);
  });
});
