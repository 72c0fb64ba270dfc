import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conclude, joinWatched } from '../../src/drill/decide.js';
import { evidenceSchema } from '../../src/drill/evidence.js';
import { findDrill } from '../../src/drill/faults/index.js';
import {
  closedOf,
  fateOf,
  kernelsOf,
  outputsOf,
  withNumber,
  type Counter,
  type KernelPlan,
  type KernelsObservation,
  type NumberRange,
  type Tally,
} from '../../src/drill/kernels.js';
import { evidenceText } from '../../src/drill/text.js';
import { conclusionOf, drillPlan, healed, recovery } from '../support/drill.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec({ name: 'drilled' });

const counter = (node: string, host: string, change: Partial<Counter> = {}): Counter => ({
  ...{ node, host, path: `${node}.ipynb`, session: `s-${node}`, kernel: `k-${node}` },
  ...{ through: ['h1', 'h2'], fate: 'kept' as const },
  ...change,
});
const planOf = (...counters: readonly Counter[]): KernelPlan => ({ counters, without: {} });
const two = planOf(counter('node0', 'h1'), counter('node1', 'h2'));

const tally = (node: string, seen: readonly NumberRange[], change: Partial<Tally> = {}): Tally => ({
  ...{ node, seen, missing: [], late: [] },
  ...change,
});

describe('numbers', () => {
  it('become few ranges, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60)), (numbers) => {
        const ranges = numbers.reduce<readonly NumberRange[]>(withNumber, []);
        const inside = ranges.flatMap(([from, to]) =>
          Array.from({ length: to - from + 1 }, (_, index) => from + index),
        );
        expect(inside).toEqual([...new Set(numbers)].sort((a, b) => a - b));
        for (const [index, [from]] of ranges.entries()) {
          if (index > 0) expect(from).toBeGreaterThan((ranges[index - 1]?.[1] ?? 0) + 1);
        }
      }),
    );
  });
});

describe('the fate of a kernel', () => {
  const fates = (name: string, target: string, change: Partial<Parameters<typeof fateOf>[1]> = {}) => {
    const definition = findDrill(name);
    if (!definition) throw new Error(name);
    const each = (node: string, host: string, through: readonly string[]) =>
      fateOf({ node, host, through }, { definition, target, spec, ...change });
    return [each('node0', 'h1', ['h1', 'h2']), each('node1', 'h2', ['h2'])];
  };
  const cold = { ...spec, jupyter: { ...spec.jupyter, standby: 'cold' as const } };
  const chain = { ...spec, proxy: { ...spec.proxy, topology: 'chain' as const } };

  it.each<[string, string, Parameters<typeof fates>[2], readonly string[]]>([
    ['etcd-pause', 'node0', {}, ['kept', 'kept']],
    ['node-kill', 'node1', {}, ['kept', 'lost']],
    ['node-kill-follower', 'node0', {}, ['lost', 'kept']],
    ['jupyter-kill', 'node0', {}, ['cut', 'kept']],
    ['jupyter-kill-follower', 'node1', {}, ['kept', 'cut']],
    ['kernel-kill', 'node0', {}, ['restarted', 'kept']],
    // The other host still shows what node0 prints; node1 is watched through h2 alone.
    ['host-crash', 'h1', { downHost: 'h1', struckHost: 'h1' }, ['lost', 'kept']],
    ['proxy-kill', 'h2', { struckHost: 'h2' }, ['kept', 'cut']],
    ['proxy-kill', 'h1', { struckHost: 'h1', spec: chain }, ['cut', 'cut']],
    ['worker-kill', 'scheduler', { spec: chain }, ['kept', 'kept']],
    ['etcd-move', 'node1', { spec: cold }, ['lost', 'lost']],
    ['kernel-kill', 'node0', { spec: cold }, ['restarted', 'lost']],
  ])('in %s of %s', (name, target, change, expected) => {
    expect(fates(name, target, change)).toEqual(expected);
  });
});

