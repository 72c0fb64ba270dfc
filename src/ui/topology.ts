/** What is where, who leads what, and where each host's port for users leads: a status, arranged by hosts. Pure. */
import type { ClusterStatus } from '../status/cluster-status.js';
import type { ClusterView, ViewHost } from './view.js';

/** How something is, by shape and colour. `leads` is good, too; `waits` is on its way or standing by. */
export type Health = 'leads' | 'good' | 'waits' | 'bad' | 'unknown';

export const partKinds = ['zookeeper', 'master', 'agent', 'proxy', 'storage'] as const;
export type PartKind = (typeof partKinds)[number];

export interface Part {
  readonly kind: PartKind;
  readonly health: Health;
  /** The word of the status, such as `follower`. */
  readonly state: string;
  /** More of it, such as a version or a number: key of a word, and the value. */
  readonly facts: readonly Fact[];
  /** As `perijove logs` takes it. */
  readonly log: string;
  readonly url?: string;
}

export interface Fact {
  readonly name:
    | 'version'
    | 'sequence'
    | 'leadsSince'
    | 'startedAt'
    | 'registeredAt'
    | 'id'
    | 'generation'
    | 'pending'
    | 'task'
    | 'since'
    | 'earlier'
    | 'logRecovered'
    | 'certificate';
  readonly value: string;
}

export interface NodePart {
  readonly name: string;
  readonly health: Health;
  /** Mesos's name of the task's state, `INTENDED` or `ABSENT`. */
  readonly state: string;
  /** `leads`: it leads etcd. */
  readonly etcd: Health;
  /** Users are on its Jupyter. */
  readonly serves: boolean;
  /** Null while unknown. */
  readonly jupyter: string | null;
  readonly kernels: number | null;
  /** Why it does not run, if that is known. */
  readonly message: string | null;
  readonly facts: readonly Fact[];
}

/** Where the port for users leads. */
export interface Lead {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** It answers. */
  readonly healthy: boolean;
  /** Its node; null when there is no route, or it is not known. */
  readonly node: string | null;
  /** The host through which it leads there, if it is not the node's address that it uses. */
  readonly through: string | null;
  /** Whether there is an answer about it at all. */
  readonly known: boolean;
}

export interface HostCard {
  readonly name: string;
  readonly address: string;
  /** Nothing on it answers. */
  readonly silent: boolean;
  /** Closed to nodes by `drain`. */
  readonly cordoned: boolean;
  readonly parts: readonly Part[];
  readonly nodes: readonly NodePart[];
}

export interface Topology {
  readonly hosts: readonly HostCard[];
  /** Nodes that are on no host. */
  readonly homeless: readonly NodePart[];
  readonly leads: readonly Lead[];
}

export function topologyOf(view: ClusterView): Topology {
  const { status, hosts } = view;
  const nodes = status.framework.tasks.map((task) => ({ host: task.host, part: nodePart(status, task) }));
  const silent = new Set(view.silences.flatMap(({ of }) => (of.kind === 'host' ? [of.name] : [])));
  return {
    hosts: hosts.map((host) => ({
      ...{ name: host.name, address: host.address, silent: silent.has(host.name) },
      cordoned: status.framework.cordons.includes(host.name),
      parts: partsOf(status, host),
      nodes: nodes.flatMap((node) => (node.host === host.name ? [node.part] : [])),
    })),
    homeless: nodes.flatMap(({ host, part }) => (hosts.some(({ name }) => name === host) ? [] : [part])),
    leads: status.proxies.map((proxy) => leadOf(view, proxy)),
  };
}

