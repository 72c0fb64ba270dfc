/** Many courses over one time, as small panels. Readable on light and dark pages. */
import { writeFileSync } from 'node:fs';

export interface Course {
  readonly what: string;
  readonly unit: string;
  /** Points of time (milliseconds) and value; a line for each process. */
  readonly lines: readonly (readonly (readonly [atMs: number, value: number])[])[];
}

const width = 460;
const plotHeight = 70;
const rowHeight = plotHeight + 40;
const columns = 2;

function panel({ what, unit, lines }: Course, lastsMs: number, index: number): string {
  const left = (index % columns) * width + 20;
  const top = Math.floor(index / columns) * rowHeight + 40;
  const most = Math.max(1, ...lines.flat().map(([, value]) => value));
  const x = (atMs: number) => left + (atMs / lastsMs) * (width - 40);
  const y = (value: number) => top + plotHeight - (value / most) * plotHeight;
  const paths = lines
    .filter((line) => line.length > 1)
    .map((line) => {
      const points = line.map(([atMs, value]) => `${x(atMs).toFixed(1)} ${y(value).toFixed(1)}`);
      return `<path d="M${points.join('L')}"/>`;
    });
  return `<text x="${left}" y="${top - 6}">${what}, ${unit}: up to ${Math.round(most)}</text>
<path class="axis" d="M${left} ${top + plotHeight}H${left + width - 40}"/>
${paths.join('\n')}`;
}

export function writeSoak(file: string, lastsMs: number, courses: readonly Course[]): void {
  const height = Math.ceil(courses.length / columns) * rowHeight + 40;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * width} ${height}" role="img" aria-label="memory, open files and histories over time">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 } path { fill: none; stroke: #4f7cac }
.axis { stroke: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } path { stroke: #6c9bd1 } }
</style>
${courses.map((course, index) => panel(course, lastsMs, index)).join('\n')}
</svg>
`;
  writeFileSync(file, svg);
  console.log(`Drawn in ${file}.`);
}
