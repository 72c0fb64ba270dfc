/**
 * `perijove-proxy WORKER CONFIG`: keeps the proxy's listening sockets, while the program WORKER serves them.
 *
 * On SIGHUP a new worker starts, with the program, configuration and token of that moment. Once it serves, the one
 * before accepts nothing more, ends what it began, and exits: no connection is refused or cut. The environment variable
 * PERIJOVE_RELOAD names a file that the caller writes before the signal; its content is copied to the same name with
 * `.done` once the new worker serves. A worker that cannot start changes nothing.
 */
import cluster, { type Worker } from 'node:cluster';
import { readFile } from 'node:fs/promises';
import { pino } from 'pino';
import { replaceFile } from '../../net/files.js';
import { drainMessage, isHandover, servingMessage } from './messages.js';

/** A worker that ends sooner after its start is not replaced: the supervisor pauses before it starts all again. */
const stableMs = 5_000;

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });

/** The worker that accepts connections, once one does. */
let serving: { readonly worker: Worker; readonly since: number } | undefined;
const workers = new Set<Worker>();
let stopping = false;
let replacing: Promise<void> = Promise.resolve();

/** Resolves once the worker accepts connections. Rejects if it ends before. */
function startWorker(): Promise<Worker> {
  const worker = cluster.fork();
  workers.add(worker);
  return new Promise((resolve, reject) => {
    worker.on('message', (message) => {
      if (message === servingMessage) resolve(worker);
      else if (isHandover(message)) serving?.worker.send(message);
    });
    worker.once('error', reject);
    worker.once('exit', (code, signal) => {
      reject(new WorkerEnded(worker, code, signal));
      onExit(worker, code, signal);
    });
  });
}

class WorkerEnded extends Error {
  constructor(
    { process: { pid } }: Worker,
    readonly code: number | null,
    readonly signal: string | null,
  ) {
    super(`the worker with process ID ${pid ?? '?'} ended before it served (${signal ?? code})`);
  }
}

function onExit(worker: Worker, code: number | null, signal: string | null): void {
  workers.delete(worker);
  if (stopping) {
    if (workers.size === 0) process.exit(0);
    return;
  }
  if (serving?.worker !== worker) return;
  logger.error({ pid: worker.process.pid, code, signal }, 'the worker ended');
  if (Date.now() - serving.since < stableMs) process.exit(1);
  serving = undefined;
  inTurn(replaceWorker);
}

async function replaceWorker(): Promise<void> {
  const before = serving?.worker;
  const worker = await startWorker();
  serving = { worker, since: Date.now() };
  logger.info({ pid: worker.process.pid, before: before?.process.pid }, 'the worker serves');
  before?.send(drainMessage, (error) => {
    if (error) logger.info({ pid: before.process.pid }, 'the worker before has ended already');
  });
}

/** A worker that does not start ends this process only if none serves. */
function inTurn(work: () => Promise<void>): void {
  replacing = replacing.then(work).catch((error: unknown) => {
    if (stopping) return;
    logger.error({ err: error }, 'the worker could not be replaced');
    if (serving === undefined) process.exit(error instanceof WorkerEnded ? (error.code ?? 1) : 1);
  });
}

async function reload(): Promise<void> {
  const file = process.env['PERIJOVE_RELOAD'];
  const request = file === undefined ? '' : await readFile(file, 'utf8').catch(() => '');
  await replaceWorker();
  if (file !== undefined) await replaceFile(`${file}.done`, request);
}

function stop(): void {
  stopping = true;
  if (workers.size === 0) process.exit(0);
  for (const worker of workers) worker.process.kill('SIGTERM');
}

const [exec, configFile] = process.argv.slice(2);
if (exec === undefined || configFile === undefined) {
  process.stderr.write('usage: perijove-proxy WORKER CONFIG\n');
  process.exit(2);
}
// Workers accept connections themselves: this process only keeps the sockets.
cluster.schedulingPolicy = cluster.SCHED_NONE;
cluster.setupPrimary({ exec, args: [configFile] });
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.on('SIGHUP', () => inTurn(reload));
inTurn(replaceWorker);
