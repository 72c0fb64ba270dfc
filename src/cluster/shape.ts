/** Queries on the schema itself: the keys of a section, and valid values of a key. */
import { stringify } from 'yaml';
import * as z from 'zod';
import type { SpecPath } from './checks.js';

/** The schema without its optional and default wrappers. */
export function core(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  return inner;
}

/** The object schema; in a union, the option that is an object. */
export function objectOf(schema: z.core.$ZodType): z.ZodObject | undefined {
  const inner = core(schema);
  if (inner instanceof z.ZodObject) return inner;
  if (inner instanceof z.ZodUnion) return inner.options.map(objectOf).find((option) => option !== undefined);
  return undefined;
}

function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> | undefined {
  return objectOf(schema)?.shape;
}

/** The schema of the value at `path`; undefined if the file cannot have one there. */
export function schemaAt(root: z.core.$ZodType, path: SpecPath): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = root;
  for (const step of path) {
    if (schema === undefined) return undefined;
    const inner: z.core.$ZodType = core(schema);
    if (inner instanceof z.ZodArray) schema = inner.element;
    else if (inner instanceof z.ZodRecord) schema = inner.valueType;
    else schema = new Map(Object.entries(shapeOf(inner) ?? {})).get(String(step));
  }
  return schema;
}

export function knownKeys(root: z.core.$ZodType, path: SpecPath): string[] {
  const schema = schemaAt(root, path);
  return Object.keys((schema && shapeOf(schema)) ?? {});
}

/** A value on one line, as YAML has it: `{ install: lab }`. */
export function flowText(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trim();
}

/** A value that the schema accepts: its example, or one composed of the examples of its keys. */
export function sample(schema: z.core.$ZodType): unknown {
  const inner = core(schema);
  const { examples } = z.globalRegistry.get(inner) ?? {};
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  if (inner instanceof z.ZodEnum) return inner.options[0];
  const shape = shapeOf(inner);
  if (!shape) return undefined;
  const required = Object.entries(shape).filter(
    ([, value]) => !(value instanceof z.ZodOptional) && core(value) === value,
  );
  return Object.fromEntries(required.map(([key, value]) => [key, sample(value)]));
}
