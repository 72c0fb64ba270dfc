import { execFile } from 'node:child_process';
import { access, cp, readdir, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostSpec } from '../../src/cluster/spec.js';
import { probeMember } from '../../src/etcd/probe.js';
import { decideRecovery, type RecoveryPlan } from '../../src/etcd/recovery.js';
import { epochOf } from '../../src/etcd/term.js';
import { verdict, type Verdict } from '../../src/etcd/verdict.js';
import { observedOn } from '../../src/hosts/observation.js';
import {
  etcdTreesScript,
  parseEtcdTrees,
  raiseEpochScript,
  seedScript,
  type EtcdTree,
} from '../../src/node/etcd-trees.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

let cluster: TestNodes;
let nodes: readonly TestNode[];
let host: HostSpec;

beforeAll(async () => {
  cluster = await prepareNodes({ count: 5, firstAddress: '127.25.14.10' });
  nodes = cluster.nodes;
  [host] = cluster.spec.hosts as [HostSpec];
});

afterAll(() => cluster.remove());

const longMs = 90_000;
const node = (index: number): TestNode => nodes[index] as TestNode;

async function sh(script: string): Promise<string> {
  return (await promisify(execFile)('sh', ['-c', script])).stdout;
}

async function trees(): Promise<readonly EtcdTree[]> {
  return observedOn('h1', parseEtcdTrees(await sh(etcdTreesScript(host))));
}

async function find(previous?: Verdict): Promise<Verdict | undefined> {
  const finding = verdict(
    await Promise.all(nodes.map((each) => probeMember(each.name, each.etcd))),
    previous,
  );
  return finding.kind === 'verdict' ? finding.verdict : undefined;
}

/** All five vote, and follow a leader in this epoch. */
async function whole(epoch: number, previous?: Verdict): Promise<boolean> {
  const found = await find(previous);
  if (found === undefined || epochOf(found.term) !== epoch || found.live.length < nodes.length) return false;
  const { members } = await (nodes.find(({ name }) => name === found.leader) as TestNode).etcd.memberList();
  return members.length === nodes.length && members.every(({ learner }) => !learner);
}

async function plan(): Promise<RecoveryPlan> {
  const kept = await trees();
  const decision = decideRecovery(
    {
      nodes: nodes.map(({ name }) => {
        const tree = kept.find((each) => each.node === name);
        return {
          node: name,
          epoch: 0,
          runs: true,
          data: { kind: 'none' },
          ...(tree && { host: 'h1', ...tree }),
        };
      }),
      epoch: 0,
      unread: [],
    },
    [],
  );
  if (decision.kind === 'refuse') throw new Error(decision.reason);
  return decision.plan;
}

/** What users put into etcd. */
async function value(): Promise<string | null> {
  const found = await find();
  const client = new Etcd3({
    hosts: `http://${nodes.find(({ name }) => name === found?.leader)?.address ?? ''}:2379`,
  });
  try {
    return await client.get('users/key').string();
  } finally {
    client.close();
  }
}

const isThere = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

/** They know that etcd was formed, and do not start. */
async function waits(which: readonly TestNode[], hasData = false): Promise<void> {
  await eventually(async () => {
    for (const each of which) {
      const { etcd } = await each.control.status();
      expect(etcd).toMatchObject({ state: 'waiting', hasData });
      expect(etcd.reason).toMatch(/no quorum responds/);
    }
    return true;
  }, longMs);
}

