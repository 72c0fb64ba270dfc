import { expect, it } from 'vitest';
import { startOptions } from '../../src/temporal/start-options.js';

it('starts a workflow where workers take it up, found by its cluster and titled for people', () => {
  expect(startOptions('demo', 'Keeper of demo')).toEqual({
    taskQueue: 'perijove',
    staticSummary: 'Keeper of demo',
    typedSearchAttributes: [{ key: { name: 'PerijoveCluster', type: 'KEYWORD' }, value: 'demo' }],
  });
});
