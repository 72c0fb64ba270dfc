import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';

/** One thing that is wrong with a spec, and where. Lines and columns count from 1. */
export interface SpecProblem {
  readonly code: ErrorCode;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly remedy: string;
}

/** `SPEC_INVALID` with every problem of the file, in the order of their lines. */
export class SpecError extends PerijoveError {
  constructor(
    readonly problems: readonly SpecProblem[],
    file: string,
  ) {
    const [first] = problems;
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super('SPEC_INVALID', `${file} has ${count}`, {
      file,
      ...(first && { line: first.line, column: first.column }),
    });
  }
}
