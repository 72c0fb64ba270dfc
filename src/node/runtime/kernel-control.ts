import type { Logger } from 'pino';
import * as z from 'zod';
import { messageOf } from '../../errors/error.js';
import { jsonOf } from '../../net/json.js';
import { readTokens } from '../../net/tokens.js';
import type { NodeConfig } from '../config.js';
import type { NodeKernels, Room } from '../kernels.js';
import { Placements } from '../placement.js';
import { askJupyter } from './ask-jupyter.js';
import type { JupyterService } from './jupyter-service.js';
import { refusal, type KernelControl, type KernelOperations } from './server.js';

/** A proxy waits somewhat longer for a node that has answered before. */
const countMs = 900;

/** To end a kernel in order. */
const stopMs = 10_000;
const askMs = 1_500;

const listSchema = z.array(z.unknown());
const kernelsSchema = z.array(
  z.object({ id: z.string(), name: z.string(), execution_state: z.string(), last_activity: z.string() }),
);
const sessionsSchema = z.array(
  z.object({ id: z.string(), path: z.string(), kernel: z.object({ id: z.string() }).nullable() }),
);

/** Undefined where `node-kernels-token` is missing: the hosts had no `up` by this release yet. */
export async function kernelControl({
  config,
  jupyter,
  jupyterToken,
  logger,
}: {
  readonly config: NodeConfig;
  readonly jupyter: Pick<JupyterService, 'status'>;
  readonly jupyterToken: string;
  readonly logger: Logger;
}): Promise<(KernelControl & KernelOperations) | undefined> {
  const tokens = () => readTokens(`${config.paths.secrets}/node-kernels-token`);
  try {
    await tokens();
  } catch (error) {
    logger.warn({ reason: messageOf(error) }, 'no door to the kernels');
    return undefined;
  }
  const placements = new Placements(config.name);
  return {
    tokens,
    room: () => roomOf(config, jupyter, jupyterToken),
    place: (order) => placements.place(order, performance.now()),
    placed: ({ path }) => placements.end(path),
    kernels: () => kernelsOf(config, jupyter, jupyterToken),
    stopKernel: async ({ id }) => {
      const { kernels } = await kernelsOf(config, jupyter, jupyterToken);
      if (kernels.every((kernel) => kernel.id !== id)) {
        throw refusal(404, { code: 'NOT_FOUND', message: `${config.name} has no kernel ${id}` });
      }
      const session = (await sessionsOf(config, jupyterToken)).find(({ kernel }) => kernel?.id === id);
      const path = session === undefined ? `/api/kernels/${id}` : `/api/sessions/${session.id}`;
      if ((await askJupyter(config, jupyterToken, path, stopMs, 'DELETE')) === undefined)
        throw silent(config);
      return kernelsOf(config, jupyter, jupyterToken);
    },
  };
}

async function roomOf(
  config: NodeConfig,
  jupyter: Pick<JupyterService, 'status'>,
  jupyterToken: string,
): Promise<Room> {
  const { state } = jupyter.status;
  const text =
    state === 'ready' ? await askJupyter(config, jupyterToken, '/api/kernels', countMs) : undefined;
  const list = text === undefined ? undefined : listSchema.safeParse(jsonOf(text));
  return {
    jupyter: state,
    ...(list?.success === true && { kernels: list.data.length }),
    availableBytes: process.availableMemory(),
  };
}

function silent({ name }: NodeConfig) {
  return refusal(503, { code: 'FAILED', message: `Jupyter on ${name} does not answer` });
}

async function listed<T>(config: NodeConfig, token: string, path: string, schema: z.ZodType<T>): Promise<T> {
  const text = await askJupyter(config, token, path, askMs);
  const list = text === undefined ? undefined : schema.safeParse(jsonOf(text));
  if (list?.success !== true) throw silent(config);
  return list.data;
}

const sessionsOf = (config: NodeConfig, token: string) =>
  listed(config, token, '/api/sessions', sessionsSchema);

async function kernelsOf(
  config: NodeConfig,
  jupyter: Pick<JupyterService, 'status'>,
  token: string,
): Promise<NodeKernels> {
  if (jupyter.status.state === 'stopped') return { kernels: [] };
  const kernels = await listed(config, token, '/api/kernels', kernelsSchema);
  const sessions = await sessionsOf(config, token);
  return {
    kernels: kernels.map(({ id, name, execution_state: state, last_activity: lastActivity }) => {
      const path = sessions.find(({ kernel }) => kernel?.id === id)?.path;
      return { id, name, state, lastActivity, ...(path !== undefined && { path }) };
    }),
  };
}
