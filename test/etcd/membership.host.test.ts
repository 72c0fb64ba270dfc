import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerUrl } from '../../src/etcd/command.js';
import { learnerPatienceMs } from '../../src/etcd/decide.js';
import { staticMemberId } from '../../src/etcd/identity.js';
import type { Member } from '../../src/etcd/members.js';
import { probeMember } from '../../src/etcd/probe.js';
import { verdict, type Verdict } from '../../src/etcd/verdict.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

let cluster: TestNodes;
let nodes: readonly TestNode[];

beforeAll(async () => {
  cluster = await prepareNodes({ count: 5, firstAddress: '127.25.4.10' });
  nodes = cluster.nodes;
});

afterAll(() => cluster.remove());

const node = (index: number): TestNode => nodes[index] as TestNode;
const url = (each: TestNode) => peerUrl({ address: each.address, peerPort: cluster.spec.etcd.peerPort });

/** The members that a quorum knows, through the first of these nodes that has one. */
async function members(through: readonly TestNode[] = nodes): Promise<readonly Member[]> {
  let failure: unknown;
  for (const each of through) {
    try {
      await each.etcd.linearizableRead({ deadlineMs: 1_000 });
      return (await each.etcd.memberList()).members;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Each node has one started member, responds as that member, and takes orders. */
async function whole(): Promise<boolean> {
  const listed = await members();
  if (listed.length !== nodes.length) return false;
  for (const each of nodes) {
    const own = listed.find(({ name }) => name === each.name);
    if (own === undefined || own.clientUrls.length === 0) return false;
    await each.etcd.linearizableRead();
    if ((await each.etcd.status()).memberId !== own.id) return false;
    await each.control.status();
  }
  return true;
}

async function memberId(each: TestNode): Promise<string> {
  return (await each.etcd.status()).memberId;
}

async function findLeader(previous?: Verdict): Promise<Verdict | undefined> {
  const probes = await Promise.all(nodes.map((each) => probeMember(each.name, each.etcd)));
  const finding = verdict(probes, previous);
  return finding.kind === 'verdict' ? finding.verdict : undefined;
}

async function leader(previous?: Verdict): Promise<Verdict> {
  let found: Verdict | undefined;
  await eventually(async () => (found = await findLeader(previous)) !== undefined, 20_000);
  return found as Verdict;
}

const named = (name: string): TestNode => nodes.find((each) => each.name === name) as TestNode;

/** Crashes the node and removes its files, as on a host where it never ran. */
async function forget(each: TestNode): Promise<void> {
  await each.crash();
  await rm(each.layout.base, { recursive: true, force: true });
}

/** Retries: a proposal to a leader that was lost with the node gets no response. */
async function removed(id: string): Promise<void> {
  await eventually(async () => {
    await node(0).etcd.memberRemove(id, { deadlineMs: 2_000 });
    return true;
  });
}

const longMs = 40_000;

describe('etcd among the nodes', () => {
  it('forms when the nodes start one by one, with the members of the static cluster', async () => {
    node(0).start();
    await eventually(async () => (await node(0).control.status()).etcd.state === 'starting', longMs);
    node(1).start();
    node(2).start();
    await eventually(async () => (await members([node(0)])).length === 5, longMs);
    expect((await members()).filter(({ clientUrls }) => clientUrls.length === 0).length).toBeGreaterThan(0);
    node(3).start();
    node(4).start();
    await eventually(whole, longMs);
    for (const each of nodes) {
      expect(await memberId(each)).toBe(staticMemberId(url(each), cluster.spec.etcd.token));
    }
  });

  it('elects another leader when the leader is killed, which returns as the same member', async () => {
    const before = await leader();
    const old = named(before.leader);
    const id = await memberId(old);
    for (const pid of await old.processes('etcd')) killIfThere(pid);
    let after = await leader(before);
    await eventually(async () => (after = await leader(before)).term > before.term, 20_000);
    expect(after.leader).not.toBe(before.leader);
    await eventually(whole, longMs);
    expect(await memberId(old)).toBe(id);
    expect((await leader(after)).term).toBe(after.term);
  });

  it('finds the new leader while the old one is stopped, and keeps it when the old one resumes', async () => {
    const before = await leader();
    const old = named(before.leader);
    const pids = await old.processes('etcd');
    for (const pid of pids) killIfThere(pid, 'SIGSTOP');
    let after = before;
    await eventually(async () => {
      const found = await findLeader(before);
      if (found !== undefined) after = found;
      return after.term > before.term;
    }, 20_000);
    expect(after.live).not.toContain(before.leader);
    for (const pid of pids) killIfThere(pid, 'SIGCONT');
    await eventually(async () => {
      const found = await findLeader(after);
      if (found !== undefined) expect(found.term).toBeGreaterThanOrEqual(after.term);
      return found?.live.length === 5;
    }, 20_000);
  });

  it('moves leadership on request', async () => {
    const before = await leader();
    const target = nodes.find(({ name }) => name !== before.leader) as TestNode;
    await named(before.leader).etcd.moveLeader(await memberId(target), { deadlineMs: 5_000 });
    await eventually(async () => (await findLeader(before))?.leader === target.name);
  });

  it('readmits a node without data, as a new member', async () => {
    const id = await memberId(node(1));
    await forget(node(1));
    node(1).start({ etcdFormed: true });
    // Without a vote until it has caught up.
    await eventually(async () => (await members()).some(({ learner }) => learner), longMs);
    await eventually(whole, longMs);
    expect(await memberId(node(1))).not.toBe(id);
    expect((await members()).map((member) => member.id)).not.toContain(id);
    expect((await members()).filter(({ learner }) => learner)).toEqual([]);
  });

  it('removes a node permanently, and admits it again as another task', async () => {
    await node(4).stop();
    node(4).start({ etcdFormed: true, taskId: 'node4.7' });
    await eventually(whole, longMs);
    const id = await memberId(node(4));
    await expect(node(4).control.retire({ task: 'node4.6' })).rejects.toMatchObject({
      code: 'NODE_REFUSED',
      message: expect.stringContaining('this is node4.7, not node4.6') as string,
    });
    expect(await node(4).control.retire({ task: 'node4.7' })).toEqual({ memberId: id });
    await removed(id);
    await eventually(async () => {
      const { state, reason } = (await node(4).control.status()).etcd;
      return state === 'waiting' && reason?.includes('is being removed') === true;
    }, longMs);
    expect((await members()).map(({ name }) => name).sort()).toEqual(['node0', 'node1', 'node2', 'node3']);
    await eventually(
      () =>
        access(`${node(4).layout.etcdData}.dropped/member`).then(
          () => true,
          () => false,
        ),
      longMs,
    );
    await node(4).stop();

    node(4).start({ etcdFormed: true, taskId: 'node4.8' });
    await eventually(whole, longMs);
    expect(await memberId(node(4))).not.toBe(id);
  });

  it('keeps the data of a retiring node whose member has not left', async () => {
    const id = await memberId(node(4));
    expect(await node(4).control.retire({ task: 'node4.8' })).toEqual({ memberId: id });
    await node(4).crash();
    node(4).start({ etcdFormed: true, taskId: 'node4.9' });
    await eventually(whole, longMs);
    expect(await memberId(node(4))).toBe(id);
  });

  it('removes a learner that does not respond, so that the next node can join', async () => {
    await Promise.all([forget(node(3)), forget(node(4))]);
    const listed = await members([node(0), node(1)]);
    for (const each of [node(3), node(4)]) {
      await removed(listed.find(({ name }) => name === each.name)?.id ?? '');
    }
    await eventually(async () => {
      await node(0).etcd.memberAdd(url(node(3)), { deadlineMs: 5_000 });
      return true;
    });
    node(4).start({ etcdFormed: true });
    await eventually(async () => {
      const names = (await members([node(0), node(1)])).filter(({ learner }) => !learner);
      return names.some(({ name }) => name === 'node4');
    }, learnerPatienceMs + longMs);
    node(3).start({ etcdFormed: true });
    await eventually(whole, longMs);
  }, 180_000);

  it('readmits a node whose data vanish while it runs, although it was started for a bootstrap', async () => {
    const id = await memberId(node(2));
    await rm(`${node(2).layout.etcdData}/member`, { recursive: true });
    for (const pid of await node(2).processes('etcd')) killIfThere(pid);
    await eventually(async () => (await whole()) && (await memberId(node(2))) !== id, longMs);
  });

  it('replaces the member of a node whose data went back in time', async () => {
    const id = await memberId(node(1));
    const data = node(1).layout.etcdData;
    await node(1).crash();
    await cp(data, `${data}.snapshot`, { recursive: true });
    node(1).start({ etcdFormed: true });
    await eventually(whole, longMs);
    // Each new leader commits an entry.
    for (let moves = 0; moves < 4; moves += 1) {
      const before = await leader();
      const target = [node(0), node(2)].find(({ name }) => name !== before.leader) as TestNode;
      await named(before.leader).etcd.moveLeader(await memberId(target), { deadlineMs: 5_000 });
      await eventually(async () => (await findLeader(before))?.leader === target.name);
      await node(1).etcd.linearizableRead();
    }
    await node(1).crash();
    await rm(data, { recursive: true });
    await rename(`${data}.snapshot`, data);
    node(1).start({ etcdFormed: true });
    await eventually(async () => (await whole()) && (await memberId(node(1))) !== id, longMs);
    expect((await members()).map((member) => member.id)).not.toContain(id);
    await access(`${data}.dropped/member`);
    const { etcd } = await node(1).control.status();
    expect(etcd).toMatchObject({
      state: 'running',
      replaced: { why: expect.stringContaining('tocommit') as string },
    });
    expect(etcd.trouble).toBeUndefined();
  }, 120_000);

  it('replaces the member of a node whose database is damaged', async () => {
    const id = await memberId(node(2));
    await node(2).crash();
    await writeFile(`${node(2).layout.etcdData}/member/snap/db`, randomBytes(65_536), { flag: 'r+' });
    node(2).start({ etcdFormed: true });
    await eventually(async () => (await whole()) && (await memberId(node(2))) !== id, longMs);
    expect((await node(2).control.status()).etcd.replaced?.why).toContain('invalid database');
  }, 120_000);

  it('keeps the member of a node that cannot start for another reason, and says why', async () => {
    const id = await memberId(node(3));
    await node(3).crash();
    const other = createServer().listen(cluster.spec.etcd.clientPort, node(3).address);
    await once(other, 'listening');
    node(3).start({ etcdFormed: true });
    await eventually(
      async () => /address already in use/.test((await node(3).control.status()).etcd.trouble ?? ''),
      longMs,
    );
    expect((await members([node(0), node(1), node(2)])).map((member) => member.id)).toContain(id);
    other.close();
    await eventually(whole, longMs);
    expect(await memberId(node(3))).toBe(id);
    await eventually(async () => (await node(3).control.status()).etcd.state === 'running');
    expect((await node(3).control.status()).etcd).not.toHaveProperty('trouble');
  }, 120_000);

  it('readmits two nodes at once', async () => {
    await Promise.all([forget(node(3)), forget(node(4))]);
    node(3).start({ etcdFormed: true });
    node(4).start({ etcdFormed: true });
    await eventually(whole, longMs);
  });

  it('readmits a node that was on another host meanwhile, and moves its old data aside', async () => {
    const first = await memberId(node(0));
    await node(0).crash();
    node(0).start({ etcdFormed: true, on: 'h2' });
    await eventually(whole, longMs);
    const second = await memberId(node(0));
    expect(second).not.toBe(first);

    await node(0).crash();
    node(0).start({ etcdFormed: true });
    await eventually(whole, longMs);
    expect([first, second]).not.toContain(await memberId(node(0)));
    await access(`${node(0).layout.etcdData}.dropped/member`);
  });

  it('continues after a removal whose node was lost before it was added', async () => {
    const id = await memberId(node(1));
    await forget(node(1));
    await removed(id);
    await removed(id);
    node(1).start({ etcdFormed: true });
    await eventually(whole, longMs);
  });

  it('continues after an addition whose node was lost before it started', async () => {
    const id = await memberId(node(1));
    await forget(node(1));
    await removed(id);
    // A member's ID is derived from its URL and the current second: within one, it may be the removed ID.
    let added = '';
    await eventually(async () => {
      added = await node(0).etcd.memberAdd(url(node(1)), { deadlineMs: 5_000 });
      return true;
    });
    node(1).start({ etcdFormed: true });
    await eventually(whole, longMs);
    expect(await memberId(node(1))).not.toBe(added);
  });

  it('survives kills at any moment of a return', async () => {
    await forget(node(2));
    node(2).start({ etcdFormed: true });
    for (let kills = 0; kills < 8; kills += 1) {
      await eventually(async () => (await node(2).processes('etcd')).length > 0, longMs);
      await new Promise((resolve) => setTimeout(resolve, 70 * kills));
      for (const pid of await node(2).processes('etcd')) killIfThere(pid);
    }
    await eventually(whole, longMs);
  });

  it('never bootstraps again: a node without data waits for a quorum, and reports that', async () => {
    await Promise.all([2, 3, 4].map((index) => node(index).crash()));
    await forget(node(2));
    node(2).start({ etcdFormed: true });
    await eventually(async () => (await node(2).control.status()).etcd.state === 'waiting', longMs);
    await eventually(async () =>
      /no quorum responds/.test((await node(2).control.status()).etcd.reason ?? ''),
    );
    expect(await node(2).processes('etcd')).toHaveLength(1);
    await expect(readFile(`${node(2).layout.etcdData}/member`)).rejects.toMatchObject({ code: 'ENOENT' });
    node(3).start({ etcdFormed: true });
    node(4).start({ etcdFormed: true });
    await eventually(whole, longMs);
  });

  it('is restored after all nodes were down', async () => {
    const before = (await members()).map(({ id }) => id).sort();
    await Promise.all(nodes.map((each) => each.crash()));
    for (const each of nodes) each.start({ etcdFormed: true });
    await eventually(whole, longMs);
    expect((await members()).map(({ id }) => id).sort()).toEqual(before);
  });
});

describe('the client of a member', () => {
  it('ends within its deadline when the member is stopped, and works again when it resumes', async () => {
    const { leader: name } = await leader();
    const follower = nodes.find((each) => each.name !== name) as TestNode;
    const pids = await follower.processes('etcd');
    for (const pid of pids) killIfThere(pid, 'SIGSTOP');
    const asked = performance.now();
    await expect(follower.etcd.status({ deadlineMs: 300 })).rejects.toMatchObject({
      code: 'ETCD_UNREACHABLE',
    });
    expect(performance.now() - asked).toBeLessThan(2_000);
    for (const pid of pids) killIfThere(pid, 'SIGCONT');
    await eventually(async () => (await follower.etcd.status()).memberId !== '');
  });

  it('distinguishes a member without a quorum from an unreachable one', async () => {
    await Promise.all([2, 3, 4].map((index) => node(index).crash()));
    await expect(node(3).etcd.status()).rejects.toMatchObject({ code: 'ETCD_UNREACHABLE' });
    await eventually(async () => (await node(0).etcd.status()).leader === undefined);
    await expect(node(0).etcd.linearizableRead({ deadlineMs: 10_000 })).rejects.toMatchObject({
      code: 'ETCD_NO_LEADER',
    });
    expect(await findLeader()).toBeUndefined();
    for (const index of [2, 3, 4]) node(index).start({ etcdFormed: true });
    await eventually(whole, longMs);
  });

  it('reports what etcd refused', async () => {
    await expect(node(0).etcd.memberAdd(url(node(1)), { deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'ETCD_REFUSED',
      message: expect.stringContaining('Peer URLs already exists') as string,
    });
  });
});
