import { formatDuration } from '../cluster/units.js';
import type { Evidence } from './evidence.js';

/** A time after the fault, as `+0.52 s` or `-1.00 s`. */
export function offset(ms: number): string {
  return `${ms < 0 ? '-' : '+'}${(Math.abs(ms) / 1000).toFixed(2)} s`;
}

/** One line: what was done, and the result. */
export function headline({ number, drill, target, verdict, measures, budgetMs }: Evidence): string {
  const took =
    measures.recoveredMs === null ? 'not recovered' : `recovered in ${formatDuration(measures.recoveredMs)}`;
  const result = verdict.passed ? 'passed' : 'FAILED';
  return `drill ${number}: ${drill} of ${target}: ${result}; ${took}, budget ${formatDuration(budgetMs)}`;
}

/** The evidence as text: the verdict, a table of hosts, the timeline, the invariants. */
export function evidenceText(evidence: Evidence): string {
  const { measures, events, invariants, verdict, startedAt, standby, lanes, seed } = evidence;
  const lines = [headline(evidence), ...verdict.reasons.map((reason) => `  ! ${reason}`), ''];
  lines.push(`begun ${startedAt}, standby ${standby}${seed === undefined ? '' : `, seed ${seed}`}`, '');
  const rows = [
    ['through', 'back after', 'longest dark', 'failed requests', 'websocket'],
    ...measures.hosts.map(({ host, backMs, longestMs, failedRequests, cut }) => [
      host,
      backMs === null ? 'never' : formatDuration(backMs),
      formatDuration(longestMs),
      String(failedRequests),
      cut ? 'cut' : 'kept',
    ]),
  ];
  lines.push(...aligned(rows), '', 'after the fault');
  const backs = measures.hosts.flatMap(({ host, backMs }) =>
    backMs === null || backMs === 0 ? [] : [{ at: backMs, what: `${host} responds again` }],
  );
  const gaps = lanes
    .slice(0, 1)
    .flatMap(({ http }) =>
      http
        .filter(({ state }) => state === 'gap')
        .map(({ from, to }) => ({ at: from, what: `not probed for ${formatDuration(to - from)}` })),
    );
  const timeline = [...events, ...backs, ...gaps].toSorted((a, b) => a.at - b.at);
  lines.push(...aligned(timeline.map(({ at, what }) => [offset(at).padStart(10), what])), '');
  lines.push('invariants');
  lines.push(...aligned(invariants.map(({ name, holds, what }) => [judgement(holds), name, what])));
  return `${lines.join('\n')}\n`;
}

function judgement(holds: boolean | null): string {
  if (holds === null) return 'not known';
  return holds ? 'ok' : 'BROKEN';
}

/** Aligns columns two spaces apart, without trailing spaces. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
