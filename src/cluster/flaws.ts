/** Which values of plain data are not of the expected kind. Pure, and without a package: workflows use it. */

/** A value of another kind than expected. */
export interface DataFlaw {
  /** `spec.hosts[0].address` */
  readonly at: string;
  /** `text`, `a list`; after `expected`. */
  readonly expected: string;
  /** What is there: `nothing`, `42`. */
  readonly found: string;
}

/** The flaws of a value at a place. */
export type Expectation = (value: unknown, at: string) => readonly DataFlaw[];

/** One expectation for each key of T, also for those that may be absent. */
export type KeysOf<T> = { readonly [K in keyof Required<T>]: Expectation };

const longest = 40;

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const text = JSON.stringify(value);
  return text.length <= longest ? text : `${text.slice(0, longest)}…`;
}

function expectation(expected: string, fits: (value: unknown) => boolean): Expectation {
  return (value, at) => (fits(value) ? [] : [{ at, expected, found: shown(value) }]);
}

export const text = expectation('text', (value) => typeof value === 'string' && value !== '');
export const number = expectation('a number', (value) => typeof value === 'number' && Number.isFinite(value));
export const whole = expectation('a whole number', (value) => Number.isSafeInteger(value));
export const flag = expectation('true or false', (value) => typeof value === 'boolean');

export const anything: Expectation = () => [];

export function oneOf(...values: readonly string[]): Expectation {
  return expectation(values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`, (value) =>
    values.some((each) => each === value),
  );
}

export function optional(inner: Expectation): Expectation {
  return (value, at) => (value === undefined ? [] : inner(value, at));
}

/** @param least how many entries it must have */
export function list(inner: Expectation, least = 0): Expectation {
  return (value, at) => {
    const expected = least === 0 ? 'a list' : `a list of at least ${least}`;
    if (!Array.isArray(value) || value.length < least) return [{ at, expected, found: shown(value) }];
    return value.flatMap((entry: unknown, index) => inner(entry, `${at}[${index}]`));
  };
}

/** Any keys, each with such a value. */
export function map(inner: Expectation): Expectation {
  return (value, at) => {
    if (!isObject(value)) return [{ at, expected: 'an object', found: shown(value) }];
    return Object.entries(value).flatMap(([key, entry]) => inner(entry, `${at}.${key}`));
  };
}

/** These keys; further ones are ignored, as another release may know them. */
export function object<T>(keys: KeysOf<T>): Expectation {
  return (value, at) => {
    if (!isObject(value)) return [{ at, expected: 'an object', found: shown(value) }];
    return Object.entries<Expectation>(keys).flatMap(([key, inner]) =>
      inner(value[key], at === '' ? key : `${at}.${key}`),
    );
  };
}

/** An object whose other keys depend on its `kind`. */
export function byKind(kinds: Readonly<Record<string, Expectation>>): Expectation {
  return (value, at) => {
    if (!isObject(value)) return [{ at, expected: 'an object', found: shown(value) }];
    const { kind } = value;
    const inner = Object.entries(kinds).find(([name]) => name === kind)?.[1];
    return inner === undefined ? oneOf(...Object.keys(kinds))(kind, `${at}.kind`) : inner(value, at);
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
