import { describe, expect, test } from 'vitest';
import { drifts, type NodeView, type ProxyView, type View } from '../../src/keeper/drift.js';
import { waysTo, wantedFor } from '../../src/keeper/wanted.js';
import type { JupyterStatus } from '../../src/node/api.js';
import { makeSpec } from '../support/spec.js';

const spec = makeSpec({ nodes: { count: 3 } });
const wanted = wantedFor(spec, 5, { leader: 'node1', term: 2, live: ['node1', 'node0', 'node2'] });

const hostsFile = { generation: 5, digest: wanted.hostsDigest };
const standing: JupyterStatus = {
  state: 'ready',
  generation: 5,
  serve: false,
  gate: { open: false, closing: false, term: 2 },
};
const serving: JupyterStatus = { ...standing, serve: true, gate: { ...standing.gate, open: true } };
const node = (jupyter: JupyterStatus, hosts = hostsFile): NodeView => ({
  ok: true,
  status: { generation: 5, jupyter, hosts },
});
const proxy = (change: object = {}, host = 'h1'): ProxyView => {
  const order = wanted.routes[host];
  if (!order) throw new Error(host);
  const since = '2026-01-01T00:00:00.000Z';
  const now = { node: 'node1', target: wanted.target, term: 2, by: 'keeper', since } as const;
  return { ok: true, route: { ...order, since, serving: now, ...change } };
};
const good: View = {
  nodes: { node0: node(standing), node1: node(serving), node2: node(standing) },
  proxies: { h1: proxy(), h2: proxy(), h3: proxy() },
};
const gone = { ok: false, reason: 'no answer' } as const;

describe('the desired state', () => {
  test('has the leader’s Jupyter at its own address, and hosts files with the leader first', () => {
    expect(wanted).toMatchObject({
      leader: 'node1',
      target: 'http://127.0.2.11:8888',
      nodes: ['node0', 'node1', 'node2'],
      proxies: ['h1', 'h2', 'h3'],
    });
    expect(wanted.hosts.slice(0, 4)).toEqual([
      { name: 'node-0', address: '127.0.2.11' },
      { name: 'node-1', address: '127.0.2.10' },
      { name: 'node-2', address: '127.0.2.12' },
      { name: 'node0', address: '127.0.2.10' },
    ]);
  });

  test('has ways through other hosts by topology, with the node itself last', () => {
    const ways = (topology: 'direct' | 'owner' | 'chain', from: number, owner?: string) => {
      const host = spec.hosts[from];
      if (!host) throw new Error('no host');
      return waysTo({ ...spec, proxy: { ...spec.proxy, topology } }, host, 'node1', owner);
    };
    const [h1, h2, h3] = [1, 2, 3].map((each) => `http://127.0.1.${each}:8888`);
    const itself = 'http://127.0.2.11:8888';
    expect(ways('direct', 0, 'h2')).toEqual([itself]);
    expect(ways('owner', 0, 'h2')).toEqual([h2, itself]);
    expect(ways('owner', 1, 'h2')).toEqual([itself]);
    // Unknown: a working route must not lose its way.
    expect(ways('owner', 0)).toEqual([h2, h3, itself]);
    expect(ways('owner', 1)).toEqual([h1, h3, itself]);
    expect(ways('chain', 0)).toEqual([h2, h3, itself]);
    expect(ways('chain', 1)).toEqual([h3, itself]);
    expect(ways('chain', 2)).toEqual([itself]);
  });

  test('has ways over HTTPS through hosts that serve it, and plain ones to nodes', () => {
    const tls = { certificateFile: '/c.pem', keyFile: '/k.pem' };
    const secure = { ...spec, proxy: { ...spec.proxy, topology: 'chain' as const, tls } };
    const [first] = spec.hosts;
    if (!first) throw new Error('no host');
    expect(waysTo(secure, first, 'node1', undefined)).toEqual([
      'https://127.0.1.2:8888',
      'https://127.0.1.3:8888',
      'http://127.0.2.11:8888',
    ]);
  });

  test('has proxies only on hosts with the role', () => {
    const [first, ...rest] = spec.hosts;
    if (!first) throw new Error('no host');
    const fewer = makeSpec({ hosts: [{ ...first, roles: ['zookeeper'] }, ...rest] });
    expect(wantedFor(fewer, 1, { leader: 'node0', term: 1, live: [] }).proxies).toEqual(['h2', 'h3']);
  });
});

