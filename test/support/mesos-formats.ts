/** How a value of Mesos' JSON is written, where its characters have a meaning; undefined where they have none. */
export function formatOf(value: unknown): string | undefined {
  if (typeof value === 'number') return timeFormat(value);
  if (typeof value !== 'string') return undefined;
  const [, first = '', suffix = ''] = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(.*)$/.exec(value) ?? [];
  if (first !== '') return `${versionOf(first)}${suffix.replace(/\d/g, '0').replace(/0+$/, digitsOf)}`;
  if (/^[\w+/]{22}==$/.test(value)) return `${versionOf(textOf(value))} in base64`;
  if (/^\d+(?:\.\d+)?(?:ns|us|ms|secs|mins|hrs|days|weeks)$/.test(value)) return 'duration';
  if (/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/.test(value)) return 'enum';
  if (/^[\w()-]+@[\d.]+:\d+$/.test(value)) return 'pid';
  return undefined;
}

/** Of frameworks, the number has four digits at least; of agents and offers, one. */
const digitsOf = (digits: string) => (digits.length >= 4 ? '0000' : '0');

function textOf(base64: string): string {
  const digits = Buffer.from(base64, 'base64').toString('hex');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** RFC 4122: the version is in the seventh byte, the variant in the ninth. */
function versionOf(uuid: string): string {
  return `UUID of version ${uuid[14] ?? ''}${/^[89ab]$/.test(uuid[19] ?? '') ? '' : ' of an unknown variant'}`;
}

/** Times since 1970, by their size: the unit. */
function timeFormat(value: number): string | undefined {
  const units = { seconds: 1e9, milliseconds: 1e12, microseconds: 1e15, nanoseconds: 1e18 };
  const [unit] = Object.entries(units).find(([, least]) => value >= least && value < least * 10) ?? [];
  return unit === undefined ? undefined : `time in ${unit}`;
}
