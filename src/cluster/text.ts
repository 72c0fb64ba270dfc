/** The text of a spec, or why a file cannot be one. Pure. */

/** A spec of a thousand hosts has about 100 KB. */
const mostBytes = 1024 * 1024;

/** Characters that YAML 1.2 forbids (production c-printable). */
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

export interface TextFlaw {
  readonly flaw: string;
  /** From 1; absent if the whole file is invalid. */
  readonly line?: number;
  readonly remedy?: string;
}

/** Rejects a file that cannot be YAML as a whole: a list of its errors would not help. */
export function specText(bytes: Uint8Array): { readonly text: string } | TextFlaw {
  if (bytes.length > mostBytes) return { flaw: 'is larger than 1 MiB, which no spec is' };
  if (isUtf16(bytes)) return { flaw: 'is UTF-16 text', remedy: 'Save it as UTF-8.' };
  const text = decoded(bytes);
  // Neither a binary file nor Latin-1 text is UTF-8, but only a binary file has control characters.
  if (forbidden.test(text ?? new TextDecoder('latin1').decode(bytes))) {
    return { flaw: 'is not a YAML file, but a binary one' };
  }
  if (text !== undefined) return { text };
  const line = firstUndecodableLine(bytes);
  return {
    flaw: `is not UTF-8 text: line ${line} has bytes of another encoding`,
    line,
    remedy: 'Save it as UTF-8. `iconv -f ISO-8859-1 -t UTF-8` converts from Latin-1.',
  };
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** By its byte order mark. */
function isUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}

/** In UTF-8, the byte 0x0a occurs only as a line feed, so each line can be decoded separately. */
function firstUndecodableLine(bytes: Uint8Array): number {
  let start = 0;
  for (let line = 1; ; line += 1) {
    const end = bytes.indexOf(0x0a, start);
    if (end === -1 || decoded(bytes.subarray(start, end)) === undefined) return line;
    start = end + 1;
  }
}
