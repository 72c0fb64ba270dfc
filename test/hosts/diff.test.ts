import { describe, expect, it } from 'vitest';
import {
  describeStep,
  diff,
  type ObservedState,
  type WantedFile,
  type WantedState,
} from '../../src/hosts/diff.js';
import { dockerDaemon } from '../../src/hosts/docker.js';
import type { ServiceStatus } from '../../src/hosts/init.js';
import type { ServiceItem } from '../../src/hosts/items.js';
import { recordOf } from '../../src/hosts/record.js';

const file = (path: string, sha256: string, mode = 0o644): WantedFile => ({
  path,
  mode,
  sha256,
  source: { kind: 'text', text: '' },
});
const item: ServiceItem = {
  name: 'zookeeper',
  description: 'ZooKeeper',
  exec: ['java'],
  env: {},
  restartOn: ['/p/etc/zoo.cfg', '/p/etc/secrets/digest'],
};
const definition = { path: '/p/service/zookeeper/run', mode: 0o700, text: '', sha256: 'run' };
const wanted: WantedState = {
  packages: ['zookeeper'],
  pinned: [],
  parents: ['/p', '/p/etc'],
  directories: [{ path: '/p/data', mode: 0o750 }, { path: '/shared' }],
  archives: [],
  files: [file('/p/etc/zoo.cfg', 'cfg')],
  daemons: [dockerDaemon],
  services: [{ item, files: [definition] }],
  conditions: [],
};
const record = recordOf(item, (path) => (path === '/p/etc/zoo.cfg' ? 'cfg' : 'absent'));
const running: ServiceStatus = { name: 'zookeeper', state: 'running', pid: 1, record };
const nothing: ObservedState = {
  packages: new Set(),
  unfinishedInstallation: false,
  directories: new Map(),
  files: new Map(),
  daemons: new Map(),
  services: [],
  seen: new Map(),
};
const whole: ObservedState = {
  packages: new Set(['zookeeper']),
  unfinishedInstallation: false,
  directories: new Map([
    ['/p', 0o700],
    ['/p/etc', 0o755],
    ['/p/data', 0o750],
    ['/shared', 0o2775],
  ]),
  files: new Map([
    ['/p/etc/zoo.cfg', { mode: 0o644, sha256: 'cfg' }],
    ['/p/service/zookeeper/run', { mode: 0o700, sha256: 'run' }],
  ]),
  daemons: new Map([['docker', { answers: true, boots: true }]]),
  services: [running],
  seen: new Map(),
};
const steps = (observed: ObservedState, of = wanted) =>
  diff(of, observed).map((step) => describeStep(step, 'plan'));

