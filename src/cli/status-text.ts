import { termIn, termText } from '../etcd/term.js';
import type { Colors } from 'picocolors/types.js';
import {
  hasAnswered,
  type AgentObservation,
  type ClusterObservation,
  type ClusterStatus,
  type MasterObservation,
  type Phase,
} from '../status/cluster-status.js';
import { formatDuration } from '../cluster/units.js';
import { table, wrapped } from './table.js';

type Paint = (text: string) => string;

export interface StatusTextOptions {
  /** All columns, earlier tasks and incidents; otherwise what fits on a screen of 80 × 24. */
  readonly long?: boolean;
  /** Shown next to the phase when the status is redrawn. */
  readonly clock?: string;
  readonly columns?: number;
}

/** A human-readable status: one line each for what is healthy; names and reasons for what is not. */
export function statusText(
  { status, reasons }: ClusterObservation,
  colors: Colors,
  { long = false, clock, columns = 80 }: StatusTextOptions = {},
): string {
  const { cluster, phase, incidents } = status;
  const head = [
    colors.bold(cluster),
    phasePaint(phase, colors)(phase),
    ...(clock === undefined ? [] : [clock]),
  ];
  const lines = [head.join('  ')];
  if (phase === 'absent' && reasons.length === 0) return `${lines.join('\n')}\n`;
  for (const reason of reasons) {
    const [first = '', ...more] = wrapped(reason, columns - indent.length);
    lines.push(`  ${colors.yellow('!')} ${first}`, ...more.map((line) => `${indent}${line}`));
  }
  const past = long ? pastTable(status, colors) : [];
  const parts = long
    ? [
        overview(status, colors, columns),
        mesosTable(status, colors),
        nodeTable(status, colors, taskText),
        proxyTable(status, colors),
      ]
    : [summary(status, colors, columns), hostTable(status, colors), nodeTable(status, colors, taskState)];
  for (const part of [...parts, past, incidentTable(long ? incidents : newest(incidents), colors, columns)]) {
    if (part.length > 0) lines.push('', ...part);
  }
  return `${lines.join('\n')}\n`;
}

/** Aligned below a reason's mark. */
const indent = '    ';
/** Routine elections and repairs are only listed as events. */
const newest = (incidents: ClusterStatus['incidents']) =>
  incidents.filter(({ routine }) => routine !== true).slice(0, 3);

/** Everything not specific to a host or a node; the deployment is separate. */
function summary(status: ClusterStatus, colors: Colors, columns: number): string[] {
  const { mesos, framework, etcd, jupyter, workflows } = status;
  const bad = colors.red;
  const label = colors.dim;
  const connected =
    framework.id === null
      ? bad('framework not registered')
      : framework.connected === false
        ? bad('framework not connected')
        : 'framework connected';
  return table([
    [label('Jupyter'), jupyter.node === null ? bad('ready nowhere') : `on ${jupyter.node}`],
    [label('etcd'), etcd.leader === null ? bad('no leader') : `${etcd.leader} leads, term ${etcdTerm(etcd)}`],
    [
      label('Mesos'),
      [
        mesos.leader === null ? bad('no master leads') : `${mesos.leader} leads`,
        connected,
        ...(mesos.standIn ? ["Perijove's stand-in"] : []),
        ...(mesos.open ? [bad('open to all')] : []),
      ].join(', '),
    ],
    [
      label('workflows'),
      ['framework', 'keeper']
        .map((name) => [name, workflows[name as 'framework' | 'keeper']] as const)
        .map(([name, state]) => paint(`${name} ${state}`, state === 'running', colors))
        .join(', '),
    ],
    ...deploymentRows(status, colors, columns),
    ...glusterRows(status, colors),
  ]);
}

const serving: readonly string[] = ['leader', 'follower', 'standalone', 'observer'];

