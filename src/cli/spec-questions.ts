/** Asks on a terminal what the first spec of a cluster needs. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { FirstSpec } from './first-spec.js';

interface Terminal {
  readonly stdin: Readable;
  readonly signal: AbortSignal;
  readonly write: (text: string) => unknown;
}

interface Question {
  readonly name: keyof FirstSpec;
  readonly text: string;
  /** What an empty answer means; an answer is necessary without it. */
  readonly otherwise?: string;
}

const questions: readonly Question[] = [
  { name: 'hosts', text: 'Addresses of the hosts, such as 10.0.0.11,10.0.0.12,10.0.0.13' },
  { name: 'user', text: 'SSH user on all of them', otherwise: 'root' },
  {
    name: 'mesos',
    text:
      'Source of Mesos: package:NAME, path:DIRECTORY, image:NAME,\n' +
      'or lab, the stand-in, which is for trying and may not serve real users',
  },
  { name: 'network', text: 'Docker network that all hosts have', otherwise: 'a new VXLAN' },
  { name: 'storage', text: 'Directory that all hosts share', otherwise: 'a new GlusterFS volume' },
];

/** Any valid answers to what was not asked yet. */
const placeholders: FirstSpec = { hosts: '10.0.0.1', mesos: 'lab' };

/**
 * The answers; undefined where the input ended (Ctrl-D) or the signal aborted. Asks again for what `problem`, given
 * the answers so far, finds wrong.
 */
export async function askForSpec(
  { stdin, signal, write }: Terminal,
  problem: (given: FirstSpec) => string | undefined,
): Promise<FirstSpec | undefined> {
  const lines = createInterface({ input: stdin, signal });
  const answers = lines[Symbol.asyncIterator]();
  let given: Partial<FirstSpec> = {};
  try {
    for (const question of questions) {
      for (;;) {
        write(`${question.text}${question.otherwise === undefined ? '' : ` [${question.otherwise}]`}: `);
        const next = await answers.next();
        if (next.done === true) return undefined;
        const answer = next.value.trim();
        if (answer === '' && question.otherwise !== undefined) break;
        const more = { ...given, [question.name]: answer };
        const wrong = answer === '' ? 'An answer is necessary.' : problem({ ...placeholders, ...more });
        if (wrong === undefined) {
          given = more;
          break;
        }
        write(`${wrong}\n`);
      }
    }
    return { ...placeholders, ...given };
  } finally {
    lines.close();
  }
}
