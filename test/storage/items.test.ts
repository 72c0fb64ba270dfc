import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { noItems } from '../../src/hosts/items.js';
import { glusterItems, mountDifferences, storageItems } from '../../src/storage/items.js';
import { makeGluster, makeHost, makeSpec } from '../support/spec.js';

const gluster = makeGluster({ volume: 'notes', mount: '/srv/notes' });
const hosts = [1, 2, 3, 4].map((index) => makeHost(`h${index}`, { address: `10.0.0.${index}` }));
const spec = makeSpec({ hosts, storage: gluster });
const [h1 = makeHost('none'), , , h4 = makeHost('none')] = hosts;

describe('storageItems', () => {
  it('requires the directory on hosts with nodes, with any mode', () => {
    const path = makeSpec({ storage: { kind: 'path', path: '/mnt/notebooks' } });
    expect(storageItems(path, makeHost('h1')).directories).toEqual([{ path: '/mnt/notebooks' }]);
    expect(storageItems(path, makeHost('h1', { roles: ['master'] }))).toEqual(noItems);
    expect(glusterItems(path, h1)).toEqual(noItems);
  });

  it('mounts a volume on hosts with nodes, from its own server first, before nodes can start', () => {
    const text = ({ files: [file] }: ReturnType<typeof storageItems>) =>
      file?.source.kind === 'text' ? file.source.text : '';
    const items = storageItems(spec, h1);
    expect(items.services[0]?.once?.before).toContain('perijove-test-mesos-agent.service');
    expect(text(items)).toContain('backup-volfile-servers=10.0.0.2:10.0.0.3 10.0.0.1:/notes');
    expect(text(storageItems(spec, h4))).toContain(
      'backup-volfile-servers=10.0.0.2:10.0.0.3 10.0.0.1:/notes',
    );
    execFileSync('sh', ['-n'], { input: text(items) });
    expect(storageItems(spec, makeHost('h1', { roles: ['proxy'] }))).toEqual(noItems);
  });

  it('installs servers on three hosts, and clients on all hosts with nodes', () => {
    expect(glusterItems(spec, h1)).toMatchObject({
      packages: ['glusterfs-server', 'glusterfs-client'],
      daemons: [{ name: 'glusterd' }],
    });
    expect(glusterItems(spec, h4)).toMatchObject({ packages: ['glusterfs-client'], daemons: [] });
  });

  it('reports a missing mount, a foreign one, and one that hangs or lost its client', () => {
    const mounted = 'mounted fuse.glusterfs 10.0.0.1:/notes';
    expect(mountDifferences(gluster, `${mounted}\n/srv/notes/notebooks`)).toEqual([]);
    expect(mountDifferences(gluster, mounted)).toEqual(['/srv/notes does not respond']);
    expect(mountDifferences(gluster, 'mounted nothing \n/srv/notes/notebooks')).toEqual([
      '/srv/notes is not mounted',
    ]);
    expect(mountDifferences(gluster, 'mounted ext4 /dev/sdb1\n/srv/notes/notebooks')).toEqual([
      '/srv/notes has ext4 /dev/sdb1',
    ]);
    expect(mountDifferences(gluster, '/srv/notes/notebooks')).toEqual([
      'it is unknown what is mounted at /srv/notes',
    ]);
  });
});
