/** Faults of a whole host: how it is asked while they are done to it, and how it mends them when nobody else does. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HostSpec } from '../../cluster/spec.js';
import { PerijoveError } from '../../errors/error.js';
import { hostPaths } from '../../hosts/paths.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';

/** The answer to the command that does it is on its way by then. */
export const noticeSeconds = 0.2;
const askMs = 4_000;
/** Between two attempts to reach a host. */
export const pauseMs = 500;
/** In case nobody is left to mend a fault. */
export const neglectedMs = 180_000;
/** Well after the last timer of a fault has ended, and after the last attempt to make it. */
const forgottenMinutes = 60;

/** A fault that the host mends by itself. */
interface SelfMending {
  readonly kind: string;
  /** Of this fault alone: one that was healed is not made again. */
  readonly id: string;
  /** After this the host mends it by itself. */
  readonly forMs: number;
}

const markOf = (host: HostSpec, { kind, id }: SelfMending) => `${hostPaths(host).run}/${kind}-${id}`;

/** Goes on only where this fault was not made before, and marks it as made: by an empty file. */
export function unlessMade(host: HostSpec, fault: SelfMending): string {
  const mark = quote(markOf(host, fault));
  const marks = quote(`${fault.kind}-*`);
  return `[ ! -e ${mark} ] || exit 0
find ${quote(hostPaths(host).run)} -maxdepth 1 -name ${marks} -mmin +${forgottenMinutes} -exec rm -f {} + || exit 1
: > ${mark} || exit 1`;
}

/** Keeps a fault that comes late from being made. It may not be mended yet. */
export const markMade = (host: HostSpec, fault: SelfMending) => `: > ${quote(markOf(host, fault))}`;

/** Says in the mark that the fault is mended, so that its timer has nothing left to do. */
export const markMended = (host: HostSpec, fault: SelfMending) =>
  `echo mended > ${quote(markOf(host, fault))}`;

/** Starts what mends the fault after its time, should nobody else have done so: it ends within a second of that. */
export function armTimer(host: HostSpec, fault: SelfMending, begin: string, heal: string): string {
  const timer = `${begin}
left=${Math.ceil(fault.forMs / 1_000)}
while [ "$left" -gt 0 ]; do
  [ ! -s ${quote(markOf(host, fault))} ] || exit 0
  # Whoever took the mark away wants nothing of it to stay.
  [ -e ${quote(markOf(host, fault))} ] || break
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

/** The same, again until the host answers. */
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
