/** Why a login, or sudo, did not start a shell: decided from what the host printed instead. */
import { PerijoveError } from '../errors/error.js';

export interface UnstartedShell {
  readonly host: string;
  /** The SSH user. */
  readonly user: string;
  /** Whether it was to be started by sudo. */
  readonly become: boolean;
  /** Null if the host did not report it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What passes without anyone changing anything. */
const passing =
  /resource temporarily unavailable|cannot allocate memory|out of memory|too many open files|cannot fork|fork: retry|text file busy/i;

/**
 * The host's own words, classified. Only a temporary lack of resources is worth a retry, and a login of which
 * nothing is known.
 *
 * A `become` that fails may be the login's fault, too: try without it before you report SUDO_REFUSED.
 */
export function unstartedShell(attempt: UnstartedShell): PerijoveError {
  const { host, user, become, code, stdout, stderr } = attempt;
  const words = lastLines(stderr.trim() || stdout.trim());
  const all = `${stderr}\n${stdout}`;
  const reported = words || `${code === null ? 'no exit code' : `exit code ${code}`}, and no output`;
  if (passing.test(all) || (words === '' && code === null)) {
    return new PerijoveError('COMMAND_FAILED', `no shell started for ${user}: ${reported}`, { host });
  }
  if (/password change required|password (has|is) expired|account or password is expired/i.test(all)) {
    return new PerijoveError('PASSWORD_EXPIRED', `the password of ${user} has expired: ${reported}`, {
      host,
      remedy:
        `Log in once as ${user} in a terminal (\`ssh -t\`) and set a new password, or let root run ` +
        `\`chage -d "$(date +%F)" -M -1 ${user}\` on the host, so that it does not expire.`,
    });
  }
  if (/\brestricted$/im.test(all)) {
    return new PerijoveError('SHELL_REFUSED', `the shell of ${user} is restricted: ${reported}`, {
      host,
      remedy: `Set another login shell on the host (\`usermod -s /bin/bash ${user}\`), or another \`user\` in the spec.`,
    });
  }
  if (become) return new PerijoveError('SUDO_REFUSED', reported, { host });
  return new PerijoveError('SHELL_REFUSED', `the login of ${user} did not run a command: ${reported}`, {
    host,
  });
}

function lastLines(text: string): string {
  return text
    .split('\n')
    .slice(-5)
    .map((line) => line.trim())
    .join(' ')
    .trim();
}
