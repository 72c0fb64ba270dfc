import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import * as z from 'zod';
import { termText } from '../etcd/term.js';
import { verdict, type Probe as MemberProbe, type Verdict } from '../etcd/verdict.js';
import { messageOf } from '../errors/error.js';
import { endSessions } from '../jupyter/client.js';
import { discard, httpRequest, textOf } from '../net/http.js';
import { scope } from '../net/scope.js';
import { hostsWithRole, nodeNames, type HostSpec } from '../cluster/spec.js';
import { proxyAddress, type ProxyAddress } from '../proxy/address.js';
import { serverStatus } from '../zookeeper/four-letter.js';
import { CounterWatch } from './counter-watch.js';
import { joinWatched, spansOf, type Sample, type View } from './decide.js';
import type { DrillEvent, Lane, Span } from './evidence.js';
import { every } from './every.js';
import { serves, type ObservationDeps } from './observe.js';
import { isOfMesos } from './mesos.js';
import { MesosWatch } from './mesos-watch.js';
import type { DrillPlan, Watched } from './model.js';

/** Facts from the workflows; each part is missing while unavailable. */
export interface WorkflowFacts {
  readonly tasks?: Readonly<Record<string, { readonly host: string; readonly state: string }>>;
  /** Workers that run them: `pid@host`. */
  readonly scheduler?: string;
  readonly keeper?: string;
}

export interface ProbeOptions extends ObservationDeps {
  readonly plan: DrillPlan;
  /** Jupyter's token. */
  readonly token: string;
  /** Never rejects. */
  readonly workflows: () => Promise<WorkflowFacts>;
  /** Observations of an earlier worker that died. */
  readonly earlier?: Watched;
}

const requestEveryMs = 50;
const requestDeadlineMs = 1_000;
const socketEveryMs = 100;
const memberEveryMs = 200;
const servingEveryMs = 100;
const othersEveryMs = 1_000;
const zookeeperEveryMs = 300;
const workflowsEveryMs = 1_000;
/** Hanging requests get no answer; at most this many fit into their deadline. */
const mostUnderWay = 20;

/**
 * Probes a cluster continuously, as its users would: `GET /api/status` through every host's proxy every 50
 * ms, each time over a new connection, and one websocket to the kernel of an open notebook through each host. Also
 * watches the output of the plan's kernels, etcd's leader, which nodes serve port 8888, and the workflows. No failure
 * ends it.
 */
export class Probe {
  readonly #startedAt = Date.now();
  readonly #stop = scope();
  readonly #lanes: readonly HostLane[];
  readonly #events: DrillEvent[] = [];
  readonly #loops: Promise<void>[] = [];
  readonly #members = new Map<string, MemberProbe>();
  readonly #serving = new Map<string, boolean>();
  readonly #tasks = new Map<string, string>();
  readonly #kernel: Kernel;
  readonly #counters: CounterWatch | undefined;
  readonly #mesos: MesosWatch | undefined;
  #leader: Verdict | undefined;
  #lost = false;
  #zookeeperLeader: string | undefined;
  #workflows: WorkflowFacts = {};
  #faultAt: number | undefined;
  #healedAt: number | undefined;
  #closing: boolean;

