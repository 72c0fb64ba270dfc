import { message, number, oneOf, optional, required, string, type Read } from './proto.js';

export const attributeKind = message({
  name: required(string),
  type: required(oneOf('TEXT', 'SCALAR')),
  text: optional(message({ value: required(string) })),
  scalar: optional(message({ value: required(number) })),
});

export type Attribute = Read<typeof attributeKind>;

/** Parses `rack:r1;unit:2`: numbers become scalars, other values text. Undefined when malformed. */
export function parseAttributes(text: string): Attribute[] | undefined {
  const attributes: Attribute[] = [];
  for (const part of text.split(';').filter((item) => item.trim() !== '')) {
    const match = /^\s*([^:\s]+)\s*:\s*(.+?)\s*$/.exec(part);
    const name = match?.[1];
    const value = match?.[2];
    if (name === undefined || value === undefined) return undefined;
    attributes.push(
      Number.isFinite(Number(value))
        ? { name, type: 'SCALAR', scalar: { value: Number(value) } }
        : { name, type: 'TEXT', text: { value } },
    );
  }
  return attributes;
}

/** The form of `/state`: `{"rack":"r1","unit":2}`. */
export function attributesToState(attributes: readonly Attribute[]): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ name, text, scalar }) => [name, scalar?.value ?? text?.value ?? '']),
  );
}
