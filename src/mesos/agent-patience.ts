/** How long a master misses an agent before it calls its tasks unreachable. */
import type { MesosSpec } from '../spec/cluster.js';

/** As Mesos writes durations: `15secs`, `1.5mins`. */
const durationPattern = /^(\d+(?:\.\d+)?)(ns|us|ms|secs|mins|hrs|days|weeks)$/;
const msPer: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  secs: 1_000,
  mins: 60_000,
  hrs: 3_600_000,
  days: 86_400_000,
  weeks: 604_800_000,
};

/** Milliseconds, by the master's flags or their defaults (15 s, five times); the defaults for a flag of another form. */
export function agentPatienceMs({ masterFlags }: Pick<MesosSpec, 'masterFlags'>): number {
  const [, amount, unit] = durationPattern.exec(masterFlags['agent_ping_timeout'] ?? '') ?? [];
  const pingMs = amount === undefined ? 15_000 : Number(amount) * (msPer[unit ?? ''] ?? NaN);
  const times = Number(masterFlags['max_agent_ping_timeouts'] ?? NaN);
  return pingMs * (times > 0 ? times : 5);
}
