import { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { Change } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import { hostSecrets } from '../hosts/secrets.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { secretNames, type SecretName, type Secrets } from '../cluster/secrets.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { ActivityDeps } from './deps.js';
import { decideSecrets, lackingSecrets, makeSecret } from '../deployment/secret-values.js';

export interface SecretsInput {
  readonly spec: ClusterSpec;
}

export function createSecretsActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /**
     * Gives every host the same, complete set of secrets: those on some host are copied to the others, the
     * rest are generated. Concurrent attempts still produce one set: new values go to the first host, which
     * keeps the first ones, and are read back from there.
     *
     * @throws PerijoveError SECRETS_DIFFER, SECRETS_DAMAGED, OBSERVATION_INCOMPLETE, SSH_*, DISK_FULL,
     * COMMAND_FAILED
     */
    ensureSecrets: async ({ spec }: SecretsInput): Promise<readonly Change[]> => {
      const { cancellationSignal: signal } = Context.current();
      const connections = await Promise.all(spec.hosts.map((host) => pool.get(host)));
      const [first] = connections;
      if (first === undefined) return [];
      const written = new Map<string, SecretName[]>();
      const write = async (
        connection: HostConnection,
        values: Partial<Secrets>,
        stale: readonly SecretName[] = [],
      ) => {
        const names = await writeSecrets(connection, values, stale, signal);
        if (names.length === 0) return;
        written.set(connection.host.name, [...(written.get(connection.host.name) ?? []), ...names]);
      };

      for (;;) {
        const held = await Promise.all(
          connections.map((connection) => hostSecrets(connection, secretNames, signal)),
        );
        const decision = decideSecrets(held, spec);
        if (decision.kind === 'make') {
          const { names, authority } = decision;
          const values = names.map(async (name) => [name, await makeSecret(name, spec, authority)] as const);
          // One that is there and cannot be used gives way.
          const stale = names.filter((name) => held[0]?.values[name] !== undefined);
          await write(first, Object.fromEntries(await Promise.all(values)), stale);
          continue;
        }
        const { secrets } = decision;
        await Promise.all(
          connections.map(async (connection, index) => {
            const has = held[index];
            if (has === undefined) return;
            // A public key that differs is replaced, because it follows from the private one.
            const lacking = lackingSecrets(has, secrets);
            await write(
              connection,
              Object.fromEntries(lacking.map((name) => [name, secrets[name]])),
              lacking.filter((name) => has.values[name] !== undefined),
            );
            await closeSecrets(connection, has.exposed, signal);
          }),
        );
        return spec.hosts.flatMap(({ name: host }, index) => {
          const names = written.get(host) ?? [];
          const exposed = held[index]?.exposed ?? [];
          return [
            ...(names.length === 0 ? [] : [{ host, what: `wrote the secrets ${names.join(', ')}` }]),
            ...(exposed.length === 0
              ? []
              : [{ host, what: `restricted access to the secrets ${exposed.join(', ')}` }]),
          ];
        });
      }
    },
  };
}

const name = z.enum(secretNames);

/**
 * Writes secrets that are missing or `stale`, each one atomically, and resolves to the names of those it
 * wrote. They travel in the script, over stdin, and are no argument of any process.
 */
async function writeSecrets(
  connection: HostConnection,
  values: Partial<Secrets>,
  stale: readonly SecretName[],
  signal: AbortSignal,
): Promise<SecretName[]> {
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

async function closeSecrets(
  connection: HostConnection,
  names: readonly SecretName[],
  signal: AbortSignal,
): Promise<void> {
  if (names.length === 0) return;
  await connection.run(`cd ${quote(hostPaths(connection.host).secrets)} && chmod 600 ${names.join(' ')}`, {
    signal,
  });
}
