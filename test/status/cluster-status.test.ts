import { describe, expect, it } from 'vitest';
import {
  emptyStatus,
  endingCertificates,
  noAgent,
  noFrameworkObservation,
  noMaster,
  phaseOf,
  shortcomings,
  type ClusterStatus,
  type WorkflowStatus,
} from '../../src/status/cluster-status.js';
import { expiryOf, expiryText } from '../../src/cluster/certificate.js';
import { loadSpec } from '../../src/cluster/load.js';

const spec = await loadSpec('examples/lab.yaml');

type Facts = Omit<ClusterStatus, 'phase'>;

const taskOf = (node: string, host: string | null, state: string): Facts['framework']['tasks'][number] => ({
  node,
  host,
  state,
  taskId: `${node}.1`,
  since: null,
  message: null,
  past: [],
});

const brick = (host: string, online: boolean | null) => ({
  host,
  online,
  pending: online === true ? 0 : null,
});

/** A healthy cluster. */
const whole: Facts = {
  ...emptyStatus(spec),
  workflows: { deploy: 'completed', framework: 'running', keeper: 'running' },
  zookeeper: {
    members: [
      { host: 'h1', mode: 'follower' },
      { host: 'h2', mode: 'leader' },
      { host: 'h3', mode: 'follower' },
    ],
  },
  mesos: {
    leader: 'h1',
    masters: [
      { ...noMaster, host: 'h1', state: 'leading' },
      { ...noMaster, host: 'h2', state: 'standing-by' },
      { ...noMaster, host: 'h3', state: 'standing-by' },
    ],
    agents: ['h1', 'h2', 'h3'].map((host) => ({ ...noAgent, host, state: 'registered' as const })),
    standIn: true,
    open: false,
    problem: null,
  },
  framework: {
    id: 'f',
    scheduler: '1@w',
    tasks: [0, 1, 2, 3, 4].map((index) => taskOf(`node${index}`, 'h1', 'TASK_RUNNING')),
    ...noFrameworkObservation,
    failure: null,
    missing: null,
    cordons: [],
  },
  etcd: {
    leader: 'node2',
    term: 3,
    members: [0, 1, 2, 3, 4].map((index) => ({ node: `node${index}`, healthy: true })),
  },
  jupyter: {
    ...{ node: 'node2', generation: 1, standby: 'cold' },
    nodes: [
      { node: 'node0', state: 'stopped', kernels: 0 },
      { node: 'node1', state: null, kernels: null },
      { node: 'node2', state: 'ready', kernels: 2 },
    ],
  },
  proxies: emptyStatus(spec).proxies.map((proxy) => ({
    ...proxy,
    target: 'http://x',
    generation: 1,
    healthy: true,
  })),
};

const began = { deploy: '2026-01-01T00:00:00.000Z' };
const withDeploy = (deploy: WorkflowStatus, facts: Facts = whole): Facts => ({
  ...facts,
  workflows: { ...facts.workflows, deploy },
});

