import { termText } from '../etcd/term.js';
import { phaseOf } from '../keeper/decide.js';
import type { KeeperState } from '../keeper/state.js';

const incidentsInMemo = 5;

/** What can be read while no worker runs: the state without events, and the newest incidents. */
export function compact(state: KeeperState): KeeperState {
  return { ...state, incidents: state.incidents.slice(0, incidentsInMemo), events: [] };
}

const phases = {
  waiting: 'Waiting for an etcd leader',
  serving: 'Serving',
  degraded: 'Degraded',
  'no-leader': 'etcd has no leader; Jupyter and routes stay unchanged',
  paused: 'Paused: automatic moves and repairs are suspended',
} as const;

/** The state as Markdown, for Temporal's Web UI. */
export function details(cluster: string, state: KeeperState, doing: string): string {
  const { generation, verdict, jupyter, routes, drifts, incidents, lostSince } = state;
  const since = lostSince === undefined ? '' : ` (since ${lostSince})`;
  const lines = [
    `**Keeper of ${cluster}**: ${phases[phaseOf(state)]}${since}.`,
    `Now: ${doing}.`,
    '',
    `- etcd: ${verdict ? `${verdict.leader} leads at term ${termText(verdict.term)}; ${verdict.live.join(', ')} respond` : 'no leader known yet'}`,
    `- Jupyter: ${jupyter ?? 'not responding'}, generation ${generation}`,
    ...Object.entries(routes).map(
      ([host, route]) => `- ${host}: ${route.target} (generation ${route.generation})`,
    ),
    ...drifts.map(({ what }) => `- **${what}**`),
  ];
  if (incidents.length > 0) {
    lines.push('', '| when | what | ms |', '| --- | --- | --- |');
    lines.push(
      ...incidents.map(({ at, what, tookMs }) => `| ${at} | ${what.replaceAll('|', '\\|')} | ${tookMs} |`),
    );
  }
  return lines.join('\n');
}