function partsOf(status: ClusterStatus, host: ViewHost): readonly Part[] {
  const { name } = host;
  const of = <T extends { readonly host: string }>(all: readonly T[]) =>
    all.filter((each) => each.host === name);
  return [
    ...of(status.zookeeper.members).map(({ mode }): Part => {
      const healths: Partial<Record<typeof mode, Health>> = {
        ...{ leader: 'leads', standalone: 'leads', follower: 'good', observer: 'good' },
        'no-answer': 'unknown',
      };
      return {
        kind: 'zookeeper',
        health: healths[mode] ?? 'bad',
        state: mode,
        facts: [],
        log: `${name}/zookeeper`,
      };
    }),
    ...of(status.mesos.masters).map((master): Part => masterPart(master, host)),
    ...of(status.mesos.agents).map(({ state, id, registeredAt }): Part => {
      const health = { registered: 'good', unknown: 'unknown', disconnected: 'bad', absent: 'bad' } as const;
      const facts = [...fact('id', id), ...fact('registeredAt', registeredAt)];
      return { kind: 'agent', health: health[state], state, facts, log: `${name}/mesos-agent` };
    }),
    ...of(status.proxies).map(({ healthy, generation, certificate }): Part => {
      const state = healthy ? 'answers' : generation === null ? 'no-answer' : 'not-answering';
      const facts = [
        ...fact('generation', generation),
        ...fact('certificate', certificate?.validUntil ?? null),
      ];
      const health = healthy ? 'good' : generation === null ? 'unknown' : 'bad';
      return { kind: 'proxy', health, state, facts, log: `${name}/proxy` };
    }),
    ...of(status.storage.bricks).map(({ online, pending }): Part => {
      const state = online === null ? 'unknown' : online ? 'online' : 'offline';
      const health = online === null ? 'unknown' : online ? 'good' : 'bad';
      return { kind: 'storage', health, state, facts: fact('pending', pending), log: `${name}/storage` };
    }),
  ];
}

function masterPart(master: ClusterStatus['mesos']['masters'][number], host: ViewHost): Part {
  const health = { leading: 'leads', 'standing-by': 'good', down: 'bad', 'no-answer': 'unknown' } as const;
  const recovered = master.logRecovered === null ? null : String(master.logRecovered);
  return {
    kind: 'master',
    health: master.logRecovered === false ? 'bad' : health[master.state],
    state: master.state,
    facts: [
      ...fact('version', master.version),
      ...fact('sequence', master.sequence),
      ...fact('leadsSince', master.leadsSince),
      ...fact('startedAt', master.startedAt),
      ...fact('logRecovered', recovered),
    ],
    log: `${host.name}/mesos-master`,
    ...(host.mesosUrl !== undefined && { url: host.mesosUrl }),
  };
}

function fact(name: Fact['name'], value: string | number | null): readonly Fact[] {
  return value === null ? [] : [{ name, value: String(value) }];
}

const onTheWay = ['INTENDED', 'TASK_STAGING', 'TASK_STARTING', 'TASK_KILLING'];

function nodePart(status: ClusterStatus, task: ClusterStatus['framework']['tasks'][number]): NodePart {
  const { node, state, message, taskId, since, past } = task;
  const member = status.etcd.members.find((each) => each.node === node);
  const jupyter = status.jupyter.nodes.find((each) => each.node === node);
  const isUnknown = status.workflows.framework === 'unknown' && state === 'ABSENT';
  const etcd: Health = status.etcd.leader === node ? 'leads' : member?.healthy === true ? 'good' : 'bad';
  const running: Health = etcd === 'bad' ? 'bad' : 'good';
  return {
    ...{ name: node, state, message, etcd },
    health: isUnknown
      ? 'unknown'
      : state === 'TASK_RUNNING'
        ? running
        : onTheWay.includes(state)
          ? 'waits'
          : 'bad',
    serves: status.jupyter.node === node,
    jupyter: jupyter?.state ?? null,
    kernels: jupyter?.kernels ?? null,
    facts: [
      ...fact('task', taskId),
      ...fact('since', since),
      ...past.map(({ taskId: id, host, state: end }) => ({
        name: 'earlier' as const,
        value: `${id} · ${host} · ${end}`,
      })),
    ],
  };
}

function leadOf({ status, hosts, nodes }: ClusterView, proxy: ClusterStatus['proxies'][number]): Lead {
  const { host, url, target, healthy, generation } = proxy;
  const port = hosts.find(({ name }) => name === host)?.port ?? Number(new URL(url).port);
  const base = { host, port, url, healthy, known: generation !== null };
  if (target === null) return { ...base, node: null, through: null };
  const address = addressIn(target);
  const node = nodes.find((each) => each.address === address)?.name;
  if (node !== undefined) return { ...base, node, through: null };
  // By way of another host, which leads to the node that serves.
  const through = hosts.find((each) => each.address === address)?.name ?? target;
  return { ...base, node: status.jupyter.node, through };
}

/** `http://127.0.2.10:8888`, or a form of it. */
function addressIn(target: string): string {
  return URL.canParse(target) ? new URL(target).hostname.replace(/^\[|\]$/g, '') : target;
}
