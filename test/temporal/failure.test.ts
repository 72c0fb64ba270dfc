import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { failureOf, type Attempt } from '../../src/temporal/failure.js';

const attempt = (changes: Partial<Attempt> = {}): Attempt => ({
  number: 1,
  elapsedMs: 0,
  endless: false,
  ...changes,
});
const isFinal = (error: unknown, changes: Partial<Attempt>) => {
  const failure = failureOf(error, attempt(changes));
  return failure instanceof ApplicationFailure ? failure.nonRetryable : undefined;
};

describe('failureOf', () => {
  it('keeps code, message, place and remedy', () => {
    const error = new PerijoveError('DISK_FULL', 'h1 is full', { host: 'h1', remedy: 'free some' });
    expect(failureOf(error, attempt())).toMatchObject({
      type: 'DISK_FULL',
      message: 'h1 is full',
      details: [{ place: { host: 'h1' }, remedy: 'free some' }],
    });
  });

  it('keeps failures unchanged', () => {
    const cancelled = new CancelledFailure('cancelled');
    expect(failureOf(cancelled, attempt())).toBe(cancelled);
  });

  it('reports anything else as a bug', () => {
    expect(failureOf('text', attempt())).toMatchObject({ type: 'INTERNAL', message: 'text' });
  });

  it('never retries what a retry cannot heal', () => {
    expect(isFinal(new PerijoveError('SSH_AUTH_FAILED', ''), { endless: true })).toBe(true);
  });

  it('tries five times', () => {
    const error = new PerijoveError('COMMAND_FAILED', '');
    expect([4, 5].map((number) => isFinal(error, { number }))).toEqual([false, true]);
  });

  it('waits for a host by time and by attempts, whichever lasts longer', () => {
    const error = new PerijoveError('SSH_TIMEOUT', '');
    const minutes = 60_000;
    expect(isFinal(error, { number: 1_000, elapsedMs: 4 * minutes })).toBe(false);
    expect(isFinal(error, { number: 2, elapsedMs: 600 * minutes })).toBe(false);
    expect(isFinal(error, { number: 30, elapsedMs: 5 * minutes })).toBe(true);
  });

  it('never gives up in an endless activity', () => {
    const much = { number: 1e6, elapsedMs: 1e12, endless: true };
    expect(isFinal(new PerijoveError('SSH_TIMEOUT', ''), much)).toBe(false);
    expect(isFinal(new PerijoveError('COMMAND_FAILED', ''), much)).toBe(false);
  });
});
