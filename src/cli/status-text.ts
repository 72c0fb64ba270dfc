import type { Colors } from 'picocolors/types.js';
import type { ClusterStatus, Observation, Phase } from '../activities/cluster-status.js';
import { formatDuration } from '../spec/units.js';
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
    ...nodeTable(status, colors),
    '',
    ...proxyTable(status, colors),
  );
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

function overview({ zookeeper, mesos, framework, etcd, jupyter, workflows }: ClusterStatus, colors: Colors) {
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
      label(mesos.standIn ? 'Mesos (stand-in)' : 'Mesos'),
      each(
        mesos.masters,
        ({ host, state }) => `${host} ${state}`,
        ({ state }) => state !== 'down',
      ),
    ],
    [
      label('agents'),
      each(
        mesos.agents,
        ({ host, state }) => `${host} ${state}`,
        ({ state }) => state === 'registered',
      ),
    ],
    [
      label('framework'),
      framework.id === null
        ? bad('not registered')
        : `${framework.id}${framework.scheduler === null ? '' : `, scheduler at ${framework.scheduler}`}`,
    ],
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
  ]);
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
      paint(task?.state.replace(/^TASK_/, '').toLowerCase() ?? '-', running, colors),
      member ? paint(member.healthy ? 'healthy' : 'unhealthy', member.healthy, colors) : '-',
      roles.filter((role) => role !== '').join(', '),
    ];
  });
  return table([['node', 'host', 'task', 'etcd', ''].map((head) => colors.dim(head)), ...rows]);
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
