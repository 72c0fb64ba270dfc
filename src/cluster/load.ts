import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { errorCodes, type ErrorCode } from '../errors/codes.js';
import { homeDir } from './home.js';
import { PerijoveError } from '../errors/error.js';
import { checkCertificateFiles } from './certificate-files.js';
import { check, pathText, type Finding, type SpecPath } from './checks.js';
import type { ClusterSpec } from './spec.js';
import { clusterFile, type ClusterFile } from './schema.js';
import { invisibleIn, withInvisibleNamed } from './characters.js';
import { nearestName } from './nearest.js';
import { normalize, type LocalPlaces } from './normalize.js';
import { SpecError, type SpecProblem } from './problem.js';
import { flowText, knownKeys, sample, schemaAt } from './shape.js';
import { checkSshConfig } from './ssh-config-checks.js';
import { sshConfigReader } from './ssh-config.js';
import { looksLikeTemplate, readSource, type Source } from './source.js';
import { specText } from './text.js';

export interface ParsedSpec {
  /** Set if there are no problems. */
  readonly spec?: ClusterSpec;
  /** In line order. */
  readonly problems: readonly SpecProblem[];
}

export interface LoadOptions {
  /** Also check the local files that go to hosts: the certificate and key for HTTPS. */
  readonly files?: boolean;
}

function valueAt(data: unknown, steps: SpecPath): unknown {
  return steps.reduce<unknown>(
    (value, step) =>
      value !== null && typeof value === 'object' && Object.hasOwn(value, step)
        ? (value as Record<string | number, unknown>)[step]
        : undefined,
    data,
  );
}

/** A value as a message shows it, truncated to a readable length. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'a mapping';
  const text = String(value).replace(/\n/g, '↵');
  return `\`${withInvisibleNamed(text.length > 60 ? `${text.slice(0, 57)}…` : text)}\``;
}

interface Flaw extends Finding {
  /** The problem is the key, not its value. */
  readonly atKey?: boolean;
  /** The known key that an unknown one probably stands for. */
  readonly meant?: string;
}

/** The flaws that one zod issue reports. `written`: the source text of a value that is not a string. */
function flawsOf(
  issue: z.core.$ZodIssue,
  data: unknown,
  written: Source['written'],
  prefix: SpecPath = [],
): Flaw[] {
  const at = [...prefix, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  const value = valueAt(data, at);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const known = knownKeys(clusterFile, at);
        const nearest = nearestName(key, known);
        const where = at.length === 0 ? '' : ` in ${pathText(at)}`;
        return {
          code: 'SPEC_UNKNOWN_KEY',
          at: [...at, key],
          atKey: true,
          ...(nearest !== undefined && { meant: nearest }),
          message: `unknown key${where}: ${shown(key)}`,
          remedy: nearest === undefined ? `Use one of ${known.join(', ')}.` : `Did you mean \`${nearest}\`?`,
        };
      });
    case 'invalid_union': {
      // A mapping where one is allowed: the problems inside it are more useful than "neither fits".
      const inside = issue.errors.find((option) =>
        option.every((nested) => nested.path.length > 0 || nested.code === 'unrecognized_keys'),
      );
      if (inside) return inside.flatMap((nested) => flawsOf(nested, data, written, at));
      break;
    }
    case 'invalid_key':
      return [
        {
          code: 'SPEC_BAD_VALUE',
          at,
          atKey: true,
          message: `${pathText(at.slice(0, -1))}: expected ${issue.issues[0]?.message ?? 'another key'}, found ${shown(at.at(-1))}`,
        },
      ];
    default:
      break;
  }
  if (value === undefined || (value === null && at.length === 0)) {
    const key = String(at.at(-1) ?? '');
    const parent = at.slice(0, -1);
    const where = parent.length === 0 ? '' : ` in ${pathText(parent)}`;
    const example = sample(schemaAt(clusterFile, at) ?? clusterFile);
    return [
      at.length === 0
        ? {
            code: 'SPEC_MISSING_KEY',
            at,
            message: 'the file is empty',
            remedy: 'Create one with `perijove init`.',
          }
        : {
            code: 'SPEC_MISSING_KEY',
            at,
            message: `missing key${where}: ${key}`,
            remedy:
              example === undefined
                ? `Add \`${key}\`.`
                : `Add it, for example \`${key}: ${flowText(example)}\`.`,
          },
    ];
  }
  const subject = at.length === 0 ? 'the file' : pathText(at);
  const asText = written(at);
  const remedy = remedyForValue(value, asText, at);
  return [
    {
      code: 'SPEC_BAD_VALUE',
      at,
      message: `${subject}: expected ${issue.message}, found ${shown(asText ?? value)}`,
      ...(remedy !== undefined && { remedy }),
    },
  ];
}

