/** The GlusterFS volume of a cluster: its bricks, the output of `gluster --xml`, and the next step. Pure. */
import { DOMParser, onErrorStopParsing, type Document, type Element } from '@xmldom/xmldom';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import {
  brickHosts,
  brickReplicas,
  hostsWithRole,
  type ClusterSpec,
  type HostSpec,
  type StorageSpec,
} from '../cluster/spec.js';

export type GlusterSpec = Extract<StorageSpec, { kind: 'gluster' }>;

/** The volume option that names the owning cluster. */
export const ownerOption = 'user.perijove.cluster';

/** The brick's own directory: GlusterFS refuses a mount point, and `brick` may be one. */
export function brickPath({ brick, volume }: GlusterSpec): string {
  return `${brick}/${volume}`;
}

/** Clients and servers write only with a majority, which prevents split-brain. */
function volumeOptions(
  { name }: Pick<ClusterSpec, 'name'>,
  { pingTimeoutMs }: GlusterSpec,
): Readonly<Record<string, string>> {
  return {
    'cluster.quorum-type': 'auto',
    'cluster.server-quorum-type': 'server',
    'network.ping-timeout': String(pingTimeoutMs / 1_000),
    [ownerOption]: name,
  };
}

export interface Peer {
  /** Addresses and names by which the pool knows it. */
  readonly names: readonly string[];
  readonly connected: boolean;
  /** Such as `Peer in Cluster`, `Peer Rejected`; absent for the queried host itself. */
  readonly state?: string;
}

export interface Volume {
  readonly started: boolean;
  readonly replicas: number;
  /** `address:/path` */
  readonly bricks: readonly string[];
  readonly options: Readonly<Record<string, string>>;
}

/** What one host with a brick reports. */
export interface PoolFacts {
  readonly peers: readonly Peer[];
  /** Number of all volumes in the pool, whoever created them. */
  readonly volumeCount: number;
  readonly volume?: Volume;
  /** That host has the mark of a brick that Perijove made for the volume. */
  readonly isMade?: boolean;
}

/** The addresses that may mount the volume; GlusterFS's own default is everybody. */
const allowOption = 'auth.allow';

/**
 * The next value of `auth.allow`: it has the address of each host of the spec, and keeps what else was set. Undefined
 * when it needs no change, and for a volume that Perijove did not make: others may have it mounted.
 */
function allowed({ hosts }: Pick<ClusterSpec, 'hosts'>, { volume, isMade }: PoolFacts): string | undefined {
  const present = (volume?.options[allowOption] ?? '*').split(',').filter((each) => each !== '*');
  const lacking = hosts.map(({ address }) => address).filter((address) => !present.includes(address));
  if (isMade !== true || lacking.length === 0) return undefined;
  return [...present, ...lacking].join(',');
}

/** The responses in the output of several `gluster --xml` commands. */
function answersOf(printed: string): Document[] {
  const documents = printed.match(/<\?xml .*?<\/cliOutput>/gs) ?? [];
  return documents.map((text) =>
    new DOMParser({ onError: onErrorStopParsing }).parseFromString(text, 'text/xml'),
  );
}

const all = (from: Document | Element, tag: string) => [...from.getElementsByTagName(tag)];
const textOf = (from: Element, tag: string) => from.getElementsByTagName(tag)[0]?.textContent ?? undefined;

/**
 * Parses the output of `gluster --xml pool list` and `gluster --xml volume info`. Known if both responses are
 * complete and without an error: GlusterFS reports some failures with exit code 0.
 */
