/** Mesos' duration units, in milliseconds; Mesos prints the short names. */
const units: readonly (readonly [name: string, ms: number])[] = [
  ['weeks', 604_800_000],
  ['days', 86_400_000],
  ['hrs', 3_600_000],
  ['mins', 60_000],
  ['secs', 1_000],
  ['ms', 1],
  ['us', 1e-3],
  ['ns', 1e-6],
];

/** Parses `10secs`, `250ms`, `1.5mins`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)([a-z]+)$/.exec(text);
  const unit = units.find(([name]) => name === match?.[2]);
  return match?.[1] === undefined || unit === undefined ? undefined : Number(match[1]) * unit[1];
}
