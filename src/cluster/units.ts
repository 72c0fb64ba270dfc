/** Format of durations in a spec: `500ms`, `2s`, `1.5h`, `7d`, `1w`. */
export const durationPattern = /^\d+(\.\d+)?(ms|s|m|h|d|w)$/;

/** Format of sizes in a spec: `512MiB`, `1.5GiB`; decimal units (`512MB`) are powers of ten. */
export const sizePattern = /^\d+(\.\d+)?(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)$/;

const millisecondsPer: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const bytesPer: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

function quantity(text: string, units: Readonly<Record<string, number>>): number {
  const number = Number.parseFloat(text);
  const unit = units[text.replace(/^[\d.]+/, '')];
  if (Number.isNaN(number) || unit === undefined) throw new RangeError(`'${text}' has no known unit`);
  return Math.round(number * unit);
}

/**
 * Whole milliseconds of a duration that matches `durationPattern`.
 * @throws RangeError for anything else.
 */
export function durationMs(text: string): number {
  return quantity(text, millisecondsPer);
}

/**
 * Whole bytes of a size that matches `sizePattern`.
 * @throws RangeError for anything else.
 */
export function sizeBytes(text: string): number {
  return quantity(text, bytesPer);
}

/** A human-readable duration: `40ms`, `2.5s`, `3m 20s`, `2h 5m`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1).replace(/\.0$/, '')}s`;
  const seconds = Math.round(ms / 1000);
  const [large, small] =
    seconds < 3600
      ? [`${Math.floor(seconds / 60)}m`, `${seconds % 60}s`]
      : [`${Math.floor(seconds / 3600)}h`, `${Math.floor((seconds % 3600) / 60)}m`];
  return small.startsWith('0') ? large : `${large} ${small}`;
}
