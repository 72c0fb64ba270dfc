import { PerijoveError } from '../errors/error.js';
import type { ClusterMark } from '../cluster/identity.js';
import type { ClusterSpec } from '../cluster/spec.js';
import type { HeldName, HeldSecrets, SecretName } from '../cluster/secrets.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { hostTaken, parseMark, printMarkScript } from './identity.js';
import { known, notKnown, observedOn, type Observation } from './observation.js';
import { hostPaths } from './paths.js';

/** The secrets found on one host. */
export interface HostSecrets {
  readonly host: string;
  readonly values: HeldSecrets;
  /** The cluster that the host belongs to; undefined for none. */
  readonly mark: ClusterMark | undefined;
  /** Secrets that users other than their owner may read. */
  readonly exposed: readonly HeldName[];
}

/**
 * Reads the secrets of a host, byte for byte. An empty file counts as absent; an unreadable file does not,
 * since an absent secret is generated again.
 *
 * @throws PerijoveError SSH_*, SUDO_REFUSED, OBSERVATION_INCOMPLETE
 */
export async function hostSecrets(
  connection: HostConnection,
  names: readonly HeldName[],
  signal?: AbortSignal,
): Promise<HostSecrets> {
  const { host } = connection;
  const directory = quote(hostPaths(host).secrets);
  const script = `
${printMarkScript(host)}
if [ ! -e ${directory} ]; then
  above=${directory}
  until [ -e "$above" ]; do above=\${above%/*}; done
  [ -d "$above" ] && [ -x "$above" ] || { echo "cannot look into $above" >&2; exit 1; }
  for name in ${names.join(' ')}; do echo "$name none"; done
  exit 0
fi
cd ${directory} || exit 1
for name in ${names.join(' ')}; do
  if [ -s "$name" ]; then
    facts=$(stat -Lc '%a %s' "$name") && value=$(base64 -w 0 "$name") || exit 1
    echo "$name $facts $value"
  else
    echo "$name none"
  fi
done`;
  const output = await connection.run(script, signal === undefined ? {} : { signal });
  const mark = observedOn(host.name, parseMark(output));
  return { ...observedOn(host.name, parseSecrets(output, host.name, names)), mark };
}

/** Not known unless each secret was read completely or reported absent. */
export function parseSecrets(
  output: string,
  host: string,
  names: readonly HeldName[],
): Observation<Omit<HostSecrets, 'mark'>> {
  const lines = new Map(output.split('\n').map((line) => [line.split(' ')[0], line.split(' ').slice(1)]));
  const values: Partial<Record<HeldName, string>> = {};
  const exposed: HeldName[] = [];
  for (const name of names) {
    const [mode, size, encoded = ''] = lines.get(name) ?? [];
    if (mode === 'none' && size === undefined) continue;
    const bytes = Buffer.from(encoded, 'base64');
    if (mode === undefined || bytes.length === 0 || String(bytes.length) !== size) {
      return notKnown(`the secret ${name} could not be read completely`);
    }
    values[name] = bytes.toString('utf8');
    if (mode !== '600' && mode !== '400') exposed.push(name);
  }
  return known({ host, values, exposed });
}

/**
 * Reads a cluster's secrets from the first host that has them; every host has all. A host that belongs to another
 * cluster has none of this one. Trims the white space that
 * an editor leaves. For this process only: never put them in a result or a log.
 *
 * @throws PerijoveError SECRETS_ABSENT if all hosts responded and none has them; otherwise the first error of
 *   the other hosts, since they may have them, or CLUSTER_HOSTS_TAKEN
 */
export async function readSecrets<Name extends SecretName>(
  pool: SshPool,
  { name, id, hosts }: Pick<ClusterSpec, 'name' | 'id' | 'hosts'>,
  names: readonly Name[],
): Promise<Readonly<Record<Name, string>>> {
  try {
    return await Promise.any(
      hosts.map(async (host) => {
        const { values, mark } = await hostSecrets(await pool.get(host), names);
        if (mark !== undefined && (mark.name !== name || (id !== undefined && mark.id !== id))) {
          throw hostTaken(host, mark, { name, ...(id !== undefined && { id }) });
        }
        const lacking = names.filter((name) => (values[name] ?? '').trim() === '');
        if (lacking.length > 0) {
          throw new PerijoveError('SECRETS_ABSENT', `${host.name} lacks ${lacking.join(', ')}`, {
            host: host.name,
          });
        }
        return Object.fromEntries(names.map((name) => [name, (values[name] ?? '').trim()])) as Record<
          Name,
          string
        >;
      }),
    );
  } catch (thrown) {
    if (!(thrown instanceof AggregateError)) throw thrown;
    const errors: unknown[] = thrown.errors;
    throw errors.find((error) => !isAbsence(error)) ?? errors[0];
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof PerijoveError && error.code === 'SECRETS_ABSENT';
}