/** What runs on each host, and its proxy. */
function hostTable({ zookeeper, mesos, proxies }: ClusterStatus, colors: Colors): string[] {
  const hosts = new Set(
    [...zookeeper.members, ...mesos.masters, ...mesos.agents, ...proxies].map(({ host }) => host),
  );
  const rows = [...hosts].map((host) => {
    const member = zookeeper.members.find((each) => each.host === host);
    const master = mesos.masters.find((each) => each.host === host);
    const agent = mesos.agents.find((each) => each.host === host);
    const proxy = proxies.find((each) => each.host === host);
    return [
      host,
      member ? paint(silenceText(member.mode), serving.includes(member.mode), colors) : '-',
      master ? paint(masterRole(master), hasAnswered(master.state), colors) : '-',
      agent ? paint(agent.state, agent.state === 'registered', colors) : '-',
      proxy ? paint(proxy.healthy ? proxy.url : `${proxy.url} does not answer`, proxy.healthy, colors) : '-',
    ];
  });
  return table([
    ['host', 'ZooKeeper', 'master', 'agent', 'Jupyter'].map((head) => colors.dim(head)),
    ...rows,
  ]);
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

const deploymentLabel = 'last up';
/** Of the labels before it. */
const labelColumns = 11;

/** Separate from the workflows: how the last deployment ended says nothing about the present state. */
function deploymentRows(
  { deployment, workflows }: ClusterStatus,
  colors: Colors,
  columns: number,
): string[][] {
  const state = deployment?.state ?? workflows.deploy;
  const since = deployment === null ? '' : `, started ${moment(deployment.startedAt)}`;
  const failure = deployment?.failure;
  const why = failure ? `: ${failure.message} (${failure.code})` : '';
  const [first = '', ...more] = wrapped(`${state}${since}${why}`, columns - labelColumns);
  const isWell = state === 'completed' || state === 'running' || state === 'absent';
  return [
    [colors.dim(deploymentLabel), paint(first, isWell, colors)],
    ...more.map((line) => ['', paint(line, isWell, colors)]),
  ];
}

function overview(status: ClusterStatus, colors: Colors, columns: number) {
  const { zookeeper, mesos, framework, etcd, jupyter, workflows } = status;
  const bad = colors.red;
  const each = <T>(items: readonly T[], text: (item: T) => string, well: (item: T) => boolean) =>
    items.map((item) => (well(item) ? text(item) : bad(text(item)))).join('  ');
  const label = colors.dim;
  return table([
    [
      label('workflows'),
      each(
        Object.entries(workflows).filter(([name]) => name !== 'deploy'),
        ([name, state]) => `${name} ${state}`,
        ([, state]) => state === 'running',
      ),
    ],
    ...deploymentRows(status, colors, columns),
    [
      label('ZooKeeper'),
      each(
        zookeeper.members,
        ({ host, mode }) => `${host} ${silenceText(mode)}`,
        ({ mode }) => serving.includes(mode),
      ),
    ],
    [
      label('Mesos'),
      [
        mesos.leader === null ? bad('no master leads') : `the master of ${mesos.leader} leads`,
        ...(mesos.standIn ? ["this is Perijove's stand-in for Apache Mesos"] : []),
        ...(mesos.open ? [bad('everyone on the network can run commands on the hosts')] : []),
      ].join('; '),
    ],
    [label('framework'), frameworkText(framework, bad)],
    [
      label('etcd'),
      etcd.leader === null ? bad('no leader') : `${etcd.leader} leads at term ${etcdTerm(etcd)}`,
    ],
    [
      label('Jupyter'),
      jupyter.node === null
        ? bad('ready nowhere')
        : `${jupyter.node}, generation ${jupyter.generation ?? '?'}`,
    ],
    ...glusterRows(status, colors),
  ]);
}

/** One line about the bricks; none without a volume. */
function glusterRows({ storage }: ClusterStatus, colors: Colors): string[][] {
  if (storage.kind !== 'gluster') return [];
  const bricks = storage.bricks.map((brick) =>
    paint(brickText(brick), brick.online === true && (brick.pending ?? 0) === 0, colors),
  );
  return [[colors.dim('GlusterFS'), bricks.join('  ')]];
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

/** One line per host with a master or an agent. */
function mesosTable({ mesos }: ClusterStatus, colors: Colors): string[] {
  const hosts = new Set([...mesos.masters, ...mesos.agents].map(({ host }) => host));
  const rows = [...hosts].map((host) => {
    const master = mesos.masters.find((each) => each.host === host);
    const agent = mesos.agents.find((each) => each.host === host);
    return [
      host,
      master ? paint(masterText(master), hasAnswered(master.state), colors) : '-',
      master?.sequence === undefined || master.sequence === null ? '-' : String(master.sequence),
      master ? paint(logText(master), master.logRecovered !== false, colors) : '-',
      master?.version ?? '-',
      agent ? paint(agentText(agent), agent.state === 'registered', colors) : '-',
    ];
  });
  const heads = ['host', 'Mesos master', 'sequence', 'log', 'version', 'agent'];
  return table([heads.map((head) => colors.dim(head)), ...rows]);
}

function masterText(master: MasterObservation): string {
  const { state, leadsSince } = master;
  return state === 'leading' && leadsSince !== null
    ? `leads since ${moment(leadsSince)}`
    : masterRole(master);
}

function masterRole({ state }: MasterObservation): string {
  if (state === 'leading') return 'leads';
  return state === 'standing-by' ? 'follows' : silenceText(state);
}

/** `no-answer` as text. */
function silenceText(state: string): string {
  return state === 'no-answer' ? 'no answer' : state;
}

function logText({ logRecovered, logEnsembleSize }: MasterObservation): string {
  if (logRecovered === null) return '-';
  const of = logEnsembleSize === null ? '' : `, one of ${logEnsembleSize}`;
  return `${logRecovered ? 'recovered' : 'not recovered'}${of}`;
}

function agentText({ state, registeredAt }: AgentObservation): string {
  return state === 'registered' && registeredAt !== null ? `${state} since ${moment(registeredAt)}` : state;
}

/** To the second. */
function moment(iso: string): string {
  return iso.replace(/\.\d+Z$/, 'Z');
}

/** Number of replaced tasks shown, newest first. */
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

type Task = ClusterStatus['framework']['tasks'][number];

function nodeTable(
  { framework, etcd, jupyter }: ClusterStatus,
  colors: Colors,
  textOf: (task: Task) => string,
): string[] {
  const names = (framework.tasks.length > 0 ? framework.tasks : etcd.members).map(({ node }) => node);
  const rows = names.map((node) => {
    const task = framework.tasks.find((each) => each.node === node);
    const member = etcd.members.find((each) => each.node === node);
    const kernels = jupyter.nodes.find((each) => each.node === node)?.kernels ?? 0;
    const roles = [
      node === etcd.leader ? 'leads' : '',
      node === jupyter.node ? 'Jupyter' : '',
      kernels > 0 ? `${kernels} ${kernels === 1 ? 'kernel' : 'kernels'}` : '',
    ];
    return [
      node,
      task?.host ?? '-',
      paint(task ? textOf(task) : '-', task?.state === 'TASK_RUNNING', colors),
      member ? paint(member.healthy ? 'healthy' : 'unhealthy', member.healthy, colors) : '-',
      roles.filter((role) => role !== '').join(', '),
    ];
  });
  return table([['node', 'host', 'task', 'etcd', ''].map((head) => colors.dim(head)), ...rows]);
}

function taskState({ state, since }: Task): string {
  return since === null ? stateText(state) : `${stateText(state)} since ${moment(since)}`;
}

function taskText(task: Task): string {
  return task.since === null || task.taskId === null
    ? stateText(task.state)
    : `${task.taskId} ${taskState(task)}`;
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

/** One line per incident if it fits, else a line with the time and the text below. */
function incidentTable(incidents: ClusterStatus['incidents'], colors: Colors, columns: number): string[] {
  if (incidents.length === 0) return [];
  const lines = incidents.flatMap(({ at, what, tookMs }) => {
    const [first = '', ...more] = wrapped(`${what} (${formatDuration(tookMs)})`, columns - 22);
    return [`${moment(at)}  ${first}`, ...more.map((line) => `${' '.repeat(22)}${line}`)];
  });
  return [colors.dim('incidents'), ...lines];
}

function etcdTerm({ term, epoch = 0 }: ClusterStatus['etcd']): string {
  return term === null ? '?' : termText(termIn(epoch, term));
}

function paint(text: string, well: boolean, colors: Colors): string {
  return well ? text : colors.red(text);
}
