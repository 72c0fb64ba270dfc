import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec, HostSpec } from './spec.js';

/** @throws PerijoveError INTERNAL: callers take the name from the same spec */
export function hostOf(spec: ClusterSpec, name: string): HostSpec {
  const host = spec.hosts.find((each) => each.name === name);
  if (host === undefined)
    throw new PerijoveError('INTERNAL', `unknown host of ${spec.name}: ${name}`, { host: name });
  return host;
}