describe('what must hold of kernels', () => {
  const list = {
    kernels: ['k-node0', 'k-node1', 'k-user'],
    sessions: [
      { id: 's-node0', kernel: 'k-node0' },
      { id: 's-node1', kernel: 'k-node1' },
    ],
  };
  const good: KernelsObservation = {
    listed: { h1: list, h2: { ...list, kernels: list.kernels.toReversed() } },
    byNode: { node0: ['k-node0', 'k-user'], node1: ['k-node1'], node2: [] },
    processes: { 'k-node0': 1, 'k-node1': 1 },
    counting: { node0: true, node1: true },
    restarted: {},
  };
  const judge = (change: Partial<KernelsObservation>, plan: KernelPlan = two) =>
    kernelsOf(plan, { ...good, ...change }).map(({ name, holds, what }) => [name, holds, what]);
  const without = { kernels: ['k-node0', 'k-user'], sessions: list.sessions.slice(0, 1) };

  it('holds', () => {
    expect(judge({})).toEqual([
      ['kernels', true, 'the kernels on node0, node1 run on'],
      ['lists', true, 'every host lists the same 3 kernels, each of one node'],
    ]);
  });

  it.each<[string, Partial<KernelsObservation>, string, RegExp]>([
    [
      'a kernel has stopped printing',
      { counting: { node0: true, node1: false } },
      'kernels',
      /node1 prints noth/,
    ],
    ['a kernel is gone', { listed: { h1: without, h2: without } }, 'kernels', /kernel on node1 is gone/],
    [
      'its notebook has another one',
      {
        listed: {
          h1: { kernels: [...list.kernels, 'k-new'], sessions: [{ id: 's-node0', kernel: 'k-new' }] },
        },
      },
      'kernels',
      /node0 was replaced by k-new/,
    ],
    ['a kernel runs twice', { processes: { 'k-node0': 2 } }, 'kernels', /node0 runs 2 times/],
    ['two hosts differ', { listed: { h1: list, h2: without } }, 'lists', /h1 and h2 list different/],
    [
      'their sessions differ',
      { listed: { h1: list, h2: { ...list, sessions: [] } } },
      'lists',
      /h1 and h2 list different/,
    ],
    [
      'two nodes have one',
      { byNode: { node0: ['k-node0', 'k-user'], node1: ['k-node1', 'k-user'] } },
      'lists',
      /kernel k-user runs on two nodes/,
    ],
    [
      'one is listed twice',
      { listed: { h1: { ...list, kernels: [...list.kernels, 'k-user'] } } },
      'lists',
      /h1 lists k-user twice/,
    ],
    [
      'one is not listed',
      { byNode: { ...good.byNode, node2: ['k-hidden'] } },
      'lists',
      /no host lists kernel k-hidden/,
    ],
    [
      'one is listed, and nobody has it',
      { byNode: { ...good.byNode, node0: ['k-node0'] } },
      'lists',
      /no node has the listed kernel k-user/,
    ],
  ])('is broken: %s', (_, change, name, what) => {
    const broken = judge(change).filter(([, holds]) => holds === false);
    expect(broken.map(([each]) => each)).toContain(name);
    expect(broken.find(([each]) => each === name)?.[2]).toMatch(what);
  });

  it.each<[string, Partial<KernelsObservation>, string]>([
    ['a host does not answer', { listed: { h1: list, h2: null } }, 'lists'],
    ['a node does not answer', { byNode: { ...good.byNode, node2: null } }, 'lists'],
    ['no host answers', { listed: { h1: null, h2: null }, counting: {} }, 'kernels'],
    ['no websocket is open', { counting: { node0: true } }, 'kernels'],
  ])('is neither broken nor held: %s', (_, change, name) => {
    const judged = judge(change);
    expect(judged.filter(([, holds]) => holds === false)).toEqual([]);
    expect(judged.find(([each]) => each === name)).toMatchObject([name, null, expect.any(String)]);
  });

  it('excepts, by name, what the fault ends, and expects what it kills again', () => {
    const struck = planOf(counter('node0', 'h1'), counter('node1', 'h2', { fate: 'lost' }));
    expect(judge({ counting: { node0: true }, listed: { h1: without }, byNode: {} }, struck)[0]).toEqual([
      'kernels',
      true,
      'the kernels on node0 run on; not judged: node1, where the fault may end kernels',
    ]);
    const killed = planOf(counter('node0', 'h1'), counter('node1', 'h2', { fate: 'restarted' }));
    const of = (restarted: boolean | undefined) =>
      judge({ counting: { node0: true, node1: false }, restarted: { node1: restarted } }, killed)[0];
    expect(of(true)).toMatchObject([
      'kernels',
      true,
      expect.stringContaining('the killed kernel on node1 was started again'),
    ]);
    expect(of(false)).toMatchObject(['kernels', false, 'the kernel on node1 was not started again']);
    expect(of(undefined)).toMatchObject(['kernels', null, expect.any(String)]);
  });

  it('is not known without a kernel, and says why', () => {
    const plan = { counters: [], without: { node0: 'it has no door to its kernels', node1: 'it is old' } };
    expect(judge({}, plan)).toEqual([
      ['kernels', null, 'no kernel of the drill ran: it has no door to its kernels; it is old'],
    ]);
    const some = { ...two, without: { node2: 'its Jupyter does not run' } };
    expect(judge({}, some)[0]?.[2]).toMatch(/none on node2: its Jupyter does not run$/);
  });

  it.each<[string, Parameters<typeof closedOf>[1], boolean | null, RegExp]>([
    [
      'all ended',
      { listed: { h1: { kernels: ['k-user'], sessions: [] } }, processes: {} },
      true,
      /2 sessions/,
    ],
    ['one is listed', { listed: { h1: without }, processes: {} }, false, /h1 still lists .* on node0/],
    [
      'a session is left',
      { listed: { h1: { kernels: [], sessions: [{ id: 's-node1' }] } }, processes: {} },
      false,
      /node1/,
    ],
    ['a process is left', { listed: {}, processes: { 'k-node1': 1 } }, false, /node1 runs on after/],
    ['a host is silent', { listed: { h1: null }, processes: {} }, null, /not known/],
    ['processes are unknown', { listed: {} }, null, /not known/],
  ])('after their sessions were closed: %s', (_, observation, holds, what) => {
    const closed = closedOf(two, observation);
    expect(closed).toMatchObject({ name: 'closed', holds });
    expect(closed.what).toMatch(what);
  });
});

