import type { Colors } from 'picocolors/types.js';
import type { AgentLook, ClusterStatus, MasterLook, Observation, Phase } from '../status/cluster-status.js';
import { formatDuration } from '../cluster/units.js';
import { table } from './table.js';

type Paint = (text: string) => string;

/** A status for people: what is well in one line each, what is not by name and with its reason. */
export function statusText({ status, reasons }: Observation, colors: Colors): string {
  const { cluster, phase } = status;
  const lines = [`${colors.bold(cluster)}  ${phasePaint(phase, colors)(phase)}`];
  if (phase === 'absent' && reasons.length === 0) return `${lines.join('\n')}\n`;
  for (const reason of reasons) lines.push(`  ${colors.yellow('!')} ${reason}`);
  lines.push(
    '',
    ...overview(status, colors),
    '',
    ...mesosTable(status, colors),
    '',
    ...nodeTable(status, colors),
    '',
    ...proxyTable(status, colors),
  );
  const past = pastTable(status, colors);
  if (past.length > 0) lines.push('', ...past);
  if (status.incidents.length > 0) lines.push('', ...incidentTable(status, colors));
  return `${lines.join('\n')}\n`;
}

function phasePaint(phase: Phase, colors: Colors): Paint {
  switch (phase) {
    case 'ready':
      return colors.green;
    case 'deploying':
      return colors.cyan;
    case 'absent':
      return colors.dim;
    case 'degraded':
      return colors.yellow;
    case 'failed':
      return colors.red;
  }
}

function overview(status: ClusterStatus, colors: Colors) {
  const { zookeeper, mesos, framework, etcd, jupyter, storage, workflows } = status;
  const bad = colors.red;
  const each = <T>(items: readonly T[], text: (item: T) => string, well: (item: T) => boolean) =>
    items.map((item) => (well(item) ? text(item) : bad(text(item)))).join('  ');
  const serving = ['leader', 'follower', 'standalone', 'observer'];
  const label = colors.dim;
  return table([
    [
      label('workflows'),
      each(
        Object.entries(workflows),
        ([name, state]) => `${name} ${state}`,
        ([name, state]) => state === 'running' || (name === 'deploy' && state === 'completed'),
      ),
    ],
    [
      label('ZooKeeper'),
      each(
        zookeeper.members,
        ({ host, mode }) => `${host} ${mode}`,
        ({ mode }) => serving.includes(mode),
      ),
    ],
    [
      label('Mesos'),
      [
        mesos.leader === null ? bad('no master leads') : `the master of ${mesos.leader} leads`,
        ...(mesos.standIn ? ["this is Perijove's stand-in for Apache Mesos"] : []),
      ].join('; '),
    ],
    [label('framework'), frameworkText(framework, bad)],
    [
      label('etcd'),
      etcd.leader === null ? bad('no leader') : `${etcd.leader} leads at term ${etcd.term ?? '?'}`,
    ],
    [
      label('Jupyter'),
      jupyter.node === null
        ? bad('ready nowhere')
        : `${jupyter.node}, generation ${jupyter.generation ?? '?'}`,
    ],
    ...(storage.kind === 'gluster'
      ? [
          [
            label('GlusterFS'),
            each(storage.bricks, brickText, ({ online, pending }) => online === true && (pending ?? 0) === 0),
          ],
        ]
      : []),
  ]);
}

function brickText({ host, online, pending }: ClusterStatus['storage']['bricks'][number]): string {
  if (online === null) return `${host} unknown`;
  if (!online) return `${host} down`;
  return pending === null || pending === 0 ? `${host} online` : `${host} online, ${pending} to heal`;
}

function frameworkText(framework: ClusterStatus['framework'], bad: Paint): string {
  const { id, connected, registeredAt, reregisteredAt, scheduler } = framework;
  if (id === null) return bad('not registered');
  const since = reregisteredAt ?? registeredAt;
  return [
    id,
    ...(connected === null
      ? []
      : [connected ? `connected${since === null ? '' : ` since ${moment(since)}`}` : bad('not connected')]),
    ...(scheduler === null ? [] : [`scheduler at ${scheduler}`]),
  ].join(', ');
}

