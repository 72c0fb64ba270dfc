import path from 'node:path';
import type { TemporalClient, TemporalSettings } from '../temporal/connect.js';
import { readLab, type LabState } from '../lab/state.js';
import type { CommandContext } from './command.js';

/** Options of every command that connects to Temporal. */
export const temporalOptions = {
  temporal: {
    flags: '--temporal <address>',
    description: 'host:port of the Temporal server (default: from the profile or the lab)',
  },
  profile: {
    flags: '--profile <name>',
    description: 'profile of the Temporal client (default: $TEMPORAL_PROFILE)',
  },
} as const;

export interface TemporalChoice {
  readonly temporal: string | undefined;
  readonly profile: string | undefined;
}

/** The lab of this spec; undefined for another cluster's spec. */
export function labOf(specFile: string): LabState | undefined {
  return readLab(path.dirname(specFile));
}

/**
 * The server from an option or the environment; otherwise, for a lab's spec, the lab's server.
 *
 * @param specFile absolute
 */
export function temporalSettings(
  { env, signal }: Pick<CommandContext, 'env' | 'signal'>,
  { temporal, profile }: TemporalChoice,
  specFile?: string,
): TemporalSettings {
  const given = { temporal, profile };
  const chosen = {
    signal,
    ...(temporal !== undefined && { address: temporal }),
    ...(profile !== undefined && { profile }),
  };
  const named = ['TEMPORAL_ADDRESS', 'TEMPORAL_PROFILE', 'TEMPORAL_CONFIG_FILE'].some(
    (variable) => (env[variable] ?? '') !== '',
  );
  const isChosen = Object.values(given).some((value) => value !== undefined);
  if (isChosen || named || specFile === undefined) return chosen;
  const address = labOf(specFile)?.temporal?.address;
  return address === undefined ? chosen : { ...chosen, address };
}

/**
 * Connects, runs `work`, and always closes the connection. Connection errors carry a remedy.
 *
 * @throws PerijoveError TEMPORAL_*
 */
export async function withTemporal<T>(
  settings: TemporalSettings,
  work: (temporal: TemporalClient) => Promise<T>,
): Promise<T> {
  const { connectClient, temporalError } = await import('../temporal/connect.js');
  const temporal = await connectClient(settings);
  try {
    return await work(temporal);
  } catch (error) {
    throw temporalError(error, temporal.address) ?? error;
  } finally {
    await temporal.close();
  }
}
