import { describe, expect, it } from 'vitest';
import { nodeConfig } from '../../../src/node/config.js';
import { nodeEnvironmentOf } from '../../../src/node/runtime/prepare.js';
import { makeHost, makeSpec } from '../../support/spec.js';

describe('nodeEnvironmentOf', () => {
  const host = makeHost('h1');
  const config = nodeConfig(makeSpec({ hosts: [host] }), 3, host);

  it('needs only what Mesos gives a task', () => {
    const base = '/opt/perijove/h1/data/nodes/node3';
    expect(nodeEnvironmentOf(config, { PATH: '/usr/bin:/bin', PERIJOVE_NODE_CONFIG: '{}' })).toEqual({
      LANG: 'C.UTF-8',
      HOME: `${base}/home`,
      PATH: `${base}/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin`,
      NODE: 'node3',
      PERIJOVE_NODE_TREE: base,
    });
  });

  it('keeps a given locale', () => {
    expect(nodeEnvironmentOf(config, { LANG: 'de_DE.UTF-8' })).toMatchObject({ LANG: 'de_DE.UTF-8' });
  });
});
