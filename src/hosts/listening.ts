import { messageOf } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { parseHexAddress } from './facts.js';
import { known, notKnown, type Observation } from './observation.js';

/** Prints `ADDRESS:PORT` of each listening TCP socket, in hexadecimal, and `complete` at the end. */
export const listenersScript = `
list() { while read -r slot local remote state rest; do [ "$state" != 0A ] || echo "$local"; done; }
list </proc/net/tcp || exit 1
[ ! -e /proc/net/tcp6 ] || list </proc/net/tcp6 || exit 1
echo complete`.trim();

/** Whether a program listens on that address and port, or on that port at all addresses. */
export function parseListeners(output: string, address: string, port: number): Observation<boolean> {
  const lines = output.trimEnd().split('\n');
  if (lines.pop() !== 'complete') return notKnown('the list of ports in use is truncated');
  return known(
    lines.some((line) => {
      const [hex = '', hexPort = ''] = line.split(':');
      const at = parseHexAddress(hex);
      return Number.parseInt(hexPort, 16) === port && (at === '*' || at === address);
    }),
  );
}

/** Checks on the host itself: a service that does not respond remotely may still be listening. */
export async function listensAt(
  connect: () => Promise<HostConnection>,
  address: string,
  port: number,
  timeoutMs = 10_000,
): Promise<Observation<boolean>> {
  try {
    const connection = await connect();
    const output = await connection.run(listenersScript, { timeoutMs, become: false });
    return parseListeners(output, address, port);
  } catch (error) {
    return notKnown(messageOf(error));
  }
}
