import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jupyterAuthority, kernelRoutes, kernelsHeader } from '../../src/node/kernels.js';
import { PreparedAgent } from '../../src/proxy/program/agents.js';
import { eventually } from '../support/eventually.js';
import { killIfThere, prepareNodes, type TestNode, type TestNodes } from '../support/nodes.js';

let cluster: TestNodes;
let node: TestNode;

interface Entrance {
  readonly status: number | undefined;
  readonly kernels: string | undefined;
  readonly socket: Socket;
}

async function enter(authorization?: string, authority: string = jupyterAuthority): Promise<Entrance> {
  const { controlPort } = cluster.spec.nodes;
  const asked = request({
    ...{ host: node.address, port: controlPort, method: 'CONNECT', path: authority, agent: false },
    headers: authorization === undefined ? {} : { authorization },
  });
  asked.end();
  const [answer, socket] = (await once(asked, 'connect')) as [IncomingMessage, Socket];
  const { statusCode: status, headers } = answer;
  return { status, kernels: headers[kernelsHeader]?.toString(), socket };
}

const withToken = () => enter(`Bearer ${cluster.kernelsToken}`);

async function statusOf(path: string, authorization?: string): Promise<number | undefined> {
  const { socket } = await withToken();
  const headers = authorization === undefined ? {} : { authorization };
  const asked = request({ host: 'jupyter', path, headers, agent: new PreparedAgent(socket) });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  await text(answer);
  socket.destroy();
  return answer.statusCode;
}

async function post(path: string, token: string, body?: unknown) {
  const answer = await fetch(`http://${node.address}:${cluster.spec.nodes.controlPort}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: await answer.json() };
}

const ready = () => eventually(async () => (await node.control.status()).jupyter.state === 'ready', 50_000);

describe('the door to the kernels of a node that does not serve', () => {
  beforeAll(async () => {
    cluster = await prepareNodes({
      count: 1,
      firstAddress: '127.26.12.1',
      // It opens its gate at the keeper's word only, and there is no keeper.
      jupyter: { standby: 'warm', follow: 'sticky', reflexes: false },
    });
    const [only] = cluster.nodes;
    if (only === undefined) throw new Error('one was prepared');
    node = only;
    await cluster.startAll();
  });
  afterAll(() => cluster?.remove());

  it('has none before Jupyter has answered once', async () => {
    const { status, kernels, socket } = await withToken();
    socket.destroy();
    // A fast Jupyter is there already.
    expect([status, kernels]).toEqual(status === 200 ? [200, undefined] : [503, 'none']);
  });

  it('opens to its own secret alone, and leads to Jupyter and to nothing else', async () => {
    await ready();
    const api = await node.control.status();
    expect(api.jupyter.gate.open).toBe(false);
    const refused: readonly (string | undefined)[] = [
      ...[undefined, 'Bearer ', 'Bearer wrong', `Bearer ${cluster.jupyterToken}`],
      ...[`Basic ${cluster.kernelsToken}`, cluster.kernelsToken],
    ];
    for (const authorization of refused) {
      const { status, socket } = await enter(authorization);
      socket.destroy();
      expect([authorization, status]).toEqual([authorization, 401]);
    }
    for (const authority of ['127.0.0.1:22', `${node.address}:2379`, 'jupyter:81']) {
      const { status, socket } = await enter(`Bearer ${cluster.kernelsToken}`, authority);
      socket.destroy();
      expect([authority, status]).toEqual([authority, 404]);
    }
    expect(await statusOf('/api/kernels')).toBe(403);
    expect(await statusOf('/api/kernels', `token ${cluster.jupyterToken}`)).toBe(200);
  });

  it('says what room there is, and where kernels go, to that secret alone', async () => {
    await ready();
    const room = await post(kernelRoutes.room, cluster.kernelsToken);
    expect(room.body).toMatchObject({ jupyter: 'ready', kernels: 0 });
    const rooms = [{ node: 'node0', kernels: 0, availableBytes: 2 ** 40 }];
    const placed = await post(kernelRoutes.place, cluster.kernelsToken, { path: 'a', rooms });
    expect(placed).toEqual({ status: 200, body: { node: 'node0', underWay: false } });
    expect((await post(kernelRoutes.place, cluster.kernelsToken, { path: 'a', rooms })).body).toMatchObject({
      underWay: true,
    });
    expect((await post(kernelRoutes.place, cluster.kernelsToken, { rooms: [] })).status).toBe(400);
    for (const token of [cluster.jupyterToken, '']) {
      expect((await post(kernelRoutes.room, token)).status).toBe(401);
      expect((await post(kernelRoutes.place, token, { rooms })).status).toBe(401);
    }
    // The other way round, too: it orders nothing.
    expect((await post('/status', cluster.kernelsToken)).status).toBe(401);
  });

  it('lets operators list and stop kernels', async () => {
    await ready();
    expect(await node.control.kernels()).toEqual({ kernels: [] });
    const { socket } = await withToken();
    const asked = request({
      ...{ host: 'jupyter', path: '/api/sessions', method: 'POST', agent: new PreparedAgent(socket) },
      headers: { authorization: `token ${cluster.jupyterToken}` },
    });
    asked.end(JSON.stringify({ path: 'a.ipynb', name: 'a', type: 'notebook', kernel: { name: 'python3' } }));
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    const { kernel } = JSON.parse(await text(answer)) as { readonly kernel: { readonly id: string } };
    socket.destroy();
    expect((await node.control.kernels()).kernels).toMatchObject([
      { id: kernel.id, name: 'python3', path: 'a.ipynb' },
    ]);
    await expect(node.control.stopKernel({ id: 'another' })).rejects.toMatchObject({ code: 'NODE_REFUSED' });
    expect(await node.control.stopKernel({ id: kernel.id })).toEqual({ kernels: [] });
  });

  it('does not say that there are none while Jupyter has only died', async () => {
    await ready();
    killIfThere(await node.mainProcess('jupyter'), 'SIGKILL');
    await eventually(async () => {
      const { status, kernels, socket } = await withToken();
      socket.destroy();
      return status === 503 && kernels === 'not-known';
    }, 10_000);
    await ready();
    expect(await statusOf('/api/kernels', `token ${cluster.jupyterToken}`)).toBe(200);
  });
});
