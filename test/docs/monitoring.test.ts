import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { statusMetricCatalogue } from '../../src/status/metrics.js';
import { workerMetrics } from '../support/metric-names.js';

const example = (name: string) => readFile(`examples/monitoring/${name}`, 'utf8');

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}
interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly definition?: string }[] };
}

const ofWorkers = await workerMetrics();
const names = new Set([
  ...statusMetricCatalogue.map(({ name }) => name),
  ...[...ofWorkers].flatMap(([name, type]) =>
    type === 'histogram' ? ['bucket', 'count', 'sum'].map((part) => `${name}_${part}`) : [name],
  ),
]);

/** Names of metrics in a query; a job has a hyphen or no underscore. */
function metricsIn(query: string): string[] {
  return query.match(/\b(?:perijove|temporal)_\w+/g) ?? [];
}

const dashboard = JSON.parse(await example('dashboard.json')) as Dashboard;
const rules = parse(await example('rules.yml')) as Rules;
const queries = [
  ...rules.groups.flatMap(({ rules: alerts }) => alerts.map(({ alert, expr }) => [alert, expr] as const)),
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ...dashboard.annotations.list.map(({ expr }) => ['annotation', expr] as const),
  ...dashboard.templating.list.flatMap(({ definition }) =>
    definition === undefined ? [] : [['variable', definition] as const],
  ),
];

it.each(queries)('%s queries metrics that exist: %s', (_of, query) => {
  const used = metricsIn(query);
  expect(used.filter((name) => !names.has(name))).toEqual([]);
  expect(used.length > 0 || /\bup\{/.test(query)).toBe(true);
});

it('selects labels that the metrics have', () => {
  for (const [, query] of queries) {
    for (const [, name, selector = ''] of query.matchAll(/\b(perijove_\w+)\{([^}]*)\}/g)) {
      const labels = statusMetricCatalogue.find((metric) => metric.name === name)?.labels ?? [];
      const used = [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label);
      expect(used.filter((label) => label !== 'cluster' && !labels.includes(label ?? ''))).toEqual([]);
    }
  }
});

it('documents the metrics of workers', () => {
  expect(ofWorkers.size).toBeGreaterThan(5);
});
