import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { termIn } from '../../../src/etcd/term.js';
import {
  decideGate,
  learn,
  nextQuestion,
  nothingKnown,
  proofMs,
  type Answer,
  type GateFacts,
  type Knowledge,
  type MemberView,
} from '../../../src/node/runtime/gate-decide.js';

const noOrder = { generation: 0, term: 0, serve: false };
const status = (leads: boolean, term: number): Answer => ({ asked: 'status', view: { leads, term } });
const read = (begunAt: number, succeeded = true): Answer => ({ asked: 'read', begunAt, succeeded });
const noStatus: Answer = { asked: 'status' };

const knowing = (...answers: Answer[]): Knowledge => answers.reduce(learn, nothingKnown);
const reflex = (known: Knowledge, more: Partial<GateFacts> = {}): GateFacts => ({
  rule: 'reflex',
  order: noOrder,
  jupyterReady: true,
  known,
  ...more,
});
const byOrder = (known: Knowledge, more: Partial<GateFacts> = {}): GateFacts => ({
  ...reflex(known),
  rule: 'word',
  order: { generation: 3, term: 2, serve: true },
  ...more,
});

describe('a gate that opens by reflex', () => {
  const leading = knowing(status(true, 5), read(1_000), status(true, 5));

  it('is open while a read between two reports of one leadership is fresh', () => {
    expect(decideGate(reflex(leading), 1_100)).toMatchObject({
      open: true,
      closing: false,
      term: 5,
      until: 1_000 + proofMs,
    });
    expect(decideGate(reflex(leading), 1_499)).toMatchObject({ open: true });
    expect(decideGate(reflex(leading), 1_500)).toMatchObject({ open: false, inOrder: false });
  });

  it.each([
    ['no answer', []],
    ['only a status', [status(true, 5)]],
    ['a read without a later status', [status(true, 5), read(1_000)]],
    ['a read that failed', [status(true, 5), read(1_000, false), status(true, 5)]],
    ['a read across two leaderships', [status(true, 5), read(1_000), status(true, 7)]],
    ['a read through a following member', [status(false, 5), read(1_000), status(false, 5)]],
    ['a read that began before the leadership', [status(false, 4), read(1_000), status(true, 5)]],
    ['a read followed by a missing status', [status(true, 5), read(1_000), noStatus, status(true, 5)]],
  ] as const)('is shut with %s', (_, answers) => {
    expect(decideGate(reflex(knowing(...answers)), 1_100)).toMatchObject({ open: false });
  });

  it('is closing as soon as its member no longer leads, and shuts in order', () => {
    const moved = reflex(learn(leading, status(false, 6)));
    expect(decideGate(moved, 1_200)).toMatchObject({ open: true, closing: true, term: 5, until: 1_500 });
    expect(decideGate(moved, 1_500)).toMatchObject({ open: false, inOrder: true });
  });

  it('is closing when the keeper has seen a later term', () => {
    const ordered = reflex(leading, { order: { generation: 9, term: 6, serve: false } });
    expect(decideGate(ordered, 1_200)).toMatchObject({ open: true, closing: true, term: 5 });
  });

  it('has the epoch that its read found in its term, and stays open in it', () => {
    const inEpoch: Answer = { asked: 'read', begunAt: 1_000, succeeded: true, epoch: 1 };
    const known = knowing(status(true, 2), inEpoch, status(true, 2));
    const recovered = decideGate(reflex(known, { order: { generation: 4, term: 90, serve: false } }), 1_100);
    expect(recovered).toMatchObject({ open: true, closing: false, term: termIn(1, 2) });
  });

  it('stays open at the new term when its member leads again', () => {
    const again = [status(false, 6), status(true, 7), read(1_300), status(true, 7)].reduce(learn, leading);
    expect(decideGate(reflex(again), 1_400)).toMatchObject({ open: true, closing: false, term: 7 });
  });

  it('needs no order, but a ready Jupyter', () => {
    expect(decideGate(reflex(leading, { jupyterReady: false }), 1_100)).toMatchObject({
      open: false,
      inOrder: false,
      reason: 'Jupyter is not ready',
    });
  });
});

