/** Creates and removes the GlusterFS volume, through hosts with bricks. All functions may be repeated. */
import { errorCodes } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import type { Problem } from '../hosts/problem.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { mountedFunction } from '../hosts/mount-table.js';
import {
  brickPath,
  nextVolumeStep,
  ownerOption,
  parsePool,
  parseBricks,
  type BrickObservation,
  type GlusterSpec,
  type PoolFacts,
  type VolumeStep,
} from './gluster.js';

const gluster = 'timeout 100 gluster --mode=script';
const commandMs = 120_000;
const bricksMs = 5_000;

const poolScript = (host: HostSpec) => `command -v gluster >/dev/null || exit 127
${gluster} --xml pool list && ${gluster} --xml volume info || exit
if read -r made <${quote(brickFile(host))}; then printf '${madeMark}%s\\n' "$made"; fi 2>/dev/null
exit 0`;
const madeMark = 'brick made: ';
const notInstalled = 127;

/** Also known if GlusterFS is not installed: then there is no volume. */
async function observePool(
  connection: HostConnection,
  storage: GlusterSpec,
): Promise<Observation<PoolFacts>> {
  const { code, stdout, stderr } = await connection.exec(poolScript(connection.host), {
    timeoutMs: commandMs,
  });
  if (code === 0) return withMark(parsePool(stdout, storage.volume), stdout, connection.host, storage);
  if (code === notInstalled) return known({ peers: [], volumeCount: 0 });
  return notKnown(lastLine(`${stdout}\n${stderr}`) || `gluster exited with ${code ?? 'a signal'}`);
}

/** The mark counts for a volume that still has that brick. */
function withMark(
  facts: Observation<PoolFacts>,
  printed: string,
  { address }: HostSpec,
  storage: GlusterSpec,
): Observation<PoolFacts> {
  const path = brickPath(storage);
  if (!facts.known || facts.value.volume?.bricks.includes(`${address}:${path}`) !== true) return facts;
  return known({ ...facts.value, isMade: printed.split('\n').includes(`${madeMark}${path}`) });
}

