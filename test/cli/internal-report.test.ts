import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { withReport } from '../../src/cli/internal-report.js';
import { redacted, redactedText } from '../../src/cli/redact.js';
import { reportOf, reportText } from '../../src/cli/report.js';
import { contextOf } from '../../src/cli/command.js';
import { colorsOf, processIo } from '../../src/cli/io.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-report-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function contextFor(argv: readonly string[], env: NodeJS.ProcessEnv) {
  const io = { ...processIo(new AbortController().signal), env, cwd: directory };
  return contextOf(io, { json: false, debug: false, argv });
}

const shown = (report: ReturnType<typeof reportOf>) =>
  reportText(report, colorsOf({ isTTY: false, env: {} }), {
    debug: false,
    columns: Infinity,
    program: 'perijove',
  });

describe('an unexpected error', () => {
  it('is a sentence for people, and a file for maintainers', async () => {
    writeFileSync(
      path.join(directory, 'cluster.yaml'),
      'name: odd\nssh: { user: root, key: ~/.ssh/id }\njupyter: { token: t0ps3cret }\nenv: { FOO: hidden }\n',
    );
    mkdirSync(path.join(directory, 'workers'));
    writeFileSync(
      path.join(directory, 'workers', '0.log'),
      '{"msg":"first"}\n'.repeat(60) + '{"msg":"the last line"}\n',
    );
    const context = contextFor(['ssh', 'h1', '--', 'echo', 'mypassphrase'], { XDG_STATE_HOME: directory });
    const report = await withReport(context, reportOf(new TypeError('x is undefined\nand so on')));
    const [name = ''] = readdirSync(path.join(directory, 'perijove', 'reports'));
    const file = path.join(directory, 'perijove', 'reports', name);
    expect(shown(report)).toBe(
      `error: unexpected error: x is undefined\n  do     Report it, and attach ${file}. It should hold no secret: check that first.\n  code   INTERNAL\n`,
    );
    const text = readFileSync(file, 'utf8');
    for (const part of [
      'perijove: ',
      `node: ${process.version}`,
      'command: perijove ssh h1 -- [left out]',
      'and so on',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toContain('internal-report.test.ts');
    expect(text).toContain('the last line');
    expect(text.match(/"msg":"first"/g)).toHaveLength(49);
    expect(text).toContain('key: ~/.ssh/id');
    expect(text).not.toMatch(/t0ps3cret|hidden|mypassphrase/);
  });

  it('shows nothing of a schema', () => {
    const thrown = z.object({ a: z.string() }).safeParse({ a: 1 }).error;
    const ofActivity = new ActivityFailure(
      'Activity task failed',
      'look',
      '1',
      'IN_PROGRESS',
      'w',
      ApplicationFailure.create({ type: 'INTERNAL', message: thrown?.message ?? '' }),
    );
    for (const each of [thrown, ofActivity, ApplicationFailure.create({ type: 'ZodError', message: '[' })]) {
      const report = reportOf(each);
      expect(report).toMatchObject({
        code: 'INTERNAL',
        message: 'unexpected error: Perijove got data that it cannot read',
      });
    }
    expect(reportOf(ofActivity).detail).toContain('expected');
  });

  it('about a file of this machine names the file, and is no bug', () => {
    const error = Object.assign(new Error('EROFS: …'), { code: 'EROFS', path: '/home/x', syscall: 'mkdir' });
    expect(reportOf(error)).toMatchObject({
      code: 'LOCAL_FILE',
      message: 'cannot use /home/x: its file system is read-only',
      place: { file: '/home/x' },
    });
  });

  it('says what it can where no file can be written', async () => {
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = '/sys';
    try {
      const report = await withReport(contextFor([], { XDG_STATE_HOME: '/sys' }), reportOf(new Error('x')));
      expect(report.remedy).toBe('Report it, and attach the log of the worker.');
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  });
});

describe('redaction', () => {
  it.each([
    'https://user:s3cr3tvalue@example.org/x',
    'authorization: Bearer s3cr3tvalue',
    'Authorization: token s3cr3tvalue',
    '{"password":"s3cr3tvalue"}',
    'TEMPORAL_API_KEY=s3cr3tvalue',
    'http://127.0.0.1:8888/?token=s3cr3tvalue&x=1',
    '--token s3cr3tvalue',
    "passphrase: 's3cr3tvalue with blanks'",
    '-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3tvalue\n-----END OPENSSH PRIVATE KEY-----',
    'eyJhbGciOi.s3cr3tvalue.x-y',
  ])('leaves the secret out of %j', (text) => {
    expect(redactedText(text)).not.toMatch(/s3cr3tvalue|blanks/);
  });

  it('leaves everything else as it is', () => {
    const text = 'h1 (10.0.0.1:22): the token of etcd was refused, see /var/log/x.log';
    expect(redactedText(text)).toBe(text);
  });

  it('knows the keys of a spec', () => {
    expect(
      redacted({ ssh: { key: '~/.ssh/id', user: 'root' }, x: [{ apiKey: 'a', env: { A: 'b' }, secret: 1 }] }),
    ).toEqual({
      ssh: { key: '~/.ssh/id', user: 'root' },
      x: [{ apiKey: '[left out]', env: { A: '[left out]' }, secret: '[left out]' }],
    });
  });
});
