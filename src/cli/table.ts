/** Terminal text: tables, paragraphs and lines of a given width. Pure. */
import { stripVTControlCharacters } from 'node:util';
import wrapAnsi from 'wrap-ansi';

/** Terminal columns of a text of Latin letters and colours. */
function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

const gap = '  ';

/**
 * Rows with aligned columns, two spaces apart, without trailing spaces. If wider than `columns`, the widest
 * cells are wrapped; words are never broken, so that paths and addresses can be copied.
 */
export function table(rows: readonly (readonly string[])[], columns = Infinity): string[] {
  const natural = columnWidths(rows, width);
  const widths = narrowed(natural, columnWidths(rows, longestWord), columns);
  return rows.flatMap((row) => {
    const cells = widths.map((each, column) => {
      const cell = row[column] ?? '';
      return each < (natural[column] ?? 0) ? wrapped(cell, each) : [cell];
    });
    const height = Math.max(1, ...cells.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      cells
        .map((lines, column) => {
          const text = lines[line] ?? '';
          return text + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text)));
        })
        .join(gap)
        .replace(/ +((?:\u001b\[\d+m)*)$/, '$1'),
    );
  });
}

function columnWidths(rows: readonly (readonly string[])[], of: (cell: string) => number): number[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: count }, (_, column) =>
    Math.max(0, ...rows.map((row) => of(row[column] ?? ''))),
  );
}

function longestWord(cell: string): number {
  return Math.max(...cell.split(' ').map(width));
}

/** Shrinks the widest column repeatedly until the row fits or no column can shrink. */
function narrowed(natural: readonly number[], least: readonly number[], columns: number): number[] {
  const widths = [...natural];
  const total = () => widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1);
  while (total() > columns) {
    const giving = widths.map((each, column) => (each > (least[column] ?? 0) ? each : 0));
    const widest = giving.indexOf(Math.max(...giving));
    if ((giving[widest] ?? 0) === 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/** The lines of a text wrapped between words, colours included; longer words stay whole. */
export function wrapped(text: string, columns: number): string[] {
  if (!Number.isFinite(columns)) return text.split('\n');
  return wrapAnsi(text, Math.max(1, columns)).split('\n');
}

/** A text after a lead, such as a mark; all its lines start in the same column. */
export function hanging(lead: string, text: string, columns: number): string[] {
  const [first = '', ...more] = wrapped(text, columns - width(lead));
  return [`${lead}${first}`, ...more.map((line) => `${' '.repeat(width(lead))}${line}`)];
}

/** Command lines, never wrapped, each with its description beside it, or below on narrow terminals. */
export function commandTable(
  rows: readonly (readonly [command: string, what: string])[],
  columns: number,
): string[] {
  const lines = table(rows).map((line) => `  ${line}`);
  if (lines.every((line) => width(line) <= columns)) return lines;
  return rows.flatMap(([command, what]) => [`  ${command}`, ...hanging('      ', what, columns)]);
}

/** Wraps long lines; continuation lines are indented by two more columns. */
export function fold(text: string, columns: number): string {
  return text
    .split('\n')
    .flatMap((line) => {
      if (width(line) <= columns) return [line];
      const indent = /^ */.exec(line)?.[0] ?? '';
      const room = columns - indent.length - gap.length;
      const [first = '', ...more] = wrapped(line.slice(indent.length), room);
      return [`${indent}${first}`, ...more.map((rest) => `${indent}${gap}${rest}`)];
    })
    .join('\n');
}

/** A line cut to a width, for redrawn lines: a wrapped one would break the redraw. */
export function cut(line: string, columns: number): string {
  if (width(line) <= columns) return line;
  let taken = 0;
  let text = '';
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    const isColor = part.startsWith('\u001b[');
    text += isColor ? part : part.slice(0, Math.max(0, columns - 1 - taken));
    if (!isColor) taken += part.length;
  }
  return `${text}…`;
}