/** @throws PerijoveError STORAGE_FAILED if the state is unknown */
async function requirePool(connection: HostConnection, storage: GlusterSpec): Promise<PoolFacts> {
  const observation = await observePool(connection, storage);
  if (observation.known) return observation.value;
  throw new PerijoveError(
    'STORAGE_FAILED',
    `glusterd did not report whether the volume ${storage.volume} exists: ${observation.why}`,
    { host: connection.host.name, subject: storage.volume },
  );
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

/** All bricks of a volume as seen by the first host that reports them; empty if none does. Never rejects. */
export async function observeBricks(
  pool: SshPool,
  hosts: readonly HostSpec[],
  volume: string,
): Promise<BrickObservation[]> {
  for (const host of hosts) {
    const bricks = await pool
      .get(host)
      .then((connection) =>
        connection.exec(
          `gluster --mode=script --xml volume status ${quote(volume)}; gluster --mode=script volume heal ${quote(volume)} statistics heal-count`,
          { timeoutMs: bricksMs },
        ),
      )
      .then(({ stdout }) => parseBricks(stdout))
      .catch(() => []);
    if (bricks.length > 0) return bricks;
  }
  return [];
}

/** Names the brick that Perijove created on the host and may therefore remove. */
function brickFile(host: HostSpec): string {
  return `${hostPaths(host).data}/gluster-brick`;
}

/** Exists if Perijove added the host to the pool and may therefore detach it: it was in none before. */
function peerFile(host: HostSpec): string {
  return `${hostPaths(host).data}/gluster-peer`;
}

export interface Formed {
  readonly changes: readonly Change[];
  /** Why the volume is not ready yet, if waiting may help. */
  readonly waits?: string;
}

/**
 * Brings the volume to its desired state step by step, as far as possible now.
 *
 * @throws PerijoveError STORAGE_*, SSH_*, COMMAND_FAILED
 */
export async function formVolume(pool: SshPool, spec: ClusterSpec, storage: GlusterSpec): Promise<Formed> {
  const hosts = brickHosts(spec);
  const [first] = hosts;
  if (first === undefined) return { changes: [] };
  const connection = await pool.get(first);
  const changes: Change[] = [];
  for (;;) {
    const observation = await observePool(connection, storage);
    if (!observation.known) {
      return {
        changes,
        waits: `${first.name} did not report the volume ${storage.volume}: ${observation.why}`,
      };
    }
    const step = nextVolumeStep(spec, storage, observation.value);
    if (step === undefined) return { changes };
    if (step.kind === 'wait') return { changes, waits: step.reason };
    changes.push({
      host: first.name,
      what: await perform(pool, connection, spec, storage, { step, facts: observation.value }),
    });
  }
}

async function perform(
  pool: SshPool,
  connection: HostConnection,
  spec: ClusterSpec,
  storage: GlusterSpec,
  { step, facts }: { readonly step: Exclude<VolumeStep, { kind: 'wait' }>; readonly facts: PoolFacts },
): Promise<string> {
  const { volume } = storage;
  switch (step.kind) {
    case 'probe':
      await markAsTaken(pool, step.peer);
      if (facts.peers.every(({ names }) => names.includes('localhost')))
        await markAsTaken(pool, connection.host);
      await command(connection, `peer probe ${step.peer.address}`, volume);
      return `added ${step.peer.name} to the GlusterFS pool`;
    case 'create':
      await create(pool, connection, spec, storage);
      return `created the volume ${volume}`;
    case 'start':
      await command(connection, `volume start ${quote(volume)}`, volume);
      return `started the volume ${volume}`;
    case 'set':
      await command(connection, `volume set ${quote(volume)} ${step.option} ${quote(step.value)}`, volume);
      return `set ${step.option} of the volume ${volume} to ${step.value}`;
    case 'rejected':
    case 'differs':
      throw obstacle(connection.host, volume, step);
  }
}

/** Before the host is added, since the response to that may be lost. */
async function markAsTaken(pool: SshPool, host: HostSpec): Promise<void> {
  const file = quote(peerFile(host));
  await (await pool.get(host)).run(`mkdir -p "$(dirname ${file})" && : > ${file}`);
}

function obstacle(
  { name }: HostSpec,
  volume: string,
  step: Extract<VolumeStep, { kind: 'rejected' | 'differs' }>,
): PerijoveError {
  return step.kind === 'rejected'
    ? new PerijoveError('STORAGE_PEER_REJECTED', `${step.peer}: ${step.state}`, {
        host: step.peer,
        subject: volume,
      })
    : new PerijoveError('STORAGE_DIFFERS', `the volume ${volume} already exists: ${step.reason}`, {
        host: name,
        subject: volume,
      });
}

/** What blocks the volume, and the first step of `formVolume`, as seen by the first host with a brick. */
export interface VolumePlan {
  readonly changes: readonly Change[];
  readonly problems: readonly Problem[];
}

/** @throws PerijoveError SSH_* */
export async function planVolume(connection: HostConnection, spec: ClusterSpec): Promise<VolumePlan> {
  const { host } = connection;
  const { storage } = spec;
  if (storage.kind !== 'gluster' || brickHosts(spec)[0]?.name !== host.name)
    return { changes: [], problems: [] };
  const observation = await observePool(connection, storage);
  if (!observation.known) {
    // glusterd may still have to be started.
    const what = `create the volume ${storage.volume} unless it exists (unknown yet: ${observation.why})`;
    return { changes: [{ host: host.name, what }], problems: [] };
  }
  const facts = observation.value;
  const step = nextVolumeStep(spec, storage, facts);
  if (step?.kind === 'rejected' || step?.kind === 'differs') {
    const { code, message, remedy } = obstacle(host, storage.volume, step);
    return {
      changes: [],
      problems: [{ code, message: `${host.name}: ${message}`, remedy, host: host.name }],
    };
  }
  const what = step === undefined ? undefined : plannedText(storage, step, facts.volume !== undefined);
  return { changes: what === undefined ? [] : [{ host: host.name, what }], problems: [] };
}

function plannedText({ volume }: GlusterSpec, step: VolumeStep, isThere: boolean): string | undefined {
  if (!isThere) return `create the volume ${volume}`;
  switch (step.kind) {
    case 'probe':
      return `add ${step.peer.name} to the GlusterFS pool`;
    case 'start':
      return `start the volume ${volume}`;
    case 'set':
      return `set ${step.option} of the volume ${volume} to ${step.value}`;
    default:
      return undefined;
  }
}

async function create(
  pool: SshPool,
  connection: HostConnection,
  spec: ClusterSpec,
  storage: GlusterSpec,
): Promise<void> {
  const path = brickPath(storage);
  const hosts = brickHosts(spec);
  const bricks = hosts.map(({ address }) => quote(`${address}:${path}`)).join(' ');
  const force = storage.force === true ? ' force' : '';
  await Promise.all(
    hosts.map(async (host) => {
      const target = await pool.get(host);
      await target.run(emptyBrickScript(path, brickFile(host)));
    }),
  );
  await command(
    connection,
    `volume create ${quote(storage.volume)} replica ${hosts.length} ${bricks}${force}`,
    storage.volume,
  );
}

/**
 * Prepares the directory of a new brick, which belongs to no volume: a brick without files is left from an
 * interrupted creation or a deleted volume. rmdir(2) proves that there are none: GlusterFS's metadata are
 * moved aside for it, and back if it refuses. The brick is marked as ours if mkdir(2) created it.
 */
export function emptyBrickScript(path: string, mark: string): string {
  return `set -e
brick=${quote(path)} mark=${quote(mark)}
aside=$brick.perijove-metadata
mkdir -p "$(dirname "$brick")" "$(dirname "$mark")"
if [ -d "$brick" ]; then
  if [ -e "$aside" ] && [ ! -e "$brick/.glusterfs" ]; then mv "$aside" "$brick/.glusterfs"; fi
  for directory in "$brick"/.glusterfs-*; do rmdir "$directory" 2>/dev/null || :; done
  if [ -e "$brick/.glusterfs" ] && [ ! -e "$aside" ]; then mv "$brick/.glusterfs" "$aside"; fi
  if ! rmdir "$brick" 2>/dev/null && [ -e "$aside" ]; then mv "$aside" "$brick/.glusterfs"; fi
fi
[ -e "$brick" ] || rm -rf "$aside"
if mkdir "$brick" 2>/dev/null; then echo "$brick" >"$mark"; else [ -d "$brick" ]; fi`;
}

async function command(connection: HostConnection, commandLine: string, volume: string): Promise<void> {
  const { code, stdout, stderr } = await connection.exec(`${gluster} ${commandLine}`, {
    timeoutMs: commandMs,
  });
  if (code === 0) return;
  const message = lastLine(`${stdout}\n${stderr}`);
  const cause = /root partition|system's root/.test(message)
    ? 'STORAGE_BRICK_ROOT'
    : /already part of a volume|is already a brick|parent directory .* is already/.test(message)
      ? 'STORAGE_BRICK_TAKEN'
      : /already part of another cluster|rejected/i.test(message)
        ? 'STORAGE_PEER_REJECTED'
        : 'STORAGE_FAILED';
  throw new PerijoveError(cause, message, {
    host: connection.host.name,
    subject: volume,
    remedy: errorCodes[cause].remedy,
  });
}

/**
 * Stops and deletes the volume if the cluster owns it, detaches the peers that Perijove added to the pool,
 * and removes the bricks that it created. Call it once nothing has the volume mounted. If glusterd runs
 * nowhere and no brick is left, the volume has already been removed.
 *
 * @throws PerijoveError STORAGE_FAILED, SSH_*, COMMAND_FAILED
 */
export async function removeVolume(
  pool: SshPool,
  spec: ClusterSpec,
  storage: GlusterSpec,
): Promise<Change[]> {
  const hosts = brickHosts(spec);
  const states = await Promise.all(hosts.map((host) => brickState(pool, host, storage)));
  const server = hosts.find((_, index) => states[index]?.answers);
  const left = hosts.filter((_, index) => states[index]?.brick);
  if (server === undefined && left.length > 0) {
    const names = left.map(({ name }) => name).join(', ');
    throw new PerijoveError(
      'STORAGE_FAILED',
      `glusterd responds on no host, and bricks of the volume ${storage.volume} remain on ${names}`,
      { subject: storage.volume },
    );
  }
  const changes: Change[] = [];
  if (server !== undefined) {
    const taken = hosts.filter((_, index) => states[index]?.taken);
    const dissolved = await dissolve(pool, await pool.get(server), spec, { storage, taken });
    if (dissolved === 'of others') return [];
    changes.push(...dissolved);
  }
  const path = quote(brickPath(storage));
  await Promise.all(
    left.map(async (host) => {
      const connection = await pool.get(host);
      // A host that was disconnected from the pool may still have the volume.
      const { volume } = await requirePool(connection, storage);
      if (volume !== undefined) {
        throw new PerijoveError(
          'STORAGE_FAILED',
          `glusterd on ${host.name} still has the volume ${storage.volume}, which the pool does not list`,
          { host: host.name, subject: storage.volume },
        );
      }
      await connection.run(`rm -rf --one-file-system ${path}`, { timeoutMs: commandMs });
      changes.push({ host: host.name, what: `removed ${brickPath(storage)}` });
    }),
  );
  return changes;
}

interface BrickState {
  /** Its glusterd responds. */
  readonly answers: boolean;
  /** The brick exists, and Perijove created it. */
  readonly brick: boolean;
  /** Perijove added the host to the pool. */
  readonly taken: boolean;
}

async function brickState(pool: SshPool, host: HostSpec, storage: GlusterSpec): Promise<BrickState> {
  const path = quote(brickPath(storage));
  const printed = await (
    await pool.get(host)
  ).run(
    `if timeout 10 gluster --mode=script pool list >/dev/null 2>&1; then echo answers; fi
made=
if [ -e ${quote(brickFile(host))} ]; then read -r made < ${quote(brickFile(host))} || exit 1; fi
if [ "$made" = ${path} ] && [ -e ${path} ]; then echo brick; fi
if [ -e ${quote(peerFile(host))} ]; then echo taken; fi`,
  );
  const lines = printed.split('\n');
  return {
    answers: lines.includes('answers'),
    brick: lines.includes('brick'),
    taken: lines.includes('taken'),
  };
}

async function dissolve(
  pool: SshPool,
  connection: HostConnection,
  spec: ClusterSpec,
  { storage, taken }: { readonly storage: GlusterSpec; readonly taken: readonly HostSpec[] },
): Promise<Change[] | 'of others'> {
  const { host } = connection;
  const name = quote(storage.volume);
  const changes: Change[] = [];
  const { volume, peers } = await requirePool(connection, storage);
  if (volume !== undefined && volume.options[ownerOption] !== spec.name) return 'of others';
  if (volume?.started === true) await command(connection, `volume stop ${name} force`, storage.volume);
  if (volume !== undefined) {
    await command(connection, `volume delete ${name}`, storage.volume);
    changes.push({ host: host.name, what: `deleted the volume ${storage.volume}` });
  }
  const { volume: left, volumeCount } = await requirePool(connection, storage);
  if (left !== undefined) {
    throw new PerijoveError('STORAGE_FAILED', `the volume ${storage.volume} was deleted but still exists`, {
      host: host.name,
      subject: storage.volume,
    });
  }
  if (volumeCount > 0) return changes;
  for (const peer of taken.filter(({ name }) => name !== host.name)) {
    if (!peers.some(({ names }) => names.includes(peer.address))) continue;
    await command(connection, `peer detach ${peer.address}`, storage.volume);
    changes.push({ host: host.name, what: `removed ${peer.name} from the GlusterFS pool` });
  }
  await Promise.all(taken.map(async (each) => (await pool.get(each)).run(`rm -f ${quote(peerFile(each))}`)));
  return changes;
}

const notOurs = 71;

/**
 * Unmounts the volume on a host, and returns the change. Another file system at that path stays.
 *
 * @throws PerijoveError COMMAND_FAILED, also if it is unknown what is mounted
 */
export async function unmountVolume(
  connection: HostConnection,
  { mount, volume }: GlusterSpec,
): Promise<Change[]> {
  const { host } = connection;
  const { code, stdout, stderr } = await connection.exec(
    `${mountedFunction(mount)}
mounted || { echo 'the table of mounts cannot be read' >&2; exit 1; }
case $type:$source in
:*) exit 0 ;;
fuse.glusterfs:*:/${volume} | fuse.glusterfs:*:${volume}) ;;
*) exit ${notOurs} ;;
esac
umount "$at" || umount -l "$at" || exit 1
echo unmounted`,
  );
  if (code === notOurs) return [];
  if (code !== 0) {
    throw new PerijoveError('COMMAND_FAILED', `${mount} could not be unmounted: ${lastLine(stderr)}`, {
      host: host.name,
      subject: mount,
    });
  }
  return stdout.includes('unmounted') ? [{ host: host.name, what: `unmounted ${mount}` }] : [];
}
