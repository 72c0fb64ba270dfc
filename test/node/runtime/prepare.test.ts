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

  it('keeps a given locale and the mark of the task', () => {
    const own = { LANG: 'de_DE.UTF-8', LC_TIME: 'C', TZ: 'Asia/Shanghai', MESOS_CONTAINER_ID: 'c1' };
    expect(nodeEnvironmentOf(config, own)).toMatchObject(own);
  });

  it('takes over nothing that an executor exports for itself', () => {
    const own = {
      LD_LIBRARY_PATH: '/build/src/.libs',
      LIBPROCESS_IP: '10.0.0.1',
      MESOS_DIRECTORY: '/sandbox',
      PYTHONHOME: '/usr',
      PERIJOVE_ETCD_EPOCH: '2',
    };
    expect(nodeEnvironmentOf(config, own)).toEqual(nodeEnvironmentOf(config, {}));
  });

  it('takes over what the spec adds', () => {
    const own = { https_proxy: 'http://10.0.0.9:3128', http_proxy: 'http://10.0.0.9:3128' };
    const environment = nodeEnvironmentOf({ ...config, variables: ['https_proxy', 'no_proxy'] }, own);
    expect(environment).toMatchObject({ https_proxy: own.https_proxy });
    expect(environment).not.toHaveProperty('http_proxy');
  });

  it('has what the image of a container sets', () => {
    const image = { LD_LIBRARY_PATH: '/usr/local/cuda/lib64', CONDA_DIR: '/opt/conda' };
    expect(nodeEnvironmentOf({ ...config, ownsMachine: true }, image)).toMatchObject(image);
  });
});
