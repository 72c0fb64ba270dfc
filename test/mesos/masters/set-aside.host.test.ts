/** The repair of a master with a broken log on its host, by a real shell, interrupted at every point. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HostConnection } from '../../../src/ssh/connection.js';
import { makeHost } from '../../support/spec.js';
import { mesosPaths } from '../../../src/mesos/installation/paths.js';
import {
  brokenPath,
  parseRecord,
  readSetAside,
  setAsideScript,
} from '../../../src/mesos/masters/set-aside.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "perijove set-aside's "));
  fill('broken');
});
afterEach(() => rmSync(dir, { recursive: true }));

const paths = () => mesosPaths({ dir });
const broken = (...parts: string[]) => path.join(brokenPath({ dir }), ...parts);
const read = (...parts: string[]) => readFileSync(path.join(...parts), 'utf8');
const record = () => parseRecord(read(broken('record')));
const calls = () => (existsSync(path.join(dir, 'calls')) ? read(dir, 'calls').trim().split('\n') : []);

function fill(text: string): void {
  for (const each of [paths().masterWork, paths().masterLog]) {
    mkdirSync(each, { recursive: true });
    writeFileSync(path.join(each, 'file'), text);
  }
}

/** Records its calls; `dies`: the shell is killed before or after that call. */
function script(at: number, dies?: 'before stop' | 'after stop' | 'before start' | 'after start'): string {
  const call = (name: 'stop' | 'start') => `
set -e
${dies === `before ${name}` ? 'kill -s KILL $$; exit 1' : ''}
echo ${name} >> '${dir.replaceAll("'", `'\\''`)}/calls'
${dies === `after ${name}` ? 'kill -s KILL $$; exit 1' : ''}`;
  return setAsideScript(
    { dir },
    { at, why: 'Failed to recover\nthe log: "x"' },
    { stopScript: () => call('stop'), startScript: () => call('start') },
  );
}

const run = (text: string) => promisify(execFile)('/bin/sh', ['-c', text]);

it('stops the master, sets both directories aside, starts it, and records when and why', async () => {
  const at = Math.floor(Date.now() / 1_000);
  await run(script(at));
  expect(calls()).toEqual(['stop', 'start']);
  expect(record()).toEqual({
    at,
    why: 'Failed to recover the log: "x"',
    tookSeconds: expect.any(Number) as number,
  });
  expect([read(broken('work_dir/file')), read(broken('log_dir/file'))]).toEqual(['broken', 'broken']);
  expect(existsSync(path.join(paths().masterWork, 'file'))).toBe(false);
});

describe('is done once', () => {
  it('even if its response was lost, and if two workers decide it', async () => {
    await Promise.all([run(script(1_000)), run(script(1_001))]);
    fill('fresh');
    await run(script(1_000));
    await run(script(4_599));
    expect(calls()).toEqual(['stop', 'start']);
    expect(read(paths().masterWork, 'file')).toBe('fresh');
    expect(read(broken('work_dir/file'))).toBe('broken');
  });

  it('per hour; the newer of two is kept', async () => {
    await run(script(1_000));
    fill('broken again');
    await run(script(4_600));
    expect(calls()).toEqual(['stop', 'start', 'stop', 'start']);
    expect(record()?.at).toBe(4_600);
    expect(read(broken('work_dir/file'))).toBe('broken again');
  });
});

describe('resumes after an interruption', () => {
  it.each([
    ['before stop', ['stop', 'start']],
    ['after stop', ['stop', 'stop', 'start']],
  ] as const)('%s', async (dies, expected) => {
    await run(script(1_000, dies)).catch(() => undefined);
    expect(record()).toEqual({ at: 1_000, why: 'Failed to recover the log: "x"' });
    expect(read(paths().masterWork, 'file')).toBe('broken');
    await run(script(1_060));
    expect(calls()).toEqual(expected);
    expect(record()?.at).toBe(1_000);
    expect(read(broken('work_dir/file'))).toBe('broken');
  });

  it.each([
    ['before start', ['stop', 'start']],
    ['after start', ['stop', 'start', 'start']],
  ] as const)('%s, without touching what the master has written since', async (dies, expected) => {
    await run(script(1_000, dies)).catch(() => undefined);
    expect(record()?.tookSeconds).toBeUndefined();
    fill('fresh');
    await run(script(1_060));
    expect(calls()).toEqual(expected);
    expect(record()?.tookSeconds).toBeDefined();
    expect(read(paths().masterWork, 'file')).toBe('fresh');
    expect(read(broken('work_dir/file'))).toBe('broken');
  });

  it('after both moves, and keeps what was set aside', async () => {
    await run(script(1_000, 'after stop')).catch(() => undefined);
    for (const [from, to] of [
      [paths().masterWork, 'work_dir'],
      [paths().masterLog, 'log_dir'],
    ] as const) {
      renameSync(from, broken(to));
    }
    fill('begun anew');
    await run(script(1_060));
    expect(record()?.tookSeconds).toBeDefined();
    expect(read(broken('work_dir/file'))).toBe('broken');
    expect(read(paths().masterWork, 'file')).toBe('begun anew');
  });

  it('within a move to another file system', async () => {
    await run(script(1_000, 'after stop')).catch(() => undefined);
    mkdirSync(broken('work_dir.part'));
    writeFileSync(broken('work_dir.part/half'), '');
    await run(script(1_060));
    expect(read(broken('work_dir/file'))).toBe('broken');
    expect(existsSync(broken('work_dir.part'))).toBe(false);
    expect(existsSync(broken('work_dir/half'))).toBe(false);
  });

  it('after one of two moves', async () => {
    await run(script(1_000, 'after stop')).catch(() => undefined);
    mkdirSync(broken('work_dir'));
    rmSync(paths().masterWork, { recursive: true });
    await run(script(1_060));
    expect(existsSync(paths().masterWork)).toBe(true);
    expect(read(broken('log_dir/file'))).toBe('broken');
  });
});

describe('with a broken program', () => {
  it.each(['sed', 'grep', 'cat'].flatMap((program) => ['exit 2', 'exit 0'].map((what) => [program, what])))(
    'is not repeated, which would overwrite what is kept: %s, %s',
    async (program, what) => {
      await run(script(1_000));
      fill('fresh');
      const shims = path.join(dir, 'shims');
      mkdirSync(shims);
      writeFileSync(path.join(shims, program ?? ''), `#!/bin/sh\n${what}\n`, { mode: 0o755 });
      const quoted = `'${shims.replaceAll("'", `'\\''`)}'`;
      await run(`PATH=${quoted}:$PATH\n${script(1_060)}`);
      expect(calls()).toEqual(['stop', 'start']);
      expect(read(paths().masterWork, 'file')).toBe('fresh');
      expect(read(broken('work_dir/file'))).toBe('broken');
    },
  );

  it('does not start over a malformed record', async () => {
    await run(script(1_000));
    fill('fresh');
    writeFileSync(broken('record'), '');
    await expect(run(script(1_060))).rejects.toMatchObject({
      stderr: expect.stringContaining('cannot read') as string,
    });
    expect(read(paths().masterWork, 'file')).toBe('fresh');
    expect(read(broken('work_dir/file'))).toBe('broken');
  });
});

it('a text that is not a record is ignored', () => {
  expect(parseRecord('')).toBeUndefined();
  expect(parseRecord('begun soon\nwhy x\n')).toBeUndefined();
});

describe('the record', () => {
  const ask = (before = '') => {
    const host = makeHost('h1', { dir });
    const connection = { host, run: async (text: string) => (await run(`${before}\n${text}`)).stdout };
    return readSetAside(connection as unknown as HostConnection);
  };

  it('is undefined without a repair, and is parsed after one', async () => {
    expect(await ask()).toBeUndefined();
    await run(script(1_000));
    expect(await ask()).toMatchObject({ at: 1_000, tookSeconds: expect.any(Number) as number });
    writeFileSync(broken('record'), 'begun 1000\nwhy it is broken\nleft\n');
    expect(await ask()).toEqual({ at: 1_000, why: 'it is broken', left: true });
  });

  it.each([
    ['fails', 'cat() { return 1; }'],
    ['prints half', `cat() { printf 'begun 1000\\nwhy'; }`],
  ])('is unknown when `cat` %s', async (_what, before) => {
    await run(script(1_000));
    await expect(ask(before)).rejects.toThrow();
  });
});
