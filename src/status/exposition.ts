/** Prometheus's text format for metrics. Pure. */

export interface Metric {
  /** With its unit, in Prometheus's base units: `_seconds`, `_timestamp_seconds`. */
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  /** A sentence without its full stop. */
  readonly help: string;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * One family of metrics after the other; a family without a sample is left out. Its content type is
 * `text/plain; version=0.0.4; charset=utf-8`.
 */
export function exposition(
  families: readonly { readonly metric: Metric; readonly samples: readonly Sample[] }[],
) {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(({ metric: { name, type, help }, samples }) =>
      [
        `# HELP ${name} ${escaped(help)}`,
        `# TYPE ${name} ${type}`,
        ...samples.map(({ labels, value }) => `${name}${labelText(labels)} ${valueText(value)}`),
      ]
        .map((line) => `${line}\n`)
        .join(''),
    )
    .join('');
}

function labelText(labels: Sample['labels']): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
