import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { readData } from '../../etcd/data.js';
import type { GateStatus, HostsEntry, HostsStatus, JupyterOrder, JupyterStatus, NodeStatus } from '../api.js';
import type { NodeConfig } from '../config.js';
import { readDecision, readReplacement } from './decision-file.js';
import { isMissing, overwriteFile, replaceFile } from '../../net/files.js';
import type { GateControl } from './gate-control.js';
import { hostsDigest, readHosts, renderHosts } from '../hosts.js';
import type { JupyterService } from './jupyter-service.js';
import { nodeLayout } from '../layout.js';
import { readLostKernels } from './lost-kernels.js';
import { readOrders, staleness, storeOrders, type Orders } from './orders.js';
import { serviceState } from './runit.js';
import { refusal, type NodeControl } from './server.js';
import { sshConfig } from './sshd.js';

export interface ControlOptions {
  readonly config: NodeConfig;
  readonly jupyter: JupyterService;
  /** Makes the gate's control; `about` returns what the gate's status reports about its node. */
  readonly gateControl: (about: () => Pick<GateStatus, 'node' | 'generation'>) => GateControl;
  /** Resolves to whether the node's own member takes part in a quorum; never rejects. */
  readonly etcdHealthy: () => Promise<boolean>;
}

/**
 * Carries out orders. An order is stored before it is begun, so a control process that dies in between
 * continues with it; an order with a lower generation than any before, or with a lower term, is refused.
 */
export async function nodeControl(
  options: ControlOptions,
): Promise<NodeControl & { readonly gate: GateControl }> {
  const { config } = options;
  const log = await OrderLog.open(nodeLayout(config.paths.base).orders);
  const hosts = new HostsFile(config);
  const serving = new Serving(options, log);
  serving.carryOut(log.orders.jupyter);
  await hosts.writeSshConfig(await hosts.entries());
  const hostsStatus = async (): Promise<HostsStatus> => ({
    generation: log.orders.hosts.generation,
    digest: hostsDigest(await hosts.entries()),
  });
  return {
    gate: serving.gate,
    status: async () => {
      const [etcd, hostsNow, lost] = await Promise.all([
        etcdStatus(options),
        hostsStatus(),
        readLostKernels(nodeLayout(config.paths.base)),
      ]);
      const { generation } = log.orders;
      const jupyter = { ...serving.status, ...(lost && { lost }) };
      return { node: config.name, generation, etcd, jupyter, hosts: hostsNow };
    },
    jupyter: (order, waitMs) => serving.order(order, waitMs),
    retire: ({ task }) => retire(config, task),
    hosts: ({ generation, entries }) =>
      log.inTurn(async () => {
        await log.accept(generation, { hosts: { generation } });
        await hosts.write(entries);
        return hostsStatus();
      }),
  };
}

