import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Client } from 'ssh2';
import { expect, it } from 'vitest';
import { hostPaths } from '../../../src/hosts/paths.js';
import { createEtcdClient } from '../../../src/etcd/client.js';
import { leadingMaster } from '../../../src/mesos/masters/detector.js';
import { directReach } from '../../../src/ssh/reach.js';
import {
  hostsWithRole,
  nodeAddress,
  nodeNames,
  zookeeperConnect,
  type ClusterSpec,
} from '../../../src/cluster/spec.js';
import { connectZooKeeper, type ZooKeeperClient } from '../../../src/zookeeper/client.js';
import { labEtcdAccess } from '../../support/etcd.js';
import type { TestLab } from '../../support/lab.js';

/** A call of the scheduler API that gets offers, and with them commands on the hosts. */
const subscribe = {
  type: 'SUBSCRIBE',
  subscribe: { framework_info: { user: 'root', name: 'stranger' } },
};
const json = { 'content-type': 'application/json', accept: 'application/json' };
const wrong = { authorization: `Basic ${Buffer.from('perijove:guess').toString('base64')}` };

async function statusOf(url: string, init: RequestInit = {}): Promise<number> {
  const answer = await fetch(url, { redirect: 'manual', ...init });
  await answer.body?.cancel();
  return answer.status;
}

const post = (body: unknown, headers: Readonly<Record<string, string>> = {}): RequestInit => ({
  method: 'POST',
  headers: { ...json, ...headers },
  body: JSON.stringify(body),
});

/** Why sshd refuses a login. */
function loginTo(host: string, port: number, password: string): Promise<string> {
  const client = new Client();
  return new Promise<string>((resolve, reject) => {
    client
      .on('ready', () => reject(new Error('logged in')))
      .on('error', (error) => resolve(error.message))
      .connect({ host, port, username: 'root', password, tryKeyboard: true });
  }).finally(() => client.end());
}

async function statusOfEtcd(spec: ClusterSpec) {
  const place = { host: nodeAddress(spec, 0), port: spec.etcd.clientPort };
  const client = createEtcdClient(place, { deadlineMs: 5_000, access: await labEtcdAccess(spec) });
  try {
    return await client.memberList();
  } finally {
    client.close();
  }
}

