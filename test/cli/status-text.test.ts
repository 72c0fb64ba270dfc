import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import { emptyStatus, noAgent, noMaster, type ClusterStatus } from '../../src/status/cluster-status.js';
import { statusText } from '../../src/cli/status-text.js';
import { makeSpec } from '../support/spec.js';

const empty: ClusterStatus = { ...emptyStatus(makeSpec()), phase: 'ready' };
const seen: ClusterStatus = {
  ...empty,
  mesos: {
    ...empty.mesos,
    open: false,
    leader: 'h2',
    masters: [
      { ...noMaster, host: 'h1', state: 'standing-by', version: '1.3.2', sequence: 4, logRecovered: true },
      {
        ...noMaster,
        host: 'h2',
        state: 'leading',
        version: '1.9.0',
        sequence: 2,
        leadsSince: '2026-01-01T10:00:00.123Z',
        logRecovered: true,
        logEnsembleSize: 3,
      },
      { ...noMaster, host: 'h3', state: 'down' },
    ],
    agents: [
      {
        ...noAgent,
        host: 'h1',
        state: 'registered',
        registeredAt: '2026-01-01T10:00:01.000Z',
      },
      { ...noAgent, host: 'h3', state: 'absent' },
    ],
  },
  framework: {
    ...empty.framework,
    id: 'F-1',
    scheduler: '7@w',
    connected: true,
    registeredAt: '2026-01-01T09:00:00.000Z',
    reregisteredAt: '2026-01-01T10:00:02.000Z',
    tasks: [
      {
        node: 'node0',
        host: 'h1',
        state: 'TASK_RUNNING',
        taskId: 'node0.6',
        since: '2026-01-01T11:00:00.000Z',
        message: null,
        past: [
          {
            taskId: 'node0.1',
            host: 'h3',
            state: 'TASK_GONE',
            message: 'nobody answered for 5 min',
            since: '2026-01-01T10:59:00.000Z',
          },
        ],
      },
    ],
  },
  storage: {
    kind: 'gluster',
    bricks: [
      { host: 'h1', online: true, pending: 0 },
      { host: 'h2', online: true, pending: 7 },
      { host: 'h3', online: false, pending: null },
    ],
  },
};

describe('a long status', () => {
  const lines = statusText({ status: seen, reasons: [] }, createColors(false), { long: true })
    .split('\n')
    .map((line) => line.replace(/ {2,}/g, ' | ').trim());

  it.each([
    'h1 | follows | 4 | recovered | 1.3.2 | registered since 2026-01-01T10:00:01Z',
    'h2 | leads since 2026-01-01T10:00:00Z | 2 | recovered, one of 3 | 1.9.0 | -',
    'h3 | down | - | - | - | absent',
    'framework | F-1, connected since 2026-01-01T10:00:02Z, scheduler at 7@w',
    "Mesos | the master of h2 leads; this is Perijove's stand-in for Apache Mesos",
    'GlusterFS | h1 online | h2 online, 7 to heal | h3 down',
    '2026-01-01T10:59:00Z | node0.1 | h3 | gone | nobody answered for 5 min',
  ])('has the line: %s', (line) => {
    expect(lines).toContain(line);
  });

  it('shows when a task entered its state', () => {
    expect(lines.find((line) => line.startsWith('node0'))).toContain(
      'node0.6 running since 2026-01-01T11:00:00Z',
    );
  });
});

it.each([
  [true, 'everyone on the network can run commands on the hosts'],
  [false, 'open to all'],
])('says that Mesos is open (long: %s)', (long, words) => {
  const text = (open: boolean) =>
    statusText({ status: { ...seen, mesos: { ...seen.mesos, open } }, reasons: [] }, createColors(false), {
      long,
    });
  expect(text(true)).toContain(words);
  expect(text(false)).not.toContain(words);
});

