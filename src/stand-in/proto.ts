/**
 * JSON of protobuf messages, read as in Mesos: unknown fields are ignored, and errors use its messages. A
 * message is described once; its TypeScript type follows from the description.
 */
export interface Kind<T> {
  readonly expects: 'string' | 'number' | 'boolean' | 'object' | 'anything';
  read(value: unknown, context: Context): T;
}

interface Context {
  readonly path: string;
  readonly name: string;
  readonly missing: string[];
}

interface Field<T> {
  readonly kind: Kind<unknown>;
  readonly rule: 'required' | 'optional' | 'repeated';
  /** Only carries the type. */
  readonly type?: T;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type TypeOf<F> = F extends Field<infer T> ? T : never;
type OptionalNames<F extends Fields> = {
  [N in keyof F]: undefined extends TypeOf<F[N]> ? N : never;
}[keyof F];
type MessageOf<F extends Fields> = {
  readonly [N in Exclude<keyof F, OptionalNames<F>>]: TypeOf<F[N]>;
} & { readonly [N in OptionalNames<F>]?: Exclude<TypeOf<F[N]>, undefined> };

/** The type that `kind` describes. */
export type Read<K> = K extends Kind<infer T> ? T : never;

/** Mesos' text after `Failed to convert JSON into Call protobuf: `. */
export class ProtoError extends Error {}

const primitive = <T>(expects: 'string' | 'number' | 'boolean'): Kind<T> => ({
  expects,
  read: (value) => value as T,
});

export const string = primitive<string>('string');
export const number = primitive<number>('number');
export const boolean = primitive<boolean>('boolean');
/** Kept unchanged. */
export const anything: Kind<unknown> = { expects: 'anything', read: (value) => value };

export const oneOf = <const T extends string>(...values: readonly T[]): Kind<T> => ({
  expects: 'string',
  read: (value) => {
    const known = values.find((candidate) => candidate === value);
    if (known === undefined) throw new ProtoError(`Failed to find enum for '${String(value)}'`);
    return known;
  },
});

export const required = <T>(kind: Kind<T>): Field<T> => ({ kind, rule: 'required' });
export const optional = <T>(kind: Kind<T>): Field<T | undefined> => ({ kind, rule: 'optional' });
/** Empty when absent. */
export const repeated = <T>(kind: Kind<T>): Field<readonly T[]> => ({ kind, rule: 'repeated' });

export function message<F extends Fields>(fields: F): Kind<MessageOf<F>> {
  return {
    expects: 'object',
    read: (value, { path, missing }) => {
      const source = value as Readonly<Record<string, unknown>>;
      const result: Record<string, unknown> = {};
      for (const [name, { kind, rule }] of Object.entries(fields)) {
        const given = source[name];
        const context = { path: path === '' ? name : `${path}.${name}`, name, missing };
        if (rule === 'repeated') result[name] = readAll(kind, given, context);
        else if (given !== undefined) result[name] = readOne(kind, given, context);
        else if (rule === 'required') missing.push(context.path);
      }
      return result as MessageOf<F>;
    },
  };
}

function readAll(kind: Kind<unknown>, given: unknown, context: Context): unknown[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw new ProtoError(unexpected(given, context.name));
  return given.map((item: unknown, index) =>
    readOne(kind, item, { ...context, path: `${context.path}[${index}]` }),
  );
}

function readOne(kind: Kind<unknown>, given: unknown, context: Context): unknown {
  if (kind.expects !== 'anything' && kind.expects !== jsonTypeOf(given)) {
    throw new ProtoError(unexpected(given, context.name));
  }
  return kind.read(given, context);
}

function unexpected(given: unknown, name: string): string {
  return `Not expecting a JSON ${jsonTypeOf(given)} for field '${name}'`;
}

function jsonTypeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/**
 * Reads a whole message.
 *
 * @throws ProtoError
 */
export function readMessage<T>(kind: Kind<T>, value: unknown): T {
  if (jsonTypeOf(value) !== 'object') throw new ProtoError('Expecting a JSON object');
  const missing: string[] = [];
  const result = kind.read(value, { path: '', name: '', missing });
  if (missing.length > 0) throw new ProtoError(`Missing required fields: ${missing.join(', ')}`);
  return result;
}

/** A message as Mesos prints it, without empty repeated fields. */
export function withoutEmptyLists(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmptyLists);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => !(Array.isArray(field) && field.length === 0))
      .map(([name, field]) => [name, withoutEmptyLists(field)]),
  );
}
