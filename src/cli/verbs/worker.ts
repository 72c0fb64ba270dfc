import { exitCodes } from '../../errors/error.js';
import { defineCommand } from '../command.js';
import { knownHostsDir } from '../hosts.js';
import { temporalOptions, temporalSettings } from '../temporal.js';

export const workerCommand = defineCommand({
  name: 'worker',
  summary: 'run a worker, which runs workflows and reaches the hosts over SSH',
  description:
    'Runs until Ctrl-C or SIGTERM, and logs JSON lines to stdout. With two workers on two machines the loss of ' +
    'one does no harm. Every worker must reach all hosts over SSH with the keys that the spec names. A worker ' +
    'waits while the Temporal server cannot be reached.',
  options: {
    metrics: { flags: '--metrics <address>', description: 'serve Prometheus metrics at host:port' },
    logLevel: {
      flags: '--log-level <level>',
      description: 'least level that is logged (default: info)',
      choices: ['trace', 'debug', 'info', 'warn', 'error'],
    },
    ...temporalOptions,
  },
  async run(context, { options }) {
    const [{ runWorker }, { labFaults }, { labMarker }] = await Promise.all([
      import('../../worker/main.js'),
      import('../../lab/faults.js'),
      import('../../lab/state.js'),
    ]);
    const stateDir = context.env[labMarker];
    await runWorker({
      ...temporalSettings(context, options),
      knownHostsDir: knownHostsDir(context.env),
      ...(options.metrics !== undefined && { metrics: options.metrics }),
      ...(options.logLevel !== undefined && { logLevel: options.logLevel }),
      ...(stateDir !== undefined && { lab: labFaults(stateDir) }),
      signal: context.signal,
    });
    return exitCodes.done;
  },
});