describe('a short status', () => {
  const incidents = Array.from({ length: 9 }, (_, index) => ({
    at: `2026-01-01T12:00:0${index}.000Z`,
    what: `no route on h${index} after the proxy was started again → route of h${index} set to node1`,
    tookMs: 1_200,
    ...(index % 2 === 0 && { routine: true as const }),
  }));
  const hosts = ['oo-lab1', 'oo-lab2', 'oo-lab3'];
  const whole: ClusterStatus = {
    ...seen,
    zookeeper: { members: hosts.map((host) => ({ host, mode: 'follower' })) },
    mesos: {
      ...seen.mesos,
      masters: hosts.map((host) => ({ ...noMaster, host, state: 'standing-by' })),
      agents: hosts.map((host) => ({ ...noAgent, host, state: 'registered' })),
    },
    framework: {
      ...seen.framework,
      id: '2d764e55-09c9-4833-b77f-2703d2af01df-0000',
      tasks: Array.from({ length: 5 }, (_, index) => ({
        node: `node${index}`,
        host: 'oo-lab1',
        state: 'TASK_RUNNING',
        taskId: `node${index}.6`,
        since: '2026-01-01T11:00:00.000Z',
        message: null,
        past: [],
      })),
    },
    etcd: {
      ...seen.etcd,
      leader: 'node1',
      term: 7,
      members: Array.from({ length: 5 }, (_, index) => ({
        ...seen.etcd.members[0],
        node: `node${index}`,
        healthy: true,
      })),
    },
    proxies: hosts.map((host) => ({
      host,
      url: 'http://172.16.6.103:8888/',
      target: 'http://192.168.0.13:8888',
      generation: 5,
      healthy: true,
    })),
    storage: { kind: 'path', bricks: [] },
    incidents: [],
  };
  const text = (more: Partial<ClusterStatus>, reasons: readonly string[] = []) =>
    statusText({ status: { ...whole, ...more }, reasons }, createColors(false), { clock: '12:00:00' });

  it('fits on a screen of 80 × 24', () => {
    const lines = text({}).split('\n');
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines[0]).toContain('ready  12:00:00');
  });

  it('wraps reasons and incidents, and shows at most three incidents, none of them routine', () => {
    const reason = `etcd: ${'0 of 5 members respond, 3 are required; '.repeat(4)}`.trim();
    const lines = text({ incidents }, [reason]).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => line.startsWith('2026-01-01T12'))).toHaveLength(3);
    expect(lines.join(' ').replace(/ +/g, ' ')).toContain(reason);
    expect(lines.join('\n')).not.toContain('h2 after');
  });

  it('distinguishes down from not responding', () => {
    const silent = { zookeeper: { members: [{ host: 'oo-lab1', mode: 'no-answer' as const }] } };
    const lines = text(silent).split('\n');
    expect(lines.find((line) => line.startsWith('oo-lab1'))).toContain('no answer');
  });

  it('has a separate line for the last deployment', () => {
    const failure = { code: 'DISK_FULL', message: 'h2: 3 MiB are free', remedy: 'Free some space on h2.' };
    const deployment = { state: 'failed', startedAt: '2026-01-01T10:00:00.000Z', failure } as const;
    for (const long of [false, true]) {
      const lines = statusText({ status: { ...whole, deployment }, reasons: [] }, createColors(false), {
        long,
      }).split('\n');
      expect(lines[0]).toBe('test  ready');
      expect(lines.map((line) => line.replace(/ {2,}/g, ' | '))).toContain(
        'last up | failed, started 2026-01-01T10:00:00Z: h2: 3 MiB are free (DISK_FULL)',
      );
    }
  });

  it('names what is not healthy', () => {
    const down = { zookeeper: { members: [{ host: 'oo-lab1', mode: 'down' as const }] } };
    const lines = text({ ...down, jupyter: { ...whole.jupyter, node: null } }).split('\n');
    expect(lines.find((line) => line.startsWith('oo-lab1'))).toContain('down');
    expect(lines).toContain('Jupyter    ready nowhere');
  });
});
