import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decideEtcdStart,
  type DataView,
  type Decision,
  type Observation,
  type PeerView,
} from '../../src/etcd/decide.js';
import type { Member } from '../../src/etcd/members.js';
import { majority } from '../../src/cluster/spec.js';

/** Part of a reason. */
const saying = (text: string): string => expect.stringContaining(text) as string;

const clusterId = 'cluster';
const url = (index: number) => `http://10.0.0.${index}:2380`;

/** The member that node `index` has in the static cluster. */
function founder(index: number, started = true): Member {
  return {
    id: `founder${index}`,
    name: `node${index}`,
    peerUrls: [url(index)],
    clientUrls: started ? [`http://10.0.0.${index}:2379`] : [],
    learner: false,
  };
}

/** A member that was added for node `index` and has not started. */
function addition(index: number, id: string): Member {
  return { id, name: '', peerUrls: [url(index)], clientUrls: [], learner: true };
}

const silent = (index: number): PeerView => ({ node: `node${index}`, ok: false, reason: 'refused' });

/** A peer in a quorum led by node 1, with these members. */
function peer(index: number, members: readonly Member[], change: Partial<PeerView> = {}): PeerView {
  return {
    node: `node${index}`,
    ok: true,
    memberId: `founder${index}`,
    term: 5,
    leader: 'founder1',
    linearizable: true,
    membership: { clusterId, members },
    ...change,
  } as PeerView;
}

/** A peer that responds, without a quorum. */
const lonely = (index: number, members: readonly Member[]): PeerView => {
  const { node, memberId, term, membership } = peer(index, members) as Extract<PeerView, { ok: true }>;
  return { node, ok: true, memberId, term, membership, linearizable: false };
};

/** Node 0, without data, of a cluster of three that has been formed before. */
function node0(change: Partial<Observation>): Observation {
  return {
    name: 'node0',
    peerUrl: url(0),
    formed: true,
    static: { memberId: 'founder0', clusterId },
    data: { kind: 'none' },
    peers: [silent(1), silent(2)],
    ...change,
  };
}

const own: DataView = { kind: 'member', memberId: 'founder0', clusterId };
const three = [founder(0), founder(1), founder(2)];

