import type { Logger } from 'pino';
import { messageOf } from '../../errors/error.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { HostConnection } from '../../ssh/connection.js';
import { pause } from '../../net/pause.js';
import type { Reach } from '../../ssh/reach.js';
import { leaderOf } from './agreement.js';
import { decideRemedy, remedyText, type OtherMasters } from './broken-log.js';
import type { Credential } from './http.js';
import { hasRecoveredLog, recoveredState } from './operator-client.js';
import { brokenPath, observeSilentMaster, readSetAside, setAside, startMaster } from './set-aside.js';
import { masterEndpoint, namedLeaders, type NamedLeaders } from './named-leaders.js';

export interface MasterCareDeps {
  readonly spec: ClusterSpec;
  readonly reach: Reach;
  /** What masters are asked with now; undefined where they ask for nothing. */
  readonly credential: () => Promise<Credential | undefined>;
  readonly connect: (host: HostSpec) => Promise<HostConnection>;
  /** Why nothing is to be repaired now; undefined when it may be. Rejects when that cannot be found out. */
  readonly paused: () => Promise<string | undefined>;
  /** By host, what is wrong and left alone; called when it changed. */
  readonly tell: (masters: Readonly<Record<string, string>>) => Promise<void>;
  /** What was told last, by whichever worker. */
  readonly told: () => Promise<Readonly<Record<string, string>>>;
  /** Records what was done, once for the same `at` and `what`. */
  readonly note: (incident: { at: string; what: string; tookMs: number }) => Promise<void>;
  readonly logger: Logger;
}

const lookEveryMs = 5_000;
const askMs = 2_000;
/** One answer that does not come is no news on a busy machine. */
const silentAfter = 2;
/** What was done longer ago has been noted, or nobody will ask for it. */
const notedWithinSeconds = 86_400;

/**
 * Looks after the Mesos masters until the signal aborts: one that does not answer because its replicated log is
 * broken gets an empty one (`decideRemedy` says when). Costs three requests each five seconds while all answer.
 * Never rejects.
 */
export async function careForMasters(deps: MasterCareDeps, signal: AbortSignal): Promise<void> {
  const care = new MasterCare(deps);
  while (!signal.aborted) {
    try {
      await care.look();
    } catch (error) {
      deps.logger.warn({ reason: messageOf(error) }, 'the check of the Mesos masters failed');
    }
    await pause(lookEveryMs, signal);
  }
}

class MasterCare {
  readonly #silences = new Map<string, number>();
  /** Hosts of which it is not known whether what was done to them is noted. */
  readonly #unnoted: Set<string>;
  #told: Readonly<Record<string, string>> | undefined;

  constructor(private readonly deps: MasterCareDeps) {
    this.#unnoted = new Set(hostsWithRole(deps.spec, 'master').map(({ name }) => name));
  }

  async look(): Promise<void> {
    const hosts = hostsWithRole(this.deps.spec, 'master');
    const named = await namedLeaders(this.deps, askMs);
    for (const { name } of hosts) {
      this.#silences.set(name, named[name] === undefined ? (this.#silences.get(name) ?? 0) + 1 : 0);
    }
    const silent = hosts.filter(({ name }) => (this.#silences.get(name) ?? 0) >= silentAfter);
    const wrong: Record<string, string> = {};
    for (const host of silent) {
      const why = await this.#careFor(host, named).catch((error: unknown) => {
        this.deps.logger.warn(
          { host: host.name, reason: messageOf(error) },
          'an unresponsive Mesos master could not be observed',
        );
        return this.#told?.[host.name];
      });
      if (why !== undefined) wrong[host.name] = why;
    }
    await this.#tell(wrong);
    await this.#noteWhatWasDone(hosts);
  }

  /** Why a master is left alone although its log is broken. */
  async #careFor(host: HostSpec, named: NamedLeaders): Promise<string | undefined> {
    const { spec, connect, paused, logger } = this.deps;
    const connection = await connect(host);
    const seen = await observeSilentMaster(connection, spec.name);
    if (seen.sign === undefined && seen.setAside === undefined) return undefined;
    const remedy = decideRemedy(seen, await this.#others(host, named), await paused());
    switch (remedy.kind) {
      case 'none':
        return undefined;
      case 'leave':
        return remedy.why;
      case 'start':
        logger.warn({ host: host.name }, 'starting a Mesos master that was left stopped');
        await startMaster(connection, spec.name);
        return undefined;
      case 'set-aside':
        logger.warn(
          { host: host.name, why: remedy.why },
          'setting aside the replicated log of a Mesos master',
        );
        this.#unnoted.add(host.name);
        await setAside(connection, spec, { at: seen.clock, why: remedy.why });
        return undefined;
    }
  }

  async #others(host: HostSpec, named: NamedLeaders): Promise<OtherMasters> {
    const { spec, reach } = this.deps;
    const { quorum } = spec.mesos;
    const credential = await this.deps.credential();
    const options = { timeoutMs: askMs, ...(credential && { credential }) };
    const answering = Object.entries(named).filter(([name]) => name !== host.name);
    const leader = leaderOf(Object.fromEntries(answering));
    const healthy = await Promise.all(
      hostsWithRole(spec, 'master')
        .filter(({ name }) => answering.some(([each, names]) => each === name && names === leader))
        .map(async (other) => {
          const endpoint = await masterEndpoint(reach, other);
          if (other.name === leader) await recoveredState(endpoint, options);
          return (await hasRecoveredLog(endpoint, options)) ? [other.name] : [];
        }),
    ).catch(() => []);
    return { healthy: healthy.flat(), quorum };
  }

  async #tell(wrong: Readonly<Record<string, string>>): Promise<void> {
    const told = (this.#told ??= await this.deps.told());
    const isSame =
      Object.keys(wrong).length === Object.keys(told).length &&
      Object.entries(wrong).every(([host, why]) => told[host] === why);
    if (isSame) return;
    await this.deps.tell(wrong);
    this.#told = wrong;
  }

  /** By the record on the host: the worker that did it may have died before it could tell. */
  async #noteWhatWasDone(hosts: readonly HostSpec[]): Promise<void> {
    for (const host of hosts.filter(({ name }) => this.#unnoted.has(name))) {
      try {
        const done = await readSetAside(await this.deps.connect(host));
        const isOld = done !== undefined && Date.now() / 1_000 - done.at > notedWithinSeconds;
        if (done?.tookSeconds !== undefined && !isOld) {
          await this.deps.note({
            at: new Date(done.at * 1_000).toISOString(),
            what: remedyText(host.name, done, brokenPath(host)),
            tookMs: done.tookSeconds * 1_000,
          });
        }
        // One that is under way is noted later.
        if (done === undefined || isOld || done.tookSeconds !== undefined) this.#unnoted.delete(host.name);
      } catch (error) {
        const reason = messageOf(error);
        this.deps.logger.debug(
          { host: host.name, reason },
          'not known yet whether a Mesos master was repaired',
        );
      }
    }
  }
}
