/** Who owns the znodes of Mesos, and who should: the persistent ones, which outlive every session. */
import { createHash } from 'node:crypto';
import { PerijoveError } from '../../errors/error.js';
import { ZNodeError, type ZNodeAccess, type ZooKeeperClient } from '../../zookeeper/client.js';
import { refusedOr } from './detector.js';

/** Who may write to the znodes: everyone, or holders of one of these digests (`user:password`). */
export type Admission =
  { readonly kind: 'everybody' } | { readonly kind: 'owners'; readonly digests: readonly string[] };

const everybody: readonly ZNodeAccess[] = [{ scheme: 'world', id: 'anyone', may: 'all' }];

/** As Mesos does it (`EVERYONE_READ_CREATOR_ALL`): owners have all permissions, and everyone can read. */
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

/** The identity that ZooKeeper derives from `user:password`: `user:` and its SHA-1 in base64. */
export function ownerOf(digest: string): string {
  const user = digest.slice(0, Math.max(0, digest.indexOf(':')));
  return `${user}:${createHash('sha1').update(digest).digest('base64')}`;
}

/** Whether everyone in an admission may write to a znode. */
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

/** The access that a znode should get; undefined to keep what it has. */
export type DesiredAccess = (access: readonly ZNodeAccess[]) => readonly ZNodeAccess[] | undefined;

/** Admits those who are refused now, and shuts nobody out. */
export function opening(admission: Admission): DesiredAccess {
  return (access) => (admits(access, admission) ? undefined : accessFor(admission));
}

/** Admits exactly the owner of the digest. */
export function protecting(digest: string): DesiredAccess {
  const wanted = accessFor({ kind: 'owners', digests: [digest] });
  return (access) => (sameAccess(access, wanted) ? undefined : wanted);
}

/**
 * Sets the desired access on the persistent znodes at and below `path`. Resolves to the paths of those that
 * it changed. Creates none.
 *
 * @throws PerijoveError ZOOKEEPER_AUTH_FAILED when they have another owner
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
 * What is wrong with the access of this digest to the znodes of Mesos; undefined when nothing is. Changes
 * nothing.
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
