import { z } from 'zod';
import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec } from '../spec/cluster.js';
import { secretNames, type SecretName } from '../spec/secrets.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { hostPaths } from './paths.js';

/** What one host holds. */
export interface HostSecrets {
  readonly host: string;
  readonly values: Readonly<Partial<Record<SecretName, string>>>;
  /** Secrets that others than their owner may read. */
  readonly exposed: readonly SecretName[];
}

const nameSchema = z.enum(secretNames);

/** The secrets that lie on a host, to the last byte. An empty file is none. @throws PerijoveError SSH_*, SUDO_REFUSED */
export async function hostSecrets(
  connection: HostConnection,
  names: readonly SecretName[],
  signal?: AbortSignal,
): Promise<HostSecrets> {
  const { host } = connection;
  const script = `cd ${quote(hostPaths(host).secrets)} 2>/dev/null || exit 0
for name in ${names.join(' ')}; do
  if [ -s "$name" ]; then printf '%s %s %s\\n' "$name" "$(stat -Lc %a "$name")" "$(base64 -w 0 "$name")"; fi
done`;
  const output = await connection.run(script, signal === undefined ? {} : { signal });
  const lines = output.split('\n').filter((line) => line !== '');
  const read = lines.map((line) => {
    const [name, mode = '', value = ''] = line.split(' ');
    return { name: nameSchema.parse(name), mode, value: Buffer.from(value, 'base64').toString('utf8') };
  });
  return {
    host: host.name,
    values: Object.fromEntries(read.map(({ name, value }) => [name, value])),
    exposed: read.flatMap(({ name, mode }) => (mode === '600' || mode === '400' ? [] : [name])),
  };
}

/**
 * Secrets of a cluster, from the first host that has them: every host has all. Without the white space around
 * them that an editor leaves. For this process alone: never part of a result or a log.
 *
 * @throws PerijoveError SECRETS_ABSENT when all hosts answered and none has them; else what the first of the
 *   others failed with, since it may have them
 */
export async function readSecrets<Name extends SecretName>(
  pool: SshPool,
  { hosts }: Pick<ClusterSpec, 'hosts'>,
  names: readonly Name[],
): Promise<Readonly<Record<Name, string>>> {
  try {
    return await Promise.any(
      hosts.map(async (host) => {
        const { values } = await hostSecrets(await pool.get(host), names);
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
