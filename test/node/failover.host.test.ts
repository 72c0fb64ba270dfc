import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { runCell } from '../../src/jupyter/client.js';
import { gatePath, gateStatusSchema, type GateStatus } from '../../src/node/api.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

const waitMs = 50_000;

let cluster: TestNodes;

const base = (node: TestNode) => `http://${node.address}:${cluster.spec.jupyter.port}`;

/** The gate's status, or that it refuses connections. */
async function gateOf(node: TestNode): Promise<GateStatus | 'refused'> {
  const asked = request(`${base(node)}${gatePath}`, { agent: false });
  asked.end();
  try {
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    return gateStatusSchema.parse(await json(response));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return 'refused';
    throw error;
  }
}

async function openOnes(nodes = cluster.nodes): Promise<TestNode[]> {
  const gates = await Promise.all(nodes.map(gateOf));
  return nodes.filter((_, index) => gates[index] !== 'refused');
}

/** Waits until only one node's gate is open, and returns that node. */
async function serving(nodes = cluster.nodes): Promise<TestNode> {
  let found: TestNode | undefined;
  await eventually(async () => {
    const open = await openOnes(nodes);
    [found] = open;
    return open.length === 1;
  }, 30_000);
  if (found === undefined) throw new Error('no gate is open');
  return found;
}

/** The others, which must all be ready to take over. */
async function standbys(of: TestNode): Promise<TestNode[]> {
  const others = cluster.nodes.filter((node) => node !== of);
  await eventually(
    async () =>
      (await Promise.all(others.map((node) => node.control.status()))).every(
        ({ etcd, jupyter }) => etcd.state === 'running' && jupyter.state === 'ready',
      ),
    waitMs,
  );
  return others;
}

async function moveLeader(from: TestNode, to: TestNode): Promise<void> {
  await from.etcd.moveLeader((await to.etcd.status()).memberId, { deadlineMs: 5_000 });
}

async function signal(node: TestNode, name: NodeJS.Signals, service?: string): Promise<void> {
  for (const pid of await node.processes(service)) killIfThere(pid, name);
}

/** The term of the node's gate, which must be open. */
async function termOf(node: TestNode): Promise<number> {
  let term = 0;
  await eventually(async () => {
    const gate = await gateOf(node);
    if (gate === 'refused') return false;
    ({ term } = gate);
    return true;
  });
  return term;
}

/** All that the other side sends until it closes. */
async function untilClosed(socket: Socket): Promise<string> {
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  // A reset is an end too; `once` would reject with it.
  socket.on('error', () => undefined);
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
  return received;
}

