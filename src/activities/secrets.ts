import { Context } from '@temporalio/activity';
import type { Change } from '../hosts/items.js';
import { hostSecrets } from '../hosts/secrets.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { heldNames, type HeldName, type HeldSecrets } from '../cluster/secrets.js';
import { closeSecrets, writeSecrets } from '../hosts/secret-files.js';
import type { HostConnection } from '../ssh/connection.js';
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
      const written = new Map<string, HeldName[]>();
      const write = async (
        connection: HostConnection,
        values: HeldSecrets,
        stale: readonly HeldName[] = [],
      ) => {
        const names = await writeSecrets(connection, values, stale, signal);
        if (names.length === 0) return;
        written.set(connection.host.name, [...(written.get(connection.host.name) ?? []), ...names]);
      };

      for (;;) {
        const held = await Promise.all(
          connections.map((connection) => hostSecrets(connection, heldNames, signal)),
        );
        const decision = decideSecrets(held, spec);
        if (decision.kind === 'make') {
          const { names, issuing } = decision;
          const values = names.map(async (name) => [name, await makeSecret(name, spec, issuing)] as const);
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
