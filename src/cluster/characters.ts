/** Invisible characters, which no value of a spec should contain. Pure. */

/** Control and format characters, surrogates, and line separators. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** Spaces other than the ordinary one. */
const likeSpace = /[^\S \t\n]/u;

const names: Readonly<Record<number, string>> = {
  0x00: 'null',
  0x07: 'bell',
  0x08: 'backspace',
  0x09: 'tab',
  0x0a: 'line feed',
  0x0d: 'carriage return',
  0x1b: 'escape',
  0x7f: 'delete',
  0xa0: 'no-break space',
  0xad: 'soft hyphen',
  0x200b: 'zero-width space',
  0x200c: 'zero-width non-joiner',
  0x200d: 'zero-width joiner',
  0x200e: 'left-to-right mark',
  0x200f: 'right-to-left mark',
  0x202f: 'narrow no-break space',
  0x2060: 'word joiner',
  0x3000: 'ideographic space',
  0xfeff: 'byte order mark',
};

/** `U+200B`, with its name if it is a common one. */
function nameOf(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  const name = names[point];
  const code = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
  return name === undefined ? code : `${code} (${name})`;
}

export interface InvisibleCharacter {
  /** Such as `U+200B (zero-width space)`. */
  readonly name: string;
  /** The text before it. */
  readonly after: string;
}

/** The first invisible character of a text. `lines`: tabs and line feeds are allowed. */
export function invisibleIn(
  text: string,
  { lines = false }: { readonly lines?: boolean } = {},
): InvisibleCharacter | undefined {
  const searched = lines ? text.replaceAll(/[\t\n]/g, ' ') : text;
  const found = invisible.exec(searched);
  return found === null ? undefined : { name: nameOf(found[0]), after: text.slice(0, found.index) };
}

/** The text with each invisible character and unusual space replaced by its code point: `a<U+200B>b`. */
export function withInvisibleNamed(text: string): string {
  return text.replaceAll(
    new RegExp(`${invisible.source}|${likeSpace.source}`, 'gu'),
    (character) => `<${nameOf(character).split(' ')[0] ?? ''}>`,
  );
}