/** The stored orders. They are accepted and carried out one by one, so the stored order is in force. */
class OrderLog {
  readonly #file: string;
  #orders: Orders;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(file: string, orders: Orders) {
    this.#file = file;
    this.#orders = orders;
  }

  static async open(file: string): Promise<OrderLog> {
    return new OrderLog(file, await readOrders(file));
  }

  get orders(): Orders {
    return this.#orders;
  }

  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Stores a change. @throws Refusal STALE_GENERATION */
  async accept(generation: number, change: Partial<Orders>): Promise<void> {
    this.refuseStale({ generation, ...change.jupyter });
    const next = { ...this.#orders, ...change, generation };
    await storeOrders(this.#file, next);
    this.#orders = next;
  }

  /** @throws Refusal STALE_GENERATION */
  refuseStale(order: { readonly generation: number; readonly term?: number }): void {
    const message = staleness(this.#orders, order);
    if (message === undefined) return;
    throw refusal(409, { code: 'STALE_GENERATION', message, generation: this.#orders.generation });
  }
}

/** Jupyter and the gate in front of it. */
class Serving {
  readonly gate: GateControl;
  readonly #config: NodeConfig;
  readonly #jupyter: JupyterService;
  readonly #log: OrderLog;
  readonly #waiting = new Set<() => void>();

  constructor({ config, jupyter, gateControl }: ControlOptions, log: OrderLog) {
    this.#config = config;
    this.#jupyter = jupyter;
    this.#log = log;
    const gate = gateControl(() => ({ node: config.name, generation: log.orders.generation }));
    this.gate = gate;
    jupyter.onChange = () => {
      gate.jupyter(jupyter.status.state === 'ready');
      this.#changed();
    };
    gate.onChange = () => this.#changed();
  }

  get status(): JupyterStatus {
    const { generation, serve } = this.#log.orders.jupyter;
    return { ...this.#jupyter.status, generation, serve, gate: this.gate.view };
  }

  carryOut(order: Orders['jupyter']): void {
    this.#jupyter.serve(order.serve);
    this.gate.order(order);
    this.#changed();
  }

  /** @throws Refusal STALE_GENERATION, also when another order replaces it meanwhile */
  async order(order: JupyterOrder, waitMs: number): Promise<JupyterStatus> {
    await this.#log.inTurn(async () => {
      await this.#log.accept(order.generation, { jupyter: order });
      this.carryOut(order);
    });
    if (waitMs > 0) await this.#settled(order, waitMs);
    if (this.#log.orders.jupyter.generation !== order.generation) this.#log.refuseStale(order);
    return this.status;
  }

  /** Resolves when the order is carried out, is replaced by another, or `timeoutMs` have passed. */
  #settled(order: JupyterOrder, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      const check = () => {
        if (this.#isDone(order) || this.#log.orders.jupyter !== order) end();
      };
      const timer = setTimeout(end, timeoutMs);
      this.#waiting.add(check);
      check();
    });
  }

  #isDone({ serve }: JupyterOrder): boolean {
    const { state } = this.#jupyter.status;
    if (serve) return state === 'ready' && this.gate.view.open;
    return !this.gate.view.open && (this.#config.jupyter.standby === 'warm' || state === 'stopped');
  }

  #changed(): void {
    for (const check of [...this.#waiting]) check();
  }
}

/** The hosts file of the node, and its ssh configuration, which depends on it. */
class HostsFile {
  readonly #config: NodeConfig;

  constructor(config: NodeConfig) {
    this.#config = config;
  }

  async entries(): Promise<HostsEntry[]> {
    return readHosts(await readText(this.#config.paths.hosts));
  }

  async write(entries: readonly HostsEntry[]): Promise<void> {
    const { hosts } = this.#config.paths;
    const text = await readText(hosts);
    const wanted = renderHosts(text, entries);
    if (wanted !== text) await overwriteFile(hosts, wanted);
    await this.writeSshConfig(entries);
  }

  async writeSshConfig(entries: readonly HostsEntry[]): Promise<void> {
    const { sshConfig: file, userSecrets } = nodeLayout(this.#config.paths.base);
    const way = { user: userInfo().username, secrets: userSecrets };
    await replaceFile(file, sshConfig(this.#config, way, entries));
  }
}

async function etcdStatus({ config, etcdHealthy }: ControlOptions): Promise<NodeStatus['etcd']> {
  const layout = nodeLayout(config.paths.base);
  const [service, decision, data, replacement] = await Promise.all([
    serviceState(`${layout.service}/etcd`),
    readDecision(layout.etcdDecision),
    readData(layout.etcdData),
    readReplacement(layout.etcdReplaced),
  ]);
  const about = {
    hasData: data.kind !== 'none',
    ...(data.kind === 'member' && { memberId: data.memberId }),
    ...(replacement && { replaced: { at: replacement.at, why: replacement.why } }),
  };
  const trouble = decision?.trouble === undefined ? {} : { trouble: decision.trouble };
  if (service.state !== 'up') return { state: 'down', ...about, ...trouble };
  if (decision === undefined || !decision.started) {
    return { state: 'waiting', ...about, ...trouble, reason: decision?.reason ?? 'not decided yet' };
  }
  return (await etcdHealthy()) ? { state: 'running', ...about } : { state: 'starting', ...about, ...trouble };
}

/** Keeps the node from joining etcd again. @returns the ID of its member, if it has one */
async function retire(config: NodeConfig, task: string): Promise<{ readonly memberId?: string }> {
  const layout = nodeLayout(config.paths.base);
  const own = await readText(layout.task);
  if (own !== task) {
    throw refusal(409, { code: 'BAD_REQUEST', message: `this is ${own}, not ${task}` });
  }
  await replaceFile(layout.etcdRetired, '');
  const data = await readData(layout.etcdData);
  if (data.kind === 'unreadable') {
    throw refusal(500, {
      code: 'FAILED',
      message: `it is unknown whether ${config.name} has a member: ${data.why}`,
    });
  }
  return data.kind === 'member' ? { memberId: data.memberId } : {};
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return '';
    throw error;
  });
}