/** A remedy that depends on the invalid value. */
function remedyForValue(value: unknown, written: string | undefined, at: SpecPath): string | undefined {
  if (typeof value === 'string') {
    return looksLikeTemplate(value) ? 'This looks like a template. Render it first.' : undefined;
  }
  const schema = schemaAt(clusterFile, at);
  if (written === undefined || schema === undefined || !z.safeParse(schema, written).success)
    return undefined;
  return `Write it in quotes: \`"${written}"\`.`;
}

/** The first flaw of each value: a number that is too large, for example, is also no safe integer. */
function onePerPlace(flaws: readonly Flaw[]): Flaw[] {
  const seen = new Set<string>();
  return flaws.filter(({ at, atKey }) => {
    const place = `${atKey === true ? 'key' : 'value'} ${JSON.stringify(at)}`;
    return !seen.has(place) && seen.add(place);
  });
}

/** Strings with invisible characters. Flag values may have several lines. */
function invisibleFlaws(data: unknown, at: SpecPath = []): Flaw[] {
  if (data !== null && typeof data === 'object') {
    return Object.entries(data).flatMap(([key, value]) =>
      invisibleFlaws(value, [...at, Array.isArray(data) ? Number(key) : key]),
    );
  }
  const found = typeof data === 'string' ? invisibleIn(data, { lines: at.at(-2) === 'flags' }) : undefined;
  if (found === undefined) return [];
  const where = found.after === '' ? 'at the beginning' : `after ${shown(found.after)}`;
  return [
    {
      code: 'SPEC_BAD_VALUE',
      at,
      message: `${pathText(at)} contains the invisible character ${found.name} ${where}`,
      remedy: 'Delete it, or type the value anew.',
    },
  ];
}

/** Numeric flag values as written: `1.10` is not 1.1, and large numbers would be rounded. */
function withFlagsAsWritten({ data, written }: Source): unknown {
  const changed = (value: unknown, at: SpecPath): unknown => {
    if (typeof value === 'number') return written(at) ?? value;
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, changed(entry, [...at, key])]),
    );
  };
  const inside = (value: unknown, at: SpecPath, keys: SpecPath): unknown => {
    const [key, ...rest] = keys;
    if (key === undefined) return changed(value, at);
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return value;
    const entry = (value as Record<string, unknown>)[key];
    return { ...value, [key]: inside(entry, [...at, key], rest) };
  };
  return ['master', 'agent'].reduce(
    (all: unknown, program) => inside(all, [], ['mesos', program, 'flags']),
    data,
  );
}

/** A misspelled key is one problem: the key it stands for is not reported as missing too. */
function withoutEchoes(flaws: readonly Flaw[]): Flaw[] {
  const meant = flaws.flatMap((flaw) =>
    flaw.meant === undefined ? [] : [pathText([...flaw.at.slice(0, -1), flaw.meant])],
  );
  return flaws.filter(({ code, at }) => code !== 'SPEC_MISSING_KEY' || !meant.includes(pathText(at)));
}

/** `data` with the value at `steps` replaced by a valid one, or removed if it is optional. */
function mended(data: unknown, steps: SpecPath, schema: z.core.$ZodType = clusterFile): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return sample(schema);
  const inner = schemaAt(schema, [step]);
  if (Array.isArray(data) && typeof step === 'number' && inner) {
    return data.map((entry: unknown, index) => (index === step ? mended(entry, rest, inner) : entry));
  }
  if (data === null || typeof data !== 'object' || Array.isArray(data)) return sample(schema);
  const { [String(step)]: old, ...others } = data as Record<string, unknown>;
  if (!inner) return others;
  if (rest.length > 0) return { ...others, [step]: mended(old, rest, inner) };
  // Keys that are optional or have a default are removed: only a required key needs a value.
  return z.safeParse(inner, undefined).success ? others : { ...others, [step]: sample(inner) };
}

/** The nearest valid file, used to check the valid parts despite the flaws; undefined if none is near. */
function nearestValid(
  data: unknown,
  flaws: readonly Flaw[],
  written: Source['written'],
): ClusterFile | undefined {
  let attempt = data;
  let remaining: readonly Flaw[] = flaws;
  for (let round = 0; round < 5 && remaining.length > 0; round += 1) {
    for (const flaw of remaining) attempt = mended(attempt, flaw.at);
    const result = clusterFile.safeParse(attempt);
    if (result.success) return result.data;
    const current = attempt;
    remaining = result.error.issues.flatMap((issue) => flawsOf(issue, current, written));
  }
  return undefined;
}

