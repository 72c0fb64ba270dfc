/** Forms and removes the GlusterFS volume, through hosts with bricks. Each may be repeated after any interruption. */
import { errorCodes } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import { hostPaths } from '../hosts/paths.js';
import type { Problem } from '../hosts/problem.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { mountedFunction } from './mount-table.js';
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

const lookScript = `command -v gluster >/dev/null || exit 127
${gluster} --xml pool list && ${gluster} --xml volume info`;
const notInstalled = 127;

/** Known as well where GlusterFS is not installed: then there is no volume. */
async function look(connection: HostConnection, { volume }: GlusterSpec): Promise<Observation<PoolFacts>> {
  const { code, stdout, stderr } = await connection.exec(lookScript, { timeoutMs: commandMs });
  if (code === 0) return parsePool(stdout, volume);
  if (code === notInstalled) return known({ peers: [], volumeCount: 0 });
  return notKnown(lastLine(`${stdout}\n${stderr}`) || `gluster exited with ${code ?? 'a signal'}`);
}

/** @throws PerijoveError STORAGE_FAILED where it is not known */
async function mustLook(connection: HostConnection, storage: GlusterSpec): Promise<PoolFacts> {
  const looked = await look(connection, storage);
  if (looked.known) return looked.value;
  throw new PerijoveError(
    'STORAGE_FAILED',
    `glusterd did not report whether the volume ${storage.volume} exists: ${looked.why}`,
    { host: connection.host.name, subject: storage.volume },
  );
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

/** All bricks of a volume, as the first of the hosts that tells of them sees them; none when nobody does. Never rejects. */
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

/** Names the brick that Perijove made on the host, and so may remove. */
function brickFile(host: HostSpec): string {
  return `${hostPaths(host).data}/gluster-brick`;
}

/** Says that Perijove took the host into the pool, and so may let it go: it was in none before. */
function peerFile(host: HostSpec): string {
  return `${hostPaths(host).data}/gluster-peer`;
}

export interface Formed {
  readonly changes: readonly Change[];
  /** What keeps the volume from being whole, and time may heal. */
  readonly waits?: string;
}

/**
 * Brings the volume to what the spec says, step by step, as far as it goes now.
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
    const looked = await look(connection, storage);
    if (!looked.known) {
      return { changes, waits: `${first.name} did not report the volume ${storage.volume}: ${looked.why}` };
    }
    const step = nextVolumeStep(spec, storage, looked.value);
    if (step === undefined) return { changes };
    if (step.kind === 'wait') return { changes, waits: step.reason };
    changes.push({
      host: first.name,
      what: await perform(pool, connection, spec, storage, { step, facts: looked.value }),
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

/** Before the host is taken, so that the answer to that may be lost. */
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

/** What is in the way of the volume, and what `formVolume` would begin with, as the first host with a brick sees it. */
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
  const looked = await look(connection, storage);
  if (!looked.known) {
    // glusterd may be one of the things that are started first.
    const what = `create the volume ${storage.volume} unless it exists (unknown yet: ${looked.why})`;
    return { changes: [{ host: host.name, what }], problems: [] };
  }
  const facts = looked.value;
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
 * Makes way for a new brick. No volume has it: a brick without a file is what an interrupted creation, or a deleted
 * volume, left. That there is none is what rmdir(2) says, which refuses otherwise: GlusterFS's own metadata are put
 * aside for it, and back where it refuses. The brick is marked as ours where mkdir(2) says that it was not there.
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

async function command(connection: HostConnection, words: string, volume: string): Promise<void> {
  const { code, stdout, stderr } = await connection.exec(`${gluster} ${words}`, { timeoutMs: commandMs });
  if (code === 0) return;
  const said = lastLine(`${stdout}\n${stderr}`);
  const cause = /root partition|system's root/.test(said)
    ? 'STORAGE_BRICK_ROOT'
    : /already part of a volume|is already a brick|parent directory .* is already/.test(said)
      ? 'STORAGE_BRICK_TAKEN'
      : /already part of another cluster|rejected/i.test(said)
        ? 'STORAGE_PEER_REJECTED'
        : 'STORAGE_FAILED';
  throw new PerijoveError(cause, said, {
    host: connection.host.name,
    subject: volume,
    remedy: errorCodes[cause].remedy,
  });
}

/**
 * Stops and deletes the volume if it is the cluster's, lets the peers go that Perijove took into the pool, and removes
 * the bricks that it made.
 * To be called when nobody has it mounted any more. Where no glusterd runs and no brick is left, it was done before.
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
      // A host that was cut off from the pool, or from which it was, may still have the volume.
      const { volume } = await mustLook(connection, storage);
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
  /** Its glusterd does. */
  readonly answers: boolean;
  /** A brick is there, and Perijove made it. */
  readonly brick: boolean;
  /** Perijove took the host into the pool. */
  readonly taken: boolean;
}

async function brickState(pool: SshPool, host: HostSpec, storage: GlusterSpec): Promise<BrickState> {
  const path = quote(brickPath(storage));
  const said = await (
    await pool.get(host)
  ).run(
    `if timeout 10 gluster --mode=script pool list >/dev/null 2>&1; then echo answers; fi
made=
if [ -e ${quote(brickFile(host))} ]; then read -r made < ${quote(brickFile(host))} || exit 1; fi
if [ "$made" = ${path} ] && [ -e ${path} ]; then echo brick; fi
if [ -e ${quote(peerFile(host))} ]; then echo taken; fi`,
  );
  const words = said.split('\n');
  return {
    answers: words.includes('answers'),
    brick: words.includes('brick'),
    taken: words.includes('taken'),
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
  const { volume, peers } = await mustLook(connection, storage);
  if (volume !== undefined && volume.options[ownerOption] !== spec.name) return 'of others';
  if (volume?.started === true) await command(connection, `volume stop ${name} force`, storage.volume);
  if (volume !== undefined) {
    await command(connection, `volume delete ${name}`, storage.volume);
    changes.push({ host: host.name, what: `deleted the volume ${storage.volume}` });
  }
  const { volume: left, volumeCount } = await mustLook(connection, storage);
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
 * Unmounts the volume on a host; returns what was there. Another file system at that place stays.
 *
 * @throws PerijoveError COMMAND_FAILED also where it is not known what is mounted
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
