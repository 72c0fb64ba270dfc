import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { termText } from '../../etcd/term.js';
import { isMissing, replaceFile } from '../../net/files.js';

const ordersSchema = z.object({
  /** The highest in any order so far. */
  generation: z.int().min(0),
  jupyter: z.object({
    generation: z.int().min(0),
    // Files of an earlier release lack both.
    term: z.int().min(0).default(0),
    serve: z.boolean().default(false),
  }),
  hosts: z.object({ generation: z.int().min(0) }),
});
export type Orders = Readonly<z.infer<typeof ordersSchema>>;

export const noOrders: Orders = {
  generation: 0,
  jupyter: { generation: 0, term: 0, serve: false },
  hosts: { generation: 0 },
};

/**
 * Why an order must not be carried out: its generation is lower than an earlier one, or its term is lower
 * than that of the order it would replace, so it is from an older verdict. Undefined when it may be.
 */
export function staleness(
  orders: Orders,
  order: { readonly generation: number; readonly term?: number },
): string | undefined {
  const { generation, term = Infinity } = order;
  if (generation < orders.generation) return `generation ${generation} is older than ${orders.generation}`;
  if (term < orders.jupyter.term) {
    return `term ${termText(term)} is lower than ${termText(orders.jupyter.term)}`;
  }
  return undefined;
}

/** The last orders to the node; they outlive the control process. */
export async function readOrders(file: string): Promise<Orders> {
  try {
    return ordersSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (isMissing(error)) return noOrders;
    throw error;
  }
}

export async function storeOrders(file: string, orders: Orders): Promise<void> {
  await replaceFile(file, JSON.stringify(orders), 0o600);
}

/**
 * A restarted node does not serve on an earlier life's order, because leadership has moved since. The
 * generations stay, so older orders are still refused. A damaged file counts as none; an unreadable one
 * stays.
 */
export async function forgetServe(file: string): Promise<void> {
  const orders = await readOrders(file).catch((error: unknown) => {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return noOrders;
    throw error;
  });
  await storeOrders(file, { ...orders, jupyter: { ...orders.jupyter, serve: false } });
}
