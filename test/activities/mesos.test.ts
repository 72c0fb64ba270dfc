import { describe, expect, it } from 'vitest';
import { agentStateOf, disagreementOf } from '../../src/activities/mesos.js';
import { PerijoveError } from '../../src/errors/error.js';
import type { AgentInfo } from '../../src/mesos/masters/operator-client.js';
import { runningDigests } from '../../src/mesos/installation/running-secrets.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { makeHost, makeSpec } from '../support/spec.js';

describe('disagreementOf', () => {
  it('is none when all masters name one leader', () => {
    const leader = '10.0.0.1:5050';
    expect(disagreementOf(['h1', 'h2', 'h3'].map((host) => ({ host, leader })))).toBeUndefined();
  });

  it('names the masters that know no leader before it compares the others', () => {
    const views = [
      { host: 'h1', leader: 'a:1' },
      { host: 'h2' },
      { host: 'h3', leader: 'b:1' },
      { host: 'h4' },
    ];
    expect(disagreementOf(views)).toMatchObject({
      code: 'MASTERS_DISAGREE',
      message: 'no response or no known leader: h2, h4',
      place: { host: 'h2' },
    });
  });

  it('reports which master names which leader', () => {
    const views = [
      { host: 'h1', leader: 'a:1' },
      { host: 'h2', leader: 'b:1' },
    ];
    expect(disagreementOf(views)).toMatchObject({
      code: 'MASTERS_DISAGREE',
      message: 'h1 names a:1, h2 names b:1',
    });
  });
});

describe('the agent of a host', () => {
  const agent = (active: boolean): AgentInfo => ({
    ...{ id: 'S1', hostname: 'any', address: '10.0.0.1', port: 5051, registeredAt: 1, cpus: 1 },
    active,
    attributes: { perijove_host: 'h1' },
    memoryMebibytes: 1,
  });

  it.each([
    ['up', [agent(true)], 0],
    ['down', [agent(false)], 2],
    ['down', [], 0],
    // A newly elected master: it may still wait for this agent.
    ['unknown', [], 1],
  ] as const)('is %s', (state, agents, recoveredAgents) => {
    expect(agentStateOf({ agents, recoveredAgents }, makeHost('h1'))).toBe(state);
  });
});

describe('the digests that masters run with', () => {
  const poolOf = (run: (host: string) => string) =>
    ({ get: async ({ name }: HostSpec) => ({ run: async () => run(name) }) }) as unknown as SshPool;

  it('are those of all masters', async () => {
    const pool = poolOf((host) => (host === 'h3' ? '' : 'zk://perijove:one@10.0.0.1:2181/mesos\n'));
    expect(await runningDigests(pool, makeSpec())).toEqual(['perijove:one']);
  });

  it('are unknown when one cannot be asked: it must not be shut out', async () => {
    const pool = poolOf((host) => {
      if (host === 'h2') throw new PerijoveError('SSH_TIMEOUT', 'no answer');
      return 'zk://perijove:one@10.0.0.1:2181/mesos\n';
    });
    await expect(runningDigests(pool, makeSpec())).rejects.toMatchObject({ code: 'SSH_TIMEOUT' });
  });
});
