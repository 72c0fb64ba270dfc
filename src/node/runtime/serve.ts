import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request, type RequestOptions } from 'node:http';
import { promisify } from 'node:util';
import type { Logger } from 'pino';
import { createEtcdClient } from '../../etcd/client.js';
import { holderOf } from '../../hosts/sockets.js';
import { nodeControl } from './control.js';
import { etcdAccess } from './etcd-access.js';
import { EpochFollower } from './follow-epoch.js';
import { GateControl } from './gate-control.js';
import { JupyterService } from './jupyter-service.js';
import type { NodeConfig } from '../config.js';
import { nodeLayout, serviceMark } from '../layout.js';
import { sweepScript } from '../scripts.js';
import { promoteOwnMember } from './promotion.js';
import { readSecret } from './prepare.js';
import { controlServer } from './server.js';
import { readStartedNode } from './started.js';
import { doorAt, userOf, type Door } from './user.js';

/** `perijove-node serve`: the control API, the node's Jupyter and its gate. Ends with SIGTERM. */
export async function serveNode(base: string, logger: Logger): Promise<void> {
  const { config } = await readStartedNode(base);
  const layout = nodeLayout(config.paths.base);
  const jupyterToken = (await readSecret(config, 'jupyter-token')).trim();
  const apiToken = (await readSecret(config, 'node-api-token')).trim();

  const access = await etcdAccess(config);
  const etcdClient = () =>
    createEtcdClient({ host: config.address, port: config.ports.etcdClient }, { access });
  const jupyter = new JupyterService({
    directory: `${layout.service}/jupyter`,
    standby: config.jupyter.standby,
    mark: serviceMark(layout.base, 'jupyter'),
    answers: (withinMs) => jupyterAnswers(config, jupyterToken, withinMs),
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
  const server = controlServer(control, apiToken, logger);
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

/** It never waits for a Jupyter that has no socket yet, or whose socket is not its own. */
async function jupyterAnswers(config: NodeConfig, token: string, withinMs: number): Promise<boolean> {
  const headers = { authorization: `token ${token}` };
  let door: Door;
  try {
    door = doorAt(nodeLayout(config.paths.base).jupyterSocket, userOf(config));
  } catch {
    return false;
  }
  return answersOk({ socketPath: door.path, path: '/api/status', headers }, withinMs).finally(door.close);
}

/** Whether a GET is answered with 200 in time. */
async function answersOk(options: RequestOptions, withinMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ ...options, signal: AbortSignal.timeout(withinMs), agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
