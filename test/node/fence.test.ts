import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeEnvironment } from '../../src/node/config.js';
import { fenceScript } from '../../src/node/fence.js';
import { eventually } from '../support/eventually.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-fence-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const heading = 'CONTAINER ID task end';

/** On a host where nothing of the node runs, with these replacements for its programs. */
function fence(docker: string, programs: Readonly<Record<string, string>> = {}) {
  for (const [name, text] of Object.entries({ docker, ...programs })) {
    const file = path.join(directory, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
  }
  const script = fenceScript(
    {
      node: 'node0',
      base: path.join(directory, 'node0'),
      program: path.join(directory, 'docker'),
      launch: 5,
      container: true,
    },
    3,
  );
  const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
  const { status, stderr } = spawnSync('sh', ['-c', script], { env, encoding: 'utf8' });
  return { status, stderr };
}
const set = path.join('node0', 'run', 'fenced');
const fenced = (text: string) => {
  mkdirSync(path.dirname(path.join(directory, set)), { recursive: true });
  writeFileSync(path.join(directory, set), text);
};
const isSet = () => readFileSync(path.join(directory, set), 'utf8');

it('is confirmed when Docker has no container of the node, except of a later launch', () => {
  expect(fence(`echo '${heading}'`)).toEqual({ status: 0, stderr: '' });
  expect(fence(`[ "$1" != ps ] || printf '${heading}\\nc1 node0.6 end\\n'`)).toEqual({
    status: 0,
    stderr: '',
  });
});

it('is confirmed when its containers are gone, not before', () => {
  const there = path.join(directory, 'there');
  writeFileSync(there, `${heading}\nc1 node0.5 end\n`);
  expect(
    fence(`case $1 in ps) cat ${there};; rm) [ "$4" = c1 ] && echo '${heading}' >${there};; esac`),
    'the container is removed',
  ).toEqual({ status: 0, stderr: '' });
});

it.each([
  ['does not respond', 'exit 1'],
  ['prints its version, but not its containers', '[ "$1" = version ]'],
  ['prints nothing', ':'],
  ['prints a line that is cut short', `[ "$1" = ps ] && printf '${heading}\\nc1 node0.1'`],
  ['prints a line without a task', `[ "$1" = ps ] && printf '${heading}\\nc1'`],
  ['prints half, and fails', `[ "$1" = ps ] && printf '${heading}\\n'; exit 1`],
])('is not confirmed, and removes nothing, with a Docker that %s', (_how, docker) => {
  const removed = path.join(directory, 'removed');
  expect(fence(`if [ "$1" = rm ]; then : >${removed}; fi; ${docker}`)).toEqual({
    status: 1,
    stderr: 'no Docker server responds\n',
  });
  expect(existsSync(removed)).toBe(false);
});

it.each([
  ['fails', 'exit 2'],
  ['prints nothing', 'exit 0'],
  ['prints half', 'exec /bin/grep "$@" | head -c 3'],
])('is not confirmed when the observation of the processes %s', (_how, grep) => {
  expect(fence(`echo '${heading}'`, { grep })).toEqual({
    status: 1,
    stderr: 'the running processes of node0 are unknown\n',
  });
});

it('is set if there is none, and never lowered', () => {
  fence(`echo '${heading}'`);
  expect(isSet()).toBe('5\n');
  fenced('7\n');
  expect(fence(`echo '${heading}'`, { cat: 'exit 0' })).toMatchObject({ status: 0 });
  expect(isSet()).toBe('7\n');
  fenced('7');
  expect(fence(`echo '${heading}'`)).toMatchObject({ status: 1 });
  expect(isSet()).toBe('7');
});

describe('a process of the node', () => {
  const start = (task: string) => {
    const child = spawn('sleep', ['100'], {
      env: { ...process.env, X: `{"base":"${path.join(directory, 'node0')}"}`, [nodeEnvironment.task]: task },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    return {
      runs: () => child.exitCode === null && child.signalCode === null,
      end: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  };

  it('of a later launch stays, whatever fails', async () => {
    const task = start('node0.6');
    try {
      expect(fence(`echo '${heading}'`)).toEqual({ status: 0, stderr: '' });
      for (const tr of ['exit 1', 'exit 0', 'exec /usr/bin/tr "$@" | head -n 1']) {
        expect(fence(`echo '${heading}'`, { tr })).toMatchObject({
          status: 1,
          stderr: expect.stringMatching(/^the launch of node0 is unknown for processes: \d+\n$/) as string,
        });
      }
      rmSync(path.join(directory, 'tr'));
      for (const cat of ['exit 1', 'exit 0']) {
        expect(fence(`echo '${heading}'`, { cat })).toMatchObject({ status: 1 });
      }
      await setImmediate();
      expect(task.runs()).toBe(true);
    } finally {
      await task.end();
    }
  });

  it('of this launch is ended', async () => {
    const task = start('node0.5');
    try {
      expect(fence(`echo '${heading}'`)).toEqual({ status: 0, stderr: '' });
      await eventually(() => !task.runs(), 5_000);
    } finally {
      await task.end();
    }
  });
});
