/** Sends notices. Their errors name the receiver alone: a URL may be a secret. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PerijoveError } from '../errors/error.js';
import { httpRequest } from '../net/http.js';
import type { Notice, NotifyInput } from '../temporal/contract.js';
import type { ActivityDeps } from './deps.js';
import type { Command, Webhook } from './receivers.js';

const limitMs = 10_000;

export function createNoticeActivities({ receivers = [] }: Pick<ActivityDeps, 'receivers'>) {
  return {
    /**
     * Sends a notice once; again if the answer was lost.
     *
     * @throws PerijoveError NOTIFICATION_NOT_SENT, NOTIFICATION_REFUSED
     */
    async sendNotice({ notice, receiver: name }: NotifyInput): Promise<void> {
      const receiver = receivers.find((each) => each.name === name);
      if (receiver === undefined) throw notSent(name, 'this worker does not know it');
      const body = JSON.stringify({ ...notice, text: `${notice.cluster}: ${notice.what}` });
      if ('url' in receiver) await post(receiver, body);
      else await run(receiver, body, notice);
    },
  };
}

function notSent(name: string, why: string): PerijoveError {
  return new PerijoveError('NOTIFICATION_NOT_SENT', `the receiver ${name} was not notified: ${why}`, {
    subject: name,
  });
}

/** To that very address: a redirect is not followed. */
async function post({ name, url, headers }: Webhook, body: string): Promise<void> {
  let status: number;
  try {
    const response = await httpRequest(url, {
      ...{ method: 'POST', body, signal: AbortSignal.timeout(limitMs) },
      headers: { ...headers, 'content-type': 'application/json' },
    });
    response.body.destroy();
    status = response.status;
  } catch (error) {
    throw notSent(name, whyOf(error));
  }
  if (status >= 200 && status < 300) return;
  const isLater = status >= 500 || status === 408 || status === 429;
  if (isLater) throw notSent(name, `it answered ${status}`);
  throw new PerijoveError('NOTIFICATION_REFUSED', `the receiver ${name} answered ${status}`, {
    subject: name,
  });
}

/** `ECONNREFUSED`, without the address. */
function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if (error.name === 'TimeoutError') return `no answer within ${limitMs / 1_000} s`;
  const { code } = (error.cause ?? error) as { readonly code?: unknown };
  return typeof code === 'string' ? code : 'the connection failed';
}

/** The program gets the notice as JSON on its standard input, and its kind as PERIJOVE_NOTICE. */
async function run({ name, command: [program, ...args] }: Command, body: string, { kind }: Notice) {
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'] ?? '', PERIJOVE_NOTICE: kind },
    stdio: ['pipe', 'ignore', 'ignore'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  // It need not read what it gets.
  child.stdin.on('error', () => undefined);
  child.stdin.end(body);
  const [code, signal] = (await once(child, 'exit').catch((error: unknown) => {
    throw notSent(name, whyOf(error));
  })) as [number | null, string | null];
  if (code !== 0) throw notSent(name, `its command ended with ${signal ?? code}`);
}
