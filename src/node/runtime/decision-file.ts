import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isMissing, replaceFile } from '../../net/files.js';

const decisionFileSchema = z.object({ started: z.boolean(), reason: z.string() });
/** The last decision about the start of etcd, for `/status`. */
export type DecisionFile = Readonly<z.infer<typeof decisionFileSchema>>;

/** Undefined before the first decision. */
export async function readDecision(file: string): Promise<DecisionFile | undefined> {
  try {
    return decisionFileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export async function storeDecision(file: string, decision: DecisionFile): Promise<void> {
  await replaceFile(file, JSON.stringify(decision));
}
