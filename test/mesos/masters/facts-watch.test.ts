import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Observation } from '../../../src/hosts/observation.js';
import { factsOf, watchMesos } from '../../../src/mesos/masters/facts-watch.js';
import type { AgentInfo } from '../../../src/mesos/masters/operator-client.js';
import type { SchedulerDeps } from '../../../src/mesos/scheduler/deps.js';
import { eventually } from '../../support/eventually.js';
import { makeHost, makeSpec } from '../../support/spec.js';
import { MemoryStore } from '../memory-store.js';

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

describe('the facts about Mesos', () => {
  it('are who leads, and which agents are registered', () => {
    const agents = [agent('h1'), agent('h2', false), agent('strange')];
    expect(factsOf(spec, leader, { agents, recoveredAgents: 0 }, undefined)).toEqual({
      leader: 'h3',
      agents: { h1: 'here', h2: 'away' },
    });
  });

  it('keep the state of an agent that a new leader still waits for', () => {
    const last = { leader: 'h1', agents: { h1: 'here', h2: 'away' } } as const;
    expect(factsOf(spec, leader, { agents: [], recoveredAgents: 2 }, last).agents).toEqual(last.agents);
    expect(factsOf(spec, leader, { agents: [agent('h1')], recoveredAgents: 0 }, last).agents).toEqual({
      h1: 'here',
      h2: 'away',
    });
  });

  it('name a leader outside the spec by its address', () => {
    const foreign = { host: '10.1.1.1', port: 5050 };
    expect(factsOf(spec, foreign, { agents: [], recoveredAgents: 0 }, undefined).leader).toBe(
      '10.1.1.1:5050',
    );
  });
});

describe('the registered agents', () => {
  const slave = (host: string) => ({
    ...{ id: `S-${host}`, hostname: 'any', pid: 'slave(1)@10.9.9.9:1', active: true, resources: {} },
    attributes: { perijove_host: host },
  });

  it.each([
    ['refuses', 503, 'Service Unavailable'],
    ['sends half a response', 200, '{"slaves": [{"id": "S-h1"'],
    ['sends an empty response', 200, ''],
  ])('are unknown when the master %s, whatever was known before', async (_what, status, text) => {
    let answer = { status: 200, text: JSON.stringify({ slaves: [slave('h1')], recovered_slaves: [{}] }) };
    const server = createServer((_request, response) => {
      response.writeHead(answer.status).end(answer.text);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const store = new MemoryStore(spec).next();
    await store.claim();
    const deps: Pick<SchedulerDeps, 'spec' | 'store' | 'dial' | 'logger'> = {
      spec,
      store,
      dial: async () => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }),
      logger: pino({ level: 'silent' }),
    };
    const ended = new AbortController();
    const reported: Observation<ReadonlySet<string>>[] = [];
    const stored = { leader: 'h3', agents: { h1: 'here', h2: 'here' } } as const;
    const watching = watchMesos(
      deps as SchedulerDeps,
      leader,
      stored,
      { agents: (agents) => reported.push(agents), windows: () => expect.unreachable('no schedule') },
      ended.signal,
    );
    // An agent that the leader still waits for is not registered, though the stored facts still have it.
    await eventually('it is known', () => reported.length === 1);
    expect(reported).toEqual([{ known: true, value: new Set(['h1']) }]);
    answer = { status, text };
    await eventually('it is not known', () => reported.length === 2);
    expect(reported[1]).toMatchObject({ known: false });
    ended.abort();
    await watching;
    server.close();
  });
});
