import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { SpecPath } from './checks.js';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface SyntaxProblem extends Place {
  readonly message: string;
  readonly remedy?: string;
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
  /** The source text of the value at `path`, such as `1.10` or `.inf`; undefined for strings, mappings and lists. */
  readonly written: (path: SpecPath) => string | undefined;
}

/** Placeholders of Jinja, Go templates, Helm and ERB. */
const templatePattern = /\{\{.*?\}\}|\{%.*?%\}|<%.*?%>/;

/** Whether a text contains a template placeholder. */
export function looksLikeTemplate(text: string): boolean {
  return templatePattern.test(text);
}

/** The first placeholder outside comments. */
function templateIn(text: string): { readonly offset: number; readonly found: string } | undefined {
  const blanked = text.replaceAll(/^\s*#.*$/gm, (comment) => ' '.repeat(comment.length));
  const found = templatePattern.exec(blanked);
  return found === null ? undefined : { offset: found.index, found: found[0] };
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

interface Found {
  readonly whole: boolean;
  /** Offsets in the text. */
  readonly key?: number;
  readonly value: number;
  /** Set if the whole path is in the text. */
  readonly node?: unknown;
}

/** The parser's errors and warnings, worded for the author of the file. */
function syntaxOf(document: Document, text: string, place: (offset: number) => Place): SyntaxProblem[] {
  const flaws = [...document.errors, ...document.warnings];
  const template = flaws.length === 0 ? undefined : templateIn(text);
  if (template !== undefined) {
    return [
      {
        ...place(template.offset),
        message: `this looks like a template: \`${template.found}\``,
        remedy: 'Render it first, and use the result.',
      },
    ];
  }
  return flaws.map(({ code, pos, message }): SyntaxProblem => {
    const at = place(pos[0]);
    switch (code) {
      case 'MULTIPLE_DOCS':
        return {
          ...at,
          message: `one document expected; the second begins in line ${at.line}`,
          remedy: 'Keep one cluster in each file.',
        };
      case 'NON_STRING_KEY':
        return { ...at, message: 'a key must be text, not a mapping or a list' };
      default:
        return { ...at, message };
    }
  });
}

/** Parses YAML 1.2. Never throws: errors are in `syntax`. */
export function readSource(text: string): Source {
  const lineCounter = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document: Document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true });
  const syntax = syntaxOf(document, text, place);

  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  const start = (node: unknown) => (node as Node | null)?.range?.[0];

  /** Offsets of the key and the value at the end of the longest prefix of `path` that is in the text. */
  function find(path: SpecPath): Found {
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
    return { ...found, whole: true, node: resolved(node) };
  }

  let data: unknown;
  try {
    // With errors the data is not used, and the conversion would print warnings on stderr.
    if (syntax.length === 0) data = withoutEmptyEntries(document.toJS({ maxAliasCount: 100 }));
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
    written: (path) => {
      const { node } = find(path);
      return isScalar(node) && typeof node.value !== 'string' ? node.source : undefined;
    },
  };
}
