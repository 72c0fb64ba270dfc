/** Whose the znodes of Mesos are, and whose they are to be: the persistent ones, which outlive every session. */
import { createHash } from 'node:crypto';
import { PerijoveError } from '../../errors/error.js';
import { ZNodeError, type ZNodeAccess, type ZooKeeperClient } from '../../zookeeper/client.js';
import { refusedOr } from './detector.js';

/** Whom the znodes admit: everybody, or whoever has one of these digests (`user:password`). */
export type Admission =
  { readonly kind: 'everybody' } | { readonly kind: 'owners'; readonly digests: readonly string[] };

const everybody: readonly ZNodeAccess[] = [{ scheme: 'world', id: 'anyone', may: 'all' }];

/** As Mesos does it (`EVERYONE_READ_CREATOR_ALL`): owners do all, and everybody reads. */
export function accessFor(admission: Admission): readonly ZNodeAccess[] {
  if (admission.kind === 'everybody') return everybody;
  return [
    { scheme: 'world', id: 'anyone', may: 'read' },
    ...admission.digests.map((digest): ZNodeAccess => ({
      scheme: 'digest',
      id: ownerOf(digest),
      may: 'all',
    })),
  ];
}

/** The identity that ZooKeeper makes of `user:password`: `user:` and its SHA-1 in base64. */
export function ownerOf(digest: string): string {
  const user = digest.slice(0, Math.max(0, digest.indexOf(':')));
  return `${user}:${createHash('sha1').update(digest).digest('base64')}`;
}

/** Whether all of an admission may write to a znode. */
export function admits(access: readonly ZNodeAccess[], admission: Admission): boolean {
  const may = (scheme: string, id: string) =>
    access.some((each) => each.scheme === scheme && each.id === id && each.may === 'all');
  if (may('world', 'anyone')) return true;
  return admission.kind === 'owners' && admission.digests.every((digest) => may('digest', ownerOf(digest)));
}

/** Equal as sets. */
export function sameAccess(left: readonly ZNodeAccess[], right: readonly ZNodeAccess[]): boolean {
  const texts = (access: readonly ZNodeAccess[]) =>
    access
      .map(({ scheme, id, may }) => `${scheme} ${id} ${may}`)
      .sort()
      .join('\n');
  return texts(left) === texts(right);
}

/** What a znode is given instead of what it has; undefined when it may stay. */
export type DesiredAccess = (access: readonly ZNodeAccess[]) => readonly ZNodeAccess[] | undefined;

/** Lets those in who are kept out now, and nobody out. */
export function opening(admission: Admission): DesiredAccess {
  return (access) => (admits(access, admission) ? undefined : accessFor(admission));
}

/** Exactly those, and nobody else. */
export function protecting(digest: string): DesiredAccess {
  const wanted = accessFor({ kind: 'owners', digests: [digest] });
  return (access) => (sameAccess(access, wanted) ? undefined : wanted);
}

/**
 * Gives the persistent znodes at and below `path` the access that is wished for. Resolves to the paths of those
 * that it changed. None is made.
 *
 * @throws PerijoveError ZOOKEEPER_AUTH_FAILED when they belong to somebody else
 */
export async function alignZnodes(
  zookeeper: ZooKeeperClient,
  path: string,
  desired: DesiredAccess,
): Promise<string[]> {
  try {
    const { access, ephemeral } = await zookeeper.access(path);
    if (ephemeral) return [];
    const wanted = desired(access);
    if (wanted !== undefined) await zookeeper.setAccess(path, wanted);
    const children = [...(await zookeeper.getChildren(path))].sort();
    const below: string[] = [];
    for (const name of children) below.push(...(await alignZnodes(zookeeper, `${path}/${name}`, desired)));
    return wanted === undefined ? below : [path, ...below];
  } catch (error) {
    if (error instanceof ZNodeError && error.code === 'NO_NODE') return [];
    throw refusedOr(error);
  }
}

/**
 * What is wrong with the access to the znodes of Mesos, for whoever comes with this digest; undefined when
 * nothing is. Changes nothing.
 */
export async function accessTrouble(
  zookeeper: ZooKeeperClient,
  path: string,
  digest: string,
): Promise<PerijoveError | undefined> {
  try {
    const { access } = await zookeeper.access(path);
    if (admits(access, { kind: 'owners', digests: [digest] })) return undefined;
  } catch (error) {
    if (error instanceof ZNodeError && error.code === 'NO_NODE') return undefined;
    if (!(error instanceof ZNodeError && error.code === 'NO_AUTH')) throw error;
  }
  return new PerijoveError(
    'ZOOKEEPER_AUTH_FAILED',
    `the znode ${path} belongs to another digest than the secret zookeeper-digest`,
    { subject: path },
  );
}
