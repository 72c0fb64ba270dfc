import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  homeGraceMs,
  place,
  type HostOffer,
  type PlacementInput,
} from '../../../src/mesos/scheduler/placement.js';
import type { Resource } from '../../../src/mesos/scheduler/types.js';

const scalar = (name: string, value: number, role = '*'): Resource => ({
  name,
  type: 'SCALAR',
  role,
  scalar: { value },
});
const offer = (host: string, cpus: number, mem: number, overrides: Partial<HostOffer> = {}): HostOffer => ({
  id: `offer-${host}`,
  agentId: `agent-${host}`,
  host,
  hostname: `${host}.example`,
  resources: [scalar('cpus', cpus), scalar('mem', mem)],
  ...overrides,
});
const fresh = (...nodes: readonly string[]) => nodes.map((node) => ({ node, waitedMs: 0 }));
const all = ['node0', 'node1', 'node2', 'node3', 'node4'];
const hosts = ['h1', 'h2', 'h3'];

const input = (overrides: Partial<PlacementInput>): PlacementInput => ({
  needs: fresh(...all),
  occupied: {},
  offers: hosts.map((host) => offer(host, 8, 8_192)),
  agentHosts: hosts,
  nodeCount: 5,
  cpus: 1,
  memoryMebibytes: 512,
  allowMajorityOnOneHost: false,
  ...overrides,
});
const hostsOf = (result: ReturnType<typeof place>) =>
  Object.fromEntries(result.accepts.flatMap(({ nodes }) => nodes.map(({ node, host }) => [node, host])));

