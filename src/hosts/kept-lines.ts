/**
 * Parses a line of a log: `2026-11-22_09:10:03.05991 text` (svlogd, UTC),
 * `2026-11-22T09:10:03+0000 host unit[77]: text` (journald). `at` is NaN if the line has no timestamp.
 */
export function timed(line: string): { readonly at: number; readonly text: string } {
  const match =
    /^(\d{4}-\d\d-\d\d)[_T](\d\d:\d\d:\d\d)(\.\d{1,3})?\d*(?:([+-]\d\d):?(\d\d))? (?:\S+ \S+\[\d+\]: )?(.*)$/.exec(
      line,
    );
  if (!match) return { at: NaN, text: line };
  const [, day = '', clock = '', fraction = '', hours, minutes = '', text = ''] = match;
  const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`;
  return { at: Date.parse(`${day}T${clock}${fraction}${zone}`), text: text.trim() };
}
