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
  /** The current credential for masters; undefined where they require none. */
  readonly credential: () => Promise<Credential | undefined>;
  readonly connect: (host: HostSpec) => Promise<HostConnection>;
  /** Why nothing may be repaired now; undefined when it may. Rejects when that cannot be determined. */
  readonly paused: () => Promise<string | undefined>;
  /** Called on a change with what is wrong and not repaired, by host. */
  readonly report: (masters: Readonly<Record<string, string>>) => Promise<void>;
  /** What was reported last, by any worker. */
  readonly reported: () => Promise<Readonly<Record<string, string>>>;
  /** Records what was done, once for the same `at` and `what`. */
  readonly note: (incident: { at: string; what: string; tookMs: number }) => Promise<void>;
  readonly logger: Logger;
}

const checkEveryMs = 5_000;
const askMs = 2_000;
/** A single missing response means nothing on a busy machine. */
const silentAfter = 2;
/** Anything older has been recorded, or is no longer of interest. */
const notedWithinSeconds = 86_400;

/**
 * Watches the Mesos masters until the signal aborts: one that does not respond because its replicated log is
 * broken gets an empty one (see `decideRemedy`). Costs three requests every five seconds while all respond.
 * Never rejects.
 */
export async function careForMasters(deps: MasterCareDeps, signal: AbortSignal): Promise<void> {
  const care = new MasterCare(deps);
  while (!signal.aborted) {
    try {
      await care.check();
    } catch (error) {
      deps.logger.warn({ reason: messageOf(error) }, 'the check of the Mesos masters failed');
    }
    await pause(checkEveryMs, signal);
  }
}

class MasterCare {
  readonly #silences = new Map<string, number>();
  /** Hosts whose repair may not be recorded yet. */
  readonly #unnoted: Set<string>;
  #reported: Readonly<Record<string, string>> | undefined;

  constructor(private readonly deps: MasterCareDeps) {
    this.#unnoted = new Set(hostsWithRole(deps.spec, 'master').map(({ name }) => name));
  }

  async check(): Promise<void> {
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
        return this.#reported?.[host.name];
      });
      if (why !== undefined) wrong[host.name] = why;
    }
    await this.#report(wrong);
    await this.#noteWhatWasDone(hosts);
  }

  /** Why a master is not repaired although its log is broken. */
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

  async #report(wrong: Readonly<Record<string, string>>): Promise<void> {
    const reported = (this.#reported ??= await this.deps.reported());
    const isSame =
      Object.keys(wrong).length === Object.keys(reported).length &&
      Object.entries(wrong).every(([host, why]) => reported[host] === why);
    if (isSame) return;
    await this.deps.report(wrong);
    this.#reported = wrong;
  }

  /** Uses the record on the host: the worker that did it may have died before it could report. */
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
        // A repair that is still running is recorded later.
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
