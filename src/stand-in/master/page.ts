import { escapeHtml } from '../../net/html.js';
import { isTerminal } from '../messages.js';
import { toText } from '../resources.js';
import { agentTotal, usedBy, type Cluster, type Task } from './cluster.js';
import { logIsRecovered } from './metrics.js';
import type { MasterProcess } from './process.js';

const style = `
  :root { color-scheme: light dark; --line: #ddd; --note: #fff4d6; --on: #060; --off: #a00; --dim: #666 }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; background: #fff }
  h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
  .note { background: var(--note); border-left: 4px solid #e0a100; padding: .5rem .8rem; margin: 1rem 0 }
  .wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
  td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
  th { color: var(--dim); font-weight: 600; white-space: nowrap } td { white-space: nowrap } td:last-child { white-space: normal }
  .off { color: var(--off) } .on { color: var(--on) } .none { color: var(--dim) }
  @media (prefers-color-scheme: dark) {
    :root { --line: #444; --note: #3a3010; --on: #7c7; --off: #f88; --dim: #aaa }
    body { background: #191919; color: #ddd } a { color: #8bf }
  }
`;

/** The page at `/`: masters, agents, frameworks, tasks. It refreshes automatically. */
export function masterPage(self: MasterProcess): string {
  const { info, leader, master } = self;
  const name = self.flags.optional('cluster') ?? 'Mesos';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(name)} · Mesos stand-in</title><style>${style}</style></head><body>
<h1>${escapeHtml(name)}: master ${escapeHtml(info.pid)}</h1>
<p class="note"><strong>This is Perijove's stand-in for Apache Mesos</strong>, for the lab. It speaks the parts
of Mesos 1.3's API that the lab needs; it is not Mesos.</p>
<p>${stateText(self)} Leading master: ${leader ? `<a href="${addressOf(leader)}">${escapeHtml(leader.pid)}</a>` : 'none'}
 · <a href="/state">state</a> · <a href="/metrics/snapshot">metrics</a> · <a href="/flags">flags</a></p>
<p>Log: ${logText(self)}</p>
${mastersSection(self)}
${master ? leaderSections(master.cluster) : ''}
</body></html>
`;
}

function stateText({ leader, electedAt, master }: MasterProcess): string {
  if (electedAt !== undefined) {
    const reading = master ? '' : ', and is reading its registry';
    return `This master leads since ${moment(electedAt)}${reading}.`;
  }
  return leader ? 'This master follows.' : 'No leader is elected.';
}

/** Explains `registrar/log/recovered`. */
function logText(self: MasterProcess): string {
  return logIsRecovered(self)
    ? '<span class="on">recovered</span> (the stand-in has no replicated log: its registry is in ZooKeeper).'
    : '<span class="off">not recovered</span>: a quorum of masters, or a leader, is missing.';
}

function mastersSection({ contenders, leader, info }: MasterProcess): string {
  const rows = contenders.map(({ sequence, info: each }) => [
    `<a href="${addressOf(each)}">${escapeHtml(each.pid)}</a>${each.id === info.id ? ' (this one)' : ''}`,
    String(sequence),
    each.id === leader?.id ? '<span class="on">leads</span>' : 'follows',
    `<code>${escapeHtml(each.id)}</code>`,
  ]);
  return section('Masters', ['Master', 'ZooKeeper sequence', 'State', 'ID'], rows);
}

function leaderSections(cluster: Cluster): string {
  const agents = [...cluster.agents.values()].map((agent) => [
    agent.id,
    `${agent.info.hostname} (${agent.info.ip}:${agent.info.port})`,
    agent.link ? 'connected' : 'disconnected',
    moment(agent.reregisteredAt ?? agent.registeredAt),
    toText(usedBy(agent.tasks.values()), '') || 'nothing',
    toText(agentTotal(agent), ''),
  ]);
  const gone = [
    ...[...cluster.recoveredAgents.values()].map(({ id, hostname }) => [id, hostname, 'not yet back']),
    ...[...cluster.unreachableAgents].map(([id, { hostname }]) => [id, hostname, 'unreachable']),
  ].map((row) => [...row, '', '', '']);
  const frameworks = [...cluster.frameworks.values()].map((framework) => [
    framework.info.name,
    framework.id,
    framework.stream ? 'connected' : 'disconnected',
    moment(framework.reregisteredAt),
    framework.info.principal ?? '',
    String(framework.tasks.size),
  ]);
  const tasks = [...cluster.frameworks.values()]
    .flatMap((framework) => [...framework.tasks.values()])
    .filter((task) => !isTerminal(task.state))
    .map((task) => [...rowOf(cluster, task), toText(task.resources, '')]);
  return [
    plain('Agents', ['ID', 'Address', 'State', 'Registered', 'In use', 'Resources'], [...agents, ...gone]),
    plain('Frameworks', ['Name', 'ID', 'State', 'Registered', 'Principal', 'Tasks'], frameworks),
    plain('Tasks', ['Name', 'ID', 'State', 'Since', 'Agent', 'Resources'], tasks),
    plain('Tasks that have ended', ['Name', 'ID', 'State', 'Since', 'Agent', 'Why'], endedRows(cluster)),
  ].join('\n');
}

function rowOf(cluster: Cluster, task: Task): string[] {
  const since = task.statuses.at(-1)?.timestamp;
  return [
    task.info.name,
    task.info.task_id.value,
    task.state,
    since === undefined ? '' : moment(since * 1_000),
    cluster.agents.get(task.agentId)?.info.hostname ?? task.agentId,
  ];
}

const endedShown = 20;

/** Newest first. */
function endedRows(cluster: Cluster): string[][] {
  return [...cluster.frameworks.values(), ...cluster.completedFrameworks]
    .flatMap((framework) => [...framework.unreachableTasks.values(), ...framework.completedTasks])
    .toSorted((a, b) => (b.statuses.at(-1)?.timestamp ?? 0) - (a.statuses.at(-1)?.timestamp ?? 0))
    .slice(0, endedShown)
    .map((task) => [...rowOf(cluster, task), task.statuses.at(-1)?.message ?? '']);
}

/** UTC, to the second. */
function moment(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function addressOf({ hostname, port }: { readonly hostname: string; readonly port: number }): string {
  return `http://${escapeHtml(hostname)}:${port}/`;
}

function plain(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => `<span class="${classOf(text)}">${escapeHtml(text)}</span>`;
  return section(
    title,
    heads,
    rows.map((row) => row.map(cell)),
  );
}

/** @param rows of HTML */
function section(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('');
  const head = heads.map((text) => `<th>${escapeHtml(text)}</th>`).join('');
  const table = `<div class="wide"><table><tr>${head}</tr>${body}</table></div>`;
  return `<h2>${title}</h2>${rows.length === 0 ? '<p class="none">None.</p>' : table}`;
}

function classOf(text: string): string {
  if (text === 'connected' || text === 'TASK_RUNNING') return 'on';
  return ['disconnected', 'unreachable', 'TASK_FAILED', 'TASK_LOST', 'TASK_ERROR'].includes(text)
    ? 'off'
    : '';
}