describe('etcd that lost its quorum', () => {
  let before: Verdict;

  it('waits for an operator when a majority has no data', async () => {
    await cluster.startAll();
    await eventually(() => whole(0), longMs);
    before = (await find()) as Verdict;
    const client = new Etcd3({ hosts: `http://${node(0).address}:2379` });
    await client.put('users/key').value('kept');
    client.close();
    const kept = await trees();
    expect(kept.map(({ data }) => data.kind)).toEqual(Array(5).fill('member'));
    expect(() => {
      const decided = decideRecovery(
        { nodes: kept.map((tree) => ({ ...tree, host: 'h1', runs: true })), epoch: 0, unread: [] },
        [],
      );
      if (decided.kind === 'refuse') throw new Error(decided.code);
    }).toThrow('ETCD_QUORUM_INTACT');
    // For later, when it returns from the dead.
    await node(1).crash();
    await cp(node(1).layout.data, `${cluster.dir}/old`, { recursive: true });
    node(1).start({ etcdFormed: true });
    await eventually(() => whole(0), longMs);
    const lost = [node(2), node(3), node(4)];
    // All at once: one that is back while the others are a quorum joins them again.
    await Promise.all(lost.map((each) => each.crash()));
    for (const each of lost) {
      await rm(each.layout.base, { recursive: true });
      each.start({ etcdFormed: true });
    }
    await waits(lost);
  }, 200_000);

  it('continues from the member that knows the most, at a lower raft term, with its content', async () => {
    const begins = await plan();
    expect(begins).toMatchObject({ epoch: 1, from: 'data' });
    expect(['node0', 'node1']).toContain(begins.seed);
    // Again, as after a lost answer.
    for (let times = 0; times < 2; times += 1) await sh(seedScript(host, begins));
    // As if those who were lost had known of many elections more.
    await eventually(() => whole(1, { ...before, term: before.term + 1_000 }), longMs);
    await sh(seedScript(host, begins));
    await sh(raiseEpochScript(host, 1));
    expect(await value()).toBe('kept');
    const seed = nodes.find(({ name }) => name === begins.seed) as TestNode;
    expect(await isThere(seed.layout.etcdSeed)).toBe(false);
    // The other survivor is another member now, and its data are kept.
    const other = seed === node(0) ? node(1) : node(0);
    expect(await readdir(other.layout.data)).toContain('etcd.epoch-0');
    expect(await readdir(seed.layout.data)).not.toContain('etcd.epoch-0');
  }, 200_000);

  it('keeps all members when the one with which it began is restarted', async () => {
    for (const each of nodes) for (const pid of await each.processes('etcd')) killIfThere(pid);
    await eventually(() => whole(1), longMs);
    expect(await value()).toBe('kept');
  }, 120_000);

  it('takes a member of before the recovery for what it is when it returns', async () => {
    await node(1).crash();
    await rm(node(1).layout.data, { recursive: true });
    await cp(`${cluster.dir}/old`, node(1).layout.data, { recursive: true });
    const id = (await node(0).etcd.memberList()).members.map((member) => member.id);
    node(1).start({ etcdFormed: true });
    await eventually(() => whole(1), longMs);
    expect(id).not.toContain((await node(1).etcd.status()).memberId);
    expect(await readdir(node(1).layout.data)).toContain('etcd.epoch-0');
  }, 120_000);

  it('does not elect those of before the recovery while the others are down', async () => {
    for (const each of nodes) await each.crash();
    for (const each of nodes.slice(0, 3)) {
      await rm(each.layout.etcdData, { recursive: true });
      await cp(`${cluster.dir}/old/etcd`, each.layout.etcdData, { recursive: true });
    }
    for (const each of nodes.slice(0, 3)) each.start({ etcdFormed: true, etcdEpoch: 1 });
    await waits(nodes.slice(0, 3), true);
  }, 120_000);

  it('begins anew when no member has data', async () => {
    for (const each of nodes) await each.crash();
    for (const each of nodes) await rm(each.layout.etcdData, { recursive: true, force: true });
    for (const each of nodes) each.start({ etcdFormed: true });
    await waits(nodes);
    const begins = await plan();
    expect(begins).toMatchObject({ epoch: 2, seed: 'node0', from: 'nothing' });
    await sh(seedScript(host, begins));
    await eventually(() => whole(2, { ...before, term: before.term + 1_000 }), longMs);
    expect(await value()).toBeNull();
    await sh(seedScript(host, begins));
    expect(await isThere(node(0).layout.etcdSeed)).toBe(false);
    for (const each of nodes) for (const pid of await each.processes('etcd')) killIfThere(pid);
    await eventually(() => whole(2), longMs);
  }, 200_000);
});
