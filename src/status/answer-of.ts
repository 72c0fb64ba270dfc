import type { HostSpec } from '../cluster/spec.js';

/** How long a look waits for one answer. */
export const askMs = 2_000;

/** What a host's service answers; undefined when the host cannot be reached, or the service does not answer. */
export async function answerOf<T>(
  hosts: readonly HostSpec[],
  host: HostSpec,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  if (!hosts.includes(host)) return undefined;
  try {
    return await ask();
  } catch {
    return undefined;
  }
}
