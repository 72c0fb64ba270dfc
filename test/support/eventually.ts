import { setTimeout as delay } from 'node:timers/promises';

type Ask<T> = () => Promise<T> | T;
type Named<T> = [what: string, ask: Ask<T>, timeoutMs?: number | undefined];
type Unnamed<T> = [ask: Ask<T>, timeoutMs?: number | undefined];
type Answer<T> = Exclude<T, false | undefined>;

const everyMs = 20;
const patienceMs = 30_000;

/**
 * Polls, and resolves to the first answer that is neither `undefined` nor `false`. Errors count as not yet.
 * On timeout it rejects with what it waited for, and the last error as the cause.
 */
export async function eventually<T>(...args: Named<T> | Unnamed<T>): Promise<Answer<T>> {
  const [what, ask, timeoutMs = patienceMs] = isNamed(args) ? args : ([String(args[0]), ...args] as const);
  const end = Date.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Answer<T>;
    } catch (error) {
      cause = error;
    }
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    await delay(everyMs);
  }
}

function isNamed<T>(args: Named<T> | Unnamed<T>): args is Named<T> {
  return typeof args[0] === 'string';
}
