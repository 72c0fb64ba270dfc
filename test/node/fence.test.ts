import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fenceScript } from '../../src/node/fence.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-fence-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** On a host where nothing of the node runs, with this as its `docker`. */
function fence(docker: string) {
  const file = path.join(directory, 'docker');
  writeFileSync(file, `#!/bin/sh\n${docker}\n`);
  chmodSync(file, 0o755);
  const script = fenceScript({
    node: 'node0',
    base: path.join(directory, 'node0'),
    program: path.join(directory, 'perijove-node'),
    launch: 5,
    container: true,
  });
  const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
  const { status, stderr } = spawnSync('sh', ['-c', script], { env, encoding: 'utf8' });
  return { status, stderr };
}

it('is confirmed when Docker has no container of the node, but of a later launch', () => {
  expect(fence(':')).toEqual({ status: 0, stderr: '' });
  expect(fence('[ "$1" != ps ] || echo c1 node0.6')).toEqual({ status: 0, stderr: '' });
});

it('is confirmed when its containers are gone, not before', () => {
  const there = path.join(directory, 'there');
  writeFileSync(there, 'c1 node0.5\n');
  expect(
    fence(`case $1 in ps) cat ${there};; rm) [ "$4" = c1 ] && : >${there};; esac`),
    'the container is removed',
  ).toEqual({ status: 0, stderr: '' });
});

it.each([
  ['does not answer', 'exit 1'],
  ['tells its version, but not its containers', '[ "$1" = version ]'],
])('is not confirmed by a Docker that %s', (_how, docker) => {
  expect(fence(docker)).toEqual({ status: 1, stderr: 'no Docker server answers\n' });
});