describe('a gate that opens by the keeper’s order', () => {
  it('is open with an order and a fresh read, whoever leads', () => {
    const known = knowing(read(1_000));
    expect(decideGate(byOrder(known), 1_499)).toMatchObject({ open: true, closing: false, term: 2 });
    expect(decideGate(byOrder(known), 1_500)).toMatchObject({ open: false, inOrder: false });
    expect(decideGate(byOrder(known, { jupyterReady: false }), 1_100)).toMatchObject({ open: false });
  });

  it('shuts in order when the keeper withdraws its order', () => {
    const known = knowing(status(true, 2), read(1_000), status(true, 2));
    expect(decideGate(byOrder(known, { order: noOrder }), 1_100)).toMatchObject({
      open: false,
      inOrder: true,
    });
  });
});

describe('the requests', () => {
  const next = (...answers: Answer[]) => nextQuestion(knowing(...answers), reflex(nothingKnown));

  it('are few to a following member, and ask a new leader for a proof at once', () => {
    expect(next()).toEqual({ ask: 'status', when: 'soon' });
    expect(next(status(false, 5))).toEqual({ ask: 'status', when: 'when-told' });
    expect(next(status(true, 6))).toEqual({ ask: 'read', when: 'at-once' });
    expect(next(status(true, 6), read(1))).toEqual({ ask: 'status', when: 'at-once' });
    expect(next(status(true, 6), read(1), status(true, 6))).toEqual({ ask: 'read', when: 'soon' });
  });

  it('are not repeated without a pause while the member fails', () => {
    expect(next(status(true, 6), read(1, false))).toEqual({ ask: 'status', when: 'at-once' });
    expect(next(status(true, 6), read(1, false), noStatus)).toEqual({ ask: 'read', when: 'soon' });
    expect(next(status(true, 6), read(1, false), status(true, 6))).toEqual({ ask: 'read', when: 'soon' });
  });

  it('are none without the keeper’s order', () => {
    expect(nextQuestion(nothingKnown, byOrder(nothingKnown))).toEqual({ ask: 'read', when: 'soon' });
    expect(nextQuestion(nothingKnown, byOrder(nothingKnown, { order: noOrder }))).toBeUndefined();
  });
});

/** A step of simulated time, in ms. */
const stepMs = 10;
const turnMs = 100;
const deadlineMs = 300;

interface SimulatedMember {
  term: number;
  leads: boolean;
  /** Index of the leader that it follows. */
  follows: number | undefined;
  paused: boolean;
  /** Members of one part of the network can exchange messages. */
  part: number;
}

interface SimulatedNode {
  facts: GateFacts;
  paused: boolean;
  turnAt: number;
  asking:
    | { readonly ask: 'status' | 'read'; readonly begunAt: number; answer?: Answer; arrivesAt: number }
    | undefined;
  /** When a quorum has really confirmed a read of it; `term` if it led. */
  readonly confirmed: { readonly at: number; readonly term?: number }[];
  lastTerm: number;
}

type Event =
  | { readonly kind: 'run'; readonly steps: number }
  | { readonly kind: 'leap'; readonly ms: number }
  | { readonly kind: 'elect' | 'hear' | 'pause' | 'stop' | 'jupyter'; readonly node: number }
  | { readonly kind: 'part'; readonly parts: readonly number[] }
  | { readonly kind: 'order'; readonly node: number; readonly serve: boolean };

/** Raft's elections and reads, and a cluster's nodes on top; `delays` makes all choices of the model. */
class Simulation {
  now = 10_000;
  readonly electedAt = new Map<number, number>();
  readonly members: SimulatedMember[];
  readonly nodes: SimulatedNode[];
  opened = 0;
  private generation = 0;
  private drawn = 0;

  constructor(
    count: number,
    rule: GateFacts['rule'],
    private readonly delays: readonly number[],
  ) {
    this.members = Array.from({ length: count }, () => ({
      term: 1,
      leads: false,
      follows: undefined,
      paused: false,
      part: 0,
    }));
    this.nodes = this.members.map((_, index) => ({
      facts: { rule, order: noOrder, jupyterReady: true, known: nothingKnown },
      paused: false,
      // Nodes do not take their turns at the same time.
      turnAt: this.now + index * 30,
      asking: undefined,
      confirmed: [],
      lastTerm: 0,
    }));
  }

