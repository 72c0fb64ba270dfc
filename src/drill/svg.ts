import { formatDuration } from '../cluster/units.js';
import type { Evidence, Span } from './evidence.js';
import { headline, offset } from './text.js';

const width = 960;
const margin = { left: 92, right: 24 };
const plotWidth = width - margin.left - margin.right;
const titleHeight = 74;
const laneHeight = 44;
const rowHeight = 18;
/** Width of a label's letters; enough for any letter. */
const letterWidth = 6.7;

interface Marker {
  readonly at: number;
  readonly label: string;
  readonly kind: 'fault' | 'good' | 'bad' | 'plain';
}

/** Events worth marking, in order of time; the rest is in the text. */
function markersOf({ events, measures, lanes }: Evidence): Marker[] {
  const kinds: Readonly<Record<string, Marker['kind']>> = {
    fault: 'fault',
    'no-leader': 'bad',
    silent: 'bad',
    leader: 'good',
    serving: 'good',
    zookeeper: 'good',
    'mesos-leader': 'good',
    'mesos-no-leader': 'bad',
    master: 'good',
    'master-silent': 'bad',
    agent: 'good',
    'agent-lost': 'bad',
    worker: 'good',
    healed: 'plain',
    whole: 'good',
  };
  const start = Math.min(0, ...events.filter(({ kind }) => kind === 'fault').map(({ at }) => at));
  const marked = events
    .filter(({ kind, at }) => kind in kinds && at >= start)
    .map(({ at, kind, what }): Marker => ({ at, label: short(what), kind: kinds[kind] ?? 'plain' }));
  const back = measures.hosts
    .filter(({ host, backMs }) => backMs !== null && backMs > 0 && lanes.some((lane) => lane.host === host))
    .map(({ host, backMs }): Marker => ({ at: backMs ?? 0, label: `${host} responds again`, kind: 'good' }));
  return [...marked, ...back].toSorted((a, b) => a.at - b.at).slice(0, 24);
}

const longestLabel = 48;
function short(text: string): string {
  return text.length > longestLabel ? `${text.slice(0, longestLabel - 1)}…` : text;
}

/**
 * The evidence as a picture: one lane per host, green where it answered and red where it did not, with its
 * websocket below, and the events as labelled lines. Readable on light and dark pages.
 */
