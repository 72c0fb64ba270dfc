import { expect, test } from 'vitest';
import { waysToTry } from '../../../src/proxy/program/ways.js';

const [h1, h2, h3] = ['127.0.1.1:8888', '127.0.1.2:8888', '127.0.1.3:8888'];
const node = 'http://127.0.2.10:8888';
const chain = { ways: [`http://${h2}`, `http://${h3}`, node] };

test('ways are tried in order, unresponsive ones last', () => {
  const at = { self: h1, via: [] };
  expect(waysToTry(chain, { ...at, passedOver: new Set() })).toEqual(chain.ways);
  expect(waysToTry(chain, { ...at, passedOver: new Set([`http://${h2}`]) })).toEqual([
    `http://${h3}`,
    node,
    `http://${h2}`,
  ]);
});

test('a tunnel never passes a proxy twice, and one that returned goes straight to the node', () => {
  const none = new Set<string>();
  expect(waysToTry(chain, { self: h1, via: [h3], passedOver: none })).toEqual([`http://${h2}`, node]);
  expect(waysToTry(chain, { self: h1, via: [h2, h3], passedOver: none })).toEqual([node]);
  expect(waysToTry(chain, { self: h1, via: [h1, h3], passedOver: none })).toEqual([node]);
  // An order that routes a host to itself.
  expect(waysToTry({ ways: [`http://${h1}`, node] }, { self: h1, via: [], passedOver: none })).toEqual([
    node,
  ]);
});
