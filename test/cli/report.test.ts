import { ApplicationFailure } from '@temporalio/common';
import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { reportJson, reportOf, reportText } from '../../src/cli/report.js';
import { PerijoveError } from '../../src/errors/error.js';

const plain = picocolors.createColors(false);

describe('reportOf', () => {
  it('reads what failed in a workflow, at any depth', () => {
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

  it('has the exit code of the kind', () => {
    const codeOf = (error: unknown) => reportOf(error).exitCode;
    expect(codeOf(new PerijoveError('SPEC_INVALID', ''))).toBe(2);
    expect(codeOf(new PerijoveError('SSH_REFUSED', ''))).toBe(3);
    expect(codeOf(new PerijoveError('SSH_HOST_KEY_CHANGED', ''))).toBe(4);
    expect(codeOf(new Error('a bug'))).toBe(1);
    expect(codeOf('thrown text')).toBe(1);
  });

  it('takes a failure of a code from another release for a bug, and keeps its message', () => {
    expect(reportOf(ApplicationFailure.create({ type: 'NOT_KNOWN_HERE', message: 'm' }))).toMatchObject({
      code: 'INTERNAL',
      message: 'm',
    });
  });
});

describe('reportText', () => {
  const error = new PerijoveError('SSH_REFUSED', 'nothing listens at 10.0.0.1:22', {
    host: 'h1',
    remedy: 'Start sshd.',
  });

  it('says what failed, where, what to do, and the code', () => {
    expect(reportText(reportOf(error), plain, false)).toBe(
      'error: nothing listens at 10.0.0.1:22\n  where  h1\n  do     Start sshd.\n  code   SSH_REFUSED\n',
    );
  });

  it('does not repeat a place that the message names', () => {
    const named = new PerijoveError('SSH_REFUSED', 'h1 refused', { host: 'h1' });
    expect(reportText(reportOf(named), plain, false)).not.toContain('where');
  });

  it('shows the stack, with causes, for --debug alone', () => {
    const deep = new PerijoveError('SSH_LOST', 'lost', { cause: new Error('ECONNRESET') });
    expect(reportText(reportOf(deep), plain, true)).toMatch(/ {4}at [^]*caused by Error: ECONNRESET/);
    expect(reportText(reportOf(deep), plain, false)).not.toContain('ECONNRESET');
  });
});

it('reportJson leaves out what is not there', () => {
  expect(reportJson(reportOf(new PerijoveError('USAGE', 'm', { remedy: 'r' })), false)).toEqual({
    code: 'USAGE',
    message: 'm',
    remedy: 'r',
  });
});
