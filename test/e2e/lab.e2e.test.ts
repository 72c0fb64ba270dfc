import { afterAll, beforeAll, describe } from 'vitest';
import { TestLab } from '../support/lab.js';
import { clusterTests, removalTests } from './lab/cluster.js';
import { drillTests } from './lab/drill.js';

/* One lab serves all of these: starting one costs more than most tests do. Each test leaves a whole cluster. */
describe('a lab', () => {
  const lab = new TestLab('127.28');
  beforeAll(() => lab.up());
  afterAll(() => lab.purge());

  describe('its cluster', () => clusterTests(lab));
  describe('its drills', () => drillTests(lab));
  describe('its end', () => removalTests(lab));
});
