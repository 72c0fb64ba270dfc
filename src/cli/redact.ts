/** Takes secrets out of what is written for others to read. What may be one counts as one. */

const leftOut = '[left out]';

/** Keys of a spec whose values may be secrets; a key's own file is named, its content is nowhere. */
const secretKey = /pass(word|phrase)?$|secret|token|credential|authorization|api[-_]?key|private/i;
/** Values below it are set by the user for other programs. */
const foreign = /^env(ironment)?$/i;

/** The same data without the values of keys that may hold secrets. */
export function redacted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      if (secretKey.test(key)) return [key, leftOut];
      if (foreign.test(key)) return [key, blanked(each)];
      return [key, redacted(each)];
    }),
  );
}

function blanked(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return leftOut;
  return Object.fromEntries(Object.keys(value).map((key) => [key, leftOut]));
}

const patterns: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g, leftOut],
  // The user part of a URL.
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${leftOut}@`],
  [/\b(bearer|basic|token)\s+[\w+/=.~-]{8,}/gi, `$1 ${leftOut}`],
  // JSON Web Tokens.
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, leftOut],
  // `token=x`, `"password": "x"`, `--secret x`, TEMPORAL_API_KEY=x
  [
    /((?:pass(?:word|phrase)?|secret|token|credentials?|authorization|api[-_]?key)["']?\s*[=:]\s*|--[\w-]*(?:password|passphrase|secret|token|api-key)[ =])("[^"\n]*"|'[^'\n]*'|[^\s"',;&}]+)/gi,
    `$1${leftOut}`,
  ],
];

/** The same text without what looks like a secret. */
export function redactedText(text: string): string {
  return patterns.reduce((left, [pattern, replacement]) => left.replace(pattern, replacement), text);
}
