import path from 'node:path';
import { PerijoveError } from '../errors/error.js';
import type { TemporalClient, TemporalSettings } from '../temporal/connect.js';
import { readLab, type LabState } from '../lab/state.js';
import { readPayloadKeys } from '../temporal/payload-keys.js';
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
 * The server from an option or the environment; otherwise, for a lab's spec, the lab's server. With the payload keys
 * of this machine.
 *
 * @param specFile absolute
 * @throws PerijoveError PAYLOAD_KEYS_INVALID
 */
export function temporalSettings(
  { env, signal }: Pick<CommandContext, 'env' | 'signal'>,
  { temporal, profile }: TemporalChoice,
  specFile?: string,
): TemporalSettings {
  const given = { temporal, profile };
  const payloadKeys = readPayloadKeys(env);
  const chosen = {
    signal,
    ...(payloadKeys !== undefined && { payloadKeys }),
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

/** For a server that listens and has not answered within the usual time. */
const slowMs = 20_000;

/**
 * Connects, runs `work`, and always closes the connection. Connection errors carry a remedy.
 *
 * @throws PerijoveError TEMPORAL_*, WORKFLOW_NOT_ANSWERING
 */
export async function withTemporal<T>(
  settings: TemporalSettings,
  work: (temporal: TemporalClient) => Promise<T>,
): Promise<T> {
  const { connectClient, temporalError } = await import('../temporal/connect.js');
  const temporal = await connectClient(settings).catch((error: unknown) => {
    // A busy one gets more time once.
    if (!(error instanceof PerijoveError && error.code === 'TEMPORAL_SLOW')) throw error;
    return connectClient({ ...settings, deadlineMs: slowMs });
  });
  try {
    return await work(temporal);
  } catch (error) {
    throw (await temporalError(error, temporal)) ?? error;
  } finally {
    await temporal.close();
  }
}
