/** Forms and removes the GlusterFS volume, through hosts with bricks. Each may be repeated after any interruption. */
import { errorCodes } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { Change } from '../hosts/items.js';
import { hostPaths } from '../hosts/paths.js';
import type { Problem } from '../hosts/preflight.js';
import { brickHosts, type ClusterSpec, type HostSpec } from '../spec/cluster.js';
import type { HostConnection, SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import {
  brickPath,
  nextVolumeStep,
  ownerOption,
  parsePool,
  parseBricks,
  type BrickLook,
  type GlusterSpec,
  type PoolFacts,
  type VolumeStep,
} from './gluster.js';

const gluster = 'timeout 100 gluster --mode=script';
const commandMs = 120_000;
const bricksMs = 5_000;

const lookScript = `${gluster} --xml pool list && ${gluster} --xml volume info`;

async function look(connection: HostConnection, { volume }: GlusterSpec): Promise<PoolFacts> {
  const printed = await connection.run(lookScript, { timeoutMs: commandMs });
  return parsePool(printed, volume);
}

/** All bricks of a volume, as the first of the hosts that tells of them sees them; none when nobody does. Never rejects. */
export async function lookAtBricks(
  pool: SshPool,
  hosts: readonly HostSpec[],
  volume: string,
): Promise<BrickLook[]> {
  for (const host of hosts) {
    const bricks = await pool
      .get(host)
      .then((connection) =>
        connection.exec(
          `gluster --mode=script --xml volume status ${volume}; gluster --mode=script volume heal ${volume} statistics heal-count`,
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
    const step = nextVolumeStep(spec, storage, await look(connection, storage));
    if (step === undefined) return { changes };
    if (step.kind === 'wait') return { changes, waits: step.reason };
    changes.push({ host: first.name, what: await perform(pool, connection, spec, storage, step) });
  }
}

async function perform(
  pool: SshPool,
  connection: HostConnection,
  spec: ClusterSpec,
  storage: GlusterSpec,
  step: Exclude<VolumeStep, { kind: 'wait' }>,
): Promise<string> {
  const { volume } = storage;
  switch (step.kind) {
    case 'probe':
      await command(connection, `peer probe ${step.peer.address}`, volume);
      return `took ${step.peer.name} into the GlusterFS pool`;
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
    : new PerijoveError('STORAGE_DIFFERS', `the volume ${volume} is there already: ${step.reason}`, {
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
  const looked = await connection.exec(lookScript, { timeoutMs: commandMs });
  const facts = looked.code === 0 ? parsePool(looked.stdout, storage.volume) : { peers: [] };
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
      return `take ${step.peer.name} into the GlusterFS pool`;
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
  // No volume has it: a brick without a file in it is what an interrupted creation, or a deleted volume, left.
  await Promise.all(
    hosts.map(async (host) => {
      const target = await pool.get(host);
      await target.run(
        `set -e
mkdir -p ${quote(storage.brick)} ${quote(hostPaths(host).data)}
if [ -d ${quote(path)} ] && [ -z "$(find ${quote(path)} -mindepth 1 -not -path ${quote(`${path}/.glusterfs*`)} | head -n 1)" ]; then rm -rf ${quote(path)}; fi
[ -e ${quote(path)} ] || echo ${quote(path)} > ${quote(brickFile(host))}`,
      );
    }),
  );
  await command(
    connection,
    `volume create ${quote(storage.volume)} replica ${hosts.length} ${bricks}${force}`,
    storage.volume,
  );
}

async function command(connection: HostConnection, words: string, volume: string): Promise<void> {
  const { code, stdout, stderr } = await connection.exec(`${gluster} ${words}`, { timeoutMs: commandMs });
  if (code === 0) return;
  const said = `${stdout}\n${stderr}`.trim().split('\n').at(-1) ?? '';
  const known = /root partition|system's root/.test(said)
    ? 'STORAGE_BRICK_ROOT'
    : /already part of a volume|is already a brick|parent directory .* is already/.test(said)
      ? 'STORAGE_BRICK_TAKEN'
      : /already part of another cluster|rejected/i.test(said)
        ? 'STORAGE_PEER_REJECTED'
        : 'STORAGE_FAILED';
  throw new PerijoveError(known, said, {
    host: connection.host.name,
    subject: volume,
    remedy: errorCodes[known].remedy,
  });
}

/**
 * Stops and deletes the volume if it is the cluster's, lets the peers go, and removes the bricks that Perijove made.
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
      `glusterd answers on no host, and bricks of the volume ${storage.volume} are left on ${names}`,
      { subject: storage.volume },
    );
  }
  const changes: Change[] = [];
  if (server !== undefined) {
    const dissolved = await dissolve(await pool.get(server), spec, storage);
    if (dissolved === 'of others') return [];
    changes.push(...dissolved);
  }
  const path = quote(brickPath(storage));
  await Promise.all(
    left.map(async (host) => {
      await (await pool.get(host)).run(`rm -rf ${path}`, { timeoutMs: commandMs });
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
}

async function brickState(pool: SshPool, host: HostSpec, storage: GlusterSpec): Promise<BrickState> {
  const path = quote(brickPath(storage));
  const said = await (
    await pool.get(host)
  ).run(
    `if timeout 10 gluster --mode=script pool list >/dev/null 2>&1; then echo answers; fi
if [ "$(cat ${quote(brickFile(host))} 2>/dev/null)" = ${path} ] && [ -e ${path} ]; then echo brick; fi`,
  );
  return { answers: said.includes('answers'), brick: said.includes('brick') };
}

async function dissolve(
  connection: HostConnection,
  spec: ClusterSpec,
  storage: GlusterSpec,
): Promise<Change[] | 'of others'> {
  const { host } = connection;
  const name = quote(storage.volume);
  const changes: Change[] = [];
  const { volume, peers } = await look(connection, storage);
  if (volume !== undefined && volume.options[ownerOption] !== spec.name) return 'of others';
  if (volume?.started === true) await command(connection, `volume stop ${name} force`, storage.volume);
  if (volume !== undefined) {
    await command(connection, `volume delete ${name}`, storage.volume);
    changes.push({ host: host.name, what: `deleted the volume ${storage.volume}` });
  }
  const others = await connection.run(`${gluster} --xml volume info`, { timeoutMs: commandMs });
  if (others.includes('<volume>')) return changes;
  for (const peer of brickHosts(spec).filter(({ name }) => name !== host.name)) {
    if (!peers.some(({ names }) => names.includes(peer.address))) continue;
    await command(connection, `peer detach ${peer.address}`, storage.volume);
    changes.push({ host: host.name, what: `let ${peer.name} go from the GlusterFS pool` });
  }
  return changes;
}

/** Unmounts the volume on a host; returns what was there. */
export async function unmountVolume(connection: HostConnection, { mount }: GlusterSpec): Promise<Change[]> {
  const at = quote(mount);
  const said = await connection.run(
    `if grep -F ${quote(` ${mount} `)} /proc/self/mountinfo | grep -qF ' - fuse.glusterfs '; then umount ${at} || umount -l ${at} || exit 1; echo unmounted; fi`,
  );
  return said.includes('unmounted') ? [{ host: connection.host.name, what: `unmounted ${mount}` }] : [];
}