describe('decideEtcdStart', () => {
  describe('after a recovery', () => {
    const recovered: Member[] = [
      { ...founder(1), id: 'seed1' },
      { ...founder(2), id: 'added2' },
    ];
    const ofRecovered = (index: number, memberId: string, epoch: number) =>
      peer(index, recovered, { memberId, epoch, leader: 'seed1' });
    const inEpoch = (epoch: number): Partial<Observation> => ({
      peers: [ofRecovered(1, 'seed1', epoch), ofRecovered(2, 'added2', epoch)],
    });

    it('learns of the epoch from the others, whatever it has', () => {
      const adopts = { kind: 'adopt-epoch', epoch: 1, of: 'node' };
      expect(decideEtcdStart(node0(inEpoch(1)))).toMatchObject(adopts);
      expect(decideEtcdStart(node0({ ...inEpoch(1), data: own }))).toMatchObject(adopts);
      expect(decideEtcdStart(node0({ ...inEpoch(2), data: own, epoch: 1, dataEpoch: 1 }))).toMatchObject({
        kind: 'adopt-epoch',
        epoch: 2,
      });
    });

    it('has data of before set aside, and kept', () => {
      const outdated = { data: own, epoch: 1 };
      expect(decideEtcdStart(node0({ ...outdated, ...inEpoch(1) }))).toMatchObject({
        kind: 'drop-data',
        outdated: 0,
      });
    });

    it('neither starts them nor sets them aside while no quorum of the epoch responds', () => {
      const silence = { data: own, epoch: 1, peers: [silent(1), silent(2)] };
      expect(decideEtcdStart(node0(silence))).toMatchObject({ kind: 'wait', reason: saying('no quorum') });
      const before = { data: own, epoch: 1, peers: [peer(1, three), peer(2, three)] };
      expect(decideEtcdStart(node0(before))).toMatchObject({ kind: 'wait', reason: saying('no quorum') });
    });

    it('takes data of a member that the quorum of the epoch lists as data of the epoch', () => {
      const listed = {
        data: own,
        epoch: 1,
        peers: [peer(1, three, { epoch: 1 }), peer(2, three, { epoch: 1 })],
      };
      expect(decideEtcdStart(node0(listed))).toMatchObject({ kind: 'adopt-epoch', of: 'data', epoch: 1 });
    });

    it('joins the quorum of the higher epoch where two respond', () => {
      const peers = [peer(1, three), ...(inEpoch(1).peers ?? []).slice(1)];
      expect(decideEtcdStart(node0({ epoch: 1, peers }))).toMatchObject({ kind: 'add', through: ['node2'] });
    });

    it('begins the epoch once, with its data or without', () => {
      const seed = (from: 'data' | 'nothing', change: Partial<Observation>) =>
        decideEtcdStart(node0({ epoch: 1, seed: from, ...change }));
      expect(seed('data', { data: own })).toMatchObject({ kind: 'begin-epoch', from: 'data' });
      expect(seed('data', { data: own, dataEpoch: 1 })).toMatchObject({ kind: 'start-with-data' });
      expect(seed('data', { data: { kind: 'unreadable', why: 'torn' } })).toMatchObject({ kind: 'wait' });
      expect(seed('data', { data: { kind: 'none' } })).toMatchObject({ kind: 'wait' });
      expect(seed('nothing', { data: own })).toMatchObject({ kind: 'drop-data', outdated: 0 });
      expect(seed('nothing', {})).toMatchObject({ kind: 'begin-epoch', from: 'nothing' });
      expect(seed('nothing', { data: own, dataEpoch: 1 })).toMatchObject({ kind: 'start-with-data' });
    });

    it('does not begin the epoch where a quorum has', () => {
      expect(decideEtcdStart(node0({ ...inEpoch(1), epoch: 1, seed: 'nothing' }))).toMatchObject({
        kind: 'add',
      });
      const data = { data: own, epoch: 1, seed: 'data' as const };
      expect(decideEtcdStart(node0({ ...inEpoch(1), ...data }))).toMatchObject({ kind: 'drop-data' });
    });
  });

  describe('a member that its own data end', () => {
    const damaged: Partial<Observation> = {
      data: own,
      failure: { kind: 'data', words: 'tocommit(12) is out of range [lastIndex(8)]' },
      peers: [peer(1, three), peer(2, three)],
    };

    it('has them put aside, to be replaced', () => {
      expect(decideEtcdStart(node0(damaged))).toMatchObject({
        kind: 'drop-data',
        damaged: { memberId: 'founder0' },
        reason: saying('tocommit'),
      });
    });

    it('is kept where the others would make no quorum without it', () => {
      const four = [...three, founder(3)];
      const peers = [peer(1, four), peer(2, four), silent(3)];
      expect(decideEtcdStart(node0({ ...damaged, peers }))).toMatchObject({ kind: 'drop-data' });
      const five = [...four, founder(4)];
      const three5 = [peer(1, five), peer(2, five), silent(3), silent(4)];
      expect(decideEtcdStart(node0({ ...damaged, peers: three5 }))).toMatchObject({
        kind: 'wait',
        reason: saying('only 2 of 4 members are healthy'),
      });
    });

    it('is started where no quorum responds: it may be what is missing', () => {
      const decision = decideEtcdStart(node0({ ...damaged, peers: [lonely(1, three), silent(2)] }));
      expect(decision).toMatchObject({ kind: 'start-with-data' });
    });

    it('is not replaced again and again', () => {
      const again = { ...damaged, replacedMsAgo: 60_000 };
      expect(decideEtcdStart(node0(again))).toMatchObject({ kind: 'wait', reason: saying('damaged again') });
      const later = { ...damaged, replacedMsAgo: 3_600_000 };
      expect(decideEtcdStart(node0(later))).toMatchObject({ kind: 'drop-data' });
    });

    it.each(['place', 'other'] as const)('keeps them where it ended for another reason (%s)', (kind) => {
      const decision = decideEtcdStart(
        node0({ ...damaged, failure: { kind, words: 'no space left on device' } }),
      );
      expect(decision).toMatchObject({ kind: 'start-with-data' });
    });
  });

  describe('the first bootstrap', () => {
    it('starts with the static cluster when no other node responds', () => {
      expect(decideEtcdStart(node0({ formed: false }))).toMatchObject({ kind: 'start-new' });
    });

    it('starts with the static cluster when others run and wait for a quorum', () => {
      const waiting = [founder(0, false), founder(1, false), founder(2, false)];
      const decision = decideEtcdStart(node0({ formed: false, peers: [lonely(1, waiting), silent(2)] }));
      expect(decision).toMatchObject({ kind: 'start-new' });
    });

    it('starts with the static cluster when the others already have a quorum', () => {
      const members = [founder(0, false), founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ formed: false, peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'start-new' });
    });

    it('replaces its own member that has started and whose data are gone', () => {
      const decision = decideEtcdStart(node0({ formed: false, peers: [peer(1, three), peer(2, three)] }));
      expect(decision).toMatchObject({ kind: 'remove', memberId: 'founder0' });
    });

    it('waits when a peer has seen it before and there is no quorum', () => {
      const decision = decideEtcdStart(node0({ formed: false, peers: [lonely(1, three), silent(2)] }));
      expect(decision).toMatchObject({ kind: 'wait', reason: saying('seen this node') });
    });

    it('waits when a peer is in another cluster', () => {
      const other = lonely(1, three) as Extract<PeerView, { ok: true }>;
      const elsewhere = { ...other, membership: { clusterId: 'another', members: three } };
      const decision = decideEtcdStart(node0({ formed: false, peers: [elsewhere, silent(2)] }));
      expect(decision).toMatchObject({ kind: 'wait', reason: saying('another cluster') });
    });

    it('does not mistake an added member for one of the bootstrap', () => {
      const members = [addition(0, 'added'), founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ formed: false, peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'remove', memberId: 'added' });
    });
  });

  describe('a node with data', () => {
    it('starts when its member is listed', () => {
      const decision = decideEtcdStart(node0({ data: own, peers: [peer(1, three), peer(2, three)] }));
      expect(decision).toMatchObject({ kind: 'start-with-data' });
    });

    it('starts when no peer responds: all nodes may have been down', () => {
      expect(decideEtcdStart(node0({ data: own }))).toMatchObject({ kind: 'start-with-data' });
    });

    it('starts when the others lack a quorum, even if they do not list it', () => {
      const members = [addition(0, 'newer'), founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ data: own, peers: [lonely(1, members), silent(2)] }));
      expect(decision).toMatchObject({ kind: 'start-with-data' });
    });

    it('moves the data of a removed member aside: the node was elsewhere meanwhile', () => {
      const members = [{ ...founder(0), id: 'newer' }, founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ data: own, peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'drop-data', reason: saying('founder0') });
    });

    it('moves data of another cluster aside', () => {
      const data: DataView = { kind: 'member', memberId: 'founder0', clusterId: 'another' };
      const decision = decideEtcdStart(node0({ data, peers: [peer(1, three), peer(2, three)] }));
      expect(decision).toMatchObject({ kind: 'drop-data' });
    });

    it('ignores the list of a member outside the quorum', () => {
      const without = [founder(1), founder(2)];
      const decision = decideEtcdStart(
        node0({ data: own, peers: [peer(1, three), peer(2, without, { term: 4, linearizable: false })] }),
      );
      expect(decision).toMatchObject({ kind: 'start-with-data' });
    });
  });

  describe('a node whose peers are in two clusters', () => {
    const other = peer(2, three, { term: 9 });
    const stranger = { ...other, membership: { clusterId: 'another', members: [founder(2)] } } as PeerView;

    it('moves no data aside, and starts with them', () => {
      expect(decideEtcdStart(node0({ data: own, peers: [peer(1, three), stranger] }))).toMatchObject({
        kind: 'start-with-data',
      });
    });

    it('removes, adds and bootstraps nothing while it has no data', () => {
      for (const formed of [true, false]) {
        const decision = decideEtcdStart(node0({ formed, peers: [peer(1, three), stranger] }));
        expect(decision.kind).toBe('wait');
      }
    });
  });

  describe('a node with unreadable data', () => {
    const data: DataView = { kind: 'unreadable', why: 'torn' };

    it('moves them aside when the others have a quorum', () => {
      const decision = decideEtcdStart(node0({ data, peers: [peer(1, three), peer(2, three)] }));
      expect(decision).toMatchObject({ kind: 'drop-data', reason: saying('torn') });
    });

    it('keeps them while there is no quorum', () => {
      expect(decideEtcdStart(node0({ data }))).toMatchObject({
        kind: 'wait',
        reason: saying('torn'),
      });
    });
  });

  describe('a node that returns without data', () => {
    it('is removed first', () => {
      const decision = decideEtcdStart(node0({ peers: [peer(1, three), peer(2, three)] }));
      expect(decision).toMatchObject({ kind: 'remove', memberId: 'founder0', through: ['node1', 'node2'] });
    });

    it('is added after the removal, even if the response to that was lost', () => {
      const members = [founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'add', through: ['node1', 'node2'] });
    });

    it('starts as the member that it has just added', () => {
      const members = [addition(0, 'added'), founder(1), founder(2)];
      const decision = decideEtcdStart(
        node0({ added: 'added', peers: [peer(1, members), peer(2, members)] }),
      );
      expect(decision).toMatchObject({ kind: 'start-added', members });
    });

    it('replaces an added member if it is unknown whether that has started', () => {
      const members = [addition(0, 'added'), founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'remove', memberId: 'added' });
    });

    it('replaces a bootstrap member that never started, once etcd has been formed', () => {
      const members = [founder(0, false), founder(1), founder(2)];
      const decision = decideEtcdStart(node0({ peers: [peer(1, members), peer(2, members)] }));
      expect(decision).toMatchObject({ kind: 'remove', memberId: 'founder0' });
    });

    it('waits without a quorum, and never bootstraps', () => {
      expect(decideEtcdStart(node0({ peers: [lonely(1, three), silent(2)] }))).toMatchObject({
        kind: 'wait',
        reason: saying('bootstrapping again'),
      });
    });

    it('removes nothing if that would leave fewer healthy members than a majority', () => {
      // A read succeeded, then node2 was lost: one healthy member of the two that would be left.
      const decision = decideEtcdStart(node0({ peers: [peer(1, three), silent(2)] }));
      expect(decision).toMatchObject({ kind: 'wait', reason: saying('1 of 2 members healthy') });
    });

    it('joins as a learner, which costs no quorum, while others are down', () => {
      const without = [1, 2, 3, 4].map((index) => founder(index));
      const peers = [peer(1, without), peer(2, without), peer(3, without), silent(4)];
      expect(decideEtcdStart(node0({ peers }))).toMatchObject({
        kind: 'add',
        through: ['node1', 'node2', 'node3'],
      });
    });

    it('waits for the current learner, and removes it after a long silence', () => {
      const without = [founder(1), founder(2), addition(5, 'added5')];
      const peers = [peer(1, without), peer(2, without), silent(5)];
      expect(decideEtcdStart(node0({ peers, learnerSilentMs: 59_000 }))).toEqual({
        kind: 'wait',
        reason: `${url(5)} was added before, but has not caught up yet`,
      });
      expect(decideEtcdStart(node0({ peers, learnerSilentMs: 60_000 }))).toMatchObject({
        kind: 'remove',
        memberId: 'added5',
        through: ['node1', 'node2'],
      });
    });

    it('continues to learn with its existing data', () => {
      const members = [{ ...founder(0), learner: true }, founder(1), founder(2)];
      const peers = [peer(1, members), peer(2, members)];
      expect(decideEtcdStart(node0({ data: own, peers }))).toMatchObject({ kind: 'start-with-data' });
    });

    it('counts only listed members that follow the leader as healthy', () => {
      const stale = peer(2, three, { term: 4, leader: 'founder2' });
      const unlisted = peer(3, three, { memberId: 'removed' });
      const decision = decideEtcdStart(node0({ peers: [peer(1, three), stale, unlisted] }));
      expect(decision).toMatchObject({ kind: 'wait' });
    });
  });

  describe('executed against a model of etcd', () => {
    /** The effect of one node's steps on a cluster of `count` nodes, of which `alive` respond in a quorum. */
    interface Model {
      members: Member[];
      data: DataView;
      added?: string;
      ids: number;
    }

    const step = (model: Model, decision: Decision, lost: boolean) => {
      switch (decision.kind) {
        case 'drop-data':
          model.data = { kind: 'none' };
          break;
        case 'remove':
          model.members = model.members.filter((member) => member.id !== decision.memberId);
          break;
        case 'add':
          model.ids += 1;
          model.members = [...model.members, addition(0, `added${model.ids}`)];
          if (!lost) model.added = `added${model.ids}`;
          break;
        default:
      }
      // The process was killed before it learned of the effect: it remembers nothing.
      if (lost) delete model.added;
    };

    const anyModel = fc.record({
      count: fc.constantFrom(3, 5, 7),
      down: fc.nat({ max: 3 }),
      listed: fc.constantFrom('founder', 'unstarted', 'added', 'not'),
      data: fc.constantFrom<DataView>({ kind: 'none' }, own, { kind: 'unreadable', why: 'torn' }),
      formed: fc.boolean(),
      losses: fc.array(fc.boolean(), { maxLength: 6 }),
    });

    it('ends in a start, never loses the quorum, and never bootstraps over a formed cluster', () => {
      fc.assert(
        fc.property(anyModel, ({ count, down, listed, data, formed, losses }) => {
          const others = Array.from({ length: count - 1 }, (_, index) => index + 1);
          const alive = others.slice(0, Math.max(majority(count), others.length - down));
          const mine =
            listed === 'not'
              ? []
              : [listed === 'added' ? addition(0, 'added0') : founder(0, listed === 'founder')];
          const model: Model = {
            members: [...mine, ...others.map((index) => founder(index))],
            data,
            ids: 0,
          };
          for (let round = 0; round < 20; round += 1) {
            const decision = decideEtcdStart(
              node0({
                formed,
                data: model.data,
                ...(model.added === undefined ? {} : { added: model.added }),
                peers: others.map((index) =>
                  alive.includes(index) ? peer(index, model.members) : silent(index),
                ),
              }),
            );
            expect(decision.kind).not.toBe('wait');
            if (decision.kind.startsWith('start-')) {
              if (formed) expect(decision.kind).not.toBe('start-new');
              if (decision.kind === 'start-with-data') expect(model.data).toEqual(own);
              else expect(model.data).toEqual({ kind: 'none' });
              expect(model.members.filter(({ peerUrls }) => peerUrls.includes(url(0)))).toHaveLength(1);
              return;
            }
            step(model, decision, losses[round] ?? false);
            const voters = model.members.filter(({ learner }) => !learner).length;
            expect(alive.length).toBeGreaterThanOrEqual(majority(voters));
          }
          throw new Error('no start within 20 rounds');
        }),
        { numRuns: 1_000 },
      );
    });
  });
});

