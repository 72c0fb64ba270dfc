import { pino, type Logger } from 'pino';

/** Structured lines on stderr: the task's own for `start`, the service's log for what runs under runit. */
export function nodeLogger(part: 'start' | 'etcd' | 'control'): Logger {
  return pino(
    { base: { part }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}