  happen(event: Event): void {
    const at = 'node' in event ? event.node % this.members.length : 0;
    const member = this.members[at] as SimulatedMember;
    const node = this.nodes[at] as SimulatedNode;
    switch (event.kind) {
      case 'run':
        for (let step = 0; step < event.steps; step += 1) this.step();
        break;
      case 'leap':
        // The whole machine is suspended; its monotonic clock continues.
        this.now += event.ms;
        this.check();
        break;
      case 'elect': {
        const voters = this.reach(at);
        if (voters.length * 2 <= this.members.length) break;
        const term = Math.max(...voters.map((voter) => voter.term)) + 1;
        for (const voter of voters) Object.assign(voter, { term, leads: voter === member, follows: at });
        this.electedAt.set(term, this.now);
        break;
      }
      case 'hear': {
        // A later term is received late, or never.
        const newest = this.reach(at).reduce((best, each) => (each.term > best.term ? each : best), member);
        if (newest.term > member.term) {
          Object.assign(member, { term: newest.term, leads: false, follows: newest.follows });
        }
        break;
      }
      case 'pause':
        member.paused = !member.paused;
        break;
      case 'stop':
        node.paused = !node.paused;
        break;
      case 'jupyter':
        node.facts = { ...node.facts, jupyterReady: !node.facts.jupyterReady };
        break;
      case 'part':
        this.members.forEach((each, index) => (each.part = event.parts[index] ?? 0));
        break;
      case 'order':
        this.generation += 1;
        node.facts = {
          ...node.facts,
          order: {
            generation: this.generation,
            term: Math.max(0, ...this.electedAt.keys()),
            serve: event.serve,
          },
        };
        break;
    }
    this.check();
  }

  private step(): void {
    this.now += stepMs;
    this.nodes.forEach((node, index) => this.turn(node, index));
    this.check();
  }

  /** Members that one can exchange messages with, including itself; none while it is paused. */
  private reach(index: number): SimulatedMember[] {
    const member = this.members[index] as SimulatedMember;
    if (member.paused) return [];
    return this.members.filter((each) => !each.paused && each.part === member.part);
  }

  private turn(node: SimulatedNode, index: number): void {
    const { asking } = node;
    if (asking !== undefined) {
      // The member answers when it can, even while the node that asked is suspended.
      if (asking.answer === undefined && this.now >= asking.arrivesAt) {
        const answer = this.answer(index, asking.ask, asking.begunAt);
        if (answer !== undefined) {
          asking.answer = answer;
          asking.arrivesAt = this.now + this.draw();
        }
      }
      if (node.paused) return;
      const late = this.now >= asking.begunAt + deadlineMs;
      if (asking.answer !== undefined && this.now >= asking.arrivesAt) this.learned(node, asking.answer);
      else if (late) {
        this.learned(node, asking.ask === 'status' ? noStatus : read(asking.begunAt, false));
      }
      return;
    }
    if (node.paused || this.now < node.turnAt) return;
    node.turnAt = this.now + turnMs;
    const question = nextQuestion(node.facts.known, node.facts);
    if (question !== undefined) this.ask(node, question.ask);
  }

  private ask(node: SimulatedNode, ask: 'status' | 'read'): void {
    node.asking = { ask, begunAt: this.now, arrivesAt: this.now + this.draw() };
  }

  private learned(node: SimulatedNode, answer: Answer): void {
    node.asking = undefined;
    node.facts = { ...node.facts, known: learn(node.facts.known, answer) };
    const question = nextQuestion(node.facts.known, node.facts);
    if (question?.when === 'at-once') this.ask(node, question.ask);
  }

  private answer(index: number, ask: 'status' | 'read', begunAt: number): Answer | undefined {
    const member = this.members[index] as SimulatedMember;
    if (member.paused) return undefined;
    if (ask === 'status')
      return { asked: 'status', view: { leads: member.leads, term: member.term } satisfies MemberView };
    const leader = member.leads ? index : member.follows;
    if (leader === undefined || !this.confirms(index, leader)) return undefined;
    (this.nodes[index] as SimulatedNode).confirmed.push({
      at: this.now,
      ...(member.leads ? { term: member.term } : {}),
    });
    return read(begunAt);
  }

