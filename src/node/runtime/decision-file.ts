import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { isMissing, replaceFile } from '../../net/files.js';

const decisionFileSchema = z.object({
  started: z.boolean(),
  reason: z.string(),
  /** The epoch in which it was decided; 0 if absent. */
  epoch: z.int().min(0).optional(),
  /** Why the last etcd process exited, in its own words. */
  trouble: z.string().optional(),
});
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

const replacementSchema = z.object({ at: z.iso.datetime(), why: z.string(), memberId: z.string() });
/** When and why a member's damaged data was moved aside. */
export type Replacement = Readonly<z.infer<typeof replacementSchema>>;

/** The last one; undefined if there is none, or it is unreadable. */
export async function readReplacement(file: string): Promise<Replacement | undefined> {
  try {
    return replacementSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data;
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function storeReplacement(file: string, replacement: Replacement): Promise<void> {
  await replaceFile(file, JSON.stringify(replacement));
}

export async function storeDecision(file: string, decision: DecisionFile): Promise<void> {
  await replaceFile(file, JSON.stringify(decision));
}
