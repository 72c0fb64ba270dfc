import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { majority } from '../../src/cluster/spec.js';
import { known, notKnown } from '../../src/hosts/observation.js';
import {
  ensembleSteps,
  hasConfiguration,
  numbersWithLeavers,
  parseServerFiles,
  serverNumbers,
  serverOf,
  specOfStep,
  withStandalone,
  type EnsembleFiles,
  type ServerFiles,
} from '../../src/zookeeper/servers.js';
import { zookeeperItems } from '../../src/zookeeper/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

const host = (name: string, overrides: Parameters<typeof makeHost>[1] = {}) =>
  makeHost(name, { address: `10.0.0.${name.slice(1)}`, roles: ['zookeeper'], ...overrides });
const specOf = (...names: readonly string[]) => makeSpec({ hosts: names.map((name) => host(name)) });
const server = (id: number, name = `h${id}`) => serverOf(host(name), id);
const servers = (...ids: readonly number[]) => ids.map((id) => server(id));
const files = (entries: Readonly<Record<string, ServerFiles>>): EnsembleFiles =>
  Object.fromEntries(Object.entries(entries).map(([name, found]) => [name, known(found)]));
const three = { h1: { id: 1 }, h2: { id: 2 }, h3: { id: 3 } };
const formed = (ids: readonly number[]): EnsembleFiles =>
  files(Object.fromEntries(ids.map((id) => [`h${id}`, { id, servers: servers(...ids) }])));

describe('the numbers of the servers', () => {
  it('follow the order of the hosts at first', () => {
    expect(serverNumbers(specOf('h5', 'h2'), files({ h5: {}, h2: {} }))).toEqual({ h5: 1, h2: 2 });
  });

  it('stay with the hosts when they are reordered, inserted and replaced', () => {
    expect(serverNumbers(specOf('h3', 'h1', 'h2'), files(three))).toEqual({ h1: 1, h2: 2, h3: 3 });
    const inserted = files({ h4: {}, ...three });
    expect(serverNumbers(specOf('h4', 'h1', 'h2', 'h3'), inserted)).toMatchObject({ h4: 4, h1: 1 });
    // The number of a server that some configuration still names is not given away.
    const replaced = files({ h1: { id: 1, servers: servers(1, 2, 3) }, h3: { id: 3 }, h4: {} });
    expect(serverNumbers(specOf('h1', 'h4', 'h3'), replaced)).toEqual({ h1: 1, h3: 3, h4: 4 });
  });

  it('are what the others know where `myid` is gone or the host could not be observed', () => {
    const gone = files({ h1: { id: 1, servers: servers(1, 2, 3) }, h2: { id: 2 }, h3: {} });
    expect(serverNumbers(specOf('h3', 'h2', 'h1'), gone)).toEqual({ h1: 1, h2: 2, h3: 3 });
    const silent: EnsembleFiles = { ...gone, h3: notKnown('no response') };
    expect(serverNumbers(specOf('h3', 'h2', 'h1'), silent)).toEqual({ h1: 1, h2: 2, h3: 3 });
  });

  it('are not guessed', () => {
    const failure = (spec: ReturnType<typeof specOf>, found: EnsembleFiles) => {
      try {
        return serverNumbers(spec, found);
      } catch (error) {
        return error;
      }
    };
    const silent: EnsembleFiles = { h1: known({}), h2: notKnown('no response') };
    const unknown = failure(specOf('h1', 'h2'), silent);
    expect(unknown).toMatchObject({ code: 'OBSERVATION_INCOMPLETE' });
    expect(String(unknown)).toContain('no response');
    expect(serverNumbers(specOf('h1', 'h2'), silent, 'is new')).toEqual({ h1: 1, h2: 2 });
    const twice = failure(specOf('h1', 'h2'), files({ h1: { id: 2 }, h2: { id: 2 } }));
    expect(twice).toMatchObject({ code: 'ZOOKEEPER_NUMBER_TAKEN' });
  });

  it('include those of hosts that leave the ensemble and stay in the cluster', () => {
    const spec = makeSpec({ hosts: [host('h1'), host('h2', { roles: ['agent'] })] });
    expect(numbersWithLeavers(spec, files({ h1: { id: 1, servers: servers(1, 2) } }))).toEqual({
      h1: 1,
      h2: 2,
    });
  });
});

