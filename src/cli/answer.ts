import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** The next line typed; undefined when the input ends (Ctrl-D) or the signal aborts. */
export async function answerOf(input: Readable, signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input, signal });
  try {
    const [answer] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as [string?];
    return answer;
  } finally {
    lines.close();
  }
}
