import { PerijoveError } from '../errors/error.js';

/**
 * The result of observing something. A failed, truncated or late observation is not an empty one: check
 * `known` before you stop, disable, remove or overwrite anything.
 */
export type Observation<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly why: string };

export function known<T>(value: T): Observation<T> {
  return { known: true, value };
}

export function notKnown(why: string): Observation<never> {
  return { known: false, why };
}

/** The observed value of a host, required by the caller. @throws PerijoveError OBSERVATION_INCOMPLETE */
export function observedOn<T>(host: string, observation: Observation<T>): T {
  if (observation.known) return observation.value;
  throw new PerijoveError('OBSERVATION_INCOMPLETE', `${host}: ${observation.why}`, { host });
}
