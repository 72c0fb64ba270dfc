import { messageOf, PerijoveError } from '../errors/error.js';
import type { ErrorCode } from '../errors/codes.js';

/** Fields that ssh2 (`level`) and Node.js (`code`) add to errors. */
interface TransportError extends Error {
  readonly code?: string;
  readonly level?: string;
}

const codesBySystemCode: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: 'SSH_UNKNOWN_HOST',
  ECONNREFUSED: 'SSH_REFUSED',
  ETIMEDOUT: 'SSH_TIMEOUT',
  EHOSTUNREACH: 'SSH_TIMEOUT',
  ENETUNREACH: 'SSH_TIMEOUT',
  EADDRNOTAVAIL: 'SSH_TIMEOUT',
  EAI_AGAIN: 'SSH_TIMEOUT',
};

const codesByLevel: Readonly<Record<string, ErrorCode>> = {
  'client-timeout': 'SSH_TIMEOUT',
  'client-authentication': 'SSH_AUTH_FAILED',
};

/** Explanations for errors of which ssh2 and Node.js name only the system call. */
const explanations: Partial<Record<ErrorCode, string>> = {
  SSH_UNKNOWN_HOST: 'the host name does not resolve',
  SSH_REFUSED: 'the connection was refused; no SSH server listens there',
  SSH_AUTH_FAILED: 'the server rejected the user or all offered keys',
};

/** Faults of this machine, whatever the host does. */
const ownFaults: Readonly<Record<string, string>> = {
  ENETUNREACH: 'this machine has no route to it',
  EADDRNOTAVAIL: 'this machine has no address to reach it from',
};

/**
 * Maps the failure of a connection to one of the SSH_* codes. An unknown failure counts as a lost connection,
 * which is worth a retry.
 */
export function classifySshError(thrown: unknown, host: string, peer: string): PerijoveError {
  if (thrown instanceof PerijoveError) return thrown;
  const code = codeOf(thrown);
  const system = thrown instanceof Error ? ((thrown as TransportError).code ?? '') : '';
  const own = ownFaults[system];
  if (own !== undefined) {
    return new PerijoveError(code, `${peer}: ${own} (${system})`, {
      ...{ host, subject: peer, cause: thrown },
      remedy: 'Check the network of this machine, also for IPv6 if the address is one.',
    });
  }
  const what = explanations[code] ?? messageOf(thrown);
  return new PerijoveError(code, `${peer}: ${what}`, { host, subject: peer, cause: thrown });
}

function codeOf(thrown: unknown): ErrorCode {
  if (!(thrown instanceof Error)) return 'SSH_LOST';
  const { code, level, message } = thrown as TransportError;
  if (level === 'handshake' && message.includes('no matching')) return 'SSH_INCOMPATIBLE';
  return codesBySystemCode[code ?? ''] ?? codesByLevel[level ?? ''] ?? 'SSH_LOST';
}
