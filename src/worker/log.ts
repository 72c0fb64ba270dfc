import type { Logger as TemporalLogger, LogLevel } from '@temporalio/worker';
import type { LevelWithSilent, Logger } from 'pino';

const levels = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
} as const satisfies Record<LogLevel, LevelWithSilent>;

/** The logs of the SDK, and of workflows through it, as lines of our own log. */
export function temporalLogger(logger: Logger): TemporalLogger {
  const write = (level: LogLevel, message: string, meta: Record<string, unknown> = {}) => {
    const { error, ...fields } = meta;
    // The token of a task is useless to a reader.
    delete fields['taskToken'];
    logger[levels[level]](error === undefined ? fields : { ...fields, err: error }, message);
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('INFO', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}