function startsWith(path: SpecPath, start: SpecPath): boolean {
  return start.every((step, index) => step === path[index]);
}

/** The findings that do not depend on an invalid value. */
function findingsBeside(
  flaws: readonly Flaw[],
  file: ClusterFile,
  spec: ClusterSpec,
  places: LocalPlaces,
  { files }: LoadOptions,
): Finding[] {
  const broken = flaws.flatMap(({ code, at, meant }): SpecPath[] => {
    if (code !== 'SPEC_UNKNOWN_KEY') return [at];
    return meant === undefined ? [] : [[...at.slice(0, -1), meant]];
  });
  const certificates = files === true ? checkCertificateFiles(spec) : [];
  return [...check(file, spec), ...checkSshConfig(file, places), ...certificates].filter(
    ({ at, see = [], restsOn = [] }) =>
      !broken.some(
        (place) =>
          startsWith(at, place) ||
          (see.length > 0 && startsWith(see, place)) ||
          restsOn.some((path) => startsWith(path, place) || startsWith(place, path)),
      ),
  );
}

function problemOf(flaw: Flaw, source: Source, file: string): SpecProblem {
  const see = flaw.see && source.has(flaw.see) ? flaw.see : undefined;
  // Of two conflicting values, one may be a default, which has no line.
  const at = see && !source.has(flaw.at) ? see : flaw.at;
  const place = flaw.atKey === true ? source.placeOfKey(at) : source.placeOf(at);
  const other = see ? source.placeOf(see).line : place.line;
  return {
    code: flaw.code,
    file,
    ...place,
    message: other === place.line ? flaw.message : `${flaw.message} (see line ${other})`,
    remedy: flaw.remedy ?? remedyOf(flaw.code),
  };
}

function remedyOf(code: ErrorCode): string {
  return errorCodes[code].remedy;
}

/**
 * Parses a spec. Reports all problems at once. `file` names the text in problems; local paths in
 * it are relative to the directory of `file`.
 */
export function parseSpec(text: string, file: string, home?: string, options: LoadOptions = {}): ParsedSpec {
  const places: LocalPlaces = {
    directory: path.dirname(path.resolve(file)),
    // Not every user has one, and not every spec needs it.
    get home() {
      return home ?? homeDir();
    },
    sshConfig: sshConfigReader(),
  };
  const source = readSource(text);
  if (source.syntax.length > 0) {
    const problems = source.syntax.map((problem): SpecProblem => ({
      code: 'SPEC_YAML',
      file,
      remedy: remedyOf('SPEC_YAML'),
      ...problem,
    }));
    return { problems };
  }
  const data = withFlagsAsWritten(source);
  const { written } = source;
  const result = clusterFile.safeParse(data);
  const invalid = result.success ? [] : result.error.issues.flatMap((issue) => flawsOf(issue, data, written));
  const flaws = onePerPlace([...invisibleFlaws(data), ...invalid]);
  const nearest = result.success ? result.data : nearestValid(data, flaws, written);
  const spec = nearest && normalize(nearest, places);
  const findings = nearest && spec ? findingsBeside(flaws, nearest, spec, places, options) : [];
  const problems = [...withoutEchoes(flaws), ...findings]
    .map((flaw) => problemOf(flaw, source, file))
    .sort((a, b) => a.line - b.line || a.column - b.column);
  return problems.length === 0 && spec ? { spec, problems } : { problems };
}

/**
 * Reads a spec from a file.
 *
 * @param name how messages name the file
 * @throws PerijoveError SPEC_NOT_FOUND, SPEC_YAML if the file cannot be YAML; SpecError (SPEC_INVALID) with
 *   all problems
 */
export async function loadSpec(file: string, name = file, options: LoadOptions = {}): Promise<ClusterSpec> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown reason'})`;
    throw new PerijoveError('SPEC_NOT_FOUND', `${name} ${why}`, { file: name, cause });
  }
  const read = specText(bytes);
  if ('flaw' in read) {
    throw new PerijoveError('SPEC_YAML', `${name} ${read.flaw}`, {
      file: name,
      ...(read.line !== undefined && { line: read.line, column: 1 }),
      remedy: read.remedy ?? 'Name a cluster.yaml with --file, or write one with `perijove init`.',
    });
  }
  const { spec, problems } = parseSpec(read.text, file, undefined, options);
  if (spec) return spec;
  throw new SpecError(
    problems.map((problem) => ({ ...problem, file: name })),
    name,
  );
}
