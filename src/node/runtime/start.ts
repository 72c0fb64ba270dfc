import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import { PerijoveError } from '../../errors/error.js';
import { nodeConfigSchema, nodeEnvironment, type NodeConfig } from '../config.js';
import { isMissing, overwriteFile, replaceFile } from '../../net/files.js';
import { hostsEntries, readHosts, renderHosts } from '../hosts.js';
import { nodeLayout, type NodeLayout } from '../layout.js';
import { raiseEpoch } from './epoch-files.js';
import { noteLostKernels } from './lost-kernels.js';
import { forgetServe } from './orders.js';
import { makeTree, nodeEnvironmentOf, writeTree } from './prepare.js';
import { sweepScript } from '../scripts.js';
import { userOf } from './user.js';

/** How long the services have to exit when the node is stopped. Mesos gives a task 3 s or more. */
const stopTenths = 25;

/**
 * `perijove-node start N`: prepares the node's tree, runs its supervisor, and ends with it. First ends what
 * an earlier life of the node has left running; a start that was killed at any point may be repeated. SIGTERM
 * and SIGINT stop all services, then it resolves. Throws NODE_CONFIG_INVALID when it cannot start,
 * NODE_FENCED when its node may run elsewhere, NODE_FAILED when the supervisor dies.
 */
export async function startNode(index: number, own: NodeJS.ProcessEnv, logger: Logger): Promise<void> {
  const config = readConfig(index, own);
  const layout = nodeLayout(config.paths.base);
  const environment = nodeEnvironmentOf(config, own);
  const stopped = once(process, 'SIGTERM').then(() => 'SIGTERM');
  const interrupted = once(process, 'SIGINT').then(() => 'SIGINT');

  await checkFence(layout, own);
  // Of a tree for two users each file has its mode. The agent may have started this with another mask.
  if (userOf(config) !== undefined) process.umask(0o022);
  await makeTree(config);
  await replaceFile(layout.owner, String(process.pid));
  await sweep(config, 'KILL', 0);
  await noteLostKernels(layout, new Date())
    .then((lost) => lost && logger.warn(lost, 'kernels ended with the last life of the node'))
    .catch((error: unknown) => logger.warn({ err: error }, 'it is unknown which kernels ended'));
  // Only the others know whether the member has left: `etcd-start.ts` asks them, and sets its data aside.
  await rm(layout.etcdRetired, { force: true });
  await replaceFile(layout.task, own[nodeEnvironment.task] ?? '');
  await writeTree(config, environment);
  if (own[nodeEnvironment.etcdFormed] === 'true') await replaceFile(layout.etcdFormed, '');
  const epoch = Number(own[nodeEnvironment.etcdEpoch] ?? 0);
  if (epoch > 0) await raiseEpoch(layout.etcdEpoch, epoch);
  await rm(layout.etcdDecision, { force: true });
  await rm(layout.jupyterAnswered, { force: true });
  await rm(layout.etcdCommand, { force: true });
  await forgetServe(layout.orders);
  await initHosts(config);

  const supervisor = spawn('runsvdir', ['-P', layout.service], {
    cwd: layout.base,
    env: environment,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = endOf(supervisor);
  logger.info({ node: config.name, base: layout.base, supervisor: supervisor.pid }, 'node started');

  const event = await Promise.race([stopped, interrupted, ended]);
  if (!(await ownsTree(layout))) {
    logger.warn('a later start has taken over the tree; leaving it unchanged');
    return;
  }
  // Makes each runsv stop its service and exit.
  if (supervisor.exitCode === null && supervisor.signalCode === null) supervisor.kill('SIGHUP');
  await sweep(config, '0', stopTenths);
  if (event !== 'SIGTERM' && event !== 'SIGINT') {
    throw new PerijoveError('NODE_FAILED', `the supervisor of ${config.name} died: ${event}`);
  }
  await rm(layout.owner, { force: true });
  logger.info({ node: config.name, signal: event }, 'node stopped');
}

function readConfig(index: number, own: NodeJS.ProcessEnv): NodeConfig {
  const text = own[nodeEnvironment.config];
  const invalid = (why: string) =>
    new PerijoveError('NODE_CONFIG_INVALID', `${nodeEnvironment.config} ${why}`, {
      subject: `node${index}`,
    });
  if (text === undefined) throw invalid('is not set');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid('is not JSON');
  }
  const parsed = nodeConfigSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`is invalid at ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  if (parsed.data.index !== index) throw invalid(`belongs to node ${parsed.data.index}`);
  return parsed.data;
}

/** An agent that was cut off or stopped may carry out an old launch after its node was given up. */
async function checkFence(layout: NodeLayout, own: NodeJS.ProcessEnv): Promise<void> {
  const taskId = own[nodeEnvironment.task];
  const text = await readFile(layout.fence, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (taskId === undefined || text === undefined) return;
  const launch = Number(taskId.split('.').at(-1));
  if (launch > Number(text)) return;
  throw new PerijoveError('NODE_FENCED', `${taskId} was fenced; its node may run elsewhere`, {
    subject: taskId,
  });
}

/** Ends what runs in the tree: with the signal, and SIGKILL after some tenths of a second. */
async function sweep(config: NodeConfig, signal: string, tenths: number): Promise<void> {
  const script = sweepScript(config);
  await replaceFile(script.path, script.text, 0o755);
  const child = spawn(script.path, ['node', signal, String(tenths)], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new PerijoveError('NODE_FAILED', `processes of ${config.name} do not exit`);
}

async function endOf(supervisor: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(supervisor, 'exit')) as [number | null, string | null];
    return signal ?? `code ${code ?? '?'}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function ownsTree(layout: NodeLayout): Promise<boolean> {
  return (await readFile(layout.owner, 'utf8').catch(() => '')) === String(process.pid);
}

/** An existing hosts file keeps its lines; a new one has the stable names. */
async function initHosts(config: NodeConfig): Promise<void> {
  const file = config.paths.hosts;
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '127.0.0.1\tlocalhost\n';
    throw error;
  });
  if (readHosts(text).length === 0)
    await overwriteFile(file, renderHosts(text, hostsEntries(config.nodes, [])));
}
