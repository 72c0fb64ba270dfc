/** Surveys all hosts for `check` and `plan`: what blocks a deployment, and what it would change. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withKnownServers } from './ensemble.js';
import { surveyOf, type HostSurvey } from './host-survey.js';
import { decideIdentity, type IdentityObservation } from './identity.js';
import { messageOf, PerijoveError } from '../errors/error.js';
import type { Artifacts } from '../hosts/artifacts.js';
import type { HostItems } from '../hosts/items.js';
import { noItems } from '../hosts/items.js';
import { readMark } from '../hosts/identity.js';
import { known, notKnown, type Observation } from '../hosts/observation.js';
import type { Problem } from '../hosts/problem.js';
import { isUnkeyed } from '../cluster/host-keys.js';
import type { ClusterMark } from '../cluster/identity.js';
import { preflightProblems } from './preflight.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import { pinFile } from '../ssh/host-keys.js';
import { fingerprint, knownHostName, knownKeys } from '../ssh/known-hosts.js';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

export interface HostKey {
  readonly host: string;
  /** As OpenSSH prints it. */
  readonly fingerprint: string;
}

export interface Survey {
  /** Hosts that responded, in the order of the spec. */
  readonly hosts: readonly HostSurvey[];
  /** Keys that were pinned on first contact. */
  readonly pinned: readonly HostKey[];
  /** Everything that blocks the deployment. */
  readonly problems: readonly Problem[];
}

/** The programs that this release brings to hosts. */
export function ownArtifacts(): Artifacts {
  return { programsDir: path.join(dist, 'programs'), nodeBinary: process.execPath };
}

/**
 * Connects to all hosts in parallel and surveys them. Pins the keys of hosts without a known key.
 *
 * @throws PerijoveError NOT_BUILT
 */
export async function surveyCluster(
  pool: SshPool,
  spec: ClusterSpec,
  knownHostsDir: string,
  signal: AbortSignal,
  dirs: readonly string[] = [],
): Promise<Survey> {
  const { programsDir } = ownArtifacts();
  if (!existsSync(programsDir)) {
    throw new PerijoveError('NOT_BUILT', `${programsDir} does not exist`, { file: programsDir });
  }
  const deps = {
    artifacts: ownArtifacts(),
    cluster: spec.name,
    signal,
  };
  const unpinned = spec.hosts.filter(({ ssh }) => isUnkeyed(ssh) && !existsSync(pinFile(ssh, knownHostsDir)));
  // A host cannot be compared with a spec that this release does not support.
  const supported = preflightProblems(spec, []).length === 0;
  const numbered = supported ? withKnownServers((host) => pool.get(host), spec) : undefined;
  // Each host of the ensemble reports it.
  numbered?.catch(() => undefined);
  const marks: Record<string, Observation<ClusterMark | undefined>> = {};
  const surveys = await Promise.all(
    spec.hosts.map(async (host): Promise<HostSurvey | Problem | undefined> => {
      try {
        const connection = await pool.get(host);
        marks[host.name] = await readMark(connection, signal).then(known, (error: unknown) =>
          notKnown(messageOf(error)),
        );
        if (numbered === undefined) return undefined;
        const isServer = host.roles.includes('zookeeper');
        return await surveyOf(connection, isServer ? await numbered : spec, deps, dirs);
      } catch (error) {
        return problemOf(error, host);
      }
    }),
  );
  signal.throwIfAborted();
  const hosts = surveys.flatMap((survey) => (survey !== undefined && 'facts' in survey ? [survey] : []));
  const failures = surveys.flatMap((survey) => (survey !== undefined && 'code' in survey ? [survey] : []));
  const items = Object.fromEntries(
    hosts.map(({ host, packages }): [string, HostItems] => [host, { ...noItems, packages }]),
  );
  return {
    hosts,
    pinned: (await Promise.all(unpinned.map((host) => pinnedKey(host, knownHostsDir)))).flat(),
    problems: [
      ...failures,
      ...takenHosts(spec, marks),
      ...hosts.flatMap((survey) => survey.problems ?? []),
      ...preflightProblems(
        spec,
        hosts.map(({ facts }) => facts),
        items,
      ),
    ],
  };
}

/** Hosts of another cluster; those whose mark is not known are reported otherwise. */
function takenHosts(spec: ClusterSpec, marks: IdentityObservation['marks']): Problem[] {
  try {
    decideIdentity(spec, { marks });
    return [];
  } catch (error) {
    return [problemOf(error)];
  }
}

function problemOf(error: unknown, host?: HostSpec): Problem {
  if (!(error instanceof PerijoveError)) throw error;
  const { code, message, remedy, place } = error;
  const name = host?.name ?? place.host;
  return {
    code,
    message: name === undefined || message.includes(name) ? message : `${name}: ${message}`,
    remedy,
    ...(name !== undefined && { host: name }),
  };
}

async function pinnedKey({ name, ssh }: HostSpec, knownHostsDir: string): Promise<HostKey[]> {
  const text = await readFile(pinFile(ssh, knownHostsDir), 'utf8').catch(() => '');
  return knownKeys(text, knownHostName(ssh.address, ssh.port)).map(({ key }) => ({
    host: name,
    fingerprint: fingerprint(key),
  }));
}
