import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clusterSpec } from '../../src/cluster/spec-data.js';
import { loadSpec } from '../../src/cluster/load.js';
import { makeGluster, makeSpec } from '../support/spec.js';

const messages = (value: unknown) =>
  clusterSpec(value, 'spec').map(({ at, expected, found }) => `${at}: expected ${expected}, found ${found}`);

describe('the data of a spec', () => {
  it.each(readdirSync('examples').filter((file) => file.endsWith('.yaml')))(
    'of %s has no flaw, also after it was JSON',
    async (file) => {
      const spec = await loadSpec(`examples/${file}`);
      expect(messages(spec)).toEqual([]);
      expect(messages(JSON.parse(JSON.stringify(spec)))).toEqual([]);
    },
  );

  it('may have each optional key', () => {
    const spec = makeSpec({ storage: { ...makeGluster(), force: true, takeOwnership: true } });
    const tls = { certificateFile: '/c', keyFile: '/k', hstsMs: 1 };
    expect(messages({ ...spec, proxy: { ...spec.proxy, tls } })).toEqual([]);
    expect(messages({ ...spec, proxy: { ...spec.proxy, tls: { issuer: 'cluster' } } })).toEqual([]);
  });

  it.each([
    ['nothing', undefined, ['spec: expected an object, found nothing']],
    ['null', null, ['spec: expected an object, found nothing']],
    ['a text', 'lab', ['spec: expected an object, found "lab"']],
    ['no hosts', { ...makeSpec(), hosts: [] }, ['spec.hosts: expected a list of at least 1, found a list']],
    [
      'a role that does not exist',
      { ...makeSpec(), hosts: [{ ...makeSpec().hosts[0], roles: ['worker'] }] },
      ['spec.hosts[0].roles[0]: expected one of zookeeper, master, agent, proxy, found "worker"'],
    ],
    [
      'a kind of storage that does not exist',
      { ...makeSpec(), storage: { kind: 'nfs' } },
      ['spec.storage.kind: expected one of path, gluster, found "nfs"'],
    ],
    [
      'a flag that is a number',
      { ...makeSpec(), mesos: { ...makeSpec().mesos, agentFlags: { isolation: 1 } } },
      ['spec.mesos.agentFlags.isolation: expected text, found 1'],
    ],
  ])('%s: each flaw with its place', (_what, value, expected) => {
    expect(messages(value)).toEqual(expected);
  });
});
