/** The text of a spec, or why a file cannot be one. Pure. */

/** A spec of a thousand hosts has about 100 KB. */
const mostBytes = 1024 * 1024;

/** Characters that YAML 1.2 forbids (production c-printable). */
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/** Rejects a file that cannot be YAML as a whole: a list of its errors would not help. */
export function specText(bytes: Uint8Array): { readonly text: string } | { readonly flaw: string } {
  if (bytes.length > mostBytes) return { flaw: 'is larger than 1 MiB, which no spec is' };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return forbidden.test(text) ? { flaw: 'is not a YAML file, but a binary one' } : { text };
  } catch {
    return { flaw: 'is not a YAML file: it is not UTF-8 text' };
  }
}