  /** A quorum confirms to this leader that it knows of no later term. */
  private confirms(asker: number, leader: number): boolean {
    const { leads, term, part } = this.members[leader] as SimulatedMember;
    if (!leads || part !== this.members[asker]?.part) return false;
    const heard = this.reach(leader).filter((each) => each.term <= term);
    if (heard.length * 2 <= this.members.length) return false;
    for (const each of heard) {
      if (each.term < term) Object.assign(each, { term, leads: false, follows: leader });
    }
    return true;
  }

  private draw(): number {
    this.drawn += 1;
    return this.delays[this.drawn % this.delays.length] ?? 0;
  }

  private check(): void {
    const open = this.nodes.flatMap((node) => {
      if (node.paused) return [];
      const decision = decideGate(node.facts, this.now);
      if (!decision.open) return [];
      const { rule, order, jupyterReady } = node.facts;
      must(jupyterReady, 'open without a Jupyter');
      must(decision.until > this.now, 'open beyond its end');
      const fresh = node.confirmed.filter(({ at }) => at > this.now - proofMs);
      if (rule === 'word') must(order.serve, 'open without the word');
      must(
        fresh.some(({ term }) => rule === 'word' || term === decision.term),
        'open without a proof of the last 500 ms',
      );
      must(decision.term >= node.lastTerm, 'the term has fallen');
      node.lastTerm = decision.term;
      return [decision];
    });
    this.opened += open.length;
    if (this.nodes[0]?.facts.rule === 'word') return;
    for (const lower of open) {
      for (const higher of open) {
        if (lower === higher) continue;
        must(lower.term !== higher.term, 'two gates are open in one term');
        const since = this.electedAt.get(higher.term) ?? -Infinity;
        must(
          lower.term > higher.term || lower.closing || lower.until <= since + proofMs,
          'a gate stays open beside one of a higher term',
        );
      }
    }
  }
}

/** Like `expect`, which is too slow for millions of calls. */
function must(holds: boolean, broken: string): void {
  if (!holds) throw new Error(broken);
}

const node = fc.nat({ max: 4 });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('run'), steps: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leap'), ms: fc.integer({ min: 1, max: 2_000 }) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('elect'), node }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constantFrom('hear', 'pause', 'stop', 'jupyter'), node }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('part'),
      parts: fc.array(fc.nat({ max: 1 }), { minLength: 5, maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('order'), node, serve: fc.boolean() }) },
);
const delays = fc.array(fc.constantFrom(0, 0, 0, 10, 20, 50, 150, 400), { minLength: 1, maxLength: 40 });
const history = fc.array(event, { minLength: 5, maxLength: 60 });

describe('for all elections, pauses, partitions, orders and standstills', () => {
  it.each(['reflex', 'word'] as const)('gates that open by %s keep their promises', (rule) => {
    let opened = 0;
    fc.assert(
      fc.property(fc.constantFrom(3, 5), delays, history, (count, chosen, events) => {
        const simulation = new Simulation(count, rule, chosen);
        for (const each of events) simulation.happen(each);
        opened += simulation.opened;
      }),
      { numRuns: 300 },
    );
    // A model in which no gate ever opens would prove nothing.
    expect(opened).toBeGreaterThan(1_000);
  });

  it('one gate is open in the end, when all has healed', () => {
    fc.assert(
      fc.property(fc.constantFrom(3, 5), history, (count, events) => {
        const simulation = new Simulation(count, 'reflex', [0, 10]);
        for (const each of events) simulation.happen(each);
        for (const member of simulation.members) Object.assign(member, { paused: false, part: 0 });
        for (const each of simulation.nodes) {
          each.paused = false;
          each.facts = { ...each.facts, jupyterReady: true };
        }
        simulation.happen({ kind: 'elect', node: 1 });
        simulation.happen({ kind: 'run', steps: 120 });
        const open = simulation.nodes.map(({ facts }) => decideGate(facts, simulation.now));
        expect(open.map((decision) => decision.open)).toEqual(
          simulation.nodes.map((_, index) => index === 1),
        );
        expect(open[1]).toMatchObject({ closing: false });
      }),
      { numRuns: 100 },
    );
  });
});
