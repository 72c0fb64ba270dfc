/** The status of a cluster, as printed by `status --json`, and its interpretation. Pure. */
import type { Expiry } from '../cluster/certificate.js';
import type { PastTask } from '../temporal/contract.js';
import {
  brickHosts,
  etcdSecurity,
  hostsWithRole,
  nodeNames,
  proxyUrl,
  tlsFiles,
  type ClusterSpec,
} from '../cluster/spec.js';
import type { JupyterState } from '../node/api.js';
import {
  endingTexts,
  etcdCertificateNames,
  expiredProblems,
  placed,
  type HostCertificate,
  type PlacedCertificate,
} from './certificates.js';

export type Phase = 'absent' | 'deploying' | 'ready' | 'degraded' | 'failed';

/**
 * Temporal's workflow status in lower case; `absent`: there is none; `unknown`: the server is unreachable;
 * `paused`: it runs, and an operator has suspended its actions.
 */
export type WorkflowStatus =
  | 'running'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'canceled'
  | 'terminated'
  | 'timed_out'
  | 'continued_as_new'
  | 'absent'
  | 'unknown';

/** `down`: its host confirms that nothing listens there; `no-answer`: no answer within the time limit. */
export type ZooKeeperMode =
  'leader' | 'follower' | 'observer' | 'standalone' | 'not-serving' | 'down' | 'no-answer';
export type MasterStatus = 'leading' | 'standing-by' | 'down' | 'no-answer';
/** `unknown` while no master leads. */
export type AgentStatus = 'registered' | 'disconnected' | 'absent' | 'unknown';

