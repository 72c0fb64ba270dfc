/** Writes and removes secrets on a host. Their values travel in the script, over stdin, and are no argument of a process. */
import * as z from 'zod';
import { heldNames, type HeldName, type HeldSecrets } from '../cluster/secrets.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { hostPaths } from './paths.js';

const name = z.enum(heldNames);

/**
 * Writes secrets that are missing or `stale`, each one atomically, and resolves to the names of those it
 * wrote.
 */
export async function writeSecrets(
  connection: HostConnection,
  values: HeldSecrets,
  stale: readonly HeldName[],
  signal: AbortSignal,
): Promise<HeldName[]> {
  const entries = Object.entries(values);
  if (entries.length === 0) return [];
  const { secrets } = hostPaths(connection.host);
  const script = `set -e
mkdir -p ${quote(secrets)}
chmod 700 ${quote(secrets)}
cd ${quote(secrets)}
umask 077
put() {
  base64 -d > ".$1.$$" && [ "$(stat -c %s ".$1.$$")" = "$2" ] && sync ".$1.$$" || { rm -f ".$1.$$"; exit 1; }
  if [ "$3" = stale ]; then mv -fT ".$1.$$" "$1"; printf '%s\\n' "$1"; return; fi
  # An empty one gives way. One that is not there yet may be somebody else's whole one a moment later.
  if [ -e "$1" ] && [ ! -s "$1" ]; then rm -f "$1"; fi
  if ln ".$1.$$" "$1" 2>/dev/null; then printf '%s\\n' "$1"; fi
  rm -f ".$1.$$"
}
${entries
  .map(([secret, value]) => {
    const bytes = Buffer.from(value);
    const how = stale.some((each) => each === secret) ? 'stale' : 'new';
    return `put ${secret} ${bytes.length} ${how} <<'END'\n${bytes.toString('base64')}\nEND`;
  })
  .join('\n')}`;
  const output = await connection.run(script, { signal });
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => name.parse(line));
}

/** Takes them from users other than their owner. */
export async function closeSecrets(
  connection: HostConnection,
  names: readonly HeldName[],
  signal: AbortSignal,
): Promise<void> {
  if (names.length === 0) return;
  await connection.run(`cd ${quote(hostPaths(connection.host).secrets)} && chmod 600 ${names.join(' ')}`, {
    signal,
  });
}

/** Removes those that are there. */
export async function removeSecrets(
  connection: HostConnection,
  names: readonly HeldName[],
  signal: AbortSignal,
): Promise<void> {
  const { secrets } = hostPaths(connection.host);
  await connection.run(`cd ${quote(secrets)} && rm -f -- ${names.join(' ')}`, { signal });
}
