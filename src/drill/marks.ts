/** Finding the very process again that was seen before, in POSIX shell. */
import type { HostConnection } from '../ssh/connection.js';
import type { ProcessMark } from './model.js';

/** `same PID START`: whether this very process lives; the name in `stat` may hold blanks and brackets. */
export const sameScript = `
same() { [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20)" = "$2" ]; }`;

export async function isSame(connection: HostConnection, { pid, start }: ProcessMark): Promise<boolean> {
  const answer = await connection.run(`${sameScript}\nif same ${pid} ${start}; then echo yes; fi`);
  return answer.trim() === 'yes';
}
