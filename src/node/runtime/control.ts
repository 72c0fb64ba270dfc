import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { readData } from '../../etcd/data.js';
import type {
  GateStatus,
  HostsEntry,
  HostsOrder,
  HostsStatus,
  JupyterOrder,
  JupyterStatus,
  NodeStatus,
  RetireOrder,
} from '../api.js';
import type { NodeConfig } from '../config.js';
import { readDecision } from './decision-file.js';
import { isMissing, overwriteFile, replaceFile } from '../../net/files.js';
import type { GateControl } from './gate-control.js';
import { hostsDigest, readHosts, renderHosts } from '../hosts.js';
import type { JupyterService } from './jupyter-service.js';
import { nodeLayout } from '../layout.js';
import { readOrders, staleness, storeOrders, type Orders } from './orders.js';
import { serviceState } from './runit.js';
import { refusal, type NodeControl } from './server.js';
import { sshConfig } from './sshd.js';

export interface ControlOptions {
  readonly config: NodeConfig;
  readonly jupyter: JupyterService;
  /** Makes the gate's control, which asks `about` for what a gate tells of its node. */
  readonly gateControl: (about: () => Pick<GateStatus, 'node' | 'generation'>) => GateControl;
  /** Resolves to whether the node's own member takes part in a quorum; never rejects. */
  readonly etcdHealthy: () => Promise<boolean>;
}

/**
 * Carries out orders. An order is stored before it is begun, so a control process that dies in between goes on
 * with it; an order of a lower generation than any before, or of a lower term, is refused.
 */
export async function nodeControl({
  config,
  jupyter,
  gateControl,
  etcdHealthy,
}: ControlOptions): Promise<NodeControl & { readonly gate: GateControl }> {
  const layout = nodeLayout(config.paths.base);
  let orders = await readOrders(layout.orders);
  // One order after the other, so that what is stored is what is carried out.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
  const refuseStale = (order: { readonly generation: number; readonly term?: number }) => {
    const message = staleness(orders, order);
    if (message === undefined) return;
    throw refusal(409, { code: 'STALE_GENERATION', message, generation: orders.generation });
  };
  const accept = async (generation: number, change: Partial<Orders>): Promise<void> => {
    refuseStale({ generation, ...change.jupyter });
    const next = { ...orders, ...change, generation };
    await storeOrders(layout.orders, next);
    orders = next;
  };

  const readEntries = async (): Promise<HostsEntry[]> => readHosts(await readText(config.paths.hosts));
  const writeSshConfig = async (entries: readonly HostsEntry[]) =>
    replaceFile(layout.sshConfig, sshConfig(config, userInfo().username, entries));
  const hostsStatus = async (): Promise<HostsStatus> => ({
    generation: orders.hosts.generation,
    digest: hostsDigest(await readEntries()),
  });
  const etcdStatus = async (): Promise<NodeStatus['etcd']> => {
    const [service, decision, data] = await Promise.all([
      serviceState(`${layout.service}/etcd`),
      readDecision(layout.etcdDecision),
      readData(layout.etcdData),
    ]);
    const memberId = data.kind === 'member' ? { memberId: data.memberId } : {};
    if (service.state !== 'up') return { state: 'down', ...memberId };
    if (decision === undefined || !decision.started) {
      return { state: 'waiting', ...memberId, reason: decision?.reason ?? 'not decided yet' };
    }
    return { state: (await etcdHealthy()) ? 'running' : 'starting', ...memberId };
  };

  const gate = gateControl(() => ({ node: config.name, generation: orders.generation }));
  const waiting = new Set<() => void>();
  const changed = () => {
    for (const look of [...waiting]) look();
  };
  jupyter.onChange = () => {
    gate.jupyter(jupyter.status.state === 'ready');
    changed();
  };
  gate.onChange = changed;
  const carryOut = (order: Orders['jupyter']) => {
    jupyter.serve(order.serve);
    gate.order(order);
    changed();
  };
  const jupyterStatus = (): JupyterStatus => {
    const { generation, serve } = orders.jupyter;
    return { ...jupyter.status, generation, serve, gate: gate.view };
  };
  const isSo = ({ serve }: JupyterOrder): boolean => {
    const { state } = jupyter.status;
    if (serve) return state === 'ready' && gate.view.open;
    return !gate.view.open && (config.jupyter.standby === 'warm' || state === 'stopped');
  };
  /** Resolves when the order is carried out, another one has taken its place, or `timeoutMs` are over. */
  const settled = (order: JupyterOrder, timeoutMs: number) =>
    new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        waiting.delete(look);
        resolve();
      };
      const look = () => {
        if (isSo(order) || orders.jupyter !== order) end();
      };
      const timer = setTimeout(end, timeoutMs);
      waiting.add(look);
      look();
    });

  carryOut(orders.jupyter);
  await writeSshConfig(await readEntries());

  return {
    gate,

    async status() {
      const [etcd, hosts] = await Promise.all([etcdStatus(), hostsStatus()]);
      return { node: config.name, generation: orders.generation, etcd, jupyter: jupyterStatus(), hosts };
    },

    async jupyter(order: JupyterOrder, waitMs: number) {
      await inTurn(async () => {
        await accept(order.generation, { jupyter: order });
        carryOut(order);
      });
      if (waitMs > 0) await settled(order, waitMs);
      if (orders.jupyter.generation !== order.generation) refuseStale(order);
      return jupyterStatus();
    },

    async retire({ task }: RetireOrder) {
      const own = await readText(layout.task);
      if (own !== task) {
        throw refusal(409, { code: 'BAD_REQUEST', message: `this is ${own}, not ${task}` });
      }
      await replaceFile(layout.etcdRetired, '');
      const data = await readData(layout.etcdData);
      if (data.kind === 'unreadable') {
        throw refusal(500, {
          code: 'FAILED',
          message: `whether ${config.name} has a member is not known: ${data.why}`,
        });
      }
      return data.kind === 'member' ? { memberId: data.memberId } : {};
    },

    hosts: ({ generation, entries }: HostsOrder) =>
      inTurn(async () => {
        await accept(generation, { hosts: { generation } });
        const text = await readText(config.paths.hosts);
        const wanted = renderHosts(text, entries);
        if (wanted !== text) await overwriteFile(config.paths.hosts, wanted);
        await writeSshConfig(entries);
        return hostsStatus();
      }),
  };
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '';
    throw error;
  });
}