export function evidenceSvg(evidence: Evidence): string {
  const { lanes, verdict, drill } = evidence;
  const spans = lanes.flatMap(({ http }) => http);
  const from = Math.min(-1_000, ...spans.map((span) => span.from));
  const to = Math.max(1_000, ...spans.map((span) => span.to), ...evidence.events.map(({ at }) => at));
  const scale = timeScale(from, to, evidence);
  const markers = markersOf(evidence);
  const labels = placed(markers, scale);
  const lanesTop = titleHeight + Math.max(0, ...labels.map(({ row }) => row + 1)) * rowHeight + 10;
  const lanesBottom = lanesTop + lanes.length * laneHeight;
  const height = lanesBottom + 58;

  const body = [
    `<text class="title" x="16" y="26">${escape(headline(evidence))}</text>`,
    `<text class="${verdict.passed ? 'dim' : 'bad-text'}" x="16" y="46">${escape(cutTo(verdict.reasons.join('; ') || 'within the budget, and all invariants hold', 128))}</text>`,
    ...lanes.flatMap(({ host, http, websocket }, index) => {
      const top = lanesTop + index * laneHeight;
      return [
        `<text class="host" x="${margin.left - 10}" y="${top + 17}" text-anchor="end">${escape(host)}</text>`,
        ...bars(http, scale, top + 4, 18),
        `<text class="small" x="${margin.left - 10}" y="${top + 33}" text-anchor="end">websocket</text>`,
        ...bars(websocket, scale, top + 26, 7),
      ];
    }),
    ...labels.map(({ marker, row }) => {
      const x = scale(marker.at).toFixed(1);
      const top = titleHeight + row * rowHeight - 10;
      return `<line class="${marker.kind}" x1="${x}" y1="${top}" x2="${x}" y2="${lanesBottom}"/>`;
    }),
    // Drawn over the lines, to hide those that continue below.
    ...labels.map(({ marker, left, wide, row, anchor }) => {
      const y = titleHeight + row * rowHeight;
      const x = anchor === 'start' ? left : left + wide;
      const box = `x="${(left - 2).toFixed(1)}" y="${y - 11}" width="${(wide + 4).toFixed(1)}" height="15"`;
      return `<rect class="page" ${box}/><text class="label" x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}">${escape(textOf(marker))}</text>`;
    }),
    ...ticks(from, to, evidence).map((at) => {
      const x = scale(at).toFixed(1);
      return (
        `<line class="tick" x1="${x}" y1="${lanesBottom}" x2="${x}" y2="${lanesBottom + 5}"/>` +
        `<text class="small" x="${x}" y="${lanesBottom + 19}" text-anchor="middle">${tickText(at)}</text>`
      );
    }),
    legend(lanesBottom + 44),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(`Timeline of the drill ${drill}`)}">
<style>
svg { --ink: #1f2328; --dim: #59636e; --page: #ffffff; --ok: #2da44e; --bad: #cf222e; --gap: #afb8c1; --fault: #8250df; }
@media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --dim: #9198a1; --page: #0d1117; --ok: #3fb950; --bad: #f85149; --gap: #484f58; --fault: #bc8cff; } }
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; } .host { font-weight: 600; }
.small { font-size: 11px; fill: var(--dim); } .dim { fill: var(--dim); } .bad-text { fill: var(--bad); }
.page { fill: var(--page); } .span-ok { fill: var(--ok); } .span-failed { fill: var(--bad); } .span-gap { fill: var(--gap); }
line { stroke-width: 1; stroke: var(--dim); } .fault { stroke: var(--fault); stroke-width: 2; } .good { stroke: var(--ok); } .bad { stroke: var(--bad); } .plain { stroke: var(--dim); stroke-dasharray: 3 2; }
.label { font-size: 11px; }
</style>
<rect class="page" width="${width}" height="${height}"/>
${body.join('\n')}
</svg>
`;
}

function textOf({ at, label }: Marker): string {
  return `${offset(at)} ${label}`;
}

/** Maps a time into the plot. The time around the fault takes half of it, however long the rest lasts. */
function timeScale(from: number, to: number, { measures }: Evidence): (at: number) => number {
  const bend = bendOf(from, to, measures.recoveredMs);
  if (bend === undefined) return (at) => margin.left + ((at - from) / (to - from)) * plotWidth;
  const half = plotWidth * 0.6;
  return (at) =>
    margin.left +
    (at <= bend
      ? ((at - from) / (bend - from)) * half
      : half + ((at - bend) / (to - bend)) * (plotWidth - half));
}

/** Where the scale changes: after the recovery, when the rest is much longer. */
function bendOf(from: number, to: number, recoveredMs: number | null): number | undefined {
  const end = Math.max(2_000, (recoveredMs ?? to) * 1.25);
  return to - end > (end - from) * 0.8 ? end : undefined;
}

function ticks(from: number, to: number, { measures }: Evidence): number[] {
  const bend = bendOf(from, to, measures.recoveredMs);
  const within = (start: number, end: number, most: number): number[] => {
    const step = [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000].find(
      (each) => (end - start) / each <= most,
    );
    if (step === undefined) return [start, end];
    const first = Math.ceil(start / step) * step;
    return Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, index) => first + index * step);
  };
  if (bend === undefined) return within(from, to, 11);
  const early = within(from, bend, 7);
  const room = (to - bend) * 0.12;
  return [...early, ...within(bend, to, 4).filter((at) => at > (early.at(-1) ?? bend) && at - bend > room)];
}

function tickText(at: number): string {
  return at === 0 ? '0' : `${at < 0 ? '−' : ''}${formatDuration(Math.abs(at))}`;
}

function bars(spans: readonly Span[], scale: (at: number) => number, y: number, height: number): string[] {
  return spans.map(({ from, to, state, why, probes }) => {
    const x = scale(from);
    // Keep short failures visible.
    const wide = Math.max(state === 'failed' ? 1.5 : 0.2, scale(to) - x);
    const said = state === 'gap' ? 'not probed' : `${probes} probes ${why ?? state}`;
    return `<rect class="span-${state}" x="${x.toFixed(1)}" y="${y}" width="${wide.toFixed(1)}" height="${height}"><title>${escape(`${offset(from)} to ${offset(to)}: ${said}`)}</title></rect>`;
  });
}

interface Label {
  readonly marker: Marker;
  readonly left: number;
  readonly wide: number;
  readonly row: number;
  readonly anchor: 'start' | 'end';
}

/** Each label right of its line, or left where there is no room, without overlaps in a row. */
function placed(markers: readonly Marker[], scale: (at: number) => number): Label[] {
  const ends: number[] = [];
  return markers.map((marker): Label => {
    const line = scale(marker.at);
    const wide = textOf(marker).length * letterWidth;
    const isLeft = line + 5 + wide > width - 8;
    const left = isLeft ? line - 5 - wide : line + 5;
    const free = ends.findIndex((end) => end + 12 < left);
    const row = free === -1 ? ends.length : free;
    ends[row] = left + wide;
    return { marker, left, wide, row, anchor: isLeft ? 'end' : 'start' };
  });
}

function legend(y: number): string {
  const item = (x: number, name: string, text: string) =>
    `<rect class="span-${name}" x="${x}" y="${y - 9}" width="14" height="9"/><text class="small" x="${x + 20}" y="${y}">${text}</text>`;
  return [
    item(margin.left, 'ok', 'answered'),
    item(margin.left + 110, 'failed', 'did not'),
    item(margin.left + 210, 'gap', 'not probed'),
    `<text class="small" x="${width - margin.right}" y="${y}" text-anchor="end">time after the fault</text>`,
  ].join('');
}

function cutTo(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
