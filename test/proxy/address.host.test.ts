import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { HostSpec, ProxyTlsFiles } from '../../src/cluster/spec.js';
import { httpRequest, textOf } from '../../src/net/http.js';
import { proxyAddress, type ProxyAddress } from '../../src/proxy/address.js';
import { certificateFile } from '../../src/proxy/items.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { sshReach } from '../../src/ssh/reach.js';
import { makeAuthority, type TestAuthority } from '../support/certificates.js';
import { startGate, type TestGate } from '../support/gate.js';
import { place, startProxy, type TestProxy } from '../support/proxy.js';
import { makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';
import { startSshd, type TestSshd } from '../support/sshd.js';

let authority: TestAuthority;
let tls: ProxyTlsFiles;
let other: ProxyTlsFiles;
let sshd: TestSshd;
let proxy: TestProxy;
let gate: TestGate;
let pool: SshPool;
let local: string;
const seen: string[] = [];

beforeAll(async () => {
  authority = makeAuthority();
  // Nothing that leads here: people reach it by the name of a load balancer, for example.
  tls = authority.issue('served', { names: 'DNS:jupyter.example.org' });
  other = authority.issue('other', { names: 'DNS:jupyter.example.org' });
  local = await mkdtemp(path.join(tmpdir(), 'perijove-address-'));
  pool = silentPool(path.join(local, 'known'));
  sshd = await startSshd({ address: '127.26.9.1' });
  proxy = await startProxy({ address: '127.26.9.1', tls });
  gate = await startGate({
    address: '127.26.10.1',
    answer: (request, response) => {
      seen.push(request.url ?? '');
      response.end('here');
    },
  });
  const order = { generation: 1, term: 1, node: 'node1', nodes: [gate.node], reflexes: false, drainMs: 0 };
  await proxy.client.setRoute(order);
  await vi.waitFor(async () => expect((await proxy.client.health()).answering).toBe(true), 15_000);
});
afterAll(async () => {
  await pool?.close();
  await proxy?.remove();
  await gate?.close();
  await sshd?.remove();
  authority?.remove();
  if (local !== undefined) await rm(local, { recursive: true, force: true });
});

const hostIn = (dir: string): HostSpec => ({ ...proxy.host, ssh: sshd.host().ssh, dir });

const fileIn = (dir: string) => certificateFile({ proxy: makeSpec({ proxy: { tls } }).proxy }, hostIn(dir));

async function addressIn(dir: string): Promise<ProxyAddress> {
  const host = hostIn(dir);
  const spec = makeSpec({ hosts: [host], proxy: { tls } });
  return proxyAddress(spec, host, { pool, reach: sshReach(pool, spec) });
}

test('a proxy is asked over TLS, through SSH, and must have the certificate of its host', async () => {
  const { url, agent } = await addressIn(proxy.host.dir);
  expect(url).toMatch(/^https:/);
  expect(await textOf(await httpRequest(`${url}/api/status`, { agent }))).toBe('here');
  const socket = new WebSocket(`${url.replace('https', 'wss')}/api/kernels/1/channels`, agent && { agent });
  await once(socket, 'open');
  const echoed = once(socket, 'message');
  socket.send('over TLS');
  expect(String((await echoed)[0])).toBe('over TLS');
  socket.terminate();
});

test('nothing is sent to a server with another certificate', async () => {
  const dir = path.join(local, 'impostor');
  await mkdir(path.dirname(fileIn(dir)), { recursive: true });
  await place(other, fileIn(dir));
  const { url, agent } = await addressIn(dir);
  seen.length = 0;
  const headers = { authorization: 'token secret' };
  await expect(httpRequest(`${url}/api/secret`, { agent, headers })).rejects.toThrow('another certificate');
  const socket = new WebSocket(`${url.replace('https', 'wss')}/secret`, { headers, ...(agent && { agent }) });
  const [error] = (await once(socket, 'error').catch((thrown: unknown) => [thrown])) as [Error];
  expect(error.message).toContain('another certificate');
  // Its own requests to the gate come from the proxy, and name no path of these.
  expect(seen.filter((each) => each.includes('secret'))).toEqual([]);
});

test('a host without the certificate is named', async () => {
  const dir = path.join(local, 'bare');
  await expect(addressIn(dir)).rejects.toMatchObject({ code: 'PROXY_CERTIFICATE_ABSENT' });
  await mkdir(path.dirname(fileIn(dir)), { recursive: true });
  await writeFile(fileIn(dir), '');
  await expect(addressIn(dir)).rejects.toMatchObject({ code: 'PROXY_CERTIFICATE_ABSENT' });
});
