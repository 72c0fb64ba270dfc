import type { Logger } from 'pino';

/** Exceptions that nobody caught: the state of the process is unknown from the first one on. */
export interface Faults {
  /** Aborts with the first one. */
  readonly signal: AbortSignal;
  /** Stops listening: the next one ends the process at once. */
  end(): void;
}

/** Logs every exception and rejection of this process that nobody caught, and its warnings. */
export function watchFaults(logger: Logger): Faults {
  const first = new AbortController();
  // A rejection that nobody handles arrives here, too: that is Node's default.
  const meet = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin) => {
    logger.fatal(
      { err: error, origin },
      'unexpected exception: the worker hands its activities over and exits',
    );
    first.abort(error);
  };
  const warn = (warning: Error) => logger.warn({ err: warning }, 'warning of Node.js');
  process.on('uncaughtException', meet).on('warning', warn);
  return {
    signal: first.signal,
    end: () => void process.off('uncaughtException', meet).off('warning', warn),
  };
}
