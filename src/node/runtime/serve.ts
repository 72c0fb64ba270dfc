import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import * as z from 'zod';
import { createEtcdClient } from '../../etcd/client.js';
import { jsonOf } from '../../net/json.js';
import { readTokens } from '../../net/tokens.js';
import { holderOf } from '../../hosts/sockets.js';
import { isMissing, replaceFile } from '../../net/files.js';
import { nodeControl } from './control.js';
import { etcdAccess } from './etcd-access.js';
import { EpochFollower } from './follow-epoch.js';
import { GateControl } from './gate-control.js';
import { JupyterService } from './jupyter-service.js';
import type { NodeConfig } from '../config.js';
import { nodeLayout, serviceMark } from '../layout.js';
import { sweepScript } from '../scripts.js';
import { promoteOwnMember } from './promotion.js';
import { askJupyter } from './ask-jupyter.js';
import { addKernelDoor } from './kernel-door.js';
import { kernelControl } from './kernel-control.js';
import { controlServer } from './server.js';
import { readStartedNode } from './started.js';
import { userOf } from './user.js';

/** Of Jupyter's `/api/status`. */
const statusSchema = z.object({ kernels: z.int().min(0) });

/** `perijove-node serve`: the control API, the node's Jupyter and its gate. Ends with SIGTERM. */
export async function serveNode(base: string, logger: Logger): Promise<void> {
  const { config } = await readStartedNode(base);
  const layout = nodeLayout(config.paths.base);
  // Of this life of the node, as Jupyter reads it; that of the control API may be replaced while the node runs.
  const jupyterToken = (
    await readFile(`${nodeLayout(config.paths.base).userSecrets}/jupyter-token`, 'utf8')
  ).trim();
  const tokens = () => readTokens(`${config.paths.secrets}/node-api-token`);

  const access = await etcdAccess(config);
  const etcdClient = () =>
    createEtcdClient({ host: config.address, port: config.ports.etcdClient }, { access });
  const answered = await AnsweredOnce.open(layout.jupyterAnswered);
  const jupyter = new JupyterService({
    directory: `${layout.service}/jupyter`,
    standby: config.jupyter.standby,
    mark: serviceMark(layout.base, 'jupyter'),
    answers: async (withinMs) => {
      const text = await askJupyter(config, jupyterToken, '/api/status', withinMs);
      if (text === undefined) return undefined;
      await answered.note();
      return { kernels: statusSchema.safeParse(jsonOf(text)).data?.kernels };
    },
    endKernels: () => sweepKernels(config),
    logger,
  });
  const health = etcdClient();
  const follower = new EpochFollower(config, access, logger);
  const control = await nodeControl({
    config,
    jupyter,
    gateControl: (about) =>
      new GateControl({
        rule: config.jupyter.gate,
        etcd: etcdClient(),
        etcdLog: `${layout.log}/etcd`,
        epoch: () => follower.epoch,
        gate: {
          address: config.address,
          port: config.ports.jupyter,
          socket: layout.jupyterSocket,
          owner: userOf(config),
          holderOf,
        },
        about,
        logger,
      }),
    etcdHealthy: () =>
      health.linearizableRead({ deadlineMs: 1_000 }).then(
        () => true,
        () => false,
      ),
  });
  const kernels = await kernelControl({ config, jupyter, jupyterToken, logger });
  const server = controlServer(control, tokens, logger, kernels);
  if (kernels) {
    addKernelDoor(server, {
      tokens: kernels.tokens,
      socket: layout.jupyterSocket,
      owner: userOf(config),
      hasKernels: () => (answered.before && jupyter.status.state !== 'stopped' ? 'not-known' : 'none'),
    });
  }
  server.listen(config.ports.control, config.address);
  await once(server, 'listening');
  logger.info({ address: config.address, port: config.ports.control }, 'control API listens');

  const ending = new AbortController();
  process.once('SIGTERM', () => ending.abort());
  await Promise.all([
    jupyter.run(ending.signal),
    control.gate.run(ending.signal),
    promoteOwnMember(config, access, logger, ending.signal),
    follower.run(ending.signal),
  ]);
  health.close();
  server.close();
  server.closeAllConnections();
}

/** Those that Jupyter has not ended itself, because it was killed. */
async function sweepKernels(config: NodeConfig): Promise<void> {
  await promisify(execFile)(sweepScript(config).path, ['kernels', 'TERM', '10']);
}

/** Whether Jupyter has answered in this life of the node: before, nobody can have started a kernel. */
class AnsweredOnce {
  private constructor(
    private readonly file: string,
    public before: boolean,
  ) {}

  static async open(file: string): Promise<AnsweredOnce> {
    return new AnsweredOnce(file, await exists(file));
  }

  async note(): Promise<void> {
    if (this.before) return;
    this.before = true;
    await replaceFile(this.file, '');
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    (error: unknown) => !isMissing(error),
  );
}
