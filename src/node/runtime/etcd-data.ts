import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../errors/error.js';
import { readData, readPosition } from '../../etcd/data.js';
import type { EtcdTree } from '../etcd-trees.js';
import { nodeLayout, type NodeLayout } from '../layout.js';
import { readEpoch } from './epoch-files.js';

/** What the trees of nodes in a directory keep of etcd, by name. Rejects when one cannot be read. */
export async function etcdTrees(directory: string): Promise<readonly EtcdTree[]> {
  const names = (await readdir(directory)).filter((name) => /^node\d+$/.test(name)).sort();
  return Promise.all(
    names.map(async (node) => {
      const layout = nodeLayout(path.join(directory, node));
      return { node, epoch: await readEpoch(layout.etcdEpoch).catch(lowest), data: await dataOf(layout) };
    }),
  );
}

/** A file without a number, as a power cut may leave it: the next recovery replaces it. */
function lowest(error: unknown): number {
  if (messageOf(error).endsWith('contains no epoch')) return 0;
  throw error;
}

async function dataOf({ etcdData, etcdDataEpoch }: NodeLayout): Promise<EtcdTree['data']> {
  const data = await readData(etcdData);
  if (data.kind !== 'member') return data;
  try {
    const position = await readPosition(etcdData);
    // Such a member was added, and never heard from the others.
    if (position === undefined) return { kind: 'none' };
    return { kind: 'member', epoch: await readEpoch(etcdDataEpoch), ...position };
  } catch (error) {
    return { kind: 'unreadable', why: messageOf(error) };
  }
}
