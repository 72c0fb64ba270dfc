import { describe, expect, it } from 'vitest';
import { expiryOf } from '../../src/cluster/certificate.js';
import { loadSpec } from '../../src/cluster/load.js';
import { emptyStatus, type ClusterStatus } from '../../src/status/cluster-status.js';
import { exposition } from '../../src/status/exposition.js';
import { statusMetricCatalogue, statusMetrics } from '../../src/status/metrics.js';

const spec = await loadSpec('examples/lab.yaml');
const nothingKnown: ClusterStatus = { ...emptyStatus(spec), phase: 'absent' };

const certificate = expiryOf(new Date('2027-01-01T00:00:00Z'), new Date('2026-01-01T00:00:00Z'));
const { mesos, framework, etcd, jupyter, proxies } = nothingKnown;
/** One host or node in each state. */
const seen: ClusterStatus = {
  ...nothingKnown,
  phase: 'degraded',
  stale: true,
  workflows: { deploy: 'completed', framework: 'running', keeper: 'paused' },
  deployment: { state: 'failed', startedAt: '2026-01-01T00:00:01.500Z', failure: null },
  zookeeper: {
    members: [
      { host: 'h1', mode: 'leader' },
      { host: 'h2', mode: 'down' },
      { host: 'h3', mode: 'no-answer' },
    ],
  },
  mesos: {
    ...mesos,
    masters: mesos.masters.map((master, index) => ({
      ...master,
      state: (['leading', 'down', 'no-answer'] as const)[index] ?? 'standing-by',
      ...(index === 0 && { startedAt: '2026-01-01T00:00:00.000Z', logRecovered: true }),
    })),
    agents: mesos.agents.map((agent, index) => ({
      ...agent,
      state: (['registered', 'disconnected', 'unknown'] as const)[index] ?? 'absent',
    })),
  },
  framework: {
    ...framework,
    connected: false,
    cordons: ['h2'],
    tasks: ['TASK_RUNNING', 'ABSENT'].map((state, index) => ({
      ...{ node: `node${index}`, host: null, state, taskId: null, since: null, message: null, past: [] },
    })),
  },
  etcd: {
    ...etcd,
    leader: 'node0',
    term: 7,
    members: [
      { node: 'node0', healthy: true, certificate },
      { node: 'node1', healthy: false, certificate: null },
    ],
    certificates: [{ host: 'h1', name: 'etcd-member', certificate }],
  },
  jupyter: {
    ...jupyter,
    node: 'node0',
    generation: 3,
    nodes: [
      { node: 'node0', state: 'ready', kernels: 2 },
      { node: 'node1', state: 'stopped', kernels: 0 },
      { node: 'node2', state: null, kernels: null },
    ],
  },
  proxies: proxies.map((proxy, index) => ({
    ...proxy,
    ...(index === 0 && { generation: 3, healthy: true, certificate }),
    ...(index === 1 && { generation: 2 }),
  })),
  storage: { kind: 'gluster', bricks: [{ host: 'h1', online: true, pending: null }] },
  incidents: [
    { at: '2026-01-01T00:00:02.000Z', what: 'node0 lost', tookMs: 1_250 },
    { at: '2026-01-01T00:00:09.000Z', what: 'an election', tookMs: 90, routine: true },
  ],
};

/** Samples of one metric, without the label `cluster`. */
function samplesOf(text: string, name: string): string[] {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.map((line) => line.slice(name.length).replace(/cluster="lab",?/, ''));
}

