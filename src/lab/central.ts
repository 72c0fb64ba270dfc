import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { identify, type ProcessIdentity } from './processes.js';
import { hostMarker, labMarker } from './state.js';

export interface CentralProgram {
  readonly stateDir: string;
  /** `host:port` of the lab's Temporal server. */
  readonly address: string;
  readonly logFile: string;
  /** What Node.js runs, and its arguments. */
  readonly words: readonly string[];
  /** What it prints is not for a log. */
  readonly isSilent?: true;
}

/** Starts a program of a lab that is on none of its hosts; it ends with the lab. Undefined when it did not start. */
export function startCentral({
  stateDir,
  address,
  logFile,
  words,
  isSilent,
}: CentralProgram): ProcessIdentity | undefined {
  mkdirSync(path.dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, words, {
    cwd: stateDir,
    detached: true,
    stdio: ['ignore', isSilent ? 'ignore' : log, log],
    env: environment(stateDir, address),
  });
  closeSync(log);
  child.unref();
  return child.pid === undefined ? undefined : identify(child.pid);
}

/** The user's Temporal settings are for other clusters. */
function environment(stateDir: string, address: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('TEMPORAL_') && name !== hostMarker,
  );
  return {
    ...Object.fromEntries(kept),
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_CONFIG_FILE: path.join(stateDir, 'temporal', 'none.toml'),
    [labMarker]: stateDir,
  };
}