describe('phaseOf', () => {
  it('is ready without shortcomings', () => {
    expect(shortcomings(spec, whole)).toEqual([]);
    expect(phaseOf(spec, whole, began)).toBe('ready');
  });

  it('reports certificates of etcd in the same way, and is not degraded by what is not known', () => {
    const now = new Date('2027-01-01T12:00:00Z');
    const inDays = (days: number) => expiryOf(new Date(now.getTime() + days * 86_400_000), now);
    const keeping = (days: Readonly<Record<string, number | null>>, shown: number | null = 90): Facts => ({
      ...whole,
      etcd: {
        ...whole.etcd,
        members: whole.etcd.members.map((member, index) => ({
          ...member,
          certificate: index > 0 || shown === null ? null : inDays(shown),
        })),
        certificates: Object.entries(days).flatMap(([name, left]) =>
          ['h1', 'h2'].map((host) => ({
            host,
            name: name as 'etcd-member',
            certificate: left === null ? null : inDays(left),
          })),
        ),
      },
    });
    const unknown = keeping({ 'etcd-authority.crt': null, 'etcd-member': null, 'etcd-client': null }, null);
    expect(phaseOf(spec, unknown, began)).toBe('ready');
    expect(endingCertificates(spec, unknown, now)).toEqual([]);
    const ending = keeping({ 'etcd-authority.crt': 3_650, 'etcd-member': 12, 'etcd-client': 30 }, 12);
    expect(phaseOf(spec, ending, began)).toBe('ready');
    expect(endingCertificates(spec, ending, now)).toEqual([
      "the certificate of etcd's members (etcd-member) on h1, h2 ends in 12 days, on 2027-01-13. Run `perijove up`, which issues a new one",
      'the certificate that etcd shows on node0 ends in 12 days, on 2027-01-13. Run `perijove up`. If etcd still shows it, drain the host of the node, then uncordon it',
    ]);
    const ended = keeping({ 'etcd-authority.crt': -2, 'etcd-member': -2, 'etcd-client': 29 });
    expect(phaseOf(spec, ended, began)).toBe('degraded');
    expect(shortcomings(spec, ended)).toEqual([
      'the certificate of etcd\'s authority has expired on h1, h2 (ETCD_AUTHORITY_EXPIRED). See "Replace the authority" in `docs/how-to/secrets.md`',
      "the certificate of etcd's members (etcd-member) has expired on h1, h2 (ETCD_CERTIFICATE_EXPIRED). Run `perijove up`, which issues a new one",
    ]);
  });

  it('is ready with a certificate that ends soon, and degraded with one that has expired', () => {
    const now = new Date('2027-01-01T12:00:00Z');
    const day = 86_400_000;
    const serving = (...days: readonly number[]): Facts => ({
      ...whole,
      proxies: whole.proxies.map((proxy, index) => ({
        ...proxy,
        certificate: expiryOf(new Date(now.getTime() + (days[index] ?? 90) * day), now),
      })),
    });
    const ofFiles = {
      ...spec,
      proxy: { ...spec.proxy, tls: { certificateFile: 'https.pem', keyFile: 'https.key' } },
    };
    expect(phaseOf(ofFiles, serving(90, 30), began)).toBe('ready');
    expect(endingCertificates(ofFiles, serving(90, 30), now)).toEqual([]);
    expect(phaseOf(ofFiles, serving(29, 12, 12), began)).toBe('ready');
    expect(endingCertificates(ofFiles, serving(29, 12, 12), now)).toEqual([
      'the certificate for HTTPS on h1 ends in 29 days, on 2027-01-30. Renew it, then run `perijove up`',
      'the certificate for HTTPS on h2, h3 ends in 12 days, on 2027-01-13. Renew it, then run `perijove up`',
    ]);
    expect(phaseOf(ofFiles, serving(90, -1), began)).toBe('degraded');
    expect(shortcomings(ofFiles, serving(90, -1))).toEqual([
      'the certificate for HTTPS has expired on h2 (PROXY_CERTIFICATE_EXPIRED). Renew it, then run `perijove up`',
    ]);
    const ofCluster = { ...spec, proxy: { ...spec.proxy, tls: { issuer: 'cluster' as const } } };
    expect(endingCertificates(ofCluster, serving(29), now)).toEqual([
      "the cluster's certificate for HTTPS (https-server) on h1 ends in 29 days, on 2027-01-30. Run `perijove up`, which issues a new one",
    ]);
    expect(expiryText(expiryOf(new Date(now.getTime() - 1), now), now)).toBe(
      'expired less than a day ago, on 2027-01-01',
    );
    expect(expiryText(expiryOf(new Date(now.getTime() + 1.5 * day), now), now)).toBe(
      'ends in 1 day, on 2027-01-03',
    );
  });

  it('is ready while the keeper is paused, which is intended', () => {
    const paused: Facts = { ...whole, workflows: { ...whole.workflows, keeper: 'paused' } };
    expect(phaseOf(spec, paused, began)).toBe('ready');
  });

  it('is deploying while a deploy runs, regardless of the rest', () => {
    expect(phaseOf(spec, withDeploy('running'), began)).toBe('deploying');
    expect(phaseOf(spec, withDeploy('running', emptyStatus(spec)), began)).toBe('deploying');
  });

  describe.each(['failed', 'canceled', 'terminated', 'timed_out'] as const)(
    'when the last deploy is %s',
    (deploy) => {
      it('is ready if everything is healthy', () => {
        expect(phaseOf(spec, withDeploy(deploy), began)).toBe('ready');
      });

      it('is degraded if a part of a running cluster is unhealthy', () => {
        const sick: Facts = { ...whole, etcd: { ...whole.etcd, leader: null } };
        expect(phaseOf(spec, withDeploy(deploy, sick), began)).toBe('degraded');
      });

      it.each(['absent', 'completed'] as const)('is failed if its keeper is %s', (keeper) => {
        const facts = withDeploy(deploy);
        const unfinished: Facts = { ...facts, workflows: { ...facts.workflows, keeper } };
        expect(phaseOf(spec, unfinished, began)).toBe('failed');
      });
    },
  );

  it('is absent before the first deploy and after a teardown', () => {
    const nothing = {
      ...emptyStatus(spec),
      workflows: { deploy: 'absent', framework: 'absent', keeper: 'absent' },
    } as const;
    expect(phaseOf(spec, nothing, {})).toBe('absent');
    const ended: Facts = {
      ...emptyStatus(spec),
      workflows: { deploy: 'completed', framework: 'completed', keeper: 'completed' },
    };
    expect(phaseOf(spec, ended, { ...began, teardown: '2026-01-02T00:00:00.000Z' })).toBe('absent');
  });

  it('is degraded if a teardown left something', () => {
    expect(phaseOf(spec, whole, { ...began, teardown: '2026-01-02T00:00:00.000Z' })).toBe('degraded');
  });

  it('is not absent after a deploy that followed a teardown', () => {
    expect(phaseOf(spec, whole, { ...began, teardown: '2025-01-01T00:00:00.000Z' })).toBe('ready');
  });

  it('is degraded, not ready, when the workflows are unreachable', () => {
    const unknown = {
      ...whole,
      workflows: { deploy: 'unknown', framework: 'unknown', keeper: 'unknown' },
    } as const;
    expect(phaseOf(spec, unknown, {})).toBe('degraded');
  });
});

