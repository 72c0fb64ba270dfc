/** etcd of real nodes by TLS: who gets in, and the way there and back without a moment without a quorum. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, issueClient } from '../../src/cluster/authority.js';
import { authorityCertificates } from '../../src/cluster/issued.js';
import { createEtcdClient, type EtcdClient } from '../../src/etcd/client.js';
import type { EtcdAccess } from '../../src/etcd/security.js';
import type { EtcdSecurity } from '../../src/cluster/spec.js';
import { eventually } from '../support/eventually.js';
import { prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

let cluster: TestNodes;
let nodes: readonly TestNode[];

beforeAll(async () => {
  cluster = await prepareNodes({ count: 3, firstAddress: '127.25.21.10' });
  nodes = cluster.nodes;
});

afterAll(() => cluster.remove());

async function asking<T>(
  node: TestNode,
  access: EtcdAccess,
  ask: (client: EtcdClient) => Promise<T>,
): Promise<T> {
  const endpoint = { host: node.address, port: cluster.spec.etcd.clientPort };
  const client = createEtcdClient(endpoint, { access, deadlineMs: 2_000 });
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

const plain: EtcdAccess = { security: 'open' };
const authenticated = (): EtcdAccess => ({ security: 'authenticated', tls: cluster.tls });

async function allVote(): Promise<boolean> {
  const [first] = nodes as readonly [TestNode];
  await Promise.all(nodes.flatMap((node) => [node.etcd.linearizableRead(), node.control.status()]));
  const { members } = await first.etcd.memberList();
  return members.length === nodes.length && members.every(({ learner }) => !learner);
}

async function peerUrls(): Promise<readonly string[]> {
  const [first] = nodes as readonly [TestNode];
  const { members } = await first.etcd.memberList();
  return members.flatMap((member) => member.peerUrls).toSorted();
}

const urls = (scheme: string) =>
  nodes.map(({ address }) => `${scheme}://${address}:${cluster.spec.etcd.peerPort}`).toSorted();

/** Restarts one node after the other; the others keep a quorum all the time. */
async function roll(security: EtcdSecurity): Promise<void> {
  for (const node of nodes) {
    await node.stop();
    node.start({ security, etcdFormed: true });
    await eventually(allVote, 60_000);
  }
}

async function identities(): Promise<readonly string[]> {
  return Promise.all(nodes.map(async ({ etcd }) => (await etcd.status()).memberId));
}

describe('etcd', () => {
  it('is formed without TLS by nodes of an earlier release', async () => {
    for (const node of nodes) node.start();
    await eventually(allVote, 60_000);
    await expect(asking(nodes[0] as TestNode, plain, (client) => client.memberList())).resolves.toBeDefined();
    await expect(
      asking(nodes[0] as TestNode, authenticated(), (client) => client.memberList()),
    ).rejects.toMatchObject({ code: 'ETCD_UNREACHABLE' });
    expect(await peerUrls()).toEqual(urls('http'));
  });

  it('learns to speak TLS while its nodes are restarted one after the other, each with its data', async () => {
    const before = await identities();
    await roll('transition');
    expect(await identities()).toEqual(before);
    for (const node of nodes) {
      await expect(asking(node, plain, (client) => client.memberList())).resolves.toBeDefined();
    }
    expect(await peerUrls()).toEqual(urls('http'));
  });

  it('is closed by another such round, each with its data', async () => {
    const before = await identities();
    await roll('authenticated');
    expect(await identities()).toEqual(before);
    expect(await peerUrls()).toEqual(urls('https'));
  });

  it('lets nobody in without a certificate of the cluster', async () => {
    const stranger = await makeAuthority('stranger', new Date());
    const client = await issueClient(stranger, new Date());
    const strangers: readonly EtcdAccess[] = [
      plain,
      { security: 'authenticated', tls: { ...cluster.tls, client } },
      { security: 'authenticated', tls: { authority: authorityCertificates(stranger), client } },
    ];
    for (const node of nodes) {
      for (const access of strangers) {
        await expect(
          asking(node, access, (each) => each.memberAdd(`https://${node.address}:1`)),
        ).rejects.toMatchObject({ code: 'ETCD_UNREACHABLE' });
      }
    }
    expect(await peerUrls()).toEqual(urls('https'));
  });

  it('forms a quorum again when all nodes were down', async () => {
    const before = await identities();
    for (const node of nodes) await node.crash();
    for (const node of nodes) node.start({ security: 'authenticated', etcdFormed: true });
    await eventually(allVote, 60_000);
    expect(await identities()).toEqual(before);
  });

  it('forms a quorum again when all nodes stopped in the middle of the way', async () => {
    await (nodes[0] as TestNode).stop();
    (nodes[0] as TestNode).start({ security: 'transition', etcdFormed: true });
    await eventually(allVote, 60_000);
    for (const node of nodes) await node.crash();
    nodes.forEach((node, index) =>
      node.start({ security: index === 0 ? 'transition' : 'authenticated', etcdFormed: true }),
    );
    await eventually(allVote, 60_000);
  });

  it('takes a node without data back, by TLS', async () => {
    const [, second] = nodes as readonly [TestNode, TestNode, TestNode];
    await second.stop();
    // Its tree on the other host has none.
    second.start({ security: 'authenticated', etcdFormed: true, on: 'h2' });
    await eventually(allVote, 90_000);
    expect(await peerUrls()).toEqual(urls('https'));
    await second.stop();
  });

  it('is opened again by two rounds', async () => {
    const [, second] = nodes as readonly [TestNode, TestNode, TestNode];
    second.start({ security: 'transition', etcdFormed: true });
    await eventually(allVote, 90_000);
    await roll('transition');
    await roll('open');
    expect(await peerUrls()).toEqual(urls('http'));
    await expect(asking(second, plain, (client) => client.memberList())).resolves.toBeDefined();
  });
});