describe('a member that others reach in another way than they are to', () => {
  const members = [founder(0), founder(1), founder(2)];
  const data: DataView = { kind: 'member', memberId: 'founder0', clusterId };
  const peers = [peer(1, members), peer(2, members)];
  const closed = 'https://10.0.0.0:2380';

  it('tells a quorum, and starts once that knows', () => {
    expect(decideEtcdStart(node0({ data, peers, peerUrl: closed }))).toMatchObject({
      kind: 'announce',
      memberId: 'founder0',
      peerUrl: closed,
      through: ['node1', 'node2'],
    });
    const told = [{ ...founder(0), peerUrls: [closed] }, founder(1), founder(2)];
    const knowing = [peer(1, told), peer(2, told)];
    expect(decideEtcdStart(node0({ data, peers: knowing, peerUrl: closed }))).toMatchObject({
      kind: 'start-with-data',
      scheme: 'https',
    });
    // The way back.
    expect(decideEtcdStart(node0({ data, peers: knowing }))).toMatchObject({
      kind: 'announce',
      peerUrl: url(0),
    });
  });

  it('starts as they know it while either will do, or while no quorum answers', () => {
    const transition = node0({ data, peers, peerUrl: closed, anyScheme: true });
    expect(decideEtcdStart(transition)).toMatchObject({ kind: 'start-with-data', scheme: 'http' });
    const alone = decideEtcdStart(node0({ data, peers: [silent(1), silent(2)], peerUrl: closed }));
    expect(alone).toMatchObject({ kind: 'start-with-data' });
    expect(alone).not.toHaveProperty('scheme');
    const early = node0({ data, peers: [silent(1), silent(2)], peerUrl: closed, mustTell: true });
    expect(decideEtcdStart(early)).toEqual({
      kind: 'wait',
      reason: saying(`to reach this member at ${closed}`),
    });
  });

  it('is the same member: without data, it is replaced', () => {
    expect(decideEtcdStart(node0({ peers, peerUrl: closed }))).toMatchObject({
      kind: 'remove',
      memberId: 'founder0',
    });
  });
});
