/** One look at all hosts, for `check` and `plan`: what is in the way, and what would be changed. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { surveyOf, type HostSurvey } from './host-survey.js';
import { PerijoveError } from '../errors/error.js';
import type { HostItems } from '../hosts/items.js';
import { noItems } from '../hosts/items.js';
import type { Problem } from '../hosts/problem.js';
import { preflightProblems } from './preflight.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { pinFile } from '../ssh/host-keys.js';
import { fingerprint, knownKeys } from '../ssh/known-hosts.js';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

export interface HostKey {
  readonly host: string;
  /** As OpenSSH prints it. */
  readonly fingerprint: string;
}

export interface Survey {
  /** Hosts that answered, in the order of the spec. */
  readonly hosts: readonly HostSurvey[];
  /** Keys of hosts that were met for the first time. */
  readonly pinned: readonly HostKey[];
  /** Everything that would keep a deployment from succeeding. */
  readonly problems: readonly Problem[];
}

/**
 * Connects to every host, at once, and looks. Pins the keys of hosts that have no known one.
 *
 * @throws PerijoveError NOT_BUILT
 */
export async function surveyCluster(
  pool: SshPool,
  spec: ClusterSpec,
  knownHostsDir: string,
  signal: AbortSignal,
): Promise<Survey> {
  const programsDir = path.join(dist, 'programs');
  if (!existsSync(programsDir)) {
    throw new PerijoveError('NOT_BUILT', `${programsDir} does not exist`, { file: programsDir });
  }
  const deps = {
    artifacts: { programsDir, nodeBinary: process.execPath },
    cluster: spec.name,
    signal,
  };
  const unmet = spec.hosts.filter(
    ({ ssh }) => ssh.knownHostsFile === undefined && !existsSync(pinFile(ssh, knownHostsDir)),
  );
  // What this release cannot do has no items that a host could be compared with.
  const supported = preflightProblems(spec, []).length === 0;
  const looks = await Promise.all(
    spec.hosts.map(async (host): Promise<HostSurvey | Problem | undefined> => {
      try {
        const connection = await pool.get(host);
        return supported ? await surveyOf(connection, spec, deps) : undefined;
      } catch (error) {
        return problemOf(error, host);
      }
    }),
  );
  signal.throwIfAborted();
  const hosts = looks.flatMap((look) => (look !== undefined && 'facts' in look ? [look] : []));
  const failures = looks.flatMap((look) => (look !== undefined && 'code' in look ? [look] : []));
  const items = Object.fromEntries(
    hosts.map(({ host, packages }): [string, HostItems] => [host, { ...noItems, packages }]),
  );
  return {
    hosts,
    pinned: (await Promise.all(unmet.map((host) => pinnedKey(host, knownHostsDir)))).flat(),
    problems: [
      ...failures,
      ...hosts.flatMap((look) => look.problems ?? []),
      ...preflightProblems(
        spec,
        hosts.map(({ facts }) => facts),
        items,
      ),
    ],
  };
}

function problemOf(error: unknown, host: HostSpec): Problem {
  if (!(error instanceof PerijoveError)) throw error;
  const { code, message, remedy } = error;
  return {
    code,
    message: message.includes(host.name) ? message : `${host.name}: ${message}`,
    remedy,
    host: host.name,
  };
}

async function pinnedKey({ name, ssh }: HostSpec, knownHostsDir: string): Promise<HostKey[]> {
  const text = await readFile(pinFile(ssh, knownHostsDir), 'utf8').catch(() => '');
  return knownKeys(text, ssh.address, ssh.port).map(({ key }) => ({
    host: name,
    fingerprint: fingerprint(key),
  }));
}
