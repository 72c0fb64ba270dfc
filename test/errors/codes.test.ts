import { describe, expect, it } from 'vitest';
import { errorCodes } from '../../src/errors/codes.js';
import { exitCodes, messageOf, PerijoveError } from '../../src/errors/error.js';

describe('every code', () => {
  it.each(Object.entries(errorCodes))(
    '%s has a meaning and a remedy in complete sentences',
    (code, facts) => {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
      for (const text of [facts.meaning, facts.remedy]) expect(text).toMatch(/^([A-Z`'"]|etcd ).*[.?]$/s);
      expect(exitCodes).toHaveProperty(facts.exit);
    },
  );

  it.each(Object.entries(errorCodes).filter(([, { exit }]) => exit === 'usage'))(
    '%s is invalid input, so it is not retryable',
    (_code, { retryable }) => {
      expect(retryable).toBe(false);
    },
  );
});

describe('PerijoveError', () => {
  it('has the remedy of its code unless it has its own', () => {
    expect(new PerijoveError('DISK_FULL', 'x').remedy).toBe(errorCodes.DISK_FULL.remedy);
    expect(new PerijoveError('DISK_FULL', 'x', { remedy: 'y' }).remedy).toBe('y');
  });

  it('separates its place from its cause', () => {
    const cause = new Error('deeper');
    const error = new PerijoveError('SSH_REFUSED', 'x', { host: 'h1', subject: '10.0.0.1:22', cause });
    expect(error.place).toEqual({ host: 'h1', subject: '10.0.0.1:22' });
    expect(error.cause).toBe(cause);
    expect({ exitCode: error.exitCode, retryable: error.retryable }).toEqual({
      exitCode: 3,
      retryable: true,
    });
  });
});

it('messageOf accepts any thrown value', () => {
  expect([new Error('a'), 'b', 3, undefined].map(messageOf)).toEqual(['a', 'b', '3', 'undefined']);
});