describe('nodes with reflexes', () => {
  beforeAll(async () => {
    cluster = await prepareNodes({
      count: 3,
      firstAddress: '127.27.2.10',
      jupyter: { standby: 'warm', follow: 'leader', reflexes: true },
    });
    await cluster.startAll();
    await standbys(await serving());
  });

  afterAll(() => cluster.remove());

  it('have Jupyter everywhere, and one open gate: the leader’s', async () => {
    const leader = await serving();
    const { memberId, term } = await leader.etcd.status();
    expect((await leader.etcd.status()).leader).toBe(memberId);
    expect(await gateOf(leader)).toEqual({
      node: leader.name,
      open: true,
      closing: false,
      term,
      generation: 0,
    });
    expect((await leader.control.status()).jupyter).toMatchObject({
      state: 'ready',
      serve: false,
      gate: { open: true, term },
    });
    for (const other of await standbys(leader)) {
      expect(await gateOf(other)).toBe('refused');
      expect((await other.control.status()).jupyter.gate.open).toBe(false);
    }
    expect(await runCell(base(leader), cluster.jupyterToken, '6*7')).toBe('42');
  });

  it('serve whatever the keeper’s order is', async () => {
    const leader = await serving();
    const [other] = (await standbys(leader)) as [TestNode];
    const { term } = await leader.etcd.status();
    const order = { generation: 1, term, serve: true };
    expect(await other.control.orderJupyter(order, { waitMs: 300 })).toMatchObject({
      generation: 1,
      serve: true,
      gate: { open: false },
    });
    expect(await leader.control.orderJupyter(order, { waitMs })).toMatchObject({
      serve: true,
      gate: { open: true },
    });
    expect(await gateOf(leader)).toMatchObject({ generation: 1 });
    await expect(
      leader.control.orderJupyter({ generation: 2, term: term - 1, serve: true }),
    ).rejects.toMatchObject({ code: 'STALE_GENERATION' });
    await other.control.orderJupyter({ ...order, generation: 2, serve: false });
  });

  it('hand over in order, and a websocket stays open', async () => {
    const leader = await serving();
    const [next] = (await standbys(leader)) as [TestNode];
    const headers = { authorization: `token ${cluster.jupyterToken}` };
    const { id } = (await (
      await fetch(`${base(leader)}/api/kernels`, { method: 'POST', headers })
    ).json()) as { id: string };
    const socket = new WebSocket(`${base(leader).replace('http', 'ws')}/api/kernels/${id}/channels`, {
      headers,
    });
    await once(socket, 'open');
    const before = await termOf(leader);

    await moveLeader(leader, next);
    await eventually(async () => (await gateOf(leader)) === 'refused');
    expect(await serving()).toBe(next);
    expect(await termOf(next)).toBeGreaterThan(before);

    const answered = new Promise<void>((resolve) => {
      socket.on('message', (data: Buffer) => {
        if (data.toString().includes('kernel_info_reply')) resolve();
      });
    });
    const header = {
      msg_id: 'after',
      msg_type: 'kernel_info_request',
      session: 's',
      username: '',
      version: '5.3',
    };
    socket.send(
      JSON.stringify({ channel: 'shell', header, parent_header: {}, metadata: {}, content: {}, buffers: [] }),
    );
    await answered;
    const closed = once(socket, 'close');
    socket.close();
    await closed;
  });

  it('take over when the leader’s etcd is killed, without an order', async () => {
    const leader = await serving();
    const others = await standbys(leader);
    const before = await termOf(leader);
    await signal(leader, 'SIGKILL', 'etcd');
    const next = await serving(others);
    expect(await termOf(next)).toBeGreaterThan(before);
    await eventually(async () => (await gateOf(leader)) === 'refused');
    expect(await runCell(base(next), cluster.jupyterToken, '"new"')).toBe("'new'");
  });

  it('serve nothing stale after a standstill of the whole node', async () => {
    const leader = await serving();
    const others = await standbys(leader);
    const before = await termOf(leader);
    const ask = 'GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization: token ' + cluster.jupyterToken;
    const kept = connect(cluster.spec.jupyter.port, leader.address);
    kept.write(`${ask}\r\n\r\n`);
    await once(kept, 'data');

    await signal(leader, 'SIGSTOP');
    const next = await serving(others);
    expect(await termOf(next)).toBeGreaterThan(before);
    // The kernel of the stopped node accepts all of this.
    const late = connect(cluster.spec.jupyter.port, leader.address);
    await once(late, 'connect');
    for (const socket of [kept, late]) socket.write(`${ask}\r\n\r\n`);
    const answers = Promise.all([untilClosed(kept), untilClosed(late)]);
    await signal(leader, 'SIGCONT');

    expect(await answers).toEqual(['', '']);
    await eventually(async () => {
      const gate = await gateOf(leader);
      return gate === 'refused' || gate.term > before;
    });
    await serving();
  });

  it('shut the gate that has lost its quorum, and open one when there is a quorum again', async () => {
    const leader = await serving();
    const others = await standbys(leader);
    for (const other of others) await signal(other, 'SIGSTOP', 'etcd');
    try {
      await eventually(async () => (await gateOf(leader)) === 'refused');
      expect(await openOnes()).toEqual([]);
      expect((await leader.control.status()).jupyter).toMatchObject({
        state: 'ready',
        gate: { open: false },
      });
    } finally {
      for (const other of others) await signal(other, 'SIGCONT', 'etcd');
    }
    // Resumed members may elect again, and the previous gate shuts again.
    await eventually(
      async () => (await runCell(base(await serving()), cluster.jupyterToken, '"back"')) === "'back'",
      waitMs,
    );
  });

  it('shut the gate while a killed Jupyter restarts', async () => {
    const leader = await serving();
    await standbys(leader);
    const before = await leader.processes('jupyter');
    killIfThere(await leader.mainProcess('jupyter'));
    await eventually(async () => (await gateOf(leader)) === 'refused');
    await eventually(async () => (await gateOf(leader)) !== 'refused', waitMs);
    expect((await leader.processes('jupyter')).filter((pid) => before.includes(pid))).toEqual([]);
  });

  it('leave no socket behind, however often the gates open and shut', async () => {
    const headers = { authorization: `token ${cluster.jupyterToken}`, connection: 'close' };
    const sockets = async () => {
      let count = 0;
      for (const node of cluster.nodes) {
        for (const pid of await node.processes('control')) {
          for (const fd of await readdir(`/proc/${pid}/fd`)) {
            const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
            if (link.startsWith('socket:')) count += 1;
          }
        }
      }
      return count;
    };
    await standbys(await serving());
    const before = await sockets();
    for (let cycle = 0; cycle < 10; cycle += 1) {
      const leader = await serving();
      const [next] = (await standbys(leader)) as [TestNode];
      const kept = connect(cluster.spec.jupyter.port, leader.address);
      await once(kept, 'connect');
      kept.write(`GET ${gatePath} HTTP/1.1\r\nHost: x\r\n\r\n`);
      expect((await fetch(`${base(leader)}/api/status`, { headers })).status).toBe(200);
      const received = untilClosed(kept);
      await moveLeader(leader, next);
      expect(await received).toContain('"open":true');
      await eventually(async () => (await gateOf(leader)) === 'refused');
    }
    await serving();
    await eventually(async () => (await sockets()) <= before);
  });

  it('serve at once after a restart, without an order', async () => {
    const leader = await serving();
    const others = await standbys(leader);
    for (const node of cluster.nodes) await node.crash();
    for (const node of cluster.nodes) node.start({ etcdFormed: true });
    const now = await serving();
    expect([leader, ...others]).toContain(now);
    expect((await now.control.status()).jupyter).toMatchObject({ serve: false, gate: { open: true } });
    expect(await readFile(`${now.layout.log}/control/current`, 'utf8')).toContain('gate opened');
  });
});

