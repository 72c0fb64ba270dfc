import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from '../../src/lab/processes.js';
import { TestLab } from '../support/lab.js';
import { PackedPackage } from '../support/package.js';
import { clusterTests, removalTests } from './lab/cluster.js';
import { countTests } from './lab/counts.js';
import { doorsTests } from './lab/doors.js';
import { drillTests } from './lab/drill.js';
import { keeperTests } from './lab/keeper.js';
import { kernelTests } from './lab/kernels.js';
import { pageTests } from './lab/page.js';
import { recoveryTests } from './lab/recovery.js';
import { statusPageTests } from './lab/status-page.js';

const example = path.resolve(import.meta.dirname, '../../examples/lab.yaml');

/*
 * All these tests share two labs: starting one costs more than most tests do. Each test leaves a healthy
 * cluster to the next.
 */
describe('a lab', () => {
  const lab = new TestLab('127.28');
  beforeAll(() => lab.up());
  afterAll(() => lab.purge());

  describe('its cluster', () => clusterTests(lab));
  describe('its doors', () => doorsTests(lab));
  describe('its kernels', () => kernelTests(lab));
  describe('its drills', () => drillTests(lab));
  describe('its Jupyter', () => keeperTests(lab));
  describe('its status page', () => statusPageTests(lab));
  describe('its etcd', () => recoveryTests(lab));

  describe('with a second lab, of the packed package', () => {
    const installed = new PackedPackage();
    const other = new TestLab('127.29', installed.bin);
    let before: ReturnType<TestLab['allResidents']>;
    beforeAll(async () => {
      installed.install();
      await lab.ready();
      before = lab.allResidents();
      const spec = path.join(path.dirname(other.stateDir), 'three-nodes.yaml');
      writeFileSync(spec, readFileSync(example, 'utf8').replace('count: 5', 'count: 3'));
      await other.up('--file', spec);
    });
    afterAll(async () => {
      await other.purge();
      installed.remove();
    });

    it('runs what npm packs, outside of the repository', async () => {
      expect(await other.run('--version')).toBe(await lab.run('--version'));
      expect(other.workers()).not.toEqual([]);
    });

    it('has three nodes, and both answer notebook cells', async () => {
      expect((await other.ready()).etcd.members).toHaveLength(3);
      expect(await other.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
      expect(await lab.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
    });

    describe('an open page of JupyterLab', () => pageTests(other));
    describe('the number of nodes', () => countTests(other));

    it('is not disturbed when the other ends', async () => {
      await other.purge();
      expect([...before].filter(([, process]) => !isAlive(process)).map(([what]) => what)).toEqual([]);
      await lab.ready();
    });
  });

  describe('its end', () => removalTests(lab));
});
