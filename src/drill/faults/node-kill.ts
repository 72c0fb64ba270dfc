import { nodeLayout } from '../../node/layout.js';
import { quote } from '../../ssh/shell.js';
import type { ProcessMark } from '../marks.js';
import { failover } from '../definition.js';
import type { DrillOf, FaultKind } from './kind.js';
import { onHost, readMark, treeOf } from './reaching.js';

/** Kills all processes of a node. */
export interface NodeKill {
  readonly kind: 'node-kill';
  readonly node: string;
  readonly host: string;
  /** Base directory of the node's tree. */
  readonly base: string;
  /** Its `perijove-node start`. */
  readonly owner: ProcessMark;
}

const plan: DrillOf<NodeKill>['plan'] = async (deps, roles, target) => {
  const { host, base } = treeOf(deps.spec, roles, target);
  const owner = await readMark(deps, host, base, nodeLayout(base).owner);
  return { kind: 'node-kill', node: target, host: host.name, base, owner };
};

export const nodeKillDrills = [
  {
    name: 'node-kill',
    what: 'SIGKILL to every process of the node that leads etcd and serves Jupyter',
    target: 'leader',
    expects: 'leader-moves',
    mayFail: 'all',
    kernels: 'lost',
    budgetMs: failover,
    needs: 'ssh',
    plan,
  },
  {
    name: 'node-kill-follower',
    what: 'SIGKILL to every process of a node that follows',
    target: 'follower',
    expects: 'jupyter-back',
    mayFail: 'none',
    kernels: 'lost',
    budgetMs: { warm: 1_000, cold: 1_000 },
    needs: 'ssh',
    plan,
  },
] as const satisfies readonly DrillOf<NodeKill>[];

export const nodeKill: FaultKind<NodeKill> = {
  kind: 'node-kill',
  async inject(deps, { host, base, owner: { pid, start } }) {
    // Stopped first, so that the owner cannot clean up after the others and a repetition still finds it.
    await onHost(deps, host, [
      `same ${pid} ${start} || exit 0`,
      `kill -s STOP ${pid}`,
      `${quote(`${nodeLayout(base).bin}/sweep`)} node KILL 0`,
      `kill -s KILL ${pid} 2>/dev/null || :`,
    ]);
  },
  async heal(deps, { host, owner: { pid, start } }) {
    // An interrupted injection may have left it stopped; the framework relaunches the node.
    await onHost(deps, host, [
      `same ${pid} ${start} || exit 0`,
      `case $state in T) kill -s KILL ${pid} ;; esac`,
    ]);
  },
  injected: ({ node, host }) => `SIGKILL to ${node} on ${host}`,
  healed: () => 'nothing to heal: the framework relaunches the node',
};