describe('shortcomings', () => {
  const cases: readonly (readonly [string, Partial<Facts>, string])[] = [
    [
      'a server that is down',
      { zookeeper: { members: [...whole.zookeeper.members.slice(0, 2), { host: 'h3', mode: 'down' }] } },
      'ZooKeeper: h3 is down',
    ],
    [
      'a server that does not answer',
      { zookeeper: { members: [...whole.zookeeper.members.slice(0, 2), { host: 'h3', mode: 'no-answer' }] } },
      'ZooKeeper: h3 does not answer',
    ],
    [
      'two leaders',
      { zookeeper: { members: whole.zookeeper.members.map(({ host }) => ({ host, mode: 'leader' })) } },
      'ZooKeeper does not have exactly one leader',
    ],
    [
      'a server that runs alone',
      {
        zookeeper: { members: [...whole.zookeeper.members.slice(0, 2), { host: 'h3', mode: 'standalone' }] },
      },
      'ZooKeeper: h3 is standalone',
    ],
    [
      'a master down',
      {
        mesos: {
          ...whole.mesos,
          masters: [...whole.mesos.masters.slice(0, 2), { ...noMaster, host: 'h3', state: 'down' }],
        },
      },
      'Mesos master down on h3',
    ],
    [
      'a master that does not answer',
      {
        mesos: {
          ...whole.mesos,
          masters: [...whole.mesos.masters.slice(0, 2), { ...noMaster, host: 'h3' }],
        },
      },
      'no answer from the Mesos master on h3',
    ],
    [
      'a replica of the log that lacks',
      {
        mesos: {
          ...whole.mesos,
          masters: whole.mesos.masters.map((master) => ({ ...master, logRecovered: master.host !== 'h2' })),
        },
      },
      'the replicated log is not recovered on h2',
    ],
    [
      'a refused credential',
      {
        mesos: {
          ...whole.mesos,
          problem: { code: 'MESOS_CREDENTIAL_REFUSED', message: 'No.', remedy: 'Do.' },
        },
      },
      'No (MESOS_CREDENTIAL_REFUSED). Do',
    ],
    [
      'a scheduler that has given up',
      {
        framework: { ...whole.framework, failure: { code: 'MESOS_REFUSED', message: 'No.', remedy: 'Do.' } },
      },
      'the scheduler gave up: No (MESOS_REFUSED). Do',
    ],
    ['no leading master', { mesos: { ...whole.mesos, leader: null } }, 'no Mesos master is leading'],
    [
      'a missing agent',
      {
        mesos: {
          ...whole.mesos,
          agents: [...whole.mesos.agents.slice(0, 2), { ...noAgent, host: 'h3', state: 'absent' }],
        },
      },
      'Mesos agent absent on h3',
    ],
    [
      'an ended keeper',
      { workflows: { ...whole.workflows, keeper: 'failed' } },
      'the workflow keeper:lab is failed',
    ],
    [
      'a lost node',
      {
        framework: {
          ...whole.framework,
          tasks: [...whole.framework.tasks.slice(0, 4), taskOf('node4', null, 'TASK_LOST')],
        },
      },
      'not running: node4 (TASK_LOST)',
    ],
    [
      'no leader of etcd',
      { etcd: { ...whole.etcd, leader: null, term: null } },
      'no majority of etcd agrees on a leader',
    ],
    [
      'a silent member',
      {
        etcd: {
          ...whole.etcd,
          members: [...whole.etcd.members.slice(0, 4), { node: 'node4', healthy: false }],
        },
      },
      'etcd member unhealthy: node4',
    ],
    ['no Jupyter', { jupyter: { ...whole.jupyter, node: null } }, 'Jupyter is ready on no node'],
    [
      'Jupyter on a follower',
      { jupyter: { ...whole.jupyter, node: 'node0' } },
      'Jupyter is on node0 while node2 leads etcd',
    ],
    [
      'a proxy that does not lead there',
      { proxies: whole.proxies.map((proxy, index) => ({ ...proxy, healthy: index > 0 })) },
      'Jupyter is not reachable through the proxy of h1',
    ],
    [
      'a brick that is down',
      { storage: { kind: 'gluster', bricks: [brick('h1', true), brick('h2', false), brick('h3', true)] } },
      'GlusterFS brick down on h2',
    ],
    [
      'a volume of which nobody tells',
      { storage: { kind: 'gluster', bricks: ['h1', 'h2', 'h3'].map((host) => brick(host, null)) } },
      'no host reports the GlusterFS volume',
    ],
  ];
  it.each(cases)('names %s, and nothing else', (_title, change, expected) => {
    const facts = { ...whole, ...change };
    expect(shortcomings(spec, facts)).toEqual([expected]);
    expect(phaseOf(spec, facts, began)).toBe('degraded');
  });

  it('a standalone ensemble of one is healthy', () => {
    const facts: Facts = { ...whole, zookeeper: { members: [{ host: 'h1', mode: 'standalone' }] } };
    expect(shortcomings(spec, facts)).toEqual([]);
  });
});
