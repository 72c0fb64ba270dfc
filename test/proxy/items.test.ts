import { expect, test } from 'vitest';
import { noItems } from '../../src/hosts/items.js';
import { proxyConfigSchema } from '../../src/proxy/config.js';
import { proxyConfig, proxyItems } from '../../src/proxy/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

const host = makeHost('h1', { address: '172.16.6.103', dir: '/opt/perijove' });
const spec = makeSpec({ name: 'lab', hosts: [host] });

test('users connect to the host’s address, orders only to loopback', () => {
  expect(proxyConfig(spec, host)).toEqual({
    cluster: 'lab',
    host: 'h1',
    listen: { address: '172.16.6.103', port: 8888 },
    api: { address: '127.0.0.1', port: 8001 },
    tokenFile: '/opt/perijove/etc/secrets/proxy-api-token',
    kernels: {
      port: spec.nodes.controlPort,
      tokenFile: '/opt/perijove/etc/secrets/node-kernels-token',
      placement: 'leader',
    },
    routeFile: '/opt/perijove/data/proxy/route.json',
  });
  const loopback = makeHost('h2', { address: '127.0.1.2' });
  expect(proxyConfig(spec, loopback).api.address).toBe('127.0.1.2');
});

test('the service runs its programs with its configuration, and only reloads what its workers read', () => {
  const { files, services, directories } = proxyItems(spec, host);
  const [service] = services;
  const config = files.find(({ path }) => path === service?.exec.at(-1));
  expect(config?.source.kind).toBe('text');
  const text = config?.source.kind === 'text' ? config.source.text : '';
  expect(proxyConfigSchema.parse(JSON.parse(text))).toEqual(proxyConfig(spec, host));
  expect(text).not.toContain('token":');
  expect(service?.restartOn).toEqual(['/opt/perijove/bin/node', '/opt/perijove/bin/perijove-proxy.mjs']);
  expect(service?.reloadOn).toEqual([
    '/opt/perijove/bin/perijove-proxy-worker.mjs',
    '/opt/perijove/etc/proxy.json',
    '/opt/perijove/etc/secrets/proxy-api-token',
    '/opt/perijove/etc/secrets/proxy-api-token.next',
    '/opt/perijove/etc/secrets/proxy-api-token.last',
    '/opt/perijove/etc/secrets/node-kernels-token',
  ]);
  expect(files.map(({ path }) => path)).toEqual([
    ...(service?.restartOn ?? []),
    ...(service?.reloadOn?.slice(0, 2) ?? []),
  ]);
  expect(directories).toEqual([{ path: '/opt/perijove/data/proxy', mode: 0o700 }]);
});

test('HTTPS adds a secret file, which the proxy takes over by itself', () => {
  const tls = { certificateFile: '/c.pem', keyFile: '/k.pem', hstsMs: 90_000 };
  const secure = makeSpec({ name: 'lab', hosts: [host], proxy: { tls } });
  const { files, directories, services } = proxyItems(secure, host);
  const file = '/opt/perijove/etc/secrets/proxy-https.pem';
  expect(proxyConfig(secure, host).tls).toEqual({ file, hstsSeconds: 90 });
  expect(files.at(-1)).toEqual({
    path: file,
    mode: 0o600,
    source: { kind: 'certificate', certificateFile: '/c.pem', keyFile: '/k.pem' },
  });
  expect(directories).toContainEqual({ path: '/opt/perijove/etc/secrets', mode: 0o700 });
  // Neither restarts nor reloads it: both end connections.
  const [service] = services;
  expect([...(service?.restartOn ?? []), ...(service?.reloadOn ?? [])]).not.toContain(file);
});

test('a host without the role has no items', () => {
  expect(proxyItems(spec, { ...host, roles: ['zookeeper', 'master', 'agent'] })).toEqual(noItems);
});

test('HTTPS by the cluster serves a secret that all hosts have, and needs no file of a person', () => {
  const secure = makeSpec({ name: 'lab', hosts: [host], proxy: { tls: { issuer: 'cluster' } } });
  const file = '/opt/perijove/etc/secrets/https-server';
  expect(proxyConfig(secure, host).tls).toEqual({ file });
  const { files, services } = proxyItems(secure, host);
  expect(files.map(({ path }) => path)).not.toContain(file);
  const [service] = services;
  expect([...(service?.restartOn ?? []), ...(service?.reloadOn ?? [])]).not.toContain(file);
});
