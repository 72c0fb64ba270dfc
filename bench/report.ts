/** Results of a benchmark: a table on stdout, and JSON and a picture in bench/results/. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import path from 'node:path';

export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? NaN;
  return {
    count: sorted.length,
    min: at(0),
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    max: at(sorted.length - 1),
  };
}

/** The machine it ran on: a figure without it means nothing. */
export function machine() {
  const processors = cpus();
  return {
    processors: processors.length,
    model: processors[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.version,
    at: new Date().toISOString(),
  };
}

export function writeResult(name: string, result: object): void {
  const file = path.join('bench', 'results', `${name}.json`);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ machine: machine(), ...result }, null, 2)}\n`);
  console.log(`Written to ${file}.`);
}

/** Columns as wide as their widest cell, the first one left-aligned, the others right-aligned. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('  ').trimEnd());
  }
}

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(2)} s`;

const barHeight = 26;
const labelWidth = 190;
const barsWidth = 520;

/** One bar per row: its median, with a line from minimum to maximum. Readable in light and dark mode. */
export function writeBars(
  file: string,
  title: string,
  rows: readonly { readonly label: string; readonly value: Summary }[],
): void {
  const longest = Math.max(...rows.map(({ value }) => value.max));
  const x = (ms: number) => labelWidth + (ms / longest) * barsWidth;
  const height = 44 + rows.length * (barHeight + 10);
  const bars = rows.map(({ label, value }, index) => {
    const y = 40 + index * (barHeight + 10);
    const middle = y + barHeight / 2;
    return `<text x="${labelWidth - 10}" y="${middle + 5}" text-anchor="end">${label}</text>
<rect x="${labelWidth}" y="${y}" width="${(x(value.median) - labelWidth).toFixed(1)}" height="${barHeight}" rx="3" class="bar"/>
<path d="M${x(value.min).toFixed(1)} ${middle}H${x(value.max).toFixed(1)}" class="range"/>
<text x="${(x(value.max) + 10).toFixed(1)}" y="${middle + 5}">${seconds(value.median)}</text>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${labelWidth + barsWidth + 90} ${height}" role="img" aria-label="${title}">
<style>
text { font: 15px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 }
.bar { fill: #4f7cac } .range { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .range { stroke: #e6edf3 } .bar { fill: #6c9bd1 } }
</style>
<text x="10" y="22" class="title">${title}</text>
${bars.join('\n')}
</svg>
`;
  writeFileSync(file, svg);
  console.log(`Drawn in ${file}.`);
}
