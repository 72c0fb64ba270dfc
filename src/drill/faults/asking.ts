/** Faults of a whole host: how to reach it during the fault, and how it heals unattended. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HostSpec } from '../../cluster/spec.js';
import { PerijoveError } from '../../errors/error.js';
import { hostPaths } from '../../hosts/paths.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';

/** By then the reply to the command that injects the fault is on its way. */
export const noticeSeconds = 0.2;
const askMs = 4_000;
/** Between two attempts to reach a host. */
export const pauseMs = 500;
/** Time limit for healing a fault, also when unattended. */
export const neglectedMs = 180_000;
/** Well after the last timer of a fault and the last attempt to inject it. */
const forgottenMinutes = 60;

/** A fault that the host heals automatically. */
interface SelfHealing {
  readonly kind: string;
  /** Unique to this fault: a healed one is not injected again. */
  readonly id: string;
  /** After this the host heals it automatically. */
  readonly forMs: number;
}

const markOf = (host: HostSpec, { kind, id }: SelfHealing) => `${hostPaths(host).run}/${kind}-${id}`;
/** Renamed, not written: a full disk may have no room. */
const mendedOf = (host: HostSpec, fault: SelfHealing) => `${markOf(host, fault)}.mended`;

/** Continues only if this fault was not injected before, and marks it as injected with an empty file. */
export function unlessMade(host: HostSpec, fault: SelfHealing): string {
  const mark = quote(markOf(host, fault));
  const marks = quote(`${fault.kind}-*`);
  return `[ ! -e ${mark} ] && [ ! -e ${quote(mendedOf(host, fault))} ] || exit 0
find ${quote(hostPaths(host).run)} -maxdepth 1 -name ${marks} -mmin +${forgottenMinutes} -exec rm -f {} + || exit 1
: > ${mark} || exit 1`;
}

/** Prevents a late injection of the fault. It may not be healed yet. */
export const markMade = (host: HostSpec, fault: SelfHealing) =>
  `{ [ -e ${quote(mendedOf(host, fault))} ] || : > ${quote(markOf(host, fault))}; }`;

/** Records that the fault is healed, so that its timer ends. */
export const markMended = (host: HostSpec, fault: SelfHealing) => {
  const mark = quote(markOf(host, fault));
  return `{ [ ! -e ${mark} ] || mv -f ${mark} ${quote(mendedOf(host, fault))}; }`;
};

/** Succeeds once the injected fault is recorded as healed, and if someone removed the record. */
export const isMended = (host: HostSpec, fault: SelfHealing) => `[ ! -e ${quote(markOf(host, fault))} ]`;

/**
 * Starts the timer that heals the fault if nothing else has: it ends within a second of its time. It also heals what
 * is recorded as healed: on a slow host the fault may begin while it is being healed.
 */
export function armTimer(host: HostSpec, fault: SelfHealing, begin: string, heal: string): string {
  const timer = `${begin}
left=${Math.ceil(fault.forMs / 1_000)}
while [ "$left" -gt 0 ] && ! ${isMended(host, fault)}; do
  left=$((left - 1))
  sleep 1
done
${heal}`;
  return `setsid sh -c ${quote(timer)} >/dev/null 2>&1 </dev/null &`;
}

export function notPossible(host: HostSpec, why: string): PerijoveError {
  return new PerijoveError('DRILL_NOT_POSSIBLE', `${host.name}: ${why}`, { host: host.name });
}

/** @throws PerijoveError DRILL_NOT_POSSIBLE, SSH_* */
export async function ask(pool: SshPool, host: HostSpec, script: string, timeoutMs = askMs): Promise<string> {
  const connection = await pool.get(host);
  const { code, stdout, stderr } = await connection.exec(script, { timeoutMs });
  if (code !== 0) throw notPossible(host, stderr.trim().split('\n').at(-1) ?? `exit code ${code ?? '?'}`);
  return stdout.trim();
}

/** Like `ask`, but retries until the host responds. */
export async function askUntilAnswered(
  pool: SshPool,
  host: HostSpec,
  script: string,
  deadlineMs: number,
): Promise<string> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await ask(pool, host, script);
    } catch (error) {
      const refused = error instanceof PerijoveError && error.code === 'DRILL_NOT_POSSIBLE';
      if (refused || performance.now() > end) throw error;
      await delay(pauseMs);
    }
  }
}
