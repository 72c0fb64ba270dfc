/** `history` for people. Pure. */
import type { Colors } from 'picocolors/types.js';
import { formatDuration } from '../cluster/units.js';
import type { HistoryEntry, Outcome } from './history-entries.js';
import type { ClusterHistory } from './history-reading.js';
import { count } from './progress-view.js';
import { hanging } from './table.js';

const indent = '    ';

/** Entries with what each changed below, then how much was read. Ends with a newline. */
export function historyText(
  { cluster, entries, retentionMs, keptSince, read }: ClusterHistory,
  colors: Colors,
  columns: number,
): string {
  const lines = entries.flatMap((entry) => entryLines(entry, colors, columns));
  const notes = [
    ...(entries.length === 0 ? [`Temporal keeps no operation on ${cluster}.`] : []),
    retentionMs === null || keptSince === null
      ? 'How long Temporal keeps what has ended is unknown.'
      : `Temporal keeps workflows for ${formatDuration(retentionMs)} after their end: what ended before ${clock(keptSince)} is gone.`,
    `Read ${count(read.events, 'event')} of ${count(read.workflows, 'workflow')}.`,
    ...(read.skippedRuns ? ['Older runs of the keeper or the framework were not read.'] : []),
    ...(read.unreadable > 0
      ? [`${count(read.unreadable, 'payload')} could not be decrypted with the keys of this machine.`]
      : []),
  ];
  return `${[...lines, ...notes.flatMap((note) => hanging('', note, columns)).map(colors.dim)].join('\n')}\n`;
}

function entryLines(entry: HistoryEntry, colors: Colors, columns: number): string[] {
  const { at, kind, who, what, changes, error, workflowId, runId, updateId } = entry;
  const lead = `${colors.dim(clock(at))}  ${colors.bold(kind)}  `;
  const first = `${what}, by ${who ?? 'unknown'}: ${outcomeText(entry, colors)}`;
  const why = error === null ? [] : [`${error.message}${error.code === null ? '' : ` (${error.code})`}`];
  const place = `${workflowId}, ${updateId === null ? '' : `update ${updateId}, `}run ${runId}`;
  return [
    ...hanging(lead, first, columns),
    ...[...why, ...changes].flatMap((line) => hanging(indent, line, columns)),
    ...hanging(indent, place, columns).map(colors.dim),
  ];
}

const paints: Readonly<Record<Outcome, 'green' | 'yellow' | 'red'>> = {
  done: 'green',
  running: 'yellow',
  unknown: 'yellow',
  canceled: 'yellow',
  failed: 'red',
  terminated: 'red',
  timed_out: 'red',
};

function outcomeText({ outcome, tookMs }: HistoryEntry, colors: Colors): string {
  const text = colors[paints[outcome]](outcome.replace('_', ' '));
  return tookMs === null ? text : `${text} after ${formatDuration(tookMs)}`;
}

/** In UTC, to the second: `2026-12-01 03:00:00Z`. */
function clock(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')}Z`;
}
