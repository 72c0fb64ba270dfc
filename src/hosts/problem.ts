import type { ErrorCode } from '../errors/codes.js';

/** A problem that blocks a deployment. */
export interface Problem {
  readonly code: ErrorCode;
  /** Name of the host; absent if the problem concerns the cluster. */
  readonly host?: string;
  readonly message: string;
  readonly remedy: string;
}