describe('output', () => {
  const judge = (plan: KernelPlan, ...tallies: readonly Tally[]) => outputsOf(plan, tallies)[0];
  const whole = tally('node0', [[0, 99]]);

  it('is complete in each time in which one worker watched', () => {
    expect(judge(two, whole, tally('node1', [[5, 20]]), tally('node0', [[150, 160]]))).toEqual({
      name: 'outputs',
      holds: true,
      what: 'no output is missing from node0, node1: 127 lines in order',
    });
  });

  it.each<[string, Tally, RegExp]>([
    ['a websocket left numbers out', tally('node1', [[0, 9]], { missing: [[3, 4]] }), /node1: 3–4$/],
    ['they came out of order', tally('node1', [[0, 9]], { late: [3] }), /node1 came out of order: 3$/],
    [
      'nobody saw some',
      tally('node1', [
        [0, 9],
        [12, 20],
      ]),
      /output of node1 is missing: 10–11$/,
    ],
  ])('is broken: %s', (_, bad, what) => {
    expect(judge(two, whole, bad)).toMatchObject({
      holds: false,
      what: expect.stringMatching(what) as string,
    });
  });

  it('is not known where the fault cut the websockets, or nobody saw any', () => {
    const cut = planOf(counter('node0', 'h1', { fate: 'cut' }));
    const gap = tally('node0', [
      [0, 9],
      [40, 50],
    ]);
    expect(judge(cut, gap)).toMatchObject({ holds: null, what: expect.stringMatching(/10–39/) as string });
    expect(judge(cut, tally('node0', [[0, 9]], { missing: [[3, 3]] }))).toMatchObject({ holds: false });
    expect(judge(two, whole)).toMatchObject({ holds: null, what: 'the output of node1 was not seen' });
  });

  it('of a kernel that the fault ends is not judged', () => {
    const bad = tally('node1', [[0, 9]], { missing: [[3, 4]] });
    const struck = planOf(counter('node0', 'h1'), counter('node1', 'h2', { fate: 'lost' }));
    expect(judge(struck, whole, bad)).toMatchObject({ holds: true });
    expect(outputsOf(planOf(counter('node1', 'h2', { fate: 'lost' })), [bad])).toEqual([]);
  });
});

describe('the evidence of a drill with kernels', () => {
  const plan = drillPlan({ kernels: two });
  const during = { ...recovery(), tallies: [tally('node0', [[0, 20]]), tally('node1', [[0, 20]])] };
  const after = { ...healed(), tallies: [tally('node0', [[25, 40]]), tally('node1', [[25, 40]])] };

  it('judges the output of both steps, and fails only for what is broken', () => {
    const evidence = conclude(conclusionOf({ plan, recovery: during, healing: after }));
    expect(evidenceSchema.parse(evidence)).toEqual(evidence);
    expect(evidence.invariants.at(-1)).toMatchObject({ name: 'outputs', holds: true });
    expect(evidence.verdict.passed).toBe(true);
    const unknown = conclude(
      conclusionOf({ plan, healing: { ...healed(), tallies: after.tallies.slice(1) } }),
    );
    expect(unknown.invariants.at(-1)).toMatchObject({ name: 'outputs', holds: null });
    expect(unknown.verdict.passed).toBe(true);
    expect(evidenceText(unknown)).toMatch(/not known +outputs/);
    const bad = { ...after, tallies: [...after.tallies, tally('node1', [[50, 60]], { late: [51] })] };
    const broken = conclude(conclusionOf({ plan, recovery: during, healing: bad }));
    expect(broken.verdict).toEqual({ passed: false, reasons: ['output of node1 came out of order: 51'] });
    expect(evidenceText(broken)).toMatch(/BROKEN +outputs/);
  });

  it('says nothing about kernels for a plan of an earlier release', () => {
    expect(conclude(conclusionOf()).invariants.map(({ name }) => name)).toEqual(['etcd']);
  });

  it('keeps what an earlier worker saw, and that it began to close the sessions', () => {
    const joined = joinWatched({ ...during, closing: true }, { ...after });
    expect(joined.tallies).toEqual([...during.tallies, ...after.tallies]);
    expect(joined.closing).toBe(true);
  });
});
