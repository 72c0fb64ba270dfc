import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { nodeConfigSchema } from '../config.js';
import { replaceFile } from '../../net/files.js';
import { nodeLayout } from '../layout.js';
import type { Programs } from '../scripts.js';

const startedNodeSchema = z.object({ config: nodeConfigSchema, programs: z.object({ etcd: z.string() }) });
/** What `perijove-node start` records for the programs below it. */
export type StartedNode = Readonly<z.infer<typeof startedNodeSchema>>;

export async function readStartedNode(base: string): Promise<StartedNode> {
  return startedNodeSchema.parse(JSON.parse(await readFile(nodeLayout(base).config, 'utf8')));
}

export async function storeStartedNode(node: StartedNode & { readonly programs: Programs }): Promise<void> {
  await replaceFile(nodeLayout(node.config.paths.base).config, JSON.stringify(node, null, 2));
}