describe('spread', () => {
  it('five nodes over three hosts: two, two and one', () => {
    const result = place(input({}));
    expect(hostsOf(result)).toEqual({ node0: 'h1', node1: 'h2', node2: 'h3', node3: 'h1', node4: 'h2' });
    expect(result).toMatchObject({ declines: [], notes: [] });
  });

  it.each([
    [3, [1, 1, 1]],
    [4, [1, 1, 2]],
    [5, [1, 2, 2]],
  ] as const)('%i nodes: %j', (nodeCount, expected) => {
    const counts = new Map<string, number>();
    for (const host of Object.values(
      hostsOf(place(input({ nodeCount, needs: fresh(...all.slice(0, nodeCount)) }))),
    )) {
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    expect([...counts.values()].toSorted()).toEqual(expected);
  });

  it('counts the nodes that already run', () => {
    const result = place(input({ needs: fresh('node4'), occupied: { h1: 2, h2: 2 } }));
    expect(hostsOf(result)).toEqual({ node4: 'h3' });
    expect(result.declines).toEqual(['offer-h1', 'offer-h2']);
  });

  it('keeps a majority off one host, and reports what it waits for', () => {
    const result = place(
      input({ needs: fresh('node4'), occupied: { h1: 2, h2: 2 }, offers: [offer('h1', 8, 8_192)] }),
    );
    expect(result.accepts).toEqual([]);
    expect(result.declines).toEqual(['offer-h1']);
    expect(result.notes).toEqual([
      'node4 cannot be placed: h1 runs 2 nodes, and one more would be a majority; ' +
        'h2 runs 2 nodes, and one more would be a majority; h3 has no offers: its resources are in use or its agent is disconnected',
    ]);
  });

  it('puts a majority on one host if the spec allows it', () => {
    const result = place(
      input({
        needs: fresh('node4'),
        occupied: { h1: 2 },
        offers: [offer('h1', 8, 8_192)],
        allowMajorityOnOneHost: true,
      }),
    );
    expect(hostsOf(result)).toEqual({ node4: 'h1' });
  });

  it('uses the only host', () => {
    const one = input({
      agentHosts: ['h1'],
      offers: [offer('h1', 8, 8_192)],
      nodeCount: 3,
      needs: fresh('node0', 'node1', 'node2'),
    });
    expect(Object.values(hostsOf(place(one)))).toEqual(['h1', 'h1', 'h1']);
  });
});

describe('a node that ran before', () => {
  const need = (waitedMs: number) => [{ node: 'node2', previousHost: 'h3', waitedMs }];

  it('returns to its data, even if another host holds fewer nodes', () => {
    expect(hostsOf(place(input({ needs: need(0), occupied: { h1: 1, h2: 0, h3: 1 } })))).toEqual({
      node2: 'h3',
    });
  });

  it('waits a while for its host, then goes to another one', () => {
    const without = [offer('h1', 8, 8_192), offer('h2', 8, 8_192)];
    const waiting = place(input({ needs: need(homeGraceMs - 1), offers: without }));
    expect(waiting.accepts).toEqual([]);
    expect(waiting.notes).toEqual(['node2 waits for an offer from h3, which has its data']);
    expect(hostsOf(place(input({ needs: need(homeGraceMs), offers: without })))).toEqual({ node2: 'h1' });
  });

  it('does not wait for a host that the spec no longer has', () => {
    const result = place(input({ needs: [{ node: 'node2', previousHost: 'h9', waitedMs: 0 }] }));
    expect(hostsOf(result)).toEqual({ node2: 'h1' });
  });

  it('chooses before nodes that have no data yet', () => {
    const needs = [...fresh('node0', 'node1'), { node: 'node4', previousHost: 'h1', waitedMs: 0 }];
    const offers = [offer('h1', 1, 512), offer('h2', 8, 8_192)];
    expect(hostsOf(place(input({ needs, offers })))).toMatchObject({ node4: 'h1', node0: 'h2', node1: 'h2' });
  });
});

describe('resources', () => {
  it('must all suffice; the note lists what is missing', () => {
    const offers = [offer('h1', 0.5, 8_192), offer('h2', 8, 511), offer('h3', 1, 512)];
    const result = place(input({ needs: fresh('node0', 'node1'), offers }));
    expect(hostsOf(result)).toEqual({ node0: 'h3' });
    expect(result.declines).toEqual(['offer-h1', 'offer-h2']);
    expect(result.notes).toEqual([
      'node1 cannot be placed: h1 lacks 0.5 cpus (has 0.5 of 1); ' +
        'h2 lacks 1 MiB of memory (has 511 of 512); h3 lacks 1 cpus (has 0 of 1) and 512 MiB of memory (has 0 of 512)',
    ]);
  });

  it('of all offers of one agent are added up and go into one ACCEPT', () => {
    const offers = [offer('h1', 0.6, 512), offer('h1', 0.4, 0, { id: 'second' })];
    expect(place(input({ needs: fresh('node0'), offers, agentHosts: ['h1'] })).accepts).toMatchObject([
      { agentId: 'agent-h1', offerIds: ['offer-h1', 'second'], nodes: [{ node: 'node0' }] },
    ]);
  });

  it('reserved for our role are taken first; revocable ones never', () => {
    const resources = [
      scalar('cpus', 4),
      scalar('cpus', 0.75, 'perijove'),
      scalar('mem', 4_096),
      { ...scalar('cpus', 9), revocable: {} },
      { name: 'ports', type: 'RANGES' },
    ];
    const [accept] = place(
      input({ needs: fresh('node0'), offers: [offer('h1', 0, 0, { resources })] }),
    ).accepts;
    expect(accept?.nodes[0]?.resources).toEqual([
      { name: 'cpus', type: 'SCALAR', scalar: { value: 0.75 }, role: 'perijove' },
      { name: 'cpus', type: 'SCALAR', scalar: { value: 0.25 }, role: '*' },
      { name: 'mem', type: 'SCALAR', scalar: { value: 512 }, role: '*' },
    ]);
    const revocable = [{ ...scalar('cpus', 9), revocable: {} }, scalar('mem', 4_096)];
    expect(
      place(input({ needs: fresh('node0'), offers: [offer('h1', 0, 0, { resources: revocable })] })).accepts,
    ).toEqual([]);
  });

  it('are counted with three decimals, as in Mesos', () => {
    const offers = [offer('h1', 0.1 + 0.2, 8_192)];
    expect(place(input({ needs: fresh('node0'), cpus: 0.3, offers })).accepts).toHaveLength(1);
  });
});

it('declines the offers of agents outside the spec', () => {
  const offers = [offer('h1', 8, 8_192), { ...offer('x', 8, 8_192), host: undefined }];
  const result = place(input({ needs: fresh('node0'), offers }));
  expect(result.declines).toEqual(['offer-x']);
});

it('for all offers: uses no resource twice, puts no majority on one host, answers every offer once', () => {
  const arbitraryOffer = fc.record({
    host: fc.constantFrom(...hosts, undefined),
    cpus: fc.integer({ min: 0, max: 40 }).map((tenths) => tenths / 10),
    mem: fc.nat({ max: 3_000 }),
  });
  const arbitraryNeed = fc.record({
    node: fc.constantFrom(...all),
    previousHost: fc.constantFrom(...hosts),
    waitedMs: fc.constantFrom(0, homeGraceMs),
  });
  fc.assert(
    fc.property(
      fc.array(arbitraryOffer, { maxLength: 6 }),
      fc.uniqueArray(arbitraryNeed, { selector: ({ node }) => node }),
      (raw, needs) => {
        const offers = raw.map(({ host, cpus, mem }, index) => ({
          ...offer(host ?? 'x', cpus, mem),
          id: `o${index}`,
          host,
        }));
        const result = place(input({ needs, offers }));
        const answered = [...result.declines, ...result.accepts.flatMap(({ offerIds }) => offerIds)];
        expect(answered.toSorted()).toEqual(offers.map(({ id }) => id).toSorted());
        const placed = result.accepts.flatMap(({ nodes }) => nodes);
        expect(placed.length + result.notes.length).toBe(needs.length);
        for (const host of hosts) {
          const here = placed.filter((each) => each.host === host);
          expect(here.length).toBeLessThanOrEqual(2);
          for (const [name, each] of [
            ['cpus', 1],
            ['mem', 512],
          ] as const) {
            const offered = offers
              .filter((one) => one.host === host)
              .flatMap(({ resources }) => resources)
              .filter((resource) => resource.name === name)
              .reduce((sum, resource) => sum + (resource.scalar?.value ?? 0), 0);
            expect(here.length * each).toBeLessThanOrEqual(offered + 1e-6);
          }
        }
      },
    ),
  );
});

it('reports what a host has, even if its offer was declined before', () => {
  const result = place(
    input({ needs: fresh('node0'), agentHosts: ['h1'], offers: [], declined: [offer('h1', 0.5, 100)] }),
  );
  expect(result.notes).toEqual([
    'node0 cannot be placed: h1 lacks 0.5 cpus (has 0.5 of 1) and 412 MiB of memory (has 100 of 512)',
  ]);
  expect(result).toMatchObject({ accepts: [], declines: [] });
});
