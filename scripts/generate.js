// Writes files derived from the source: the JSON Schema of cluster.yaml; in docs/reference the command line,
// the errors, and the tables of the spec, the drills, the changes on a host, the metrics and the parts; and the manual
// page. With --check it writes nothing, and fails if a file differs.
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as prettier from 'prettier';
import { npmTable, pythonTable } from './parts.js';
import { load, root } from './source.js';

const source = await load([
  'cli/man',
  'cli/parser',
  'cli/verbs',
  'cluster/schema',
  'cluster/shape',
  'drill/faults/index',
  'errors/codes',
  'errors/error',
  'hosts/footprint',
  'lab/pins',
  'status/metrics',
]);
const { z } = source;

function schemaFile() {
  const schema = z.toJSONSchema(source.clusterFile, {
    io: 'input',
    override: ({ jsonSchema }) => {
      delete jsonSchema.kind;
      delete jsonSchema.otherwise;
    },
  });
  return JSON.stringify({ ...schema, title: 'Perijove cluster' });
}

function errorsFile() {
  const { errorCodes, exitCodes, exitMeanings } = source;
  const exitRows = Object.entries(exitMeanings)
    .map(([name, meaning]) => `| ${exitCodes[name]} | ${meaning} |`)
    .join('\n');
  const tried = ({ retryable }) => (retryable ? 'Workers retry automatically.' : 'Workers do not retry.');
  const sections = Object.entries(errorCodes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([code, facts]) =>
        `### ${code}\n\n${facts.meaning} _Remedy:_ ${facts.remedy} ${tried(facts)} Exit code ${exitCodes[facts.exit]}.`,
    );
  return `# Errors

<!-- Generated from src/errors/codes.ts by \`npm run generate\`. -->

Every error has a code that does not change between releases. The command line prints it with what failed, where it failed and what to do. With \`--json\` it is \`error.code\`. In Temporal it is the \`type\` of the failure.

## Exit codes

| code | meaning |
| --- | --- |
${exitRows}

## Codes

${sections.join('\n\n')}
`;
}

/** A key's default as in the file, what applies without it, or that it is required. */
function defaultOf(schema) {
  const { otherwise } = z.globalRegistry.get(source.core(schema)) ?? {};
  if (otherwise !== undefined) return otherwise;
  for (let inner = schema; inner?.def?.innerType !== undefined; inner = inner.def.innerType) {
    if (inner instanceof z.ZodDefault) {
      const value = inner.def.defaultValue;
      return Array.isArray(value) ? 'all' : `\`${typeof value === 'object' ? flow(value) : value}\``;
    }
  }
  return schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault ? '' : '**required**';
}

