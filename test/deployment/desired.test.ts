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
  it('assigns each service to one stage, and the programs of nodes to the agents', () => {
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
  ] as const)('requires nothing on a host without the role %s in the stage %s', (role, stage) => {
    const others = host.roles.filter((each) => each !== role);
    expect(desiredItems(spec, withRoles(...others), stage)).toMatchObject(noItems);
    expect(services(desiredItems(spec, withRoles(role), stage))).toEqual([stageServices[stage]]);
  });

  it('installs packages and programs of all later stages, but no configuration', () => {
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

describe('services that a host must not have', () => {
  it('are none if it has every role', () => {
    expect(unwantedServices(host)).toEqual([]);
    for (const stage of convergingStages) expect(unwantedItems(host, stage)).toMatchObject(noItems);
  });

  it('are those of the roles that it lacks, in the stage that would start them', () => {
    expect(unwantedServices(withRoles('agent'))).toEqual([
      { stage: 'zookeeper', service: 'zookeeper' },
      { stage: 'masters', service: 'mesos-master' },
      { stage: 'keeper', service: 'proxy' },
    ]);
    expect(services(unwantedItems(withRoles('agent'), 'masters'))).toEqual(['mesos-master']);
    expect(services(unwantedItems(withRoles('agent'), 'agents'))).toEqual([]);
  });

  it('are never those that it should have', () => {
    for (const role of host.roles) {
      const wanted = services(allItems(spec, withRoles(role)));
      const unwanted = unwantedServices(withRoles(role)).map(({ service }) => service);
      expect(wanted.filter((service) => unwanted.includes(service))).toEqual([]);
    }
  });
});
