import { describe, expect, it } from 'vitest';
import {
  parseInstallation,
  type MesosInstallation,
  type MesosProgram,
} from '../../src/mesos/installation/installation.js';
import { agentItems, masterItems } from '../../src/mesos/installation/items.js';
import type { Install } from '../../src/cluster/spec.js';
import { recording } from '../support/mesos-recordings.js';
import { makeHost, makeSpec } from '../support/spec.js';

/*
 * No real Mesos runs here. The recorded `--help` of Apache Mesos 1.3.2 shows what it accepts on its command
 * line: every flag from Perijove must be in it, in a form that the flags' parsers accept.
 */

interface KnownFlag {
  readonly boolean: boolean;
  readonly default?: string;
}

/** The flags in a recorded `--help`, by each of their names. */
function recordedFlags(program: MesosProgram): Map<string, KnownFlag> {
  const flags = new Map<string, KnownFlag>();
  const blocks = recording(`help-${program}.txt`)
    .toString('utf8')
    .split(/\n(?= {2}--)/)
    .slice(1);
  for (const block of blocks) {
    const value = /\(default: ([^)]*)\)/.exec(block)?.[1];
    for (const [, no, name = ''] of block.split('\n', 1)[0]?.matchAll(/--(\[no-\])?([a-z0-9_]+)/g) ?? []) {
      flags.set(name, { boolean: no !== undefined, ...(value === undefined ? {} : { default: value }) });
    }
  }
  return flags;
}

// stout's Duration::parse: a number, then one of these units and nothing else.
const duration = /^\d+(\.\d+)?(ns|us|ms|secs|mins|hrs|days|weeks)$/;
const file = /^\/\S+$/;
const zookeeper = /^(zk:\/\/(\S+:\S+@)?[\d.]+:\d+(,[\d.]+:\d+)*(\/[\w.-]+)+|file:\/\/\/\S+)$/;

/** The syntax that the real one expects of each flag that Perijove sets itself. */
const syntax: Readonly<Record<string, RegExp>> = {
  zk: zookeeper,
  credentials: file,
  http_credentials: file,
  http_framework_authenticators: /^basic$/,
  master: zookeeper,
  quorum: /^[1-9]\d*$/,
  max_agent_ping_timeouts: /^[1-9]\d*$/,
  ip: /^\d+(\.\d+){3}$/,
  port: /^\d{1,5}$/,
  hostname: /^\S+$/,
  cluster: /^.+$/,
  containerizers: /^(mesos|docker)(,(mesos|docker))*$/,
  launcher: /^(posix|linux)$/,
  isolation: /^[a-z]+\/[a-z]+(,[a-z]+\/[a-z]+)*$/,
  image_providers: /^docker$/,
  docker_mesos_image: /^\S+$/,
  attributes: /^\w+:[^;:]+(;\w+:[^;:]+)*$/,
  resources: /^\w+:[\d.]+(;\w+:[\d.]+)*$/,
  executor_environment_variables: /^\{("\w+":"[^"]*",?)*\}$/,
};

function problemOf(flag: string, known: ReadonlyMap<string, KnownFlag>): string | undefined {
  const [, name = '', value] = /^--([a-z0-9_]+)=(.*)$/.exec(flag) ?? [];
  const facts = known.get(name);
  if (value === undefined) return `${flag}: not of the form --name=value`;
  if (facts === undefined) return `${flag}: unknown`;
  if (facts.boolean) return /^(true|false)$/.test(value) ? undefined : `${flag}: no boolean`;
  const isDuration = duration.test(facts.default ?? '');
  const form = isDuration ? duration : /_dir$/.test(name) ? file : syntax[name];
  if (form === undefined) return `${flag}: this test does not know its syntax`;
  return form.test(value) ? undefined : `${flag}: not of the form ${String(form)}`;
}

const found: MesosInstallation = parseInstallation(
  [
    'there yes',
    'program mesos-master /srv/mesos/sbin/mesos-master',
    'program mesos-agent /srv/mesos/sbin/mesos-agent',
    'version mesos-master 1.3.2',
    'version mesos-agent 1.3.2',
    `flags mesos-master ${[...recordedFlags('mesos-master').keys()].join(' ')}`,
    `flags mesos-agent ${[...recordedFlags('mesos-agent').keys()].join(' ')}`,
    'launcher-dir /srv/mesos/libexec/mesos',
    'webui-dir /srv/mesos/share/mesos/webui',
    'library-dir /srv/mesos/lib',
    'stamp 0123456789abcdef',
  ].join('\n'),
);

const installs: readonly Install[] = [
  { kind: 'lab' },
  { kind: 'path', path: '/srv/mesos' },
  { kind: 'package', package: 'mesos' },
  { kind: 'tarball', url: 'https://example.org/mesos.tar.gz', sha256: 'a'.repeat(64) },
  { kind: 'image', image: 'mesos/mesos:1.3.2' },
];
const cases = installs.flatMap((install) =>
  (['mesos', 'docker'] as const).flatMap((containerizer) =>
    [false, true].map((digest) => ({ install, containerizer, digest })),
  ),
);

describe.each(['mesos-master', 'mesos-agent'] as const)('%s 1.3.2', (program) => {
  const known = recordedFlags(program);
  const makeItems = program === 'mesos-master' ? masterItems : agentItems;
  const host = makeHost('h1');
  const flagsOf = ({ install, containerizer, digest }: (typeof cases)[number], seen = found) => {
    const spec = makeSpec({
      hosts: [host],
      mesos: { install, ...(digest && { principal: 'perijove' }) },
      nodes: { containerizer },
      zookeeper: { digest },
    });
    const exec =
      makeItems(spec, host, install.kind === 'lab' || install.kind === 'image' ? undefined : seen).services[0]
        ?.exec ?? [];
    // The flags of `docker run` come before the program.
    const at = exec.findLastIndex((word) => !word.startsWith('--'));
    return exec.slice(at + 1);
  };

  it('was recorded with its flags', () => {
    expect(known.get('work_dir')).toEqual({
      boolean: false,
      ...(program === 'mesos-agent' && { default: '' }),
    });
    expect(known.size).toBeGreaterThan(50);
  });

  it.each(cases)(
    'accepts every flag of $install.kind, for nodes by $containerizer, with secrets: $digest',
    (each) => {
      const flags = flagsOf(each);
      expect(flags.length).toBeGreaterThan(7);
      expect(flags.flatMap((flag) => problemOf(flag, known) ?? [])).toEqual([]);
      const names = flags.map((flag) => flag.split('=')[0]);
      expect(new Set(names).size).toBe(names.length);
      // The real ones do not start without these.
      expect(names).toEqual(expect.arrayContaining(['--work_dir', '--ip', '--port']));
    },
  );

  it('rejects what it does not know', () => {
    expect(problemOf('--runtime-dir=/x', known)).toMatch('not of the form');
    expect(problemOf('--frob=1', known)).toBe('--frob=1: unknown');
    expect(problemOf('--hostname_lookup=no', known)).toBe('--hostname_lookup=no: no boolean');
    expect(problemOf('--port=high', known)).toMatch('not of the form');
    if (program === 'mesos-master') expect(problemOf('--zk_session_timeout=3s', known)).toMatch('not of the');
  });
});
