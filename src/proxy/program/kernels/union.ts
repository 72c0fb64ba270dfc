/** Lists of several nodes as one. No clock and no I/O. */
import * as z from 'zod';
import type { List } from './named.js';

const models: Readonly<Record<List, z.ZodType<readonly Model[]>>> = {
  kernels: z.array(z.looseObject({ id: z.string() })),
  sessions: z.array(z.looseObject({ id: z.string() })),
  terminals: z.array(z.looseObject({ name: z.string() })),
};

/** What Jupyter tells of a kernel, a session or a terminal. */
export type Model = Readonly<Record<string, unknown>>;

/** Undefined if that is not such a list. */
export function readList(list: List, body: string): readonly Model[] | undefined {
  try {
    const parsed = models[list].safeParse(JSON.parse(body));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** By which requests name it. */
export function idOf(list: List, model: Model): string {
  return String(model[list === 'terminals' ? 'name' : 'id']);
}

/** ID of a session's kernel. */
export function kernelOf(model: Model): string | undefined {
  const kernel = z.object({ id: z.string() }).safeParse(model['kernel']);
  return kernel.success ? kernel.data.id : undefined;
}

/**
 * What a node had that does not answer at the moment. JupyterLab shows the state as unknown; of what is missing in a
 * list it says that it has died.
 */
export function unreachable(list: List, model: Model): Model {
  if (list === 'kernels') return { ...model, execution_state: 'unknown' };
  const kernel = z.looseObject({}).safeParse(model['kernel']);
  if (list !== 'sessions' || !kernel.success) return model;
  return { ...model, kernel: { ...kernel.data, execution_state: 'unknown' } };
}

/** Each once, by node. */
export function union(list: List, byNode: readonly (readonly Model[])[]): readonly Model[] {
  const seen = new Map<string, Model>();
  for (const model of byNode.flat()) if (!seen.has(idOf(list, model))) seen.set(idOf(list, model), model);
  return [...seen.values()];
}