describe('nodes whose Jupyter is sticky', () => {
  let generation = 0;
  const order = async (node: TestNode, serve: boolean) =>
    node.control.orderJupyter(
      { generation: (generation += 1), term: (await node.etcd.status()).term, serve },
      { waitMs },
    );

  beforeAll(async () => {
    cluster = await prepareNodes({
      count: 3,
      firstAddress: '127.27.3.10',
      jupyter: { standby: 'warm', follow: 'sticky', reflexes: true },
    });
    await cluster.startAll();
    await eventually(
      async () =>
        (await Promise.all(cluster.nodes.map((node) => node.control.status()))).every(
          ({ jupyter }) => jupyter.state === 'ready',
        ),
      waitMs,
    );
  });

  afterAll(() => cluster.remove());

  it('open no gate without the keeper’s order', async () => {
    expect(await openOnes()).toEqual([]);
  });

  it('open it with that order, and keep it open wherever leadership drifts', async () => {
    const [node0, node1, node2] = cluster.nodes as [TestNode, TestNode, TestNode];
    expect(await order(node0, true)).toMatchObject({ state: 'ready', serve: true, gate: { open: true } });
    const kept = connect(cluster.spec.jupyter.port, node0.address);
    let closed = false;
    kept.on('close', () => (closed = true)).on('error', () => undefined);
    await once(kept, 'connect');
    const terms: number[] = [];
    for (const next of [node1, node2, node0, node1]) {
      const views = await Promise.all(cluster.nodes.map((node) => node.etcd.status()));
      const leader = cluster.nodes.find((_, index) => views[index]?.leader === views[index]?.memberId);
      if (leader !== undefined && leader !== next) await moveLeader(leader, next);
      await eventually(async () => {
        const { leader: leads, memberId } = await next.etcd.status();
        return leads === memberId;
      });
      terms.push(await termOf(node0));
    }
    expect(closed).toBe(false);
    expect(new Set(terms).size).toBe(1);
    expect(await serving()).toBe(node0);
    kept.destroy();
  });

  it('shut it by that order, and without a quorum', async () => {
    const [node0, node1, node2] = cluster.nodes as [TestNode, TestNode, TestNode];
    expect(await order(node1, true)).toMatchObject({ gate: { open: true } });
    expect(await order(node0, false)).toMatchObject({ state: 'ready', serve: false, gate: { open: false } });
    expect(await serving()).toBe(node1);
    for (const other of [node0, node2]) await signal(other, 'SIGSTOP', 'etcd');
    try {
      await eventually(async () => (await gateOf(node1)) === 'refused');
    } finally {
      for (const other of [node0, node2]) await signal(other, 'SIGCONT', 'etcd');
    }
    expect(await serving()).toBe(node1);
  });

  it('do not serve on an order from an earlier life', async () => {
    const node1 = await serving();
    await node1.crash();
    node1.start({ etcdFormed: true });
    await eventually(async () => (await node1.control.status()).jupyter.state === 'ready', waitMs);
    expect((await node1.control.status()).jupyter).toMatchObject({ serve: false, gate: { open: false } });
    expect(await gateOf(node1)).toBe('refused');
    expect(await order(node1, true)).toMatchObject({ gate: { open: true } });
  });
});
