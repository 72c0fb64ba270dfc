import { expect, it } from 'vitest';
import { startOptions } from '../../src/temporal/start-options.js';

it('starts a workflow on the workers’ task queue, with its cluster attribute and a title', () => {
  expect(startOptions('demo', 'Keeper of demo')).toEqual({
    taskQueue: 'perijove',
    workflowTaskTimeout: '30s',
    staticSummary: 'Keeper of demo',
    typedSearchAttributes: [{ key: { name: 'PerijoveCluster', type: 'KEYWORD' }, value: 'demo' }],
  });
});
