import { PerijoveError } from '../errors/error.js';

/**
 * What came of a look at something. A look that failed, was cut short or came too late is not an empty one: whoever
 * is about to end, disable, remove or overwrite something has to ask for `known` first.
 */
export type Observation<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly why: string };

export function known<T>(value: T): Observation<T> {
  return { known: true, value };
}

export function notKnown(why: string): Observation<never> {
  return { known: false, why };
}

/** What was observed on a host, for whoever acts on it. @throws PerijoveError OBSERVATION_INCOMPLETE */
export function observedOn<T>(host: string, observation: Observation<T>): T {
  if (observation.known) return observation.value;
  throw new PerijoveError('OBSERVATION_INCOMPLETE', `${host}: ${observation.why}`, { host });
}