/** A line for each host with a master or an agent. */
function mesosTable({ mesos }: ClusterStatus, colors: Colors): string[] {
  const hosts = new Set([...mesos.masters, ...mesos.agents].map(({ host }) => host));
  const rows = [...hosts].map((host) => {
    const master = mesos.masters.find((each) => each.host === host);
    const agent = mesos.agents.find((each) => each.host === host);
    return [
      host,
      master ? paint(masterText(master), master.state !== 'down', colors) : '-',
      master?.sequence === undefined || master.sequence === null ? '-' : String(master.sequence),
      master ? paint(logText(master), master.logRecovered !== false, colors) : '-',
      master?.version ?? '-',
      agent ? paint(agentText(agent), agent.state === 'registered', colors) : '-',
    ];
  });
  const heads = ['host', 'Mesos master', 'sequence', 'log', 'version', 'agent'];
  return table([heads.map((head) => colors.dim(head)), ...rows]);
}

function masterText({ state, leadsSince }: MasterLook): string {
  if (state === 'leading') return leadsSince === null ? 'leads' : `leads since ${moment(leadsSince)}`;
  return state === 'standing-by' ? 'follows' : state;
}

function logText({ logRecovered, logEnsembleSize }: MasterLook): string {
  if (logRecovered === null) return '-';
  const of = logEnsembleSize === null ? '' : `, one of ${logEnsembleSize}`;
  return `${logRecovered ? 'recovered' : 'not recovered'}${of}`;
}

function agentText({ state, registeredAt }: AgentLook): string {
  return state === 'registered' && registeredAt !== null ? `${state} since ${moment(registeredAt)}` : state;
}

/** To the second. */
function moment(iso: string): string {
  return iso.replace(/\.\d+Z$/, 'Z');
}

/** The newest of the tasks that others have followed. */
const pastShown = 8;

function pastTable({ framework }: ClusterStatus, colors: Colors): string[] {
  const rows = framework.tasks
    .flatMap(({ past }) => past)
    .toSorted((a, b) => (a.since < b.since ? 1 : -1))
    .slice(0, pastShown)
    .map(({ taskId, host, state, since, message }) => [
      moment(since),
      taskId,
      host,
      stateText(state),
      message ?? '',
    ]);
  if (rows.length === 0) return [];
  return table([['earlier tasks', '', 'host', 'ended as', ''].map((head) => colors.dim(head)), ...rows]);
}

function stateText(state: string): string {
  return state.replace(/^TASK_/, '').toLowerCase();
}

function nodeTable({ framework, etcd, jupyter }: ClusterStatus, colors: Colors): string[] {
  const names =
    framework.tasks.length > 0
      ? framework.tasks.map(({ node }) => node)
      : etcd.members.map(({ node }) => node);
  const rows = names.map((node) => {
    const task = framework.tasks.find((each) => each.node === node);
    const member = etcd.members.find((each) => each.node === node);
    const running = task?.state === 'TASK_RUNNING';
    const roles = [node === etcd.leader ? 'leads' : '', node === jupyter.node ? 'Jupyter' : ''];
    return [
      node,
      task?.host ?? '-',
      paint(task === undefined ? '-' : taskText(task), running, colors),
      member ? paint(member.healthy ? 'healthy' : 'unhealthy', member.healthy, colors) : '-',
      roles.filter((role) => role !== '').join(', '),
    ];
  });
  return table([['node', 'host', 'task', 'etcd', ''].map((head) => colors.dim(head)), ...rows]);
}

function taskText({ state, since, taskId }: ClusterStatus['framework']['tasks'][number]): string {
  const text = stateText(state);
  if (since === null || taskId === null) return text;
  return `${taskId} ${text} since ${moment(since)}`;
}

function proxyTable({ proxies }: ClusterStatus, colors: Colors): string[] {
  const rows = proxies.map(({ host, url, target, generation, healthy }) => [
    host,
    url,
    target === null ? '-' : target,
    generation === null ? '-' : String(generation),
    paint(healthy ? 'healthy' : target === null ? 'no answer' : 'not answering', healthy, colors),
  ]);
  return table([['host', 'Jupyter', 'leads to', 'generation', ''].map((head) => colors.dim(head)), ...rows]);
}

function incidentTable({ incidents }: ClusterStatus, colors: Colors): string[] {
  const rows = incidents.map(({ at, what, tookMs }) => [at, what, formatDuration(tookMs)]);
  return table([['incident', '', 'took'].map((head) => colors.dim(head)), ...rows]);
}

function paint(text: string, well: boolean, colors: Colors): string {
  return well ? text : colors.red(text);
}
