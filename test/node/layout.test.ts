import { describe, expect, it } from 'vitest';
import { nodeConfig } from '../../src/node/config.js';
import { nodeLayout } from '../../src/node/layout.js';
import { parseSpec } from '../../src/cluster/load.js';

/** A spec whose hosts have a base directory of this many bytes. */
const withDir = (bytes: number, nodes: number) =>
  parseSpec(
    `name: demo
ssh: {key: /k}
hosts:
${[1, 2, 3].map((index) => `  - {name: h${index}, address: 10.0.0.${index}, dir: /${'d'.repeat(bytes - 1)}}`).join('\n')}
mesos: {install: {path: /usr/local}}
network: {subnet: 192.168.0.0/24}
storage: {path: /srv/notebooks}
nodes: {containerizer: mesos, count: ${nodes}}
`,
    'cluster.yaml',
  );

describe('the path of Jupyter’s socket', () => {
  it.each([3, 5, 11])(
    'fits into sun_path exactly as long as the spec is accepted, with %i nodes',
    (count) => {
      const longest = Math.max(
        ...Array.from({ length: 110 }, (_, index) => index + 2).filter((bytes) => withDir(bytes, count).spec),
      );
      const { spec } = withDir(longest, count);
      const [host] = spec?.hosts ?? [];
      if (spec === undefined || host === undefined) throw new Error('no directory is accepted');
      const { jupyterSocket } = nodeLayout(nodeConfig(spec, count - 1, host).paths.base);
      // 108 bytes with the NUL at its end: unix(7).
      expect(Buffer.byteLength(jupyterSocket)).toBe(107);
    },
  );
});
