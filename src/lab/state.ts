import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { xdgDirectory } from '../cluster/home.js';
import { PerijoveError, messageOf } from '../errors/error.js';
import { processIdentitySchema } from './processes.js';

const labSchema = z.object({
  version: z.literal(1),
  /** Cluster name. */
  name: z.string(),
  /** First two octets of all addresses, such as `127.0`. */
  subnet: z.string(),
  hosts: z.array(
    z.object({
      name: z.string(),
      /** Listen address of its sshd. */
      address: z.string(),
      port: z.int(),
      /** `dir` in the spec. */
      dir: z.string(),
    }),
  ),
  temporal: processIdentitySchema
    .extend({
      /** `host:port` of the frontend. */
      address: z.string(),
      /** URL of the Web UI. */
      ui: z.string(),
    })
    .optional(),
  workers: z.array(processIdentitySchema),
  /** The status page. */
  page: processIdentitySchema.optional(),
});

/** Content of `<state dir>/lab.json`. Its processes may have ended: check with `isAlive`. */
export type LabState = Readonly<z.infer<typeof labSchema>>;
export type LabHost = LabState['hosts'][number];

/**
 * The state directory: the given one, else `$XDG_STATE_HOME/perijove/lab`, else `~/.local/state/perijove/lab`
 * (XDG Base Directory Specification 0.8). Absolute.
 */
export function labStateDir(given?: string, env: NodeJS.ProcessEnv = process.env): string {
  if (given !== undefined) return path.resolve(given);
  return path.join(xdgDirectory('XDG_STATE_HOME', env), 'perijove', 'lab');
}

/** Paths in a lab's state directory. */
export function labPaths(stateDir: string) {
  const at = (...parts: string[]) => path.join(stateDir, ...parts);
  return {
    state: at('lab.json'),
    lock: at('lock'),
    spec: at('cluster.yaml'),
    key: at('ssh', 'id_ed25519'),
    knownHosts: at('ssh', 'known_hosts'),
    authorizedKeys: at('ssh', 'authorized_keys'),
    temporalDb: at('temporal', 'temporal.db'),
    temporalLog: at('temporal', 'server.log'),
    workerLogs: at('workers'),
    pageLog: at('page.log'),
    notebooks: at('notebooks'),
    /** Note of its status page. */
    page: at('page.json'),
    /** Files of a host's machine. Also the value of PERIJOVE_LAB_HOST. */
    host: (name: string) => at('hosts', name),
    hostKey: (name: string) => at('hosts', name, 'sshd', 'host_key'),
    sshdConfig: (name: string) => at('hosts', name, 'sshd', 'sshd_config'),
    sshdLog: (name: string) => at('hosts', name, 'sshd', 'sshd.log'),
    sshdProcess: (name: string) => at('hosts', name, 'sshd', 'process.json'),
    /** Home directory on that machine, so that the user's own files do not affect a host. */
    hostHome: (name: string) => at('hosts', name, 'home'),
    bootLog: (name: string) => at('hosts', name, 'boot.log'),
    /** `dir` in the spec. */
    hostDir: (name: string) => at('hosts', name, 'perijove'),
  };
}

/** Whether an entry of a state directory belongs to the lab, half-written files included. */
export function isOfLab(entry: string): boolean {
  const made = Object.values(labPaths('/')).map(
    (at) => (typeof at === 'string' ? at : at('any')).split('/')[1],
  );
  return made.includes(entry.replace(/\.\d+$/, ''));
}

/** In the environment of every process of a lab host; its value is `labPaths(stateDir).host(name)`. */
export const hostMarker = 'PERIJOVE_LAB_HOST';
/** In the environment of Temporal and the workers; its value is the state directory. */
export const labMarker = 'PERIJOVE_LAB';

/** @throws PerijoveError LAB_STATE_UNREADABLE */
export function readLab(stateDir: string): LabState | undefined {
  const file = labPaths(stateDir).state;
  try {
    return labSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    const why = thrown instanceof z.ZodError ? z.prettifyError(thrown) : messageOf(thrown);
    throw new PerijoveError('LAB_STATE_UNREADABLE', `cannot read the state of the lab: ${why}`, { file });
  }
}

/** Like `readLab`, but requires a lab. @throws PerijoveError LAB_ABSENT, LAB_STATE_UNREADABLE */
export function existingLab(stateDir: string): LabState {
  const lab = readLab(stateDir);
  if (!lab) throw new PerijoveError('LAB_ABSENT', `there is no lab in ${stateDir}`);
  return lab;
}

export function writeLab(stateDir: string, lab: LabState): void {
  writeAtomically(labPaths(stateDir).state, `${JSON.stringify(lab, null, 2)}\n`);
}

/** Writes a file atomically. Creates the directory. */
export function writeAtomically(file: string, text: string, mode = 0o600): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  try {
    writeFileSync(temporary, text, { mode });
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}
