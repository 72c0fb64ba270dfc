import { ApplicationFailure } from '@temporalio/common';
import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { grouped, reportJson, reportOf, reportText } from '../../src/cli/report.js';
import { SpecError, type SpecProblem } from '../../src/cluster/problem.js';
import { PerijoveError } from '../../src/errors/error.js';

const plain = picocolors.createColors(false);
const wide = { debug: false, columns: Infinity, program: 'perijove' };

describe('reportOf', () => {
  it('finds the failure in a workflow, at any depth', () => {
    const failure = ApplicationFailure.create({
      type: 'DISK_FULL',
      message: 'h2: 3 MiB are free',
      details: [{ place: { host: 'h2' }, remedy: 'Free some.' }],
    });
    const thrown = new Error('Workflow execution failed', {
      cause: new Error('Activity failed', { cause: failure }),
    });
    expect(reportOf(thrown)).toMatchObject({
      code: 'DISK_FULL',
      message: 'h2: 3 MiB are free',
      place: { host: 'h2' },
      remedy: 'Free some.',
    });
  });

  it('has the exit code of its kind', () => {
    const codeOf = (error: unknown) => reportOf(error).exitCode;
    expect(codeOf(new PerijoveError('SPEC_INVALID', ''))).toBe(2);
    expect(codeOf(new PerijoveError('SSH_REFUSED', ''))).toBe(3);
    expect(codeOf(new PerijoveError('SSH_HOST_KEY_CHANGED', ''))).toBe(4);
    expect(codeOf(new Error('a bug'))).toBe(1);
    expect(codeOf('thrown text')).toBe(1);
  });

  it('reports a code of another release as INTERNAL, with its message', () => {
    expect(reportOf(ApplicationFailure.create({ type: 'NOT_KNOWN_HERE', message: 'm' }))).toMatchObject({
      code: 'INTERNAL',
      message: 'unexpected error: m',
    });
  });
});

describe('reportText', () => {
  const error = new PerijoveError('SSH_REFUSED', 'nothing listens at 10.0.0.1:22', {
    host: 'h1',
    remedy: 'Start sshd.',
  });

  it('prints what failed, where, what to do, and the code', () => {
    expect(reportText(reportOf(error), plain, wide)).toBe(
      'error: nothing listens at 10.0.0.1:22\n  where  h1\n  do     Start sshd.\n  code   SSH_REFUSED\n',
    );
  });

  it("wraps at the terminal's width, aligned", () => {
    const long = new PerijoveError('SPEC_NOT_FOUND', 'no cluster.yaml in this directory, and no lab', {
      remedy: 'Write one with `perijove init`, name one with --file, or start a lab with `perijove lab up`.',
    });
    expect(reportText(reportOf(long), plain, { debug: false, columns: 50, program: 'npx perijove' })).toBe(
      [
        'error: no cluster.yaml in this directory, and no',
        '       lab',
        '  do     Write one with `npx perijove init`, name',
        '         one with --file, or start a lab with `npx',
        '         perijove lab up`.',
        '  code   SPEC_NOT_FOUND',
        '',
      ].join('\n'),
    );
  });

  it('does not repeat a location in the message', () => {
    const named = new PerijoveError('SSH_REFUSED', 'h1 refused', { host: 'h1' });
    expect(reportText(reportOf(named), plain, wide)).not.toContain('where');
  });

  it('shows the stack, with causes, only with --debug', () => {
    const deep = new PerijoveError('SSH_LOST', 'lost', { cause: new Error('ECONNRESET') });
    expect(reportText(reportOf(deep), plain, { ...wide, debug: true })).toMatch(
      / {4}at [^]*caused by Error: ECONNRESET/,
    );
    expect(reportText(reportOf(deep), plain, wide)).not.toContain('ECONNRESET');
  });
});

it('reportJson omits absent fields', () => {
  expect(reportJson(reportOf(new PerijoveError('USAGE', 'm', { remedy: 'r' })), false)).toEqual({
    code: 'USAGE',
    message: 'm',
    remedy: 'r',
  });
});

describe('grouped', () => {
  const problem = (host: string | undefined, message: string) => ({
    code: 'SSH_KEY_UNREADABLE' as const,
    ...(host !== undefined && { host }),
    message,
    remedy: 'Check `key` in the spec.',
  });

  it('reports a problem of several hosts once', () => {
    expect(
      grouped([
        problem('h1', 'h1: cannot read the key'),
        problem('h2', 'h2: is down'),
        problem('h3', 'h3: cannot read the key'),
      ]).map(({ message }) => message),
    ).toEqual(['h1, h3: cannot read the key', 'h2: is down']);
  });

  it('leaves different problems alone', () => {
    const problems = [problem('h1', 'h1: is down'), problem(undefined, 'there is no quorum')];
    expect(grouped(problems)).toEqual(problems);
  });
});

it('shows the first problems of a file, and shortens long lines', () => {
  const problem = (line: number): SpecProblem => ({
    code: 'SPEC_YAML',
    file: 'x',
    line,
    column: 1,
    message: 'y'.repeat(10_000),
    remedy: 'r',
  });
  const error = new SpecError(
    Array.from({ length: 64 }, (_, line) => problem(line)),
    'x',
  );
  const text = reportText(reportOf(error), plain, wide);
  expect(text).toContain('and 44 more');
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(600);
});