describe('drifts', () => {
  test('there are none in the desired state', () => {
    expect(drifts(wanted, good)).toEqual([]);
  });

  test.each([
    ['no route', { proxies: { ...good.proxies, h2: { ok: true, route: null } } }, 'route', 'h2'],
    [
      'an earlier generation',
      { proxies: { ...good.proxies, h2: proxy({ generation: 4 }, 'h2') } },
      'route',
      'h2',
    ],
    ['another node', { proxies: { ...good.proxies, h3: proxy({ node: 'node0' }) } }, 'route', 'h3'],
    ['another drain time', { proxies: { ...good.proxies, h3: proxy({ drainMs: 1 }) } }, 'route', 'h3'],
    ['other ways', { proxies: { ...good.proxies, h3: proxy({ nodes: [] }) } }, 'route', 'h3'],
    ['an unreachable proxy', { proxies: { ...good.proxies, h1: gone } }, 'proxy-silent', 'h1'],
    ['an unreachable node', { nodes: { ...good.nodes, node2: gone } }, 'node-silent', 'node2'],
    [
      'Jupyter not ready',
      { nodes: { ...good.nodes, node1: node({ ...serving, state: 'starting' }) } },
      'jupyter-down',
      'node1',
    ],
    [
      'a shut gate',
      { nodes: { ...good.nodes, node1: node({ ...serving, gate: standing.gate }) } },
      'jupyter-down',
      'node1',
    ],
    [
      'an order of an earlier generation',
      { nodes: { ...good.nodes, node1: node({ ...serving, generation: 4 }) } },
      'jupyter-down',
      'node1',
    ],
    [
      'another node with an order to serve',
      { nodes: { ...good.nodes, node0: node({ ...standing, serve: true }) } },
      'jupyter-elsewhere',
      'node0',
    ],
    [
      'a hosts file that was edited',
      { nodes: { ...good.nodes, node2: node(standing, { generation: 5, digest: 'other' }) } },
      'hosts',
      'node2',
    ],
    [
      'a hosts file of an earlier generation',
      { nodes: { ...good.nodes, node2: node(standing, { ...hostsFile, generation: 4 }) } },
      'hosts',
      'node2',
    ],
  ] as const)('%s', (_name, change, kind, subject) => {
    expect(drifts(wanted, { ...good, ...change })).toMatchObject([{ kind, subject }]);
  });

  test('a gate that is about to shut automatically is left alone', () => {
    const closing = node({ ...standing, gate: { open: true, closing: true, term: 1 } });
    expect(drifts(wanted, { ...good, nodes: { ...good.nodes, node0: closing } })).toEqual([]);
  });

  test('a proxy that switched by reflex gets the next verdict’s order', () => {
    const turned = { node: 'node2', target: 'http://127.0.2.12:8888', term: 3, by: 'reflex', since: '' };
    const proxies = { ...good.proxies, h1: proxy({ serving: turned }) };
    expect(drifts(wanted, { ...good, proxies })).toEqual([]);
  });

  test('an unused cold Jupyter is one; one that is stopping is left alone', () => {
    const cold = { ...wanted, standby: 'cold' } as const;
    const view = (state: JupyterStatus['state']): View => {
      const stopped = node({ ...standing, state: 'stopped' });
      return { ...good, nodes: { ...good.nodes, node0: node({ ...standing, state }), node2: stopped } };
    };
    expect(drifts(cold, view('starting'))).toMatchObject([{ kind: 'jupyter-elsewhere', subject: 'node0' }]);
    expect(drifts(cold, view('ready'))).toMatchObject([{ kind: 'jupyter-elsewhere', subject: 'node0' }]);
    expect(drifts(cold, view('stopping'))).toEqual([]);
  });

  test('what was not observed yet stays as it was known', () => {
    const proxies = { h2: proxy(), h3: proxy() };
    const known = [
      { kind: 'proxy-silent', subject: 'h1', what: 'the proxy on h1 does not respond' },
    ] as const;
    expect(drifts(wanted, { ...good, proxies }, known)).toEqual(known);
    expect(drifts(wanted, { ...good, proxies })).toEqual([]);
  });
});
