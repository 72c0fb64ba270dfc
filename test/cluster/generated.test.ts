import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { clusterFile } from '../../src/cluster/schema.js';
import { parseSpec } from '../../src/cluster/load.js';
import { core, objectOf, sample } from '../../src/cluster/shape.js';

/** Every key of the format, as `section.key`, with its schema. */
function allKeys(schema: z.core.$ZodType, place = ''): [string, z.core.$ZodType][] {
  const inner = core(schema);
  const object = objectOf(inner instanceof z.ZodArray ? inner.element : inner);
  const shape: Readonly<Record<string, z.core.$ZodType>> = object?.shape ?? {};
  return Object.entries(shape).flatMap(([key, value]) => [
    [`${place}${key}`, value] as [string, z.core.$ZodType],
    ...allKeys(value, `${place}${key}.`),
  ]);
}

const keys = allKeys(clusterFile);

describe('the schema', () => {
  it.each(keys)('describes %s', (_key, schema) => {
    expect(z.globalRegistry.get(core(schema))?.description).toMatch(/^[A-Z`].*\.$/s);
  });

  it.each(keys)('accepts its example of %s', (_key, schema) => {
    const value = sample(schema);
    if (value !== undefined) expect(z.safeParse(schema, value).error).toBeUndefined();
  });

  it.each(keys)('documents %s', async (key) => {
    const text = await readFile('docs/reference/spec.md', 'utf8');
    expect(text).toContain(`| \`${key.split('.').at(-1) ?? ''}\``);
  });
});

it('the smallest file in docs/reference/spec.md and each of its fragments are valid', async () => {
  const text = await readFile('docs/reference/spec.md', 'utf8');
  const [smallest = '', ...fragments] = [...text.matchAll(/```yaml\n([^]*?)```/g)]
    .map(([, yaml]) => yaml ?? '')
    .filter((yaml) => !yaml.startsWith('#'));
  expect(parseSpec(smallest, 'docs/reference/spec.md').problems).toEqual([]);
  expect(fragments.length).toBeGreaterThan(2);
  for (const fragment of fragments) {
    // Keys that the fragment omits may be missing.
    const { problems } = parseSpec(fragment, 'docs/reference/spec.md');
    expect(problems.filter(({ code }) => /UNKNOWN|BAD|YAML|CLASH|ONE_OF/.test(code))).toEqual([]);
  }
});