function flow(value) {
  const entries = Object.entries(value).map(([key, entry]) => `${key}: ${entry}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

function kindOf(schema) {
  const inner = source.core(schema);
  const { kind } = z.globalRegistry.get(inner) ?? {};
  if (kind !== undefined) return kind;
  if (inner instanceof z.ZodArray) return 'list';
  if (inner instanceof z.ZodNumber) return 'number';
  return 'keys';
}

function example(schema) {
  const [value] = z.globalRegistry.get(source.core(schema))?.examples ?? [];
  if (value === undefined || typeof value === 'boolean' || Array.isArray(value)) return '';
  return ` Example: \`${typeof value === 'object' ? flow(value) : value}\`.`;
}

/** One table: the keys of the section at `place`, such as `hosts[].ports`. */
function keyTable(place) {
  const steps = place === '' ? [] : place.replaceAll('[]', '.0').split('.');
  const schema = source.schemaAt(
    source.clusterFile,
    steps.map((step) => (step === '0' ? 0 : step)),
  );
  if (!schema)
    throw new Error(`docs/reference/spec.md asks for the keys of ${place}, which the schema does not have`);
  const rows = Object.entries(source.objectOf(schema).shape).map(([key, value]) => {
    const { description = '' } = z.globalRegistry.get(source.core(value)) ?? {};
    const cells = [`\`${key}\``, kindOf(value), defaultOf(value), `${description}${example(value)}`];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| key | type | default | description |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** docs/reference/spec.md with each `<!-- keys PLACE -->` … `<!-- end -->` filled. */
function specFile(text) {
  return text.replaceAll(
    /<!-- keys of (.*?) -->[^]*?<!-- end -->/g,
    (_match, place) =>
      `<!-- keys of ${place} -->\n\n${keyTable(place === 'the file' ? '' : place)}\n\n<!-- end -->`,
  );
}

/** `text` with the table between `<!-- mark … -->` and `<!-- end -->`. */
function withTable(text, mark, table) {
  const place = new RegExp(`<!-- ${mark} -->[^]*?<!-- end -->`);
  if (!place.test(text)) throw new Error(`<!-- ${mark} --> … <!-- end --> is missing`);
  return text.replace(place, () => `<!-- ${mark} -->\n\n${table}\n\n<!-- end -->`);
}

/** What `up` changes on a host. */
function footprintTable() {
  const rows = source.footprint.map(
    ({ what, until }) => `| ${what} | ${until === 'purge' ? 'removed' : 'stays'} |`,
  );
  return ['| what | after `down --purge` |', '| --- | --- |', ...rows].join('\n');
}

/** What `statusMetrics` writes. */
function statusMetricTable() {
  const rows = source.statusMetricCatalogue.map(({ name, type, labels, help }) => {
    const cells = [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** docs/reference/parts.md with its tables. */
function partsFile(text) {
  const { jupyterPin, temporalPin } = source;
  const tables = {
    'packages of package-lock.json': npmTable(),
    [`packages of ${jupyterPin.file}`]: pythonTable(jupyterPin.file),
    [`packages of ${temporalPin.file}`]: pythonTable(temporalPin.file),
  };
  return Object.entries(tables).reduce((filled, [mark, rows]) => withTable(filled, mark, rows), text);
}

/** Every command with its help, as on a terminal of 80 columns. */
async function commandSections() {
  const help = async (...words) => {
    let text = '';
    const write = (part) => (text += part);
    const plain = { bold: String };
    await source.parse([...words, '--help'], source.verbs, '', {
      colors: plain,
      columns: 80,
      isTTY: false,
      write,
    });
    return `\`\`\`text\n${text.trim()}\n\`\`\``;
  };
  const sections = [`## perijove\n\n${await help()}`];
  for (const { name, load } of source.verbs) {
    sections.push(`## perijove ${name}\n\n${await help(name)}`);
    for (const command of (await load()).commands ?? []) {
      sections.push(`### perijove ${name} ${command.name}\n\n${await help(name, command.name)}`);
    }
  }
  return sections.join('\n\n');
}

const waits = {
  session: ' + `mesos.sessionTimeout`',
  'agent-patience': ' + (`mesos.maxAgentPingTimeouts` + 1) × `mesos.agentPingTimeout`',
  storage: ' + 2 × `pingTimeout` on GlusterFS',
};
const whereFails = { all: 'any host', target: 'the target host', none: 'no host' };
const where = {
  ssh: 'every cluster',
  lab: 'a lab',
  'lab or network': 'a lab, hosts with a network between them',
  network: 'hosts with a network between them',
  gluster: 'a GlusterFS volume',
  warm: '`standby: warm`',
};

/** All drills with their budgets. */
function drillTable() {
  const rows = source.catalogue.map(({ name, what, budgetMs, beginsAfter, mayFail, needs }) => {
    const budget = (ms) => `${ms / 1_000} s${beginsAfter === undefined ? '' : waits[beginsAfter]}`;
    const cells = [
      `\`${name}\``,
      what,
      budget(budgetMs.warm),
      budget(budgetMs.cold),
      whereFails[mayFail],
      where[needs],
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const heads = [
    'drill',
    'fault',
    'budget, warm',
    'budget, cold',
    'requests may fail through',
    'available on',
  ];
  return [`| ${heads.join(' | ')} |`, `|${' --- |'.repeat(heads.length)}`, ...rows].join('\n');
}

const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
const definitions = await Promise.all(source.verbs.map(({ load }) => load()));
const document = (name) => readFile(path.join(root, 'docs/reference', name), 'utf8');
const files = {
  'schema/cluster.schema.json': schemaFile(),
  'docs/reference/cli.md': withTable(
    await document('cli.md'),
    'help of src/cli/verbs',
    await commandSections(),
  ),
  'docs/reference/drills.md': withTable(
    await document('drills.md'),
    'drills of src/drill/faults',
    drillTable(),
  ),
  'docs/reference/errors.md': errorsFile(),
  'docs/reference/host-changes.md': withTable(
    await document('host-changes.md'),
    'footprint of src/hosts/footprint.ts',
    footprintTable(),
  ),
  'docs/reference/metrics.md': withTable(
    await document('metrics.md'),
    'metrics of src/status/metrics.ts',
    statusMetricTable(),
  ),
  'docs/reference/parts.md': partsFile(await document('parts.md')),
  'docs/reference/spec.md': specFile(await document('spec.md')),
  'man/perijove.1': source.manPage(definitions, { version, description: source.programDescription }),
};

/** Formatted by prettier; unsupported files stay unchanged. */
async function format(file, text) {
  const { inferredParser } = await prettier.getFileInfo(file);
  if (inferredParser === null) return text;
  return prettier.format(text, { ...(await prettier.resolveConfig(file)), filepath: file });
}

const stale = [];
for (const [name, text] of Object.entries(files)) {
  const file = path.join(root, name);
  const formatted = await format(file, text);
  const present = await readFile(file, 'utf8').catch(() => undefined);
  if (present === formatted) continue;
  stale.push(name);
  if (!process.argv.includes('--check')) await writeFile(file, formatted);
}
if (process.argv.includes('--check')) {
  for (const name of stale) console.error(`${name} is not what the source says; run \`npm run generate\``);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  console.log(stale.length === 0 ? 'Nothing changed.' : `Wrote ${stale.join(', ')}.`);
}
