import { describe, expect, it } from 'vitest';
import { allItems, desiredItems, unwantedItems, unwantedServices } from '../../src/deployment/desired.js';
import { convergingStages } from '../../src/deployment/stages.js';
import { noItems, type HostItems } from '../../src/hosts/items.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import { makeHost, makeSpec } from '../support/spec.js';

const spec = makeSpec();
const host = makeHost('h1');
const withRoles = (...roles: HostSpec['roles']) => makeHost('h1', { roles });
const services = (items: HostItems) => items.services.map(({ name }) => name);
const paths = (items: HostItems) => items.files.map(({ path }) => path);

const stageServices = {
  zookeeper: 'zookeeper',
  masters: 'mesos-master',
  agents: 'mesos-agent',
  keeper: 'proxy',
} as const;

describe('desiredItems', () => {
  it('gives each service to one stage, and the agents what nodes are made of', () => {
    const byStage = convergingStages.map((stage) => [stage, services(desiredItems(spec, host, stage))]);
    expect(Object.fromEntries(byStage)).toEqual({
      install: [],
      network: [],
      storage: [],
      ...Object.fromEntries(Object.entries(stageServices).map(([stage, name]) => [stage, [name]])),
    });
    expect(paths(desiredItems(spec, host, 'agents'))).toContain('/opt/perijove/h1/bin/perijove-node');
  });

  it.each([
    ['zookeeper', 'zookeeper'],
    ['master', 'masters'],
    ['agent', 'agents'],
    ['proxy', 'keeper'],
  ] as const)('has nothing on a host without the role %s in the stage %s', (role, stage) => {
    const others = host.roles.filter((each) => each !== role);
    expect(desiredItems(spec, withRoles(...others), stage)).toMatchObject(noItems);
    expect(services(desiredItems(spec, withRoles(role), stage))).toEqual([stageServices[stage]]);
  });

  it('installs packages and programs of all later stages, and nothing that says what runs', () => {
    const install = desiredItems(spec, host, 'install');
    const all = allItems(spec, host);
    expect(install.packages).toEqual(all.packages);
    expect(install.directories).toEqual([]);
    expect(install.files.every(({ source }) => source.kind !== 'text')).toBe(true);
    const programs = all.files.filter(({ source }) => source.kind !== 'text').map(({ path }) => path);
    expect(new Set(paths(install))).toEqual(new Set(programs));
  });

  it('installs only what the roles of the host need', () => {
    expect(desiredItems(spec, withRoles('zookeeper'), 'install')).toMatchObject({
      packages: ['zookeeper'],
      files: [],
    });
    expect(desiredItems(spec, withRoles(), 'install')).toMatchObject(noItems);
  });
});

describe('what a host must not have', () => {
  it('is nothing where it has every role', () => {
    expect(unwantedServices(host)).toEqual([]);
    for (const stage of convergingStages) expect(unwantedItems(host, stage)).toMatchObject(noItems);
  });

  it('is the service of each role that it has not, in the stage that would bring it', () => {
    expect(unwantedServices(withRoles('agent'))).toEqual([
      { stage: 'zookeeper', service: 'zookeeper' },
      { stage: 'masters', service: 'mesos-master' },
      { stage: 'keeper', service: 'proxy' },
    ]);
    expect(services(unwantedItems(withRoles('agent'), 'masters'))).toEqual(['mesos-master']);
    expect(services(unwantedItems(withRoles('agent'), 'agents'))).toEqual([]);
  });

  it('is never what it should have', () => {
    for (const role of host.roles) {
      const wanted = services(allItems(spec, withRoles(role)));
      const unwanted = unwantedServices(withRoles(role)).map(({ service }) => service);
      expect(wanted.filter((service) => unwanted.includes(service))).toEqual([]);
    }
  });
});
