import { phaseOf } from '../keeper/decide.js';
import type { KeeperState } from '../keeper/state.js';

const incidentsInMemo = 5;

/** What is kept where it can be read while no worker runs: the state without events, and the newest incidents. */
export function compact(state: KeeperState): KeeperState {
  return { ...state, incidents: state.incidents.slice(0, incidentsInMemo), events: [] };
}

const phases = {
  waiting: 'Waiting for etcd to have a leader',
  serving: 'All is as it should be',
  degraded: 'Some things are not as they should be',
  'no-leader': 'etcd has no leader; everything stays as it was',
  paused: 'Paused: nothing is moved or repaired',
} as const;

/** The state as Markdown, for Temporal's Web UI. */
export function details(cluster: string, state: KeeperState, doing: string): string {
  const { generation, verdict, jupyter, routes, drifts, incidents, lostSince } = state;
  const since = lostSince === undefined ? '' : ` (since ${lostSince})`;
  const lines = [
    `**Keeper of ${cluster}**: ${phases[phaseOf(state)]}${since}.`,
    `Now: ${doing}.`,
    '',
    `- etcd: ${verdict ? `${verdict.leader} leads at term ${verdict.term}; ${verdict.live.join(', ')} answer` : 'no leader known yet'}`,
    `- Jupyter: ${jupyter ?? 'not answering'}, generation ${generation}`,
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
