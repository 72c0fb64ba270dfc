import { expect, test } from 'vitest';
import { bringsCredential, namedIn, ownerByName } from '../../../../src/proxy/program/kernels/named.js';

test.each([
  ['GET', '/api/kernels', { kind: 'list', list: 'kernels' }],
  ['GET', '/api/sessions?1700000000', { kind: 'list', list: 'sessions' }],
  ['GET', '/api/terminals/', { kind: 'list', list: 'terminals' }],
  ['POST', '/api/kernels', { kind: 'creation', list: 'kernels' }],
  ['POST', '/api/sessions', { kind: 'creation', list: 'sessions' }],
  ['GET', '/api/kernels/1-2/channels?session_id=3', { kind: 'item', list: 'kernels', id: '1-2' }],
  ['POST', '/api/kernels/1-2/restart', { kind: 'item', list: 'kernels', id: '1-2' }],
  ['PATCH', '/api/sessions/5', { kind: 'item', list: 'sessions', id: '5' }],
  ['DELETE', '/api/terminals/node3_1', { kind: 'item', list: 'terminals', id: 'node3_1' }],
  ['GET', '/terminals/websocket/node3_1', { kind: 'item', list: 'terminals', id: 'node3_1' }],
  ['GET', '/api/%6bernels/x%2Dy', { kind: 'item', list: 'kernels', id: 'x-y' }],
  ['GET', '/x/../api/kernels/1', { kind: 'item', list: 'kernels', id: '1' }],
])('%s %s names what belongs to nodes', (method, url, named) => {
  expect(namedIn(method, url)).toEqual(named);
});

test.each([
  ['POST', '/api/terminals'],
  ['GET', '/api/kernelspecs'],
  ['GET', '/api/kernelspecs/python3'],
  ['GET', '/api/contents/api/kernels/1'],
  ['GET', '/lab/tree/api/sessions'],
  ['GET', '/terminals/node3_1'],
  ['GET', '/terminals/websocket/'],
  ['GET', '/api/kernels/%zz'],
  ['DELETE', '/api/sessions'],
])('%s %s goes to the node that serves', (method, url) => {
  const named = namedIn(method, url);
  expect(named?.kind === 'list' ? undefined : named).toBeUndefined();
});

test('a terminal names its node', () => {
  expect(ownerByName({ list: 'terminals', id: 'node12_3' })).toBe('node12');
  expect(ownerByName({ list: 'terminals', id: '1' })).toBeUndefined();
  expect(ownerByName({ list: 'kernels', id: 'node1_3' })).toBeUndefined();
});

test.each([
  [{ authorization: 'token abc' }, '/api/kernels', true],
  [{ cookie: 'username-1=2' }, '/api/kernels', true],
  [{}, '/api/kernels?a=1&token=abc', true],
  [{}, '/api/kernels?nottoken=abc', false],
  [{ host: 'h1:8888' }, '/api/kernels', false],
])('%o with %s could be known to Jupyter: %s', (headers, url, known) => {
  expect(bringsCredential(headers, url)).toBe(known);
});
