import { hostname, userInfo } from 'node:os';

/** Who starts workflows and sends updates from this process, as histories keep it: `user@host`. */
export function operatorIdentity(): string {
  return `${userName()}@${hostname()}`;
}

/** A container may run as a user without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

/** Of a worker: `pid@host`. */
export function workerIdentity(): string {
  return `${process.pid}@${hostname()}`;
}
