import { agentService, masterService } from '../../mesos/installation/items.js';
import { zookeeperService } from '../../zookeeper/items.js';
import type { ProcessMark } from '../marks.js';
import type { DrillOf, FaultKind } from './kind.js';
import { hostService, kernelOn, nodeService, signalProcess, startAgain } from './reaching.js';

/** Kills or suspends one process. */
export interface ProcessSignal {
  readonly kind: 'process-signal';
  readonly host: string;
  readonly signal: 'KILL' | 'STOP';
  readonly process: ProcessMark;
  /** The host service to start when healing, if its supervisor did not. */
  readonly service?: string;
  /** Time of planning by the host's clock: seconds since the epoch. */
  readonly clock?: number;
}

type Struck = Omit<ProcessSignal, 'kind' | 'signal'>;
const signalled = (signal: ProcessSignal['signal'], struck: Struck): ProcessSignal => ({
  kind: 'process-signal',
  signal,
  ...struck,
});

const killJupyter: DrillOf<ProcessSignal>['plan'] = async (deps, roles, target) =>
  signalled('KILL', await nodeService(deps, roles, target, 'jupyter'));

export const processSignalDrills = [
  {
    name: 'etcd-pause',
    what: 'SIGSTOP to the leading etcd: it goes silent and does not know that it no longer leads',
    target: 'leader',
    expects: 'leader-moves',
    mayFail: 'all',
    budgetMs: { warm: 5_000, cold: 15_000 },
    needs: 'ssh',
    plan: async (deps, roles, target) => signalled('STOP', await nodeService(deps, roles, target, 'etcd')),
  },
  {
    name: 'jupyter-kill',
    what: 'SIGKILL to the serving Jupyter',
    target: 'serving',
    expects: 'jupyter-back',
    mayFail: 'all',
    kernels: 'cut',
    budgetMs: { warm: 15_000, cold: 15_000 },
    needs: 'ssh',
    plan: killJupyter,
  },
  {
    name: 'jupyter-kill-follower',
    what: 'SIGKILL to the Jupyter of a node that does not serve; its successor takes up the kernels',
    target: 'standby',
    expects: 'jupyter-back',
    mayFail: 'none',
    kernels: 'cut',
    budgetMs: { warm: 1_000, cold: 1_000 },
    needs: 'warm',
    plan: killJupyter,
  },
  {
    name: 'kernel-kill',
    what: 'SIGKILL to a kernel; Jupyter starts it again, and other kernels are untouched',
    target: 'kernel',
    expects: 'jupyter-back',
    mayFail: 'none',
    kernels: 'restarted',
    budgetMs: { warm: 1_000, cold: 1_000 },
    needs: 'ssh',
    plan: async (deps, _roles, target) => signalled('KILL', await kernelOn(deps, target)),
  },
  {
    name: 'proxy-kill',
    what: 'SIGKILL to the proxy of one host',
    target: 'proxy',
    expects: 'jupyter-back',
    mayFail: 'target',
    budgetMs: { warm: 5_000, cold: 5_000 },
    needs: 'ssh',
    plan: async (deps, _roles, target) => signalled('KILL', await hostService(deps, target, 'proxy')),
  },
  {
    name: 'zookeeper-kill-leader',
    what: 'SIGKILL to the leading ZooKeeper server',
    target: 'zookeeper-leader',
    expects: 'zookeeper-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    needs: 'ssh',
    plan: async (deps, _roles, target) =>
      signalled('KILL', await hostService(deps, target, zookeeperService)),
  },
  {
    name: 'master-suspend',
    what:
      'SIGSTOP to the leading Mesos master, so that another one leads; then SIGCONT: the old one notices, ' +
      'exits, and follows after its supervisor has restarted it',
    target: 'master-leader',
    expects: 'master-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'session',
    needs: 'ssh',
    plan: async (deps, _roles, target) => signalled('STOP', await hostService(deps, target, masterService)),
  },
  {
    name: 'master-kill',
    what: 'SIGKILL to the leading Mesos master',
    target: 'master-leader',
    expects: 'master-moves',
    mayFail: 'none',
    budgetMs: { warm: 10_000, cold: 10_000 },
    beginsAfter: 'session',
    needs: 'ssh',
    plan: async (deps, _roles, target) => signalled('KILL', await hostService(deps, target, masterService)),
  },
  {
    name: 'agent-kill',
    what: 'SIGKILL to a Mesos agent; its tasks keep running, and the restarted agent recovers them from its checkpoints',
    target: 'agent',
    expects: 'agent-back',
    mayFail: 'none',
    budgetMs: { warm: 15_000, cold: 15_000 },
    needs: 'ssh',
    plan: async (deps, _roles, target) => signalled('KILL', await hostService(deps, target, agentService)),
  },
] as const satisfies readonly DrillOf<ProcessSignal>[];

export const processSignal: FaultKind<ProcessSignal> = {
  kind: 'process-signal',
  inject: (deps, { host, signal, process }) => signalProcess(deps, host, process, signal),
  async heal(deps, { host, signal, service, process }) {
    if (signal === 'STOP') await signalProcess(deps, host, process, 'CONT');
    // Its supervisor restarts it; if it is stopped, someone stopped it.
    if (service !== undefined) await startAgain(deps, host, service, { ours: false });
  },
  injected: ({ host, signal, process: { pid } }) => `SIG${signal} to process ${pid} on ${host}`,
  healed: ({ signal }) => (signal === 'STOP' ? 'SIGCONT' : 'nothing to heal: its supervisor restarts it'),
};