/** A permanent problem, such as a rejected credential or znodes owned by somebody else. */
export interface MesosProblem {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export interface MasterObservation {
  readonly host: string;
  readonly state: MasterStatus;
  readonly version: string | null;
  /** Sequence number of its znode: the lowest one leads. */
  readonly sequence: number | null;
  /** ISO 8601: since when it leads; null if it does not. */
  readonly leadsSince: string | null;
  /** ISO 8601: start time of its process. */
  readonly startedAt: string | null;
  /** Its replica takes part in the replicated log; and the number of replicas, if its version reports it. */
  readonly logRecovered: boolean | null;
  readonly logEnsembleSize: number | null;
}

export interface AgentObservation {
  readonly host: string;
  readonly state: AgentStatus;
  readonly id: string | null;
  /** ISO 8601: last registration with the current master. */
  readonly registeredAt: string | null;
}

/** Schema of `perijove status --json`. Unknown values are null. */
export interface ClusterStatus {
  readonly cluster: string;
  readonly phase: Phase;
  /** The state of the workflows is the last stored one: no worker responds. */
  readonly stale: boolean;
  readonly workflows: {
    readonly deploy: WorkflowStatus;
    readonly framework: WorkflowStatus;
    readonly keeper: WorkflowStatus;
  };
  /** The last deployment, which says nothing about the present condition; null if there was none. */
  readonly deployment: {
    readonly state: WorkflowStatus;
    /** ISO 8601. */
    readonly startedAt: string;
    readonly failure: MesosProblem | null;
  } | null;
  readonly zookeeper: {
    readonly members: readonly { readonly host: string; readonly mode: ZooKeeperMode }[];
  };
  readonly mesos: {
    /** Host name. */
    readonly leader: string | null;
    readonly masters: readonly MasterObservation[];
    readonly agents: readonly AgentObservation[];
    readonly standIn: boolean;
    /** The spec has masters and agents serve everyone. */
    readonly open: boolean;
    readonly problem: MesosProblem | null;
  };
  readonly framework: {
    readonly id: string | null;
    /** The worker that runs the scheduler: `pid@host`. */
    readonly scheduler: string | null;
    /** State: a Mesos state, `INTENDED`, or `ABSENT` for a node without a task. */
    readonly tasks: readonly {
      readonly node: string;
      readonly host: string | null;
      readonly state: string;
      readonly taskId: string | null;
      /** ISO 8601: start of this state. */
      readonly since: string | null;
      /** Message from Mesos, or from the component that gave up the task. */
      readonly message: string | null;
      /** Earlier tasks, newest first. */
      readonly past: readonly PastTask[];
    }[];
    /** According to the leading master; null while unknown. ISO 8601. */
    readonly connected: boolean | null;
    readonly registeredAt: string | null;
    readonly reregisteredAt: string | null;
    /** Why the scheduler gave up. */
    readonly failure: MesosProblem | null;
    /** What nodes wait for: missing resources on an agent, a node that must return first, … */
    readonly missing: string | null;
    /** Hosts that are closed to nodes by `drain`. */
    readonly cordons: readonly string[];
  };
  readonly etcd: {
    readonly leader: string | null;
    /** Raft term. */
    readonly term: number | null;
    /** How many times a lost quorum was recovered; 0 if absent. */
    readonly epoch?: number;
    readonly members: readonly {
      readonly node: string;
      readonly healthy: boolean;
      /** That it shows; null while unknown. Absent where etcd is open. */
      readonly certificate?: Expiry | null;
    }[];
    /** As hosts keep them; null while unknown. Absent where etcd is open. */
    readonly certificates?: readonly HostCertificate[];
  };
  readonly jupyter: {
    /** The serving node: its Jupyter is ready, its gate open. */
    readonly node: string | null;
    readonly generation: number | null;
    readonly standby: string;
    /** On each node. */
    readonly nodes: readonly {
      readonly node: string;
      /** Null while unknown. */
      readonly state: JupyterState | null;
      /** Number of kernels on it; null while unknown. */
      readonly kernels: number | null;
    }[];
  };
  readonly proxies: readonly {
    readonly host: string;
    /** URL for users, without the token. */
    readonly url: string;
    readonly target: string | null;
    readonly generation: number | null;
    readonly healthy: boolean;
    /** That it serves; null while unknown. Absent with plain HTTP. */
    readonly certificate?: Expiry | null;
  }[];
  readonly storage: {
    readonly kind: 'path' | 'gluster';
    /** Of a GlusterFS volume. */
    readonly bricks: readonly {
      readonly host: string;
      /** Null while no host of the volume reports it. */
      readonly online: boolean | null;
      /** Files on it that other bricks still lack. */
      readonly pending: number | null;
    }[];
  };
  readonly incidents: readonly {
    readonly at: string;
    readonly what: string;
    readonly tookMs: number;
    /** An election after which Jupyter responds, or only hosts files. */
    readonly routine?: true;
  }[];
}

/** A status, with human-readable reasons if it is not healthy. */
export interface ClusterObservation {
  readonly status: ClusterStatus;
  /** Sentences without their full stop, root causes first. */
  readonly reasons: readonly string[];
}

/** When the last deploy and the last teardown started: the later one is the user's intent. ISO 8601. */
export interface Beginnings {
  readonly deploy?: string;
  readonly teardown?: string;
}

/** What keeps a cluster from being ready; empty for a healthy one. */
export function shortcomings(spec: ClusterSpec, status: Omit<ClusterStatus, 'phase'>): string[] {
  const found: string[] = [];
  const { zookeeper, mesos, framework, etcd, jupyter, proxies, storage, workflows } = status;

  const modes = zookeeper.members.map(({ mode }) => mode);
  const whole = modes.length === 1 ? ['standalone'] : ['leader', 'follower'];
  const missing = zookeeper.members.filter(({ mode }) => !whole.includes(mode));
  if (missing.length > 0) {
    const textOf = (mode: ZooKeeperMode) => (mode === 'no-answer' ? 'does not answer' : `is ${mode}`);
    found.push(`ZooKeeper: ${missing.map(({ host, mode }) => `${host} ${textOf(mode)}`).join(', ')}`);
  } else if (modes.length > 1 && modes.filter((mode) => mode === 'leader').length !== 1) {
    found.push('ZooKeeper does not have exactly one leader');
  }

  const down = mesos.masters.filter(({ state }) => state === 'down').map(({ host }) => host);
  if (down.length > 0) found.push(`Mesos master down on ${down.join(', ')}`);
  const silentMasters = mesos.masters.filter(({ state }) => state === 'no-answer').map(({ host }) => host);
  if (silentMasters.length > 0) found.push(`no answer from the Mesos master on ${silentMasters.join(', ')}`);
  if (mesos.leader === null) found.push('no Mesos master is leading');
  const unrecovered = mesos.masters.filter(({ logRecovered }) => logRecovered === false);
  if (unrecovered.length > 0) {
    found.push(`the replicated log is not recovered on ${unrecovered.map(({ host }) => host).join(', ')}`);
  }
  if (mesos.problem !== null) found.push(problemText(mesos.problem));
  const agents = mesos.agents.filter(({ state }) => state !== 'registered' && state !== 'unknown');
  if (agents.length > 0) {
    found.push(`Mesos agent ${agents.map(({ host, state }) => `${state} on ${host}`).join(', ')}`);
  }

  for (const name of ['framework', 'keeper'] as const) {
    const state = workflows[name];
    if (state !== 'running' && state !== 'paused')
      found.push(`the workflow ${name}:${spec.name} is ${state}`);
  }
  if (framework.failure !== null) found.push(`the scheduler gave up: ${problemText(framework.failure)}`);
  const tasks = framework.tasks.filter(({ state }) => state !== 'TASK_RUNNING');
  if (tasks.length > 0) {
    found.push(`not running: ${tasks.map(({ node, state }) => `${node} (${state})`).join(', ')}`);
  }

  if (etcd.leader === null) found.push('no majority of etcd agrees on a leader');
  const silent = etcd.members.filter(({ healthy }) => !healthy).map(({ node }) => node);
  if (silent.length > 0) found.push(`etcd member unhealthy: ${silent.join(', ')}`);

  if (jupyter.node === null) found.push('Jupyter is ready on no node');
  else if (etcd.leader !== null && jupyter.node !== etcd.leader) {
    found.push(`Jupyter is on ${jupyter.node} while ${etcd.leader} leads etcd`);
  }
  const closed = proxies.filter(({ healthy }) => !healthy).map(({ host }) => host);
  if (closed.length > 0) found.push(`Jupyter is not reachable through the proxy of ${closed.join(', ')}`);

  found.push(...expiredProblems(certificatesOf(spec, status)).map(problemText));

  const { bricks } = storage;
  if (bricks.length > 0 && bricks.every(({ online }) => online === null)) {
    found.push('no host reports the GlusterFS volume');
  }
  const lost = bricks.filter(({ online }) => online === false).map(({ host }) => host);
  if (lost.length > 0) found.push(`GlusterFS brick down on ${lost.join(', ')}`);
  return found;
}

/** Certificates that end soon, which is no shortcoming yet. */
export function endingCertificates(
  spec: ClusterSpec,
  status: Pick<ClusterStatus, 'proxies' | 'etcd'>,
  now: Date,
): string[] {
  return endingTexts(certificatesOf(spec, status), now);
}

function certificatesOf(
  spec: ClusterSpec,
  { proxies, etcd }: Pick<ClusterStatus, 'proxies' | 'etcd'>,
): PlacedCertificate[] {
  const shown = tlsFiles(spec) ? 'https' : 'https-server';
  return [
    ...proxies.map(({ host, certificate = null }) => ({ kind: shown, place: host, certificate }) as const),
    ...placed(etcd.certificates ?? []),
    ...etcd.members.map(
      ({ node, certificate = null }) => ({ kind: 'served', place: node, certificate }) as const,
    ),
  ];
}

/** A sentence without its full stop. */
export function problemText({ code, message, remedy }: MesosProblem): string {
  return `${message.replace(/\.$/, '')} (${code}). ${remedy.replace(/\.$/, '')}`;
}

/** Whether a ZooKeeper server or Mesos master answered. */
export function hasAnswered(state: ZooKeeperMode | MasterStatus): boolean {
  return state !== 'down' && state !== 'no-answer';
}

/** Whether anything of the cluster exists: a running workflow or a responding program. */
export function isThere(status: Omit<ClusterStatus, 'phase'>): boolean {
  const { workflows, zookeeper, mesos, etcd, proxies } = status;
  return (
    Object.values(workflows).includes('running') ||
    zookeeper.members.some(({ mode }) => hasAnswered(mode)) ||
    mesos.masters.some(({ state }) => hasAnswered(state)) ||
    etcd.members.some(({ healthy }) => healthy) ||
    proxies.some(({ generation }) => generation !== null)
  );
}

/**
 * The cluster's condition in one word. A failed deployment makes it `failed` only while there is no keeper yet: from
 * then on the condition follows from what is observed.
 */
export function phaseOf(spec: ClusterSpec, status: Omit<ClusterStatus, 'phase'>, began: Beginnings): Phase {
  const { deploy } = status.workflows;
  if (deploy === 'running') return 'deploying';
  const tornDown = began.teardown !== undefined && (began.deploy ?? '') < began.teardown;
  if (tornDown || deploy === 'absent' || deploy === 'unknown') {
    return isThere(status) ? 'degraded' : 'absent';
  }
  if (shortcomings(spec, status).length === 0) return 'ready';
  const { keeper } = status.workflows;
  const hasServed = deploy === 'completed' || keeper === 'running' || keeper === 'paused';
  return hasServed || keeper === 'unknown' ? 'degraded' : 'failed';
}

/** A master that does not respond. */
export const noMaster: Omit<MasterObservation, 'host'> = {
  state: 'no-answer',
  version: null,
  sequence: null,
  leadsSince: null,
  startedAt: null,
  logRecovered: null,
  logEnsembleSize: null,
};
export const noAgent: Omit<AgentObservation, 'host'> = {
  state: 'unknown',
  id: null,
  registeredAt: null,
};
export const noFrameworkObservation: Pick<
  ClusterStatus['framework'],
  'connected' | 'registeredAt' | 'reregisteredAt'
> = { connected: null, registeredAt: null, reregisteredAt: null };

/** An all-unknown status, to be filled. */
export function emptyStatus(spec: ClusterSpec): Omit<ClusterStatus, 'phase'> {
  const hosts = (role: 'zookeeper' | 'master' | 'agent' | 'proxy') => hostsWithRole(spec, role);
  return {
    cluster: spec.name,
    stale: false,
    workflows: { deploy: 'unknown', framework: 'unknown', keeper: 'unknown' },
    deployment: null,
    zookeeper: { members: hosts('zookeeper').map(({ name }) => ({ host: name, mode: 'no-answer' })) },
    mesos: {
      leader: null,
      masters: hosts('master').map(({ name }) => ({ ...noMaster, host: name })),
      agents: hosts('agent').map(({ name }) => ({ ...noAgent, host: name })),
      standIn: spec.mesos.install.kind === 'lab',
      open: spec.mesos.principal === undefined,
      problem: null,
    },
    framework: {
      id: null,
      scheduler: null,
      tasks: [],
      ...noFrameworkObservation,
      failure: null,
      missing: null,
      cordons: [],
    },
    etcd: { leader: null, term: null, members: [], ...noCertificates(spec) },
    jupyter: {
      ...{ node: null, generation: null, standby: spec.jupyter.standby },
      nodes: nodeNames(spec).map((node) => ({ node, state: null, kernels: null })),
    },
    proxies: hosts('proxy').map((host) => ({
      host: host.name,
      url: `${proxyUrl(spec, host)}/`,
      target: null,
      generation: null,
      healthy: false,
      ...(spec.proxy.tls && { certificate: null }),
    })),
    storage: {
      kind: spec.storage.kind,
      bricks:
        spec.storage.kind === 'gluster'
          ? brickHosts(spec).map(({ name }) => ({ host: name, online: null, pending: null }))
          : [],
    },
    incidents: [],
  };
}

function noCertificates(spec: ClusterSpec): Pick<ClusterStatus['etcd'], 'certificates'> {
  if (etcdSecurity(spec) === 'open') return {};
  const certificates = spec.hosts.flatMap(({ name: host }) =>
    etcdCertificateNames.map((name) => ({ host, name, certificate: null })),
  );
  return { certificates };
}
