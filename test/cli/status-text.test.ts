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
      { ...noMaster, host: 'h3' },
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

describe('a status for people', () => {
  const lines = statusText({ status: seen, reasons: [] }, createColors(false))
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

  it('says since when a task is what it is', () => {
    expect(lines.find((line) => line.startsWith('node0'))).toContain(
      'node0.6 running since 2026-01-01T11:00:00Z',
    );
  });
});
