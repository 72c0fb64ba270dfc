import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec, HostSpec } from './spec.js';

/** The host of that name. @throws PerijoveError INTERNAL, or the code that the caller gives */
export function hostOf(
  { hosts }: Pick<ClusterSpec, 'hosts'>,
  name: string,
  code: ErrorCode = 'INTERNAL',
): HostSpec {
  const host = hosts.find((each) => each.name === name);
  if (host === undefined) throw new PerijoveError(code, `the spec has no host ${name}`, { host: name });
  return host;
}
