import { stripVTControlCharacters } from 'node:util';

/** How many columns of a terminal a text takes, for texts of Latin letters and colours. */
function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Rows with aligned columns, two spaces apart, without spaces at the ends of lines. */
export function table(rows: readonly (readonly string[])[], indent = ''): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(0, ...rows.map((row) => width(row[column] ?? ''))),
  );
  return rows.map((row) => {
    const cells = row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)));
    return `${indent}${cells.join('  ')}`.replace(/ +((?:\u001b\[\d+m)*)$/, '$1');
  });
}

/** Wraps a text without colours at word boundaries; a word longer than a line is not broken. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= columns) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** A line cut to a width, for lines that are redrawn: a wrapped one would break the drawing. */
export function cut(line: string, columns: number): string {
  if (width(line) <= columns) return line;
  let seen = 0;
  let text = '';
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    const isColor = part.startsWith('\u001b[');
    text += isColor ? part : part.slice(0, Math.max(0, columns - 1 - seen));
    if (!isColor) seen += part.length;
  }
  return `${text}…`;
}