describe('diff', () => {
  it('does everything on an empty host, in a working order', () => {
    expect(steps(nothing)).toEqual([
      'install zookeeper',
      'make /p',
      'make /p/data',
      'make /p/etc',
      'make /shared',
      'write /p/etc/zoo.cfg',
      'start docker',
      'define zookeeper',
      'start zookeeper',
    ]);
  });

  it('does nothing if everything is as desired', () => {
    expect(steps(whole)).toEqual([]);
  });

  it('corrects modes, if one is specified', () => {
    const directories = new Map([...whole.directories, ['/p/data', 0o777], ['/p', 0o500]] as const);
    const files = new Map([...whole.files, ['/p/etc/zoo.cfg', { mode: 0o600, sha256: 'cfg' }]] as const);
    expect(steps({ ...whole, directories, files })).toEqual([
      'set the mode of /p/data to 750',
      'set the mode of /p/etc/zoo.cfg to 644',
    ]);
  });

  it('restarts a service based on what it was started with, not on the files on disk', () => {
    const changed = { ...wanted, files: [file('/p/etc/zoo.cfg', 'new')] };
    expect(steps(whole, changed)).toEqual(['write /p/etc/zoo.cfg', 'restart zookeeper (zoo.cfg changed)']);
    const written = new Map([...whole.files, ['/p/etc/zoo.cfg', { mode: 0o644, sha256: 'new' }]] as const);
    expect(steps({ ...whole, files: written }, changed)).toEqual(['restart zookeeper (zoo.cfg changed)']);
  });

  it('restarts a service when a file outside its items changed, such as a secret', () => {
    const files = new Map([...whole.files, ['/p/etc/secrets/digest', { mode: 0o600, sha256: 's' }]] as const);
    expect(steps({ ...whole, files })).toEqual(['restart zookeeper (digest changed)']);
  });

  it('restarts a service without a record', () => {
    const unrecorded: ServiceStatus = { name: 'zookeeper', state: 'running', pid: 1 };
    expect(steps({ ...whole, services: [unrecorded] })).toEqual([
      'restart zookeeper (definition changed, zoo.cfg changed, digest changed)',
    ]);
  });

  it('only reloads a service that runs, if nothing but what it takes over changed', () => {
    const reloadable = { ...item, restartOn: ['/p/etc/zoo.cfg'], reloadOn: ['/p/etc/secrets/digest'] };
    const services = [{ item: reloadable, files: [definition] }];
    const secret = new Map([
      ...whole.files,
      ['/p/etc/secrets/digest', { mode: 0o600, sha256: 's' }],
    ] as const);
    const observed = { ...whole, files: secret };
    expect(steps(observed, { ...wanted, services })).toEqual(['reload zookeeper (digest changed)']);
    const both = { ...wanted, services, files: [file('/p/etc/zoo.cfg', 'new')] };
    expect(steps(observed, both)).toEqual([
      'write /p/etc/zoo.cfg',
      'restart zookeeper (zoo.cfg changed, digest changed)',
    ]);
    const starting: ServiceStatus[] = [{ ...running, state: 'restarting' }];
    expect(steps({ ...observed, services: starting }, { ...wanted, services })).toEqual([
      'restart zookeeper (digest changed)',
    ]);
  });

  it('starts a stopped service, and leaves one alone that is waiting for its restart', () => {
    expect(steps({ ...whole, services: [{ ...running, state: 'stopped' }] })).toEqual(['start zookeeper']);
    expect(steps({ ...whole, services: [{ ...running, state: 'restarting' }] })).toEqual([]);
  });

  it('redefines without a restart when only the description changed', () => {
    const files = new Map([
      ...whole.files,
      ['/p/service/zookeeper/run', { mode: 0o700, sha256: 'old' }],
    ] as const);
    expect(steps({ ...whole, files })).toEqual(['redefine zookeeper']);
  });

  it('starts a daemon that does not respond, and enables a running one that would not start at boot', () => {
    const docker = (answers: boolean, boots: boolean) =>
      steps({ ...whole, daemons: new Map([['docker', { answers, boots }]]) });
    expect(docker(false, true)).toEqual(['start docker']);
    expect(docker(false, false)).toEqual(['start docker']);
    expect(docker(true, false)).toEqual(['enable docker at boot']);
    expect(docker(true, true)).toEqual([]);
  });

  it('restarts a service whose effect differs, and runs a one-shot again', () => {
    const effect = {
      observe: 'ip',
      differences: (printed: string) => (printed === 'up' ? [] : [`is ${printed}`]),
    };
    const of = (more: Partial<ServiceItem>) => ({
      ...wanted,
      services: [{ item: { ...item, effect, ...more }, files: [definition] }],
    });
    const seen = (printed: string) => ({ ...whole, seen: new Map([['service/zookeeper', printed]]) });
    expect(steps(seen('up'), of({}))).toEqual([]);
    expect(steps(seen('down'), of({}))).toEqual(['restart zookeeper (is down)']);
    expect(steps(seen('down'), of({ once: { before: [] } }))).toEqual(['run zookeeper again (is down)']);
    // A stopped service is started instead.
    const stopped = { ...seen('down'), services: [{ ...running, state: 'stopped' as const }] };
    expect(steps(stopped, of({}))).toEqual(['start zookeeper']);
  });

  it('acts on conditions based on what was observed, after everything else', () => {
    const action = { plan: 'make a network', done: 'made a network', script: 'true' };
    const conditions = [
      { name: 'net', observe: 'x', actions: (printed: string) => (printed === '' ? [action] : []) },
    ];
    expect(steps(nothing, { ...wanted, conditions }).at(-1)).toBe('make a network');
    const seen = new Map([['condition/net', 'there']]);
    expect(steps({ ...whole, seen }, { ...wanted, conditions })).toEqual([]);
  });

  it('only defines a service in the state `defined`', () => {
    const services = [{ item: { ...item, state: 'defined' as const }, files: [definition] }];
    expect(steps({ ...whole, services: [] }, { ...wanted, services })).toEqual(['define zookeeper']);
    expect(steps({ ...whole, services: [{ ...running, record: 'old' }] }, { ...wanted, services })).toEqual(
      [],
    );
  });

  it('unpacks an archive whose marker is missing or different', () => {
    const archive = { url: 'https://x/y.tgz', sha256: 'a', path: '/p/opt/y' };
    const archives = [{ archive, marker: '/p/opt/y/.mark', sha256: 'm' }];
    expect(steps(whole, { ...wanted, archives })).toEqual(['unpack https://x/y.tgz to /p/opt/y']);
    const files = new Map([...whole.files, ['/p/opt/y/.mark', { mode: 0o644, sha256: 'm' }]] as const);
    expect(steps({ ...whole, files }, { ...wanted, archives })).toEqual([]);
  });
});