  constructor(private readonly options: ProbeOptions) {
    const { spec, token, plan, earlier } = options;
    this.#faultAt = earlier?.faultAt;
    this.#healedAt = earlier?.healedAt;
    this.#closing = earlier?.closing === true;
    this.#kernel = new Kernel(token, earlier?.kernel, plan.marker);
    this.#lanes = hostsWithRole(spec, 'proxy').map(
      (host) =>
        new HostLane(
          host,
          kept(() => proxyAddress(spec, host, options)),
          token,
          this.#kernel,
        ),
    );
    const counters = this.#closing ? [] : (plan.kernels?.counters ?? []);
    if (counters.length > 0) {
      const lanes = new Map(this.#lanes.map((lane) => [lane.host.name, lane]));
      this.#counters = new CounterWatch(counters, token, async (host) => {
        const lane = lanes.get(host);
        if (!lane) throw new Error(`${host} has no proxy`);
        return lane.address();
      });
    }
    this.#mesos = isOfMesos(plan.expects)
      ? new MesosWatch({
          ...options,
          healed: () => this.#healedAt !== undefined,
          report: (event) => this.#events.push(event),
        })
      : undefined;
    const last = earlier?.events.findLast(({ kind }) => kind === 'leader');
    if (last?.subject !== undefined) {
      this.#leader = { leader: last.subject, term: last.term ?? 0, live: [] };
    } else if (earlier) {
      this.#leader = { leader: plan.before.leader, term: plan.before.term, live: [] };
    }
  }

  start(): void {
    const { spec, plan } = this.options;
    for (const lane of this.#lanes) this.#loops.push(...lane.run(this.#stop.signal));
    for (const node of nodeNames(spec)) {
      this.#every(memberEveryMs, () => this.#askMember(node));
      this.#every(
        () => (this.#isOfInterest(node) ? servingEveryMs : othersEveryMs),
        () => this.#askNode(node),
      );
    }
    if (this.#counters) this.#loops.push(...this.#counters.loops(this.#stop.signal));
    if (this.#mesos) this.#loops.push(...this.#mesos.run(this.#stop.signal));
    if (plan.expects === 'zookeeper-moves') this.#every(zookeeperEveryMs, () => this.#askZooKeeper());
    this.#every(workflowsEveryMs, () => this.#askWorkflows());
  }

  /** Resolves when every lane has been answered, or after `timeoutMs`: from then on faults are recognized. */
  async ready(timeoutMs: number): Promise<void> {
    const end = Date.now() + timeoutMs;
    const isReady = () =>
      this.#leader &&
      this.#lanes.every((lane) => lane.hasSample && lane.isConnected) &&
      (this.#counters?.isReady ?? true);
    while (!isReady() && Date.now() < end) await delay(requestEveryMs);
  }

  /**
   * If a fault is reported twice, the later time counts; one reported by an earlier worker keeps its time.
   */
  fault(what: string): void {
    this.#faultAt = this.options.earlier?.faultAt ?? Date.now();
    const index = this.#events.findIndex(({ kind }) => kind === 'fault');
    if (index !== -1) this.#events.splice(index, 1);
    this.#record('fault', what);
  }

  healed(what: string): void {
    this.#healedAt ??= Date.now();
    this.#counters?.healed();
    this.#record('healed', what);
  }

  /** By node: whether its kernel has printed since the healing; undefined while that is not known. */
  counting(): Readonly<Record<string, boolean | undefined>> {
    return this.#counters?.counting() ?? {};
  }

  /** The sessions of the plan's kernels are about to be closed, by this worker or by an earlier one. */
  closing(): void {
    this.#closing = true;
    this.#counters?.end();
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  whole(): void {
    this.#record('whole', 'the cluster is healthy');
  }

  view(): Omit<View, 'faultAt'> & { readonly faultAt?: number } {
    const now = Date.now();
    const { scheduler, keeper } = this.#workflows;
    const answering = this.#lanes.flatMap((lane) => {
      const since = lane.answeringSince();
      return since === undefined ? [] : [[lane.host.name, since] as const];
    });
    return {
      now,
      ...(this.#faultAt !== undefined && { faultAt: this.#faultAt }),
      answering: Object.fromEntries(answering),
      ...(this.#leader && !this.#lost && { leader: { node: this.#leader.leader, term: this.#leader.term } }),
      serving: [...this.#serving].filter(([, open]) => open).map(([node]) => node),
      ...(this.#zookeeperLeader !== undefined && { zookeeperLeader: this.#zookeeperLeader }),
      ...this.#mesos?.view(),
      ...(scheduler !== undefined && { scheduler }),
      ...(keeper !== undefined && { keeper }),
    };
  }

  /** All observations so far. */
  watched(): Watched {
    const kernel = this.#kernel.id;
    return joinWatched(this.options.earlier, {
      startedAt: this.#startedAt,
      endedAt: Date.now(),
      ...(this.#faultAt !== undefined && { faultAt: this.#faultAt }),
      ...(this.#healedAt !== undefined && { healedAt: this.#healedAt }),
      lanes: this.#lanes.map((lane) => lane.seen()),
      events: this.#events,
      ...(kernel !== undefined && { kernel }),
      ...(this.#counters && { tallies: this.#counters.tallies() }),
      ...(this.#closing && { closing: true as const }),
    });
  }

  /** @param keepKernel for a later probe that continues with it */
  async end({ keepKernel }: { readonly keepKernel: boolean }): Promise<void> {
    this.#stop.abort();
    for (const lane of this.#lanes) lane.end();
    this.#counters?.end();
    await Promise.allSettled(this.#loops);
    const [lane] = this.#lanes;
    if (!keepKernel && lane) await this.#kernel.end(await lane.address()).catch(() => undefined);
  }

  #record(kind: DrillEvent['kind'], what: string, more: { subject?: string; term?: number } = {}): void {
    this.#events.push({ at: Date.now(), kind, ...more, what });
  }

  #every(pause: number | (() => number), poll: () => Promise<void>): void {
    this.#loops.push(every(this.#stop.signal, pause, poll));
  }

  #isOfInterest(node: string): boolean {
    const { before } = this.options.plan;
    const isCandidate = node === this.#leader?.leader || node === before.serving;
    return isCandidate || this.#serving.get(node) === true;
  }

  async #askMember(node: string): Promise<void> {
    this.#members.set(node, await this.options.access.member(node));
    const probes = nodeNames(this.options.spec).flatMap((each) => this.#members.get(each) ?? []);
    if (probes.length < nodeNames(this.options.spec).length) return;
    const found = verdict(probes, this.#leader);
    if (found.kind === 'none') {
      if (this.#leader && !this.#lost) {
        this.#lost = true;
        this.#record('no-leader', `etcd: ${found.reason}`);
      }
      return;
    }
    const { leader, term } = found.verdict;
    const known = this.#leader?.leader === leader && this.#leader.term === term;
    if (!known || this.#lost) {
      const again = known ? 'leads again' : 'leads etcd';
      this.#record('leader', `${leader} ${again}, term ${termText(term)}`, { subject: leader, term });
    }
    this.#lost = false;
    this.#leader = found.verdict;
  }

  async #askNode(node: string): Promise<void> {
    const open = await serves(this.options, node, requestDeadlineMs);
    const before = this.#serving.get(node);
    this.#serving.set(node, open);
    if (open === before || (before === undefined && !open)) return;
    if (open) this.#record('serving', `Jupyter responds on ${node}`, { subject: node });
    else this.#record('silent', `Jupyter on ${node} no longer responds`, { subject: node });
  }

  async #askZooKeeper(): Promise<void> {
    const { spec, reach } = this.options;
    const modes = await Promise.all(
      hostsWithRole(spec, 'zookeeper').map(async ({ name, address, ports }) => {
        const status = await reach
          .via(name, address, ports.zookeeper)
          .then((endpoint) => serverStatus(endpoint, requestDeadlineMs))
          .catch(() => undefined);
        return { name, mode: status?.mode };
      }),
    );
    const leader = modes.find(({ mode }) => mode === 'leader')?.name;
    if (leader !== undefined && leader !== this.#zookeeperLeader) {
      this.#record('zookeeper', `${leader} leads ZooKeeper`, { subject: leader });
    }
    this.#zookeeperLeader = leader;
  }

  async #askWorkflows(): Promise<void> {
    const facts = await this.options.workflows();
    for (const [node, { host, state }] of Object.entries(facts.tasks ?? {})) {
      const known = this.#tasks.get(node);
      this.#tasks.set(node, `${state} ${host}`);
      if (known !== undefined && known !== `${state} ${host}`) {
        this.#record('task', `${node}: ${state} on ${host}`, { subject: node });
      }
    }
    for (const role of ['scheduler', 'keeper'] as const) {
      const worker = facts[role];
      if (worker !== undefined && worker !== (this.#workflows[role] ?? this.options.plan.before[role])) {
        const what = role === 'scheduler' ? 'the scheduler' : 'the watch of the keeper';
        this.#record('worker', `${worker} holds ${what}`, { subject: worker });
      }
    }
    this.#workflows = { ...this.#workflows, ...facts };
  }
}

/** Asks until there is an answer, which it keeps: its host may be gone when it is wanted next. */
function kept<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => {
    asked ??= ask().catch((error: unknown) => {
      asked = undefined;
      throw error;
    });
    return asked;
  };
}

/** A sample without a result is still in flight. */
type Asked = { readonly at: number; result?: Omit<Sample, 'at'> };

/** Port 8888 of one host. */
class HostLane {
  readonly #http: Asked[] = [];
  readonly #websocket: Sample[] = [];
  /** A connection for each request: a kept one would not notice that nobody listens any more. */
  readonly #agent = new Agent({ keepAlive: false, maxSockets: mostUnderWay });
  #underWay = 0;
  #socket: WebSocket | undefined;
  #cutBy: string | undefined = 'not connected yet';

  constructor(
    readonly host: HostSpec,
    readonly address: () => Promise<ProxyAddress>,
    private readonly token: string,
    private readonly kernel: Kernel,
  ) {}

  get hasSample(): boolean {
    return this.#http.some(({ result }) => result?.ok);
  }

  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  run(signal: AbortSignal): Promise<void>[] {
    return [
      every(signal, requestEveryMs, async () => {
        if (this.#underWay < mostUnderWay) void this.#ask();
      }),
      every(signal, socketEveryMs, () => this.#connect()),
      every(signal, socketEveryMs, async () => {
        const ok = this.isConnected;
        const why = ok ? undefined : this.#cutBy;
        this.#websocket.push({ at: Date.now(), ok, ...(why !== undefined && { why }) });
      }),
    ];
  }

  async #ask(): Promise<void> {
    const asked: Asked = { at: Date.now() };
    this.#http.push(asked);
    this.#underWay += 1;
    const deadline = AbortSignal.timeout(requestDeadlineMs);
    try {
      const { url, agent = this.#agent } = await this.address();
      const answer = await httpRequest(`${url}/api/status`, {
        agent,
        headers: { authorization: `token ${this.token}` },
        signal: deadline,
      });
      await discard(answer);
      const ok = answer.status === 200;
      asked.result = ok ? { ok } : { ok, why: `answered ${answer.status}` };
    } catch {
      asked.result = {
        ok: false,
        why: deadline.aborted ? `no response within ${requestDeadlineMs} ms` : 'refused',
      };
    } finally {
      this.#underWay -= 1;
    }
  }

  async #connect(): Promise<void> {
    if (this.#socket) return;
    const address = await this.address();
    const kernel = await this.kernel.provide(address);
    const url = `${address.url.replace(/^http/, 'ws')}/api/kernels/${kernel}/channels`;
    const socket = new WebSocket(url, {
      headers: { authorization: `token ${this.token}` },
      handshakeTimeout: requestDeadlineMs,
      ...(address.agent && { agent: address.agent }),
    });
    this.#socket = socket;
    socket.on('unexpected-response', (_request, response) => {
      // The kernel died with its node.
      if (response.statusCode === 404) this.kernel.forget(kernel);
      response.resume();
      socket.terminate();
    });
    socket.on('error', (error) => (this.#cutBy = messageOf(error)));
    socket.on('close', (code) => {
      this.#cutBy = `closed (${code})`;
      this.#socket = undefined;
    });
    socket.on('message', () => undefined);
  }

  answeringSince(): number | undefined {
    let since: number | undefined;
    for (const { at, result } of this.#http) {
      if (result?.ok === false) since = undefined;
      else if (result?.ok === true) since ??= at;
    }
    return since;
  }

  seen(): Lane {
    // Requests in flight belong to the next observation.
    const answered = this.#http.flatMap(({ at, result }): Sample[] => (result ? [{ at, ...result }] : []));
    const connected = this.#websocket.findIndex(({ ok }) => ok);
    const websocket: Span[] =
      connected === -1 ? [] : spansOf(this.#websocket.slice(connected), socketEveryMs);
    return { host: this.host.name, http: spansOf(answered, requestEveryMs), websocket };
  }

  end(): void {
    this.#socket?.terminate();
    this.#agent.destroy();
  }
}

const sessionSchema = z.object({ id: z.string(), kernel: z.object({ id: z.string() }) });
/** Starting a kernel takes a second, and many seconds on a busy machine. */
const kernelDeadlineMs = 20_000;
const kernelPauseMs = 2_000;

/**
 * The kernel that the lanes' websockets connect to, replaced when it dies. It belongs to the session of the notebook
 * that the drill has saved: a repeated request, after a late answer, finds the same kernel.
 */
class Kernel {
  #starting: Promise<string> | undefined;
  #triedAt = 0;

  constructor(
    private readonly token: string,
    public id: string | undefined,
    private readonly name: string,
  ) {}

  async provide(address: ProxyAddress): Promise<string> {
    if (this.id !== undefined) return this.id;
    if (!this.#starting) {
      if (Date.now() - this.#triedAt < kernelPauseMs) throw new Error('a kernel was asked for just now');
      this.#triedAt = Date.now();
      this.#starting = this.#open(address)
        .then(({ kernel }) => kernel.id)
        .finally(() => {
          this.#starting = undefined;
          this.#triedAt = Date.now();
        });
    }
    return (this.id = await this.#starting);
  }

  forget(id: string): void {
    if (this.id === id) this.id = undefined;
  }

  /** Ends the kernel with its session. */
  async end({ url, agent }: ProxyAddress): Promise<void> {
    await this.#starting?.catch(() => undefined);
    await endSessions(url, this.token, this.name, { agent });
  }

  async #open({ url, agent }: ProxyAddress): Promise<z.infer<typeof sessionSchema>> {
    const session = { path: this.name, name: this.name, type: 'notebook', kernel: {} };
    const answer = await httpRequest(`${url}/api/sessions`, {
      agent,
      method: 'POST',
      headers: { authorization: `token ${this.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(session),
      signal: AbortSignal.timeout(kernelDeadlineMs),
    });
    const text = await textOf(answer);
    if (answer.status > 299) throw new Error(`status ${answer.status}`);
    return sessionSchema.parse(JSON.parse(text));
  }
}
