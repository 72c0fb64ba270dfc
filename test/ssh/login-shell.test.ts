import { describe, expect, it } from 'vitest';
import { unstartedShell, type UnstartedShell } from '../../src/ssh/login-shell.js';

const attempt = (overrides: Partial<UnstartedShell>) =>
  unstartedShell({ host: 'h1', user: 'ada', become: false, code: 1, stdout: '', stderr: '', ...overrides });

describe('unstartedShell', () => {
  it.each<[string, Partial<UnstartedShell>]>([
    ['SHELL_REFUSED', { stdout: 'This account is currently not available.\n' }],
    ['SHELL_REFUSED', { stderr: 'rbash: line 1: exec: restricted\n', become: true }],
    ['SHELL_REFUSED', { stdout: 'This service allows sftp connections only.\n' }],
    ['SHELL_REFUSED', { code: 1 }],
    ['PASSWORD_EXPIRED', { stderr: 'Password change required but no TTY available.\n' }],
    ['PASSWORD_EXPIRED', { stderr: 'sudo: Account or password is expired, reset it\n', become: true }],
    ['SUDO_REFUSED', { stderr: 'sudo: a password is required\n', become: true }],
    ['SUDO_REFUSED', { stderr: 'ada is not in the sudoers file.\n', become: true }],
    ['COMMAND_FAILED', { stderr: 'bash: fork: retry: Resource temporarily unavailable\n', code: 254 }],
    ['COMMAND_FAILED', { code: null }],
  ])('%s: %o', (code, overrides) => {
    const error = attempt(overrides);
    expect(error).toMatchObject({ code, place: { host: 'h1' } });
    const words = (overrides.stderr ?? overrides.stdout ?? '').trim();
    expect(error.message).toContain(words);
  });

  it('retries only what may pass', () => {
    expect(attempt({ stderr: 'Permission denied' }).retryable).toBe(false);
    expect(attempt({ stderr: 'sh: Cannot fork' }).retryable).toBe(true);
  });
});
