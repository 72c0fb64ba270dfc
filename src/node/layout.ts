/** Paths in the tree of the node with this base directory. */
export function nodeLayout(base: string) {
  return {
    base,
    bin: `${base}/bin`,
    etc: `${base}/etc`,
    data: `${base}/data`,
    log: `${base}/log`,
    run: `${base}/run`,
    service: `${base}/service`,
    /** Of users: a node is a machine of its own, and reads no start-up file of the host's users. */
    home: `${base}/home`,
    /** The configuration that the node was started with. */
    config: `${base}/etc/node.json`,
    sshdConfig: `${base}/etc/sshd_config`,
    sshConfig: `${base}/etc/ssh_config`,
    knownHosts: `${base}/etc/known_hosts`,
    authorizedKeys: `${base}/etc/authorized_keys`,
    jupyterConfig: `${base}/etc/jupyter/jupyter_server_config.py`,
    /** The features of JupyterLab's page that are switched off. */
    jupyterPage: `${base}/etc/jupyter/labconfig/page_config.json`,
    /** Python modules that replace slow ones while Jupyter starts. */
    lazyImports: `${base}/etc/jupyter/lazy-imports`,
    /** The key of sshd, as it was when the node started: others know it by that. */
    hostKey: `${base}/etc/host_key`,
    /** Copies of the secrets that Jupyter and sessions read, as they were when the node started. */
    userSecrets: `${base}/etc/user`,
    /** The accounts that the node's users see: those of its host, and the user. */
    accounts: `${base}/etc/passwd`,
    /** Of Jupyter, which owns it; its runtime files are in it too. */
    jupyterRun: `${base}/run/jupyter`,
    /** Jupyter listens on this Unix socket. The spec limits the length of its path (`checkDirectories`). */
    jupyterSocket: `${base}/run/jupyter/sock`,
    jupyterData: `${base}/data/jupyter`,
    ipython: `${base}/data/ipython`,
    /** Runs a command as the user of the node. */
    asUser: `${base}/bin/as-user`,
    /** The same for etcd. */
    asEtcd: `${base}/bin/as-etcd`,
    /** Copies of the certificates for an etcd that is not root. */
    etcdSecrets: `${base}/etc/etcd`,
    etcdData: `${base}/data/etcd`,
    /** Exists when a node without data must not bootstrap. */
    etcdFormed: `${base}/data/etcd-formed`,
    /** The highest epoch of etcd that the node knows; missing before the first recovery. */
    etcdEpoch: `${base}/data/etcd-epoch`,
    /** Inside the data: their epoch. They are set aside with it. */
    etcdDataEpoch: `${base}/data/etcd/epoch`,
    /** Exists while the other members reach this one by TLS. */
    etcdPeerTls: `${base}/data/etcd-peer-tls`,
    /** A recovery begins an epoch with this node: the epoch, and `data` or `nothing`. Removed when it has begun. */
    etcdSeed: `${base}/data/etcd-seed`,
    /** Exists when the member leaves etcd for good: this life of the node does not join again. */
    etcdRetired: `${base}/data/etcd-retired`,
    /** When and why damaged data was last moved aside. */
    etcdReplaced: `${base}/data/etcd-replaced.json`,
    /** Which kernels ended with an earlier life of the node. */
    kernelsLost: `${base}/data/kernels-lost.json`,
    /** Exists when Jupyter has answered since the node was started. */
    jupyterAnswered: `${base}/run/jupyter-answered`,
    orders: `${base}/data/orders.json`,
    /** Process ID of the `perijove-node start` that owns the tree. */
    owner: `${base}/run/start.pid`,
    /** The node's Mesos task, such as `node3.17`; empty if unknown. */
    task: `${base}/run/task`,
    /** Number of the last launch that must not start any more: its node may run elsewhere. */
    fence: `${base}/run/fenced`,
    /** The command of the last decision to start etcd. */
    etcdCommand: `${base}/run/etcd-command`,
    /** The decision, for `/status`. */
    etcdDecision: `${base}/run/etcd-decision.json`,
  } as const;
}

export type NodeLayout = ReturnType<typeof nodeLayout>;

export const serviceNames = ['etcd', 'sshd', 'jupyter', 'control'] as const;
export type ServiceName = (typeof serviceNames)[number];

/**
 * Names in the environment of everything that runs in a node. They identify processes that nothing else knows
 * any more: one whose parent was killed, a kernel, a shell of an SSH session.
 */
export const marks = { tree: 'PERIJOVE_NODE_TREE', service: 'PERIJOVE_NODE_SERVICE' } as const;

/** The same for the container of a node: its tree, and its Mesos task. */
export const containerLabels = { tree: 'perijove.tree', task: 'perijove.task' } as const;

export function serviceMark(base: string, service: ServiceName): string {
  return `${marks.service}=${base}:${service}`;
}

/**
 * `oom_score_adj` of what users run, in thousandths of the machine's memory: where memory runs out, it ends before etcd,
 * sshd and Jupyter, and what uses most of it first.
 */
export const userOomScore = 300;

/** Also there: the kernel that a process is, or belongs to. */
export const kernelMark = 'PERIJOVE_NODE_KERNEL';

/** Instead of Jupyter's mark: what is in the environment of its kernels, which outlive the Jupyter that started them. */
export function kernelMarks(base: string): Readonly<Record<string, string>> {
  return { [marks.service]: `${base}:kernels` };
}
