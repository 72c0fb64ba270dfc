import type { ErrorCode } from '../errors/codes.js';
import { PerijoveError } from '../errors/error.js';

/** A problem in a spec and its place. Lines and columns count from 1. */
export interface SpecProblem {
  readonly code: ErrorCode;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly remedy: string;
}

/** `SPEC_INVALID` with all problems of the file, in line order. */
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
