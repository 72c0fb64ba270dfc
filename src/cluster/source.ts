import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { SpecPath } from './checks.js';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface SyntaxProblem extends Place {
  readonly message: string;
}

/** A YAML text as plain data, with the place of each value in the text. */
export interface Source {
  /** Keys without a value count as absent. */
  readonly data: unknown;
  readonly syntax: readonly SyntaxProblem[];
  /** The place of the value at `path`, or of the nearest enclosing value in the text. */
  placeOf(path: SpecPath): Place;
  /** The place of the last key of `path`, or the same as `placeOf`. */
  placeOfKey(path: SpecPath): Place;
  has(path: SpecPath): boolean;
}

/** Drops entries of mappings without a value (`etcd:` with everything below it commented out). */
function withoutEmptyEntries(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmptyEntries);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== null)
      .map(([key, entry]) => [key, withoutEmptyEntries(entry)]),
  );
}

/** Parses YAML 1.2. Never throws: errors are in `syntax`. */
export function readSource(text: string): Source {
  const lineCounter = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document: Document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true });
  const syntax: SyntaxProblem[] = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    ...place(pos[0]),
    message,
  }));

  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const start = (node: unknown) => (node as Node | null)?.range?.[0];

  /** Offsets of the key and the value at the end of the longest prefix of `path` that is in the text. */
  function find(path: SpecPath): { readonly whole: boolean; readonly key?: number; readonly value: number } {
    let node: unknown = document.contents;
    let found: { key?: number; value: number } = { value: start(node) ?? 0 };
    for (const step of path) {
      const container = resolved(node);
      if (isMap(container)) {
        const pair = container.items.find(({ key }) => (isScalar(key) ? key.value : key) === step);
        if (!pair) return { ...found, whole: false };
        const key = start(pair.key);
        const empty = pair.value === null || (isScalar(pair.value) && pair.value.value === null);
        const value = empty ? key : start(pair.value);
        found = { value: value ?? found.value, ...(key !== undefined && { key }) };
        node = pair.value;
      } else if (isSeq(container) && typeof step === 'number' && step in container.items) {
        node = container.items[step];
        found = { value: start(node) ?? found.value };
      } else {
        return { ...found, whole: false };
      }
    }
    return { ...found, whole: true };
  }

  let data: unknown;
  try {
    data = withoutEmptyEntries(document.toJS({ maxAliasCount: 100 }));
  } catch (error) {
    // Unresolved aliases, and aliases that would grow without bound.
    syntax.push({ line: 1, column: 1, message: error instanceof Error ? error.message : String(error) });
  }

  return {
    data,
    syntax,
    placeOf: (path) => place(find(path).value),
    placeOfKey: (path) => {
      const { key, value } = find(path);
      return place(key ?? value);
    },
    has: (path) => find(path).whole,
  };
}
