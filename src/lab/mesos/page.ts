import { toText } from './resources.js';
import { agentTotal, usedBy } from './cluster.js';
import { liveTasks } from './master-views.js';
import type { MasterProcess } from './master-process.js';

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Makes text safe inside HTML, attributes included. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
  h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
  .note { background: #fff4d6; border-left: 4px solid #e0a100; padding: .5rem .8rem; margin: 1rem 0 }
  table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
  code { font-size: .9em } .off { color: #a00 } .on { color: #060 }
  @media (prefers-color-scheme: dark) { body { background: #191919; color: #ddd } .note { background: #3a3010 } td, th { border-color: #444 } a { color: #8bf } }
`;

/** The page at `/`: what leads, which agents there are, what runs. It renews itself. */
export function masterPage(self: MasterProcess): string {
  const { info, leader, master } = self;
  const body = master ? leaderBody(self) : followerBody(self);
  const cluster = self.flags.optional('cluster') ?? 'Mesos';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>${escapeHtml(cluster)} · Mesos stand-in</title><style>${style}</style></head><body>
<h1>${escapeHtml(cluster)}: master ${escapeHtml(info.pid)}</h1>
<p class="note"><strong>This is Perijove's stand-in for Apache Mesos</strong>, for the lab. It speaks the parts
of Mesos 1.3's API that the lab needs; it is not Mesos.</p>
<p>Leading master: ${leader ? `<a href="http://${escapeHtml(leader.hostname)}:${leader.port}/">${escapeHtml(leader.pid)}</a>` : 'none'}
 · <a href="/state">state</a> · <a href="/metrics/snapshot">metrics</a> · <a href="/flags">flags</a></p>
${body}
</body></html>
`;
}

function followerBody({ leader, electedAt }: MasterProcess): string {
  if (electedAt !== undefined) return '<p>This master leads and is reading its registry.</p>';
  return leader ? '<p>This master follows.</p>' : '<p>No leader is elected.</p>';
}

function leaderBody(self: MasterProcess): string {
  const { master } = self;
  if (!master) return '';
  const agents = [...master.agents.values()].map((agent) => [
    agent.id,
    `${agent.info.hostname} (${agent.info.ip}:${agent.info.port})`,
    agent.link ? 'connected' : 'disconnected',
    toText(usedBy(agent.tasks.values()), '') || 'nothing',
    toText(agentTotal(agent), ''),
  ]);
  const gone = [
    ...[...master.recoveredAgents.values()].map(({ id, hostname }) => [id, hostname, 'not yet back', '', '']),
    ...[...master.unreachableAgents].map(([id, { hostname }]) => [id, hostname, 'unreachable', '', '']),
  ];
  const tasks = liveTasks(master).map((task) => [
    task.info.name,
    task.info.task_id.value,
    task.state,
    master.agents.get(task.agentId)?.info.hostname ?? task.agentId,
    toText(task.resources, ''),
  ]);
  const frameworks = [...master.frameworks.values()].map((framework) => [
    framework.info.name,
    framework.id,
    framework.stream ? 'connected' : 'disconnected',
    String(framework.tasks.size),
  ]);
  return [
    section('Agents', ['ID', 'Address', 'State', 'In use', 'Resources'], [...agents, ...gone]),
    section('Frameworks', ['Name', 'ID', 'State', 'Tasks'], frameworks),
    section('Tasks', ['Name', 'ID', 'State', 'Agent', 'Resources'], tasks),
  ].join('\n');
}

function section(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => `<td class="${classOf(text)}">${escapeHtml(text)}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('');
  const head = heads.map((text) => `<th>${escapeHtml(text)}</th>`).join('');
  return `<h2>${title}</h2>${rows.length === 0 ? '<p>None.</p>' : `<table><tr>${head}</tr>${body}</table>`}`;
}

function classOf(text: string): string {
  if (text === 'connected' || text === 'TASK_RUNNING') return 'on';
  return text === 'disconnected' || text === 'unreachable' ? 'off' : '';
}
