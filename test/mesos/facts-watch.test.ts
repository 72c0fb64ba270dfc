import { describe, expect, it } from 'vitest';
import { factsOf } from '../../src/mesos/facts-watch.js';
import type { AgentInfo } from '../../src/mesos/operator-client.js';
import { makeHost, makeSpec } from '../support/spec.js';

const spec = makeSpec({
  hosts: [1, 2, 3].map((index) =>
    makeHost(`h${index}`, {
      address: `10.0.0.${index}`,
      roles: index === 3 ? ['master'] : ['master', 'agent'],
    }),
  ),
});
const agent = (host: string, active = true): AgentInfo => ({
  id: `S-${host}`,
  registeredAt: 1,
  hostname: 'any',
  address: '10.9.9.9',
  port: 1,
  active,
  attributes: { perijove_host: host },
  cpus: 1,
  memoryMebibytes: 1,
});
const leader = { host: '10.0.0.3', port: 5050 };

describe('what people are told of Mesos', () => {
  it('is who leads, and which agents are there', () => {
    const agents = [agent('h1'), agent('h2', false), agent('strange')];
    expect(factsOf(spec, leader, { agents, recoveredAgents: 0 }, undefined)).toEqual({
      leader: 'h3',
      agents: { h1: 'here', h2: 'away' },
    });
  });

  it('says no agent away that a new leader still waits for', () => {
    const last = { leader: 'h1', agents: { h1: 'here', h2: 'away' } } as const;
    expect(factsOf(spec, leader, { agents: [], recoveredAgents: 2 }, last).agents).toEqual(last.agents);
    expect(factsOf(spec, leader, { agents: [agent('h1')], recoveredAgents: 0 }, last).agents).toEqual({
      h1: 'here',
      h2: 'away',
    });
  });

  it('names a leader that the spec does not have by its address', () => {
    const foreign = { host: '10.1.1.1', port: 5050 };
    expect(factsOf(spec, foreign, { agents: [], recoveredAgents: 0 }, undefined).leader).toBe(
      '10.1.1.1:5050',
    );
  });
});
