import type { Logger } from 'pino';
import { z } from 'zod';
import { messageOf } from '../../errors/error.js';
import { readTokens } from '../../net/tokens.js';
import type { NodeConfig } from '../config.js';
import type { Room } from '../kernels.js';
import { Placements } from '../placement.js';
import { askJupyter } from './ask-jupyter.js';
import type { JupyterService } from './jupyter-service.js';
import type { KernelControl } from './server.js';

/** A proxy waits about as long for a node. */
const countMs = 250;

const listSchema = z.array(z.unknown());

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
}): Promise<KernelControl | undefined> {
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
  const list = text === undefined ? undefined : listSchema.safeParse(parsed(text));
  return {
    jupyter: state,
    ...(list?.success === true && { kernels: list.data.length }),
    availableBytes: process.availableMemory(),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
