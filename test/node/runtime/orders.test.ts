import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  forgetServe,
  noOrders,
  readOrders,
  staleness,
  storeOrders,
  type Orders,
} from '../../../src/node/runtime/orders.js';

describe('staleness', () => {
  it('never lets generations and terms decrease', () => {
    const number = fc.nat({ max: 9 });
    const order = fc.record({ generation: number, term: fc.option(number, { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(order), (sequence) => {
        let orders: Orders = noOrders;
        for (const { generation, term } of sequence) {
          const jupyter = term === undefined ? orders.jupyter : { generation, term, serve: true };
          const stale =
            staleness(orders, { generation, ...(term === undefined ? {} : { term }) }) !== undefined;
          expect(stale).toBe(generation < orders.generation || (term ?? Infinity) < orders.jupyter.term);
          if (!stale) orders = { ...orders, generation, jupyter };
        }
      }),
    );
  });
});

describe('the file of the orders', () => {
  let dir: string;
  let file: string;
  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'perijove-orders-'));
    file = path.join(dir, 'orders.json');
  });
  afterAll(() => rm(dir, { recursive: true }));

  it('is read as it was written', async () => {
    expect(await readOrders(file)).toEqual(noOrders);
    const orders = {
      generation: 7,
      jupyter: { generation: 6, term: 3, serve: true },
      hosts: { generation: 7 },
    };
    await storeOrders(file, orders);
    expect(await readOrders(file)).toEqual(orders);
  });

  it('stays unchanged when it cannot be read', async () => {
    const unreadable = path.join(dir, 'directory');
    await mkdir(unreadable);
    await expect(forgetServe(unreadable)).rejects.toMatchObject({ code: 'EISDIR' });
    expect(await readdir(dir)).toContain('directory');
  });

  it('of an earlier release is read, and does not serve', async () => {
    await writeFile(file, '{"generation":4,"jupyter":{"generation":4,"run":true},"hosts":{"generation":3}}');
    expect(await readOrders(file)).toEqual({
      generation: 4,
      jupyter: { generation: 4, term: 0, serve: false },
      hosts: { generation: 3 },
    });
  });

  it('keeps the generations and the term when the node is restarted, and does not serve', async () => {
    const orders = {
      generation: 7,
      jupyter: { generation: 6, term: 3, serve: true },
      hosts: { generation: 7 },
    };
    await storeOrders(file, orders);
    await forgetServe(file);
    expect(await readOrders(file)).toEqual({ ...orders, jupyter: { ...orders.jupyter, serve: false } });
    await writeFile(file, 'damaged');
    await forgetServe(file);
    expect(await readOrders(file)).toEqual(noOrders);
  });
});
