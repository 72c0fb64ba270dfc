/**
 * Replaces secrets on all hosts in steps that can be cut anywhere and repeated: `prepare`, `commit`, `finish`. The cluster
 * takes each step over with the deployment after it.
 */
import {
  heldNames,
  nextOf,
  type HeldSecrets,
  type PrimarySecret,
  type SteppedSecret,
} from '../cluster/secrets.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import { removeSecrets, writeSecrets } from '../hosts/secret-files.js';
import { hostSecrets, type HostSecrets } from '../hosts/secrets.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { commitSteps, isStepped, passingOf, rotationState, valueOf } from './rotation.js';
import { decideSecrets, makeSecret } from './secret-values.js';

export interface Rotation {
  readonly pool: SshPool;
  readonly spec: ClusterSpec;
  readonly names: readonly PrimarySecret[];
  readonly signal: AbortSignal;
}

interface Holder {
  readonly connection: HostConnection;
  readonly held: HostSecrets;
}

/**
 * Puts new values beside those in force; what an earlier attempt has made is kept. Certificates of members and clients of
 * etcd are issued and in force at once: the newest counts. Does not touch what is committed already.
 *
 * @throws PerijoveError SECRETS_ABSENT, SECRETS_DIFFER, SECRETS_DAMAGED, SSH_*, DISK_FULL, COMMAND_FAILED
 */
export async function prepareRotation(rotation: Rotation): Promise<void> {
  const { spec, names, signal } = rotation;
  const holders = await readHolders(rotation);
  const [first] = holders;
  if (first === undefined) return;
  const decision = decideSecrets(
    holders.map(({ held }) => held),
    spec,
  );
  if (decision.kind === 'make') {
    throw new PerijoveError('SECRETS_ABSENT', `no host has a valid ${decision.names.join(', ')}`);
  }
  for (const name of names) {
    if (isStepped(name)) continue;
    await writeSecrets(
      first.connection,
      { [name]: await makeSecret(name, spec, decision.secrets) },
      [name],
      signal,
    );
  }
  const stepped = names.filter(isStepped).filter((name) => stateOf(name, holders) !== 'committed');
  for (const name of stepped) {
    const known = valueOf(
      nextOf(name),
      holders.map(({ held }) => held),
    );
    const value = known ?? (await makeSecret(name, spec));
    // Of two that begin at once, the first one's value stays.
    await writeSecrets(first.connection, { [nextOf(name)]: value }, [], signal);
  }
  const { values } = await hostSecrets(first.connection, stepped.map(nextOf), signal);
  await writeAll(holders, values, signal);
}

/**
 * Puts the prepared values in force on all hosts.
 *
 * @throws PerijoveError SSH_*, DISK_FULL, COMMAND_FAILED
 */
export async function commitRotation(rotation: Rotation): Promise<void> {
  const holders = await readHolders(rotation);
  for (const name of rotation.names.filter(isStepped)) {
    const steps = commitSteps(
      name,
      holders.map(({ held }) => held),
    );
    for (const values of steps) await writeAll(holders, values, rotation.signal);
  }
}

/**
 * Removes what only the replacement needs, where the new values are in force.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED
 */
export async function finishRotation(rotation: Rotation): Promise<void> {
  const holders = await readHolders(rotation);
  const files = rotation.names
    .filter(isStepped)
    .filter((name) => stateOf(name, holders) === 'committed')
    .flatMap(passingOf);
  if (files.length === 0) return;
  await Promise.all(holders.map(({ connection }) => removeSecrets(connection, files, rotation.signal)));
}

function stateOf(name: SteppedSecret, holders: readonly Holder[]) {
  return rotationState(
    name,
    holders.map(({ held }) => held),
  );
}

/** All hosts, or none. */
async function readHolders({ pool, spec, signal }: Rotation): Promise<readonly Holder[]> {
  return Promise.all(
    spec.hosts.map(async (host) => {
      const connection = await pool.get(host);
      return { connection, held: await hostSecrets(connection, heldNames, signal) };
    }),
  );
}

async function writeAll(holders: readonly Holder[], values: HeldSecrets, signal: AbortSignal): Promise<void> {
  const names = heldNames.filter((name) => values[name] !== undefined);
  await Promise.all(holders.map(({ connection }) => writeSecrets(connection, values, names, signal)));
}
