import type { Logger } from 'pino';
import type { EtcdClient } from '../../etcd/client.js';
import type { GateRule } from '../../cluster/spec.js';
import type { GateStatus } from '../api.js';
import { Gate, type GateOptions } from './gate.js';
import {
  decideGate,
  learn,
  nextQuestion,
  nothingKnown,
  type GateDecision,
  type GateFacts,
} from './gate-decide.js';
import { MemberWatch } from './member-watch.js';

export interface GateControlOptions {
  readonly rule: GateRule;
  /** Of the node's own member. */
  readonly etcd: Pick<EtcdClient, 'status' | 'linearizableRead'>;
  /** Directory of that member's log. */
  readonly etcdLog: string;
  /** The epoch of etcd that the node knows. */
  readonly epoch: () => number;
  readonly gate: Pick<GateOptions, 'address' | 'port' | 'socket' | 'owner' | 'holderOf'>;
  /** What the gate's status also reports about its node. */
  readonly about: () => Pick<GateStatus, 'node' | 'generation'>;
  readonly logger: Logger;
}

/** Opens and shuts the node's gate as `decideGate` says, at each changed fact and when a proof expires. */
export class GateControl {
  /** Called when `view` has changed. */
  onChange: () => void = () => undefined;
  private facts: GateFacts;
  private decision: GateDecision;
  private view_: GateView = { open: false, closing: false, term: 0 };
  private timer: NodeJS.Timeout | undefined;
  private readonly gate: Gate;
  private readonly member: MemberWatch;

  constructor(private readonly options: GateControlOptions) {
    const { rule, etcd, etcdLog, logger } = options;
    this.facts = {
      rule,
      order: { generation: 0, term: 0, serve: false },
      jupyterReady: false,
      known: nothingKnown,
    };
    this.decision = decideGate(this.facts, performance.now());
    this.gate = new Gate({
      ...options.gate,
      admits: () => this.admits(),
      status: () => ({ ...options.about(), ...this.view }),
      onListening: () => this.show(),
      logger,
    });
    this.member = new MemberWatch({
      client: etcd,
      log: etcdLog,
      leastEpoch: options.epoch,
      next: () => nextQuestion(this.facts.known, this.facts),
      learned: (answer) => this.change({ known: learn(this.facts.known, answer) }),
      logger,
    });
  }

  get view(): GateView {
    return this.view_;
  }

  order(order: GateFacts['order']): void {
    const asks = nextQuestion(this.facts.known, this.facts) !== undefined;
    this.change({ order });
    if (!asks) this.member.wake();
  }

  jupyter(ready: boolean): void {
    if (ready !== this.facts.jupyterReady) this.change({ jupyterReady: ready });
  }

  /** Runs until `signal`, then closes all connections. */
  async run(signal: AbortSignal): Promise<void> {
    await this.member.run(signal);
    clearTimeout(this.timer);
    this.gate.close();
  }

  private change(change: Partial<GateFacts>): void {
    this.facts = { ...this.facts, ...change };
    this.decide();
  }

  private decide(): void {
    const before = this.decision;
    const decision = decideGate(this.facts, performance.now());
    this.decision = decision;
    if (decision.open) {
      this.gate.open();
      this.watchTheEnd(decision.until);
    } else {
      this.gate.shut(decision.inOrder);
    }
    this.logChange(before, decision);
    this.show();
  }

  /** A proof expires even without further events. */
  private watchTheEnd(until: number): void {
    // One timer, reset after it has fired: proofs are renewed several times before they expire.
    if (this.timer !== undefined) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.decide();
      },
      // A timer may fire slightly early.
      Math.max(0, Math.ceil(until - performance.now()) + 1),
    );
  }

  private admits(): boolean {
    if (this.decision.open && performance.now() >= this.decision.until) this.decide();
    return this.decision.open;
  }

  private logChange(before: GateDecision, now: GateDecision): void {
    const { logger } = this.options;
    const { generation } = this.facts.order;
    if (now.open) {
      const { term, closing, reason } = now;
      if (!before.open || before.term !== term) logger.info({ term, generation, reason }, 'gate opened');
      else if (closing && !before.closing) logger.info({ term, generation }, 'gate is closing');
    } else if (before.open) {
      logger.info({ term: before.term, generation, reason: now.reason, inOrder: now.inOrder }, 'gate closed');
    }
  }

  private show(): void {
    const { decision } = this;
    const before = this.view_;
    const view: GateView = decision.open
      ? { open: this.gate.listening, closing: decision.closing, term: decision.term }
      : { open: false, closing: false, term: before.term };
    if (view.open === before.open && view.closing === before.closing && view.term === before.term) return;
    this.view_ = view;
    this.onChange();
  }
}

type GateView = Pick<GateStatus, 'open' | 'closing' | 'term'>;