describe('the steps to another ensemble', () => {
  const all = new Set([1, 2, 3, 4, 5, 6, 7]);
  const memberships = (from: readonly number[], to: readonly number[], present: ReadonlySet<number> = all) =>
    ensembleSteps(formed(from), servers(...to), present).map(({ servers: members }) =>
      members.map(({ id }) => id),
    );

  it('are none for a first deployment, and when the members have not changed', () => {
    expect(ensembleSteps(files({ h1: {}, h2: {} }), servers(1, 2), all)).toEqual([]);
    expect(memberships([1, 2, 3], [3, 1, 2])).toEqual([]);
    expect(memberships([1], [1])).toEqual([]);
    // A first deployment that was interrupted.
    expect(
      ensembleSteps(files({ h1: { id: 1, servers: servers(1, 2) }, h2: {} }), servers(1, 2), all),
    ).toEqual([]);
  });

  it('grow from one to three to five, and shrink again', () => {
    expect(memberships([1], [1, 2, 3])).toEqual([
      [1, 2],
      [1, 2, 3],
    ]);
    expect(memberships([1, 2, 3], [1, 2, 3, 4, 5])).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4, 5],
    ]);
    expect(memberships([1, 2, 3, 4, 5], [1, 3, 5])).toEqual([
      [1, 3, 4, 5],
      [1, 3, 5],
    ]);
    expect(memberships([1, 2, 3], [2])).toEqual([[2, 3], [2]]);
  });

  it('let servers leave first that cannot be asked', () => {
    const steps = ensembleSteps(formed([1, 2, 3]), servers(1, 2, 4), new Set([1, 2, 4]));
    expect(steps).toEqual([
      { servers: servers(1, 2), leaves: 3 },
      { servers: servers(1, 2, 4), joins: 4 },
    ]);
    expect(memberships([1, 2, 3], [1, 2, 4])).toEqual([
      [1, 2, 3, 4],
      [1, 2, 4],
    ]);
    expect(memberships([1], [2], new Set([2]))).toEqual([[1, 2], [2]]);
  });

  it('restart all with other ports', () => {
    const moved = servers(1, 2, 3).map((each) => ({ ...each, peerPort: 2999 }));
    expect(ensembleSteps(formed([1, 2, 3]), moved, all)).toEqual([{ servers: moved }]);
  });

  it('move the only server to another host', () => {
    expect(memberships([1], [2])).toEqual([[1, 2], [2]]);
    expect(withStandalone(host('h4'), { id: 4, servers: [] })).toEqual({ id: 4, servers: servers(4) });
    expect(hasConfiguration(files({ h1: {}, h2: { id: 2 } }))).toBe(false);
    expect(hasConfiguration({ h1: notKnown('no response') })).toBe(true);
  });

  it('complete a change that was interrupted first', () => {
    const mixed = files({
      h1: { id: 1, servers: servers(1, 2, 3, 4) },
      h2: { id: 2, servers: servers(1, 2, 3) },
      h3: { id: 3, servers: servers(1, 2, 3) },
      h4: { id: 4, servers: servers(1, 2, 3, 4) },
      h5: {},
    });
    expect(ensembleSteps(mixed, servers(1, 2, 3, 4, 5), all)).toMatchObject([
      { servers: servers(1, 2, 3, 4) },
      { servers: servers(1, 2, 3, 4, 5), joins: 5 },
    ]);
  });

  it('let each majority share a server with each one of the next membership, whatever the change', () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(ids, ids, fc.boolean(), (from, to, isAsked) => {
        let before = from.toSorted((a, b) => a - b);
        for (const after of memberships(before, to, new Set(isAsked ? [...from, ...to] : to))) {
          const union = new Set([...before, ...after]).size;
          expect(majority(before.length) + majority(after.length)).toBeGreaterThan(union);
          before = after;
        }
        expect(before).toEqual(to.toSorted((a, b) => a - b));
      }),
    );
  });
});

describe('the spec during a step', () => {
  it('has the members of the step, also those whose hosts are gone', () => {
    const spec = makeSpec({ hosts: [host('h2'), host('h1', { roles: ['agent'] })] });
    const during = specOfStep(spec, { servers: servers(1, 2, 9) }, { h1: 1, h2: 2 });
    expect(during.hosts.map(({ name, roles }) => [name, roles])).toEqual([
      ['h2', ['zookeeper']],
      ['h1', ['agent', 'zookeeper']],
    ]);
    const [second] = during.hosts;
    if (second === undefined) throw new Error('no host');
    const items = zookeeperItems(during, second);
    const texts = items.files.map(({ source }) => (source.kind === 'text' ? source.text : '')).join('\n');
    expect(texts).toContain(
      'server.1=10.0.0.1:2888:3888\nserver.2=10.0.0.2:2888:3888\nserver.9=10.0.0.9:2888:3888',
    );
    expect(items.services[0]?.description).toContain('server 2');
  });
});

describe('what a host keeps of the ensemble', () => {
  it('is read from what it printed', () => {
    expect(parseServerFiles('end\n')).toEqual({});
    expect(parseServerFiles('myid 3\nconfigured\nend\n')).toEqual({ id: 3, servers: [] });
    expect(
      parseServerFiles('myid \nconfigured\nserver.7=10.0.0.7:2888:3888:participant;2181\nend\n'),
    ).toEqual({ servers: [{ id: 7, address: '10.0.0.7', peerPort: 2888, electionPort: 3888 }] });
  });

  it.each([
    ['', ''],
    ['cut off', 'myid 3\nconfigured\nserver.1=10.0.'],
    ['something else', 'myid x\nend\n'],
    ['an odd member', 'configured\nserver.1=h1\nend\n'],
  ])('is not known from output that is %s', (_what, printed) =>
    expect(parseServerFiles(printed)).toBeUndefined(),
  );
});