describe('statusMetrics', () => {
  const text = statusMetrics(seen);

  it.each([
    ['perijove_zookeeper_up', ['{host="h1"} 1', '{host="h2"} 0']],
    ['perijove_zookeeper_leading', ['{host="h1"} 1', '{host="h2"} 0']],
    ['perijove_mesos_master_up', ['{host="h1"} 1', '{host="h2"} 0']],
    ['perijove_mesos_master_start_timestamp_seconds', ['{host="h1"} 1767225600']],
    ['perijove_mesos_agent_registered', ['{host="h1"} 1', '{host="h2"} 0']],
    ['perijove_host_cordoned', ['{host="h1"} 0', '{host="h2"} 1', '{host="h3"} 0']],
    ['perijove_task_running', ['{node="node0"} 1', '{node="node1"} 0']],
    ['perijove_framework_connected', ['{} 0']],
    [
      'perijove_workflow_running',
      ['deploy', 'framework', 'keeper'].map(
        (workflow) => `{workflow="${workflow}"} ${workflow === 'deploy' ? 0 : 1}`,
      ),
    ],
    ['perijove_keeper_paused', ['{} 1']],
    ['perijove_workflow_state_stale', ['{} 1']],
    ['perijove_deployment_failed', ['{} 1']],
    ['perijove_deployment_start_timestamp_seconds', ['{} 1767225601.5']],
    ['perijove_incident_duration_seconds', ['{} 1.25']],
    ['perijove_etcd_member_healthy', ['{node="node0"} 1', '{node="node1"} 0']],
    ['perijove_etcd_recoveries_total', ['{} 0']],
    ['perijove_jupyter_serving', ['{node="node0"} 1', '{node="node1"} 0']],
    ['perijove_jupyter_kernels', ['{node="node0"} 2', '{node="node1"} 0']],
    ['perijove_proxy_healthy', ['{host="h1"} 1', '{host="h2"} 0']],
    ['perijove_storage_brick_online', ['{host="h1"} 1']],
    ['perijove_storage_brick_pending_files', []],
    [
      'perijove_certificate_expiry_timestamp_seconds',
      [
        '{certificate="https",place="h1"} 1798761600',
        '{certificate="etcd-member",place="h1"} 1798761600',
        '{certificate="etcd",place="node0"} 1798761600',
      ],
    ],
  ])('has a sample of %s for what is known, and none for the rest', (name, expected) => {
    expect(samplesOf(text, name)).toEqual(expected);
  });

  it('has 1 for the present state and 0 for the others', () => {
    expect(samplesOf(text, 'perijove_cluster_phase').filter((line) => line.endsWith(' 1'))).toEqual([
      '{phase="degraded"} 1',
    ]);
    expect(samplesOf(text, 'perijove_jupyter_state')).toHaveLength(8);
  });

  it('has nothing but the phase of a cluster of which nothing is known', () => {
    const names = [...statusMetrics(nothingKnown).matchAll(/^(\w+)\{/gm)].map(([, name]) => name);
    expect(new Set(names)).toEqual(new Set(['perijove_cluster_phase']));
  });

  it('has a help and a type once for each metric, and only labels that are documented', () => {
    const families = text.split(/^(?=# HELP )/m);
    expect(families).toHaveLength(
      statusMetricCatalogue.filter(({ name }) => name !== 'perijove_storage_brick_pending_files').length,
    );
    for (const family of families) {
      const [, name = ''] = /^# HELP (\w+) \S/.exec(family) ?? [];
      const metric = statusMetricCatalogue.find((each) => each.name === name);
      expect(family.split('\n')[1]).toBe(`# TYPE ${name} ${metric?.type}`);
      for (const [, labels = ''] of family.matchAll(/^\w+\{(.*)\} \S+$/gm)) {
        const names = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label);
        expect(names).toEqual(['cluster', ...(metric?.labels ?? [])]);
      }
    }
  });
});

describe('exposition', () => {
  it('escapes labels and help, and writes values as Prometheus reads them', () => {
    const metric = { name: 'm', type: 'gauge', help: 'back\\slash\nand "quote"' } as const;
    const samples = [
      { labels: { a: 'C:\\x "y"\nz' }, value: Infinity },
      { labels: {}, value: 1e21 },
    ];
    expect(exposition([{ metric, samples }])).toBe(
      [
        '# HELP m back\\\\slash\\nand "quote"',
        '# TYPE m gauge',
        'm{a="C:\\\\x \\"y\\"\\nz"} +Inf',
        'm 1e+21',
        '',
      ].join('\n'),
    );
  });
});