/** What somebody on the network without a secret tries at a cluster with the default spec. */
export function doorsTests(lab: TestLab): void {
  it('a stranger gets no offers of Mesos, and neither reads nor ends anything there', async () => {
    const spec = await lab.spec();
    for (const { address, ports } of hostsWithRole(spec, 'master')) {
      const master = `http://${address}:${ports.master}`;
      for (const headers of [{}, wrong]) {
        expect(await statusOf(`${master}/api/v1/scheduler`, post(subscribe, headers))).toBe(401);
        expect(await statusOf(`${master}/api/v1`, post({ type: 'GET_FRAMEWORKS' }, headers))).toBe(401);
        expect(await statusOf(`${master}/maintenance/schedule`, post({ windows: [] }, headers))).toBe(401);
        expect(await statusOf(`${master}/teardown`, post({}, headers))).toBe(401);
        for (const page of ['state', 'frameworks', 'flags', 'metrics/snapshot', '']) {
          expect(await statusOf(`${master}/${page}`, { headers }), page).toBe(401);
        }
      }
    }
    for (const { address, ports } of hostsWithRole(spec, 'agent')) {
      const agent = `http://${address}:${ports.agent}`;
      expect(await statusOf(`${agent}/api/v1`, post({ type: 'GET_CONTAINERS' }))).toBe(401);
      expect(await statusOf(`${agent}/state`)).toBe(401);
    }
  });

  it('a stranger neither reads nor changes etcd, and adds no member', async () => {
    const spec = await lab.spec();
    const { members } = await statusOfEtcd(spec);
    for (const [index] of nodeNames(spec).entries()) {
      const place = { host: nodeAddress(spec, index), port: spec.etcd.clientPort };
      const client = createEtcdClient(place, { deadlineMs: 5_000 });
      try {
        for (const attempt of [
          () => client.memberList(),
          () => client.linearizableRead(),
          () => client.memberAdd('http://127.0.0.1:1'),
          () => client.moveLeader('1'),
        ]) {
          await expect(attempt()).rejects.toMatchObject({ code: 'ETCD_UNREACHABLE' });
        }
      } finally {
        client.close();
      }
      // Members speak TLS to each other as well, and ask for a certificate before they read anything.
      const { clientPort, peerPort } = spec.etcd;
      for (const port of [clientPort, peerPort]) {
        const url = `://${place.host}:${port}/members`;
        for (const scheme of ['http', 'https']) await expect(fetch(scheme + url)).rejects.toThrow();
      }
    }
    expect((await statusOfEtcd(spec)).members).toEqual(members);
  });

  it('a stranger names no other master in ZooKeeper, and removes none', async () => {
    const spec = await lab.spec();
    const { zkPath } = spec.mesos;
    const leader = await leadingMaster(directReach, spec);
    const zookeeper = await connectZooKeeper(zookeeperConnect(spec), {
      sessionTimeoutMs: 10_000,
      connectTimeoutMs: 10_000,
    });
    const attempts: ((client: ZooKeeperClient) => Promise<unknown>)[] = [
      (client) => client.create(`${zkPath}/json.info_-1`, JSON.stringify(leader), 'ephemeral'),
      async (client) => {
        const [first] = (await client.getChildren(zkPath)).filter((name) => name.startsWith('json.info_'));
        await client.setData(`${zkPath}/${first}`, '{}', -1);
      },
      (client) => client.setAccess(zkPath, [{ scheme: 'world', id: 'anyone', may: 'all' }]),
    ];
    try {
      for (const attempt of attempts) {
        await expect(attempt(zookeeper)).rejects.toMatchObject({ code: 'NO_AUTH' });
      }
    } finally {
      await zookeeper.close();
    }
    expect(await leadingMaster(directReach, spec)).toEqual(leader);
  });

  it('a stranger orders neither proxies nor nodes', async () => {
    const spec = await lab.spec();
    const tokens = [{}, { authorization: 'Bearer guess' }];
    for (const headers of tokens) {
      for (const { address, ports } of hostsWithRole(spec, 'proxy')) {
        const proxy = `http://${address}:${ports.proxyApi}`;
        const init = { ...post({}, headers), method: 'PUT' };
        expect(await statusOf(`${proxy}/route`, init)).toBe(401);
        expect(await statusOf(`${proxy}/health`, { headers })).toBe(401);
      }
      for (let index = 0; index < spec.nodes.count; index += 1) {
        const node = `http://${nodeAddress(spec, index)}:${spec.nodes.controlPort}`;
        for (const order of ['jupyter', 'hosts', 'retire']) {
          const init = { ...post({}, headers), method: 'PUT' };
          expect(await statusOf(`${node}/${order}`, init), order).toBe(401);
        }
        expect(await statusOf(`${node}/status`, { headers })).toBe(401);
      }
    }
    const address = nodeAddress(spec, 0);
    expect(await loginTo(address, spec.nodes.sshPort, 'root')).toContain('authentication methods failed');
  });

  it('a stranger runs nothing in Jupyter, through no host', async () => {
    for (const { url } of await lab.jupyter()) {
      for (const token of ['', '?token=guess']) {
        expect(await statusOf(`${url}/api/kernels${token}`), token).toBe(403);
        expect(await statusOf(`${url}/api/kernels${token}`, post({}))).toBe(403);
        expect(await statusOf(`${url}/api/contents${token}`), token).toBe(403);
        expect(await statusOf(`${url}/lab${token}`), token).toBe(302);
      }
    }
  });

  it('no file that others may read holds a secret', async () => {
    const [host] = (await lab.spec()).hosts;
    if (!host) expect.unreachable('a host');
    const directory = hostPaths(host).secrets;
    const secrets = readdirSync(directory)
      .filter((name) => !name.endsWith('.pub'))
      .map((name) => readFileSync(path.join(directory, name), 'utf8').trim());
    expect(secrets.length).toBeGreaterThan(5);
    const readable = readableBelow(lab.stateDir);
    expect(readable.length).toBeGreaterThan(20);
    const leaks = readable.filter((file) => {
      const text = readFileSync(file, 'latin1');
      return secrets.some((secret) => text.includes(secret));
    });
    expect(leaks).toEqual([]);
  });

  it('check says what is open', async () => {
    const { exposure } = await lab.json<{ exposure: readonly { door: string; open: boolean }[] }>('check');
    expect(exposure.filter(({ open }) => open).map(({ door }) => door)).toEqual(['ZooKeeper servers']);
  });
}

/** Files that every user may read, were it not for a directory above; those that end meanwhile are left out. */
function readableBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    const stat = entry.isFile() ? statSync(file, { throwIfNoEntry: false }) : undefined;
    const isLarge = (stat?.size ?? 0) > 64 * 1024 * 1024;
    return stat && !isLarge && (stat.mode & 0o004) !== 0 ? [file] : [];
  });
}