export function parsePool(printed: string, volume: string): Observation<PoolFacts> {
  let answers: Document[];
  try {
    answers = answersOf(printed);
  } catch {
    return notKnown('the output of gluster is not XML');
  }
  const failed = answers.find((answer) => all(answer, 'opRet')[0]?.textContent !== '0');
  if (failed !== undefined) {
    return notKnown(all(failed, 'opErrstr')[0]?.textContent || 'gluster reported an error without a message');
  }
  const pool = answers.find((answer) => all(answer, 'peerStatus').length > 0);
  const info = answers.find((answer) => all(answer, 'volInfo').length > 0);
  if (pool === undefined || info === undefined) return notKnown('the output of gluster is truncated');
  const peers = all(pool, 'peer').map((peer): Peer => {
    const state = textOf(peer, 'stateStr');
    return {
      names: [...new Set(all(peer, 'hostname').map(({ textContent }) => textContent ?? ''))],
      connected: textOf(peer, 'connected') === '1',
      ...(state === undefined ? {} : { state }),
    };
  });
  if (!peers.some(({ names }) => names.includes('localhost'))) {
    return notKnown('the list of peers does not contain the queried host itself');
  }
  const volumes = all(info, 'volume');
  const count = Number(all(info, 'count')[0]?.textContent ?? NaN);
  if (volumes.length !== count) return notKnown(`the list of volumes contains ${volumes.length} of ${count}`);
  const found = volumes.find((each) => textOf(each, 'name') === volume);
  const facts = { peers, volumeCount: count };
  if (found === undefined) return known(facts);
  return known({
    ...facts,
    volume: {
      started: textOf(found, 'status') === '1',
      replicas: Number(textOf(found, 'replicaCount')),
      bricks: all(found, 'brick').map((brick) => textOf(brick, 'name') ?? ''),
      options: Object.fromEntries(
        all(found, 'option').map((option) => [textOf(option, 'name') ?? '', textOf(option, 'value') ?? '']),
      ),
    },
  });
}

/** One step, executed through the first host with a brick. */
export type VolumeStep =
  | { readonly kind: 'probe'; readonly peer: HostSpec }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'create' }
  | { readonly kind: 'start' }
  | { readonly kind: 'set'; readonly option: string; readonly value: string }
  | { readonly kind: 'rejected'; readonly peer: string; readonly state: string }
  | { readonly kind: 'differs'; readonly reason: string };

/** The next step towards the desired volume; undefined once it is reached. */
export function nextVolumeStep(
  spec: ClusterSpec,
  storage: GlusterSpec,
  facts: PoolFacts,
): VolumeStep | undefined {
  const [, ...others] = brickHosts(spec);
  for (const peer of others) {
    const known = facts.peers.find(({ names }) => names.includes(peer.address));
    if (known === undefined) return { kind: 'probe', peer };
    if (/rejected/i.test(known.state ?? '')) {
      return { kind: 'rejected', peer: peer.name, state: known.state ?? '' };
    }
    if (!known.connected || known.state !== 'Peer in Cluster') {
      return { kind: 'wait', reason: `${peer.name} is ${known.connected ? known.state : 'not connected'}` };
    }
  }
  const { volume } = facts;
  if (volume === undefined) return { kind: 'create' };
  const agents = hostsWithRole(spec, 'agent').map(({ address }) => `${address}:${brickPath(storage)}`);
  if (volume.replicas !== brickReplicas || volume.bricks.some((brick) => !agents.includes(brick))) {
    return { kind: 'differs', reason: `it has ${volume.replicas} replicas on ${volume.bricks.join(', ')}` };
  }
  const owner = volume.options[ownerOption];
  if (owner !== undefined && owner !== spec.name) {
    return { kind: 'differs', reason: `it belongs to the cluster ${owner}` };
  }
  const missing = Object.entries(volumeOptions(spec, storage)).find(
    ([option, value]) => volume.options[option] !== value,
  );
  if (missing !== undefined) return { kind: 'set', option: missing[0], value: missing[1] };
  const allow = allowed(spec, facts);
  if (allow !== undefined) return { kind: 'set', option: allowOption, value: allow };
  return volume.started ? undefined : { kind: 'start' };
}

export interface BrickObservation {
  /** `address:/path` */
  readonly brick: string;
  readonly online: boolean;
  /** Files that other bricks still need from this one; null if unknown. */
  readonly pending: number | null;
}

/**
 * Parses the output of `gluster --xml volume status V` and `gluster volume heal V statistics heal-count`;
 * empty if it mentions no bricks. (`heal V info` would report both, but waits ten seconds for a host that is
 * gone.)
 */
export function parseBricks(printed: string): BrickObservation[] {
  const online = new Set(
    answersOf(printed)
      .flatMap((answer) => all(answer, 'node'))
      .filter((node) => textOf(node, 'status') === '1')
      .map((node) => `${textOf(node, 'hostname')}:${textOf(node, 'path')}`),
  );
  const counts = printed.matchAll(/^Brick (\S+)\n(?:Status: .*\n)?(?:Number of entries: (\d+)$)?/gm);
  return [...counts].map(([, brick = '', count]) => ({
    brick,
    online: online.has(brick),
    pending: count === undefined ? null : Number(count),
  }));
}
