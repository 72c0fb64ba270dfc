import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { termIn } from '../../src/etcd/term.js';
import { verdict, type Probe, type Verdict } from '../../src/etcd/verdict.js';
import { majority } from '../../src/cluster/spec.js';

/** Part of a reason. */
const saying = (text: string): string => expect.stringContaining(text) as string;

/** A member that follows `leader` (its index) at `term`; the leader's read succeeds by default. */
function member(index: number, leader: number | undefined, term: number, linearizable?: boolean): Probe {
  return {
    node: `node${index}`,
    ok: true,
    memberId: `${index}`,
    ...(leader === undefined ? {} : { leader: `${leader}` }),
    term,
    linearizable: linearizable ?? leader === index,
  };
}

const dead = (index: number): Probe => ({ node: `node${index}`, ok: false, reason: 'refused' });

describe('verdict', () => {
  it('names the leader that a majority follows, and the live nodes, the leader first', () => {
    const probes = [member(0, 2, 7), dead(1), member(2, 2, 7), member(3, 2, 7), dead(4)];
    expect(verdict(probes)).toEqual({
      kind: 'verdict',
      verdict: { leader: 'node2', term: 7, live: ['node2', 'node0', 'node3'] },
    });
  });

  it('does not trust a stalled leader that resumes at its old term', () => {
    const probes = [member(0, 0, 7), member(1, 1, 8), member(2, 1, 8)];
    expect(verdict(probes)).toMatchObject({ verdict: { leader: 'node1', term: 8 } });
  });

  it('counts a stalled leader as live, but not for itself', () => {
    const probes = [member(0, 0, 7), member(1, 1, 8), dead(2)];
    expect(verdict(probes)).toMatchObject({ kind: 'none', reason: saying('no majority') });
  });

  it('is none below a majority of all configured members', () => {
    expect(verdict([member(0, 0, 7), dead(1), dead(2)])).toEqual({
      kind: 'none',
      reason: '1 of 3 members respond, 2 are required',
    });
  });

  it('counts the voters that the leader lists, while nodes are added or removed', () => {
    const leading = (voters: readonly string[]): Probe => ({ ...member(0, 0, 7), voters }) as Probe;
    const grown = [leading(['0', '1', '2']), member(1, 0, 7), dead(2), dead(3), dead(4)];
    expect(verdict(grown)).toMatchObject({ verdict: { leader: 'node0', live: ['node0', 'node1'] } });
    const learning = [leading(['0', '1', '2']), member(3, 0, 7), dead(1), dead(2)];
    expect(verdict(learning)).toEqual({ kind: 'none', reason: '1 of 3 members respond, 2 are required' });
    const notKnownYet = [leading(['0', '1', '2', '8', '9']), member(1, 0, 7), dead(2)];
    expect(verdict(notKnownYet)).toEqual({ kind: 'none', reason: '2 of 5 members respond, 3 are required' });
  });

  it('takes the leader of a higher epoch, whatever the raft terms', () => {
    const leading = (index: number, term: number, epoch: number, voters: readonly string[]): Probe =>
      ({ ...member(index, index, term), epoch, voters }) as Probe;
    const before: Verdict = { leader: 'node0', term: 90, live: [] };
    const recovered = leading(3, 2, 1, ['3', '4']);
    const found = verdict([dead(0), dead(1), dead(2), recovered, member(4, 3, 2)], before);
    expect(found).toMatchObject({
      verdict: { leader: 'node3', term: termIn(1, 2), live: ['node3', 'node4'] },
    });
    // Three who were given up return as the quorum that they were.
    const old = [leading(0, 91, 0, ['0', '1', '2', '8', '9']), member(1, 0, 91), member(2, 0, 91)];
    const both = [...old, recovered, member(4, 3, 2)];
    expect(verdict(both)).toMatchObject({ verdict: { leader: 'node3', live: ['node3', 'node4'] } });
    const known: Verdict = { leader: 'node3', term: termIn(1, 2), live: [] };
    expect(verdict([...old, dead(3), dead(4)], known)).toMatchObject({
      kind: 'none',
      reason: saying('term 91 of node0 is lower than the last known term 2 of epoch 1'),
    });
  });

  it('is none while the leader itself does not respond', () => {
    const probes = [dead(0), member(1, 0, 7), member(2, 0, 7)];
    expect(verdict(probes)).toMatchObject({
      kind: 'none',
      reason: saying('does not confirm'),
    });
  });

  it('is none without a linearizable read through the leader', () => {
    const probes = [member(0, 0, 7, false), member(1, 0, 7), member(2, 0, 7)];
    expect(verdict(probes)).toEqual({
      kind: 'none',
      reason: 'no linearizable read through node0 at term 7',
    });
  });

  it('is none during an election', () => {
    const probes = [member(0, undefined, 8), member(1, undefined, 8), member(2, 1, 8)];
    expect(verdict(probes)).toMatchObject({ kind: 'none' });
  });

  it('is none without any member', () => {
    expect(verdict([])).toMatchObject({ kind: 'none' });
  });

  it('never returns to a lower term', () => {
    const previous: Verdict = { leader: 'node1', term: 9, live: ['node1'] };
    const probes = [member(0, 0, 7), member(1, 0, 7), member(2, 0, 7)];
    expect(verdict(probes, previous)).toMatchObject({
      kind: 'none',
      reason: saying('lower'),
    });
  });

  it('never gives one term two leaders', () => {
    const previous: Verdict = { leader: 'node1', term: 7, live: ['node1'] };
    const probes = [member(0, 0, 7), member(1, 0, 7), member(2, 0, 7)];
    expect(verdict(probes, previous)).toMatchObject({
      kind: 'none',
      reason: saying('both'),
    });
  });

  describe('whatever the members report', () => {
    // Small ranges, so that agreement and conflict are both frequent.
    const anyProbe = (index: number, count: number) =>
      fc.oneof(
        fc.constant(dead(index)),
        fc
          .record({
            leader: fc.option(fc.integer({ min: 0, max: count - 1 }), { nil: undefined }),
            term: fc.integer({ min: 1, max: 3 }),
            linearizable: fc.boolean(),
          })
          .map(({ leader, term, linearizable }) => member(index, leader, term, linearizable)),
      );
    const anyProbes = fc
      .integer({ min: 1, max: 7 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => anyProbe(index, count))));
    const anyPrevious = fc.option(
      fc.record({
        leader: fc.integer({ min: 0, max: 6 }).map((index) => `node${index}`),
        term: fc.integer({ min: 1, max: 4 }),
        live: fc.constant([]),
      }),
      { nil: undefined },
    );

    it('requires a majority at that very term, the leader and its read', () => {
      fc.assert(
        fc.property(anyProbes, anyPrevious, (probes, previous) => {
          const finding = verdict(probes, previous);
          if (finding.kind === 'none') return finding.reason !== '';
          const { leader, term, live } = finding.verdict;
          const answered = probes.filter((probe) => probe.ok);
          const own = answered.find(({ node }) => node === leader);
          const following = answered.filter((probe) => probe.term === term && probe.leader === own?.memberId);
          expect(following.length).toBeGreaterThanOrEqual(majority(probes.length));
          expect(own).toMatchObject({ term, leader: own?.memberId, linearizable: true });
          expect(live[0]).toBe(leader);
          expect([...live].sort()).toEqual(answered.map(({ node }) => node).sort());
          return true;
        }),
        { numRuns: 2_000 },
      );
    });

    it('is never at a lower term than a majority has reached, or than the previous verdict', () => {
      fc.assert(
        fc.property(anyProbes, anyPrevious, (probes, previous) => {
          const finding = verdict(probes, previous);
          if (finding.kind === 'none') return;
          const terms = probes.flatMap((probe) => (probe.ok ? [probe.term] : [])).sort((a, b) => b - a);
          const reached = terms[majority(probes.length) - 1] ?? 0;
          expect(finding.verdict.term).toBeGreaterThanOrEqual(reached);
          expect(finding.verdict.term).toBeGreaterThanOrEqual(previous?.term ?? 0);
        }),
        { numRuns: 2_000 },
      );
    });

    it('is found whenever a healthy majority follows a healthy leader', () => {
      fc.assert(
        fc.property(anyProbes, fc.nat(), (probes, pick) => {
          const leader = pick % probes.length;
          const others = majority(probes.length) - 1;
          const healthy = probes.map((probe, index) => {
            const rank = (index - leader + probes.length) % probes.length;
            return rank <= others ? member(index, leader, 9) : probe;
          });
          expect(verdict(healthy)).toMatchObject({ verdict: { leader: `node${leader}`, term: 9 } });
        }),
        { numRuns: 500 },
      );
    });
  });
});
